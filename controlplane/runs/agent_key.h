// Who an agent is: names are unique within an environment only.
#pragma once

#include <compare>
#include <string>

namespace salvor::controlplane {

struct AgentKey {
  std::string environment, name;
  auto operator<=>(const AgentKey&) const = default;
};

}  // namespace salvor::controlplane
