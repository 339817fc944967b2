// Chooses the protocol that an agent and this control plane speak with each other. Pure.
#pragma once

#include <string>

#include "base/status.h"
#include "salvor/v1/agent_service.pb.h"

namespace salvor::controlplane {

// The newest that both know. InvalidArgument, with the version to install, when there is none. `version` is that of this
// control plane.
StatusOr<int> ChooseProtocol(const v1::AgentHello& hello, const std::string& version);

}  // namespace salvor::controlplane
