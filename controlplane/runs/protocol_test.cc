#include "controlplane/runs/protocol.h"

#include <gmock/gmock.h>

#include "controlplane/runs/engine_testing.h"
#include "proto/protocol.h"

namespace salvor::controlplane {
namespace {

using testing::HasSubstr;

v1::AgentHello HelloOf(int protocol, int oldest, int newest) {
  v1::AgentHello hello;
  hello.set_agent("web-1");
  hello.set_environment("local");
  hello.set_version("0.9.0");
  hello.set_protocol(protocol);
  hello.set_oldest_protocol(oldest);
  hello.set_newest_protocol(newest);
  return hello;
}

TEST(ChooseProtocol, IsTheNewestThatBothSpeak) {
  EXPECT_EQ(*ChooseProtocol(HelloOf(1, kOldestProtocol, kNewestProtocol), "0.3.0"), kNewestProtocol);
  EXPECT_EQ(*ChooseProtocol(HelloOf(1, 1, 1), "0.3.0"), 1);
  EXPECT_EQ(*ChooseProtocol(HelloOf(1, 1, kNewestProtocol + 5), "0.3.0"), kNewestProtocol);
  EXPECT_EQ(*ChooseProtocol(HelloOf(1, kNewestProtocol, kNewestProtocol + 1), "0.3.0"), kNewestProtocol);
  EXPECT_EQ(*ChooseProtocol(HelloOf(1, 0, kNewestProtocol), "0.3.0"), 1) << "half a range is none";
}

TEST(ChooseProtocol, IsOneForWhoSaysNoRange) {
  EXPECT_EQ(*ChooseProtocol(HelloOf(1, 0, 0), "0.3.0"), 1) << "an agent of 0.1";
  EXPECT_THAT(MessageOf(ChooseProtocol(HelloOf(0, 0, 0), "0.3.0").status()), HasSubstr("speaks protocol 0"));
}

TEST(ChooseProtocol, ARefusalSaysWhichVersionToInstall) {
  const Status newer =
      ChooseProtocol(HelloOf(kNewestProtocol + 1, kNewestProtocol + 1, kNewestProtocol + 2), "0.3.0")
          .status();
  EXPECT_EQ(newer.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      MessageOf(newer),
      "agent web-1 of version 0.9.0 speaks protocols 3 to 4, and this control plane of version 0.3.0 speaks "
      "protocols 1 to 2");
  EXPECT_EQ(HintOf(newer), "Install salvord 0.9.0 here, or salvor-agent 0.3.0 on the agent's host.");
  const Status older = ChooseProtocol(HelloOf(0, 0, 0), "0.3.0").status();
  EXPECT_EQ(HintOf(older), "Install salvor-agent 0.3.0 on its host.");
}

class ProtocolTest : public EngineTest {
 protected:
  v1::AgentWelcome WelcomeTo(const v1::AgentHello& hello) {
    Agent agent;
    agent.link = std::make_shared<RecordedLink>();
    const auto session = engine_->Connect(hello, agent.link);
    EXPECT_TRUE(session.ok()) << session.status();
    return Take(agent).welcome();
  }
};

TEST_F(ProtocolTest, TheWelcomeSaysWhichOneIsSpoken) {
  EXPECT_EQ(WelcomeTo(HelloOf(1, 1, 9)).protocol(), kNewestProtocol);
  EXPECT_EQ(WelcomeTo(HelloOf(1, 0, 0)).protocol(), 1);
  EXPECT_FALSE(engine_->Connect(HelloOf(7, 7, 9), std::make_shared<RecordedLink>()).ok());
  EXPECT_EQ(engine_->ListAgents().size(), 1u);
}

TEST_F(ProtocolTest, WhatAHelloSaysOfTheAgentIsListedAndKept) {
  v1::AgentHello hello = HelloOf(1, 1, 2);
  (*hello.mutable_labels())["rack"] = "b2";
  hello.set_kind(v1::AGENT_KIND_NODE);
  Agent agent;
  agent.link = std::make_shared<RecordedLink>();
  agent.session = *engine_->Connect(hello, agent.link);
  engine_->Disconnect(agent.session);
  Restart();
  const v1::AgentStatus known = engine_->ListAgents().front();
  EXPECT_EQ(known.labels().at("rack"), "b2");
  EXPECT_EQ(known.kind(), v1::AGENT_KIND_NODE);
  WelcomeTo(HelloOf(1, 0, 0));
  EXPECT_EQ(engine_->ListAgents().front().kind(), v1::AGENT_KIND_HOST) << "an agent of 0.1 does not say it";
}

}  // namespace
}  // namespace salvor::controlplane
