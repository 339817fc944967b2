// One exec over one WebSocket.
#pragma once

#include <string>

#include "agent/kubernetes/client/cluster_access.h"
#include "agent/kubernetes/client/kubernetes.h"

namespace salvor::kubernetes {

struct ExecOutcome {
  StatusOr<int> exit_code;
  bool may_have_begun = true;
};

// A server that is asked so often, and is not heard of for so long, is given up.
struct ExecPatience {
  absl::Duration ping_every = absl::Seconds(5);
  absl::Duration silence_at_most = absl::Seconds(61);
};

// Opens `path`, runs the command and waits for its end.
ExecOutcome ExecOverWebSocket(const ClusterAccess& access, const std::string& path, const ApiRequest& what,
                              const ExecCommand& command, const ExecPatience& patience, const Call& call);

}  // namespace salvor::kubernetes
