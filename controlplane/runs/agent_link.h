// How the engine reaches an agent that is connected: the transport implements it.
#pragma once

#include <string>

#include "salvor/v1/agent_service.pb.h"

namespace salvor::controlplane {

// The way to one connected agent. Both calls are thread-safe and never block.
class AgentLink {
 public:
  virtual ~AgentLink() = default;
  virtual void Send(v1::ControlMessage message) = 0;
  virtual void Close(const std::string& why) = 0;
};

}  // namespace salvor::controlplane
