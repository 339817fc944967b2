// An agent's token is good for the hello, and for the stream as long as it lives.
#include "controlplane/transport/agent_service.h"

#include "controlplane/transport/transport_testing.h"

namespace salvor::controlplane {
namespace {

using ::testing::HasSubstr;

// One agent's connection.
struct Connection {
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReaderWriter<v1::AgentMessage, v1::ControlMessage>> stream;
  bool welcome = false;

  // How the stream ended; waits for that.
  Status End() {
    v1::ControlMessage message;
    while (stream->Read(&message)) {
    }
    return FromGrpc(stream->Finish(), context);
  }
};

class AgentServiceTest : public ServicesTest {
 protected:
  std::unique_ptr<Connection> Connect(const std::string& token, const std::string& environment,
                                      const std::string& agent) {
    auto connection = std::make_unique<Connection>();
    Token(token).Attach(connection->context);
    connection->stream = agent_stub_->Connect(&connection->context);
    v1::AgentMessage hello;
    hello.mutable_hello()->set_agent(agent);
    hello.mutable_hello()->set_environment(environment);
    hello.mutable_hello()->set_protocol(1);
    hello.mutable_hello()->set_host("test");
    v1::ControlMessage welcome;
    connection->stream->Write(hello);
    connection->welcome = connection->stream->Read(&welcome) && welcome.has_welcome();
    return connection;
  }

  // The agent is there, answers, and goes.
  void ExpectWelcome(const std::string& token, const std::string& environment, const std::string& agent) {
    const auto connection = Connect(token, environment, agent);
    EXPECT_TRUE(connection->welcome) << connection->End();
    connection->stream->WritesDone();
    EXPECT_TRUE(connection->End().ok());
  }
  void ExpectRefused(const std::string& token, const std::string& environment, const std::string& agent) {
    const auto connection = Connect(token, environment, agent);
    EXPECT_FALSE(connection->welcome) << environment << " " << agent;
    EXPECT_EQ(connection->End().code(), absl::StatusCode::kPermissionDenied) << environment << " " << agent;
  }
};

TEST_F(AgentServiceTest, ANameAndAnEnvironmentAreWhatATokenIsGoodFor) {
  const std::string web = MakeToken("web", "vps-1", "web-1");
  ExpectWelcome(web, "vps-1", "web-1");
  ExpectRefused(web, "vps-2", "web-1");
  ExpectRefused(web, "vps-1", "web-2");
  ExpectRefused(web, "vps-1", "web-10");
  for (const v1::AgentStatus& agent : engine_->ListAgents())
    EXPECT_EQ(agent.name() + " of " + agent.environment(), "web-1 of vps-1")
        << "who is refused leaves no trace";
}

TEST_F(AgentServiceTest, NodesShareOneToken) {
  const std::string nodes = MakeToken("nodes", "cluster", "node-*");
  const auto a = Connect(nodes, "cluster", "node-a"), b = Connect(nodes, "cluster", "node-b");
  EXPECT_TRUE(a->welcome && b->welcome);
  ExpectRefused(nodes, "cluster", "control-1");
  for (Connection* connection : {a.get(), b.get()}) {
    connection->context.TryCancel();
    EXPECT_EQ(connection->End().code(), absl::StatusCode::kCancelled);
  }
}

TEST_F(AgentServiceTest, TheTokenOfTheStateDirectoryIsBoundToNothing) {
  ExpectWelcome(kAgents, "vps-1", "web-1");
  ExpectWelcome(kAgents, "vps-2", "anything");
}

TEST_F(AgentServiceTest, TheRefusalSaysWhatToDo) {
  const std::string web = MakeToken("web", "vps-1", "web-1");
  const Status refused = Connect(web, "vps-1", "web-2")->End();
  EXPECT_EQ(MessageOf(refused), "token web is for the agent web-1, and this is web-2");
  EXPECT_THAT(HintOf(refused), HasSubstr("salvor agent-token create NAME --environment vps-1 --agent web-2"));
  const Status unknown = Connect("salvor_agent_nobody", "vps-1", "web-1")->End();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(HintOf(unknown), HasSubstr("the agent's --token-file"));
  EXPECT_THAT(HintOf(Connect(kPeople, "vps-1", "web-1")->End()), HasSubstr("salvor agent-token create"));
}

TEST_F(AgentServiceTest, ARevokedTokensStreamsEndAndOthersStay) {
  const std::string nodes = MakeToken("nodes", "cluster", "node-*"),
                    web = MakeToken("web", "cluster", "web-1");
  const auto a = Connect(nodes, "cluster", "node-a"), b = Connect(nodes, "cluster", "node-b");
  const auto other = Connect(web, "cluster", "web-1"), unbound = Connect(kAgents, "cluster", "db-1");
  ASSERT_TRUE(a->welcome && b->welcome && other->welcome && unbound->welcome);
  ASSERT_TRUE(Revoke("nodes").ok());
  EXPECT_FALSE(a->End().ok());
  EXPECT_FALSE(b->End().ok());
  const Status again = Connect(nodes, "cluster", "node-a")->End();
  EXPECT_EQ(again.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(MessageOf(again), "the token nodes was revoked");
  for (const auto& connection : {other.get(), unbound.get()}) {
    connection->stream->WritesDone();
    EXPECT_TRUE(connection->End().ok()) << "it ends because the agent says so";
  }
  Start();
  EXPECT_FALSE(Connect(nodes, "cluster", "node-a")->welcome) << "a restart forgets nothing";
  ExpectWelcome(web, "cluster", "web-1");
}

TEST_F(AgentServiceTest, ATokenIsShownOnce) {
  const std::string web = MakeToken("web", "vps-1", "web-1");
  v1::ListTokensRequest of_agents;
  of_agents.set_kind(v1::TOKEN_KIND_AGENT);
  const auto listed = Call(&v1::ControlService::Stub::ListTokens, of_agents);
  ASSERT_TRUE(listed.ok()) << listed.status();
  ASSERT_EQ(listed->tokens_size(), 1);
  EXPECT_EQ(listed->tokens(0).created_by(), "root");
  EXPECT_THAT(listed->DebugString(), testing::Not(HasSubstr(web)));
  EXPECT_EQ(Revoke("nobody").code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(Revoke("web").ok());
  EXPECT_TRUE(Revoke("web").ok()) << "again";
}

}  // namespace
}  // namespace salvor::controlplane
