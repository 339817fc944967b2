// The agents' end of the control plane: one stream each, thin over the Engine.
#pragma once

#include <map>
#include <string>

#include "base/io/mutex.h"
#include "controlplane/runs/engine.h"
#include "controlplane/tokens/token_registry.h"
#include "controlplane/transport/authenticator.h"
#include "salvor/v1/agent_service.grpc.pb.h"

namespace salvor::controlplane {

// An agent is what its token is bound to, and as long as that is valid. Everything given must outlive the service, and
// the registry tells it what was revoked. Thread-safe, as gRPC wants it.
class AgentServiceImpl final : public v1::AgentService::Service {
 public:
  AgentServiceImpl(Engine& engine, const Authenticator& authenticator, TokenRegistry& tokens);

  grpc::Status Connect(grpc::ServerContext* context,
                       grpc::ServerReaderWriter<v1::ControlMessage, v1::AgentMessage>* stream) override;

 private:
  class OpenStream;
  void CloseStreamsOf(const std::string& token);

  Engine& engine_;
  const Authenticator& authenticator_;
  TokenRegistry& tokens_;
  Mutex mutex_;
  std::multimap<std::string, AgentLink*> streams_ ABSL_GUARDED_BY(mutex_);  // open ones, by their named token
};

}  // namespace salvor::controlplane
