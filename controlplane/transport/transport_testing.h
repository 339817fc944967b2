// The services run over a store in memory, and are called through real gRPC without a socket.
#pragma once

#include <gmock/gmock.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/io/grpc/status.h"
#include "controlplane/store/memory/memory_store.h"
#include "controlplane/transport/agent_service.h"
#include "controlplane/transport/control_service.h"
#include "strategies/registry.h"

namespace salvor::controlplane {

class ServicesTest : public testing::Test {
 protected:
  static constexpr char kPeople[] = "the-peoples-token";
  static constexpr char kAgents[] = "the-agents-token";
  using AgentStream = grpc::ClientReaderWriter<v1::AgentMessage, v1::ControlMessage>;

  ServicesTest() { Start(); }
  ~ServicesTest() override { server_->Shutdown(std::chrono::system_clock::now()); }

  // Anew from what the store holds, as after a restart.
  void Start() {
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
    catalog_ = *Catalog::Load(store_, strategies::BuiltInStrategies());
    engine_ = *Engine::Create(
        store_, clock_,
        {.version = "test", .random = [] { return 0.0; }, .on_fatal = [](const Status&) { FAIL(); }},
        nullptr);
    planner_ =
        std::make_unique<Planner>(*catalog_, *engine_, strategies::BuiltInStrategies(), clock_, "test");
    tokens_ = *TokenRegistry::Load(store_, clock_);
    EXPECT_TRUE(tokens_->AdoptFileToken(kPeople).ok());  // as "root"
    authenticator_ = std::make_unique<Authenticator>(Token(kAgents), *tokens_);
    agents_ = std::make_unique<AgentServiceImpl>(*engine_, *authenticator_, *tokens_);
    api_ = std::make_unique<ControlApi>(*catalog_, *engine_, *planner_, store_, *tokens_, "test");
    control_ = std::make_unique<ControlServiceImpl>(*api_, *authenticator_);
    grpc::ServerBuilder builder;
    builder.RegisterService(agents_.get());
    builder.RegisterService(control_.get());
    server_ = builder.BuildAndStart();
    channel_ = server_->InProcessChannel({});
    stub_ = v1::ControlService::NewStub(channel_);
    agent_stub_ = v1::AgentService::NewStub(channel_);
  }

  // A person's call: an administrator's, unless it brings another token.
  template <typename Request, typename Response>
  StatusOr<Response> Call(grpc::Status (v1::ControlService::Stub::*method)(grpc::ClientContext*,
                                                                           const Request&, Response*),
                          const Request& request, const std::string& token = kPeople) {
    grpc::ClientContext context;
    Token(token).Attach(context);
    Response response;
    const grpc::Status status = (stub_.get()->*method)(&context, request, &response);
    if (!status.ok()) return FromGrpc(status, context);
    return response;
  }

  // The text of a new token.
  std::string MakeToken(const std::string& name, const std::string& environment, const std::string& agent) {
    v1::CreateTokenRequest request;
    request.set_name(name);
    request.set_kind(v1::TOKEN_KIND_AGENT);
    request.set_environment(environment);
    request.set_agent(agent);
    const auto made = Call(&v1::ControlService::Stub::CreateToken, request);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? made->secret() : "";
  }

  // The text of a new token of a person's.
  std::string MakeUserToken(const std::string& name, v1::TokenClass token_class) {
    v1::CreateTokenRequest request;
    request.set_name(name);
    request.set_kind(v1::TOKEN_KIND_USER);
    request.set_token_class(token_class);
    const auto made = Call(&v1::ControlService::Stub::CreateToken, request);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? made->secret() : "";
  }

  Status Revoke(const std::string& name) {
    v1::RevokeTokenRequest request;
    request.set_name(name);
    return Call(&v1::ControlService::Stub::RevokeToken, request).status();
  }

  MemoryStore store_;
  FakeClock clock_{absl::FromUnixSeconds(1795256100)};
  std::unique_ptr<Catalog> catalog_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Planner> planner_;
  std::unique_ptr<TokenRegistry> tokens_;
  std::unique_ptr<Authenticator> authenticator_;
  std::unique_ptr<ControlApi> api_;
  std::unique_ptr<AgentServiceImpl> agents_;
  std::unique_ptr<ControlServiceImpl> control_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::ControlService::Stub> stub_;
  std::unique_ptr<v1::AgentService::Stub> agent_stub_;
};

}  // namespace salvor::controlplane
