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

// Opens `path`, runs the command and waits for its end. A server that is not heard of for 61 s is given up; it is asked
// every 5 s.
ExecOutcome ExecOverWebSocket(const ClusterAccess& access, const std::string& path, const ApiRequest& what,
                              const ExecCommand& command, const Call& call);

}  // namespace salvor::kubernetes
