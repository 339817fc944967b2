// The agents' end of the control plane: one stream each, thin over the Engine.
#pragma once

#include "base/io/grpc/token.h"
#include "controlplane/runs/engine.h"
#include "salvor/v1/agent_service.grpc.pb.h"

namespace salvor::controlplane {

// `engine` must outlive the service. Thread-safe, as gRPC wants it.
class AgentServiceImpl final : public v1::AgentService::Service {
 public:
  AgentServiceImpl(Engine& engine, Token token) : engine_(engine), token_(std::move(token)) {}

  grpc::Status Connect(grpc::ServerContext* context,
                       grpc::ServerReaderWriter<v1::ControlMessage, v1::AgentMessage>* stream) override;

 private:
  Engine& engine_;
  const Token token_;
};

}  // namespace salvor::controlplane
