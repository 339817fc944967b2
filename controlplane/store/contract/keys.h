// The keys by which records are found: plain values, ordered.
#pragma once

#include <compare>
#include <string>

namespace salvor::controlplane {

struct ObjectKey {
  std::string kind, name;
  auto operator<=>(const ObjectKey&) const = default;
};

// Names of agents are unique within an environment only.
struct AgentKey {
  std::string environment, name;
  auto operator<=>(const AgentKey&) const = default;
};

struct ObligationKey {
  std::string run, name;
  auto operator<=>(const ObligationKey&) const = default;
};

}  // namespace salvor::controlplane
