#include "controlplane/runs/protocol.h"

#include <algorithm>

#include "proto/protocol.h"

namespace salvor::controlplane {
namespace {

// "protocol 1", "protocols 2 to 4".
std::string RangeText(int oldest, int newest) {
  return oldest == newest ? fmt::format("protocol {}", oldest)
                          : fmt::format("protocols {} to {}", oldest, newest);
}

}  // namespace

StatusOr<int> ChooseProtocol(const v1::AgentHello& hello, const std::string& version) {
  const bool says_range = hello.oldest_protocol() > 0 && hello.newest_protocol() >= hello.oldest_protocol();
  const int oldest = says_range ? hello.oldest_protocol() : hello.protocol();
  const int newest = says_range ? hello.newest_protocol() : hello.protocol();
  const int chosen = std::min(newest, kNewestProtocol);
  if (chosen >= std::max(oldest, kOldestProtocol)) return chosen;
  const Status refused = InvalidArgument(
      "agent {} of version {} speaks {}, and this control plane of version {} speaks {}", hello.agent(),
      hello.version(), RangeText(oldest, newest), version, RangeText(kOldestProtocol, kNewestProtocol));
  if (newest < kOldestProtocol)
    return WithHint(refused, fmt::format("Install salvor-agent {} on its host.", version));
  return WithHint(refused, fmt::format("Install salvord {} here, or salvor-agent {} on the agent's host.",
                                       hello.version(), version));
}

}  // namespace salvor::controlplane
