// Runs that are over leave things behind: what agents hold of them, and the last lines of their logs.
#include "controlplane/runs/engine_testing.h"

namespace salvor::controlplane {
namespace {

v1::HeldObligation Held(const std::string& run, const std::string& name = "files of shop") {
  v1::HeldObligation held;
  held.set_run(run);
  held.set_name(name);
  held.set_kind("restore-folders");
  return held;
}

v1::AgentMessage HelloWith(const std::vector<v1::HeldObligation>& obligations) {
  v1::AgentMessage message;
  message.mutable_hello()->set_agent("agent-a");
  message.mutable_hello()->set_environment("local");
  message.mutable_hello()->set_protocol(1);
  for (const v1::HeldObligation& held : obligations) *message.mutable_hello()->add_obligations() = held;
  return message;
}

v1::AgentMessage Line(const std::string& run, const std::string& step) {
  v1::AgentMessage message;
  v1::LogLines* lines = message.add_logs();
  lines->set_run(run);
  lines->set_step(step);
  lines->add_lines()->set_text("a line");
  return message;
}

class EngineLeftoversTest : public EngineTest {
 protected:
  int ReleasesWithin(const Agent& agent, absl::Duration time) {
    KeepConnected(agent, time);
    return Take(agent).release_size();
  }
  size_t LinesOf(const std::string& run) {
    EXPECT_TRUE(CommitAndWait(store_, {}).ok());
    int64_t next = 0;
    return store_.ReadLog(run, 0, next)->size();
  }
  void RunToItsEnd(const std::string& run, const Agent& agent) {
    Start(run, Chain(1));
    Report(agent, Take(agent).tasks(0).lease());
    ASSERT_EQ(PhaseOf(run), v1::RUN_PHASE_SUCCEEDED);
  }
};

TEST_F(EngineLeftoversTest, WhoOpensAnObligationIsToldItsUndoAndSoIsWhoIsAskedForItOnceTheRunIsOver) {
  v1::Flow flow = WithObligation();
  flow.mutable_steps(1)->mutable_action()->mutable_noop()->set_fail_with("the release");
  *flow.mutable_obligations(0)->mutable_undo() = flow.steps(1).action();
  const Agent agent = Connect();
  Start("r1", flow);
  const v1::Task opener = Take(agent).tasks(0);
  EXPECT_EQ(opener.obligation(), "scratch");
  EXPECT_EQ(opener.undo().noop().fail_with(), "the release");
  Report(agent, opener.lease());
  const v1::Task release = Take(agent).tasks(0);
  EXPECT_FALSE(release.has_undo()) << "it opens nothing";
  EXPECT_EQ(release.releases(), "scratch");
  Report(agent, release.lease(), "the host is gone");
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_FAILED);
  const v1::ControlMessage order = Take(agent);
  ASSERT_EQ(order.release_size(), 1);
  EXPECT_EQ(order.release(0).undo().noop().fail_with(), "the release");
  EXPECT_EQ(store_.ListObligations()->at(0).obligation.undo().noop().fail_with(), "the release")
      << "a control plane that starts again knows it too";
  // An agent whose record of it is damaged holds it by its name alone.
  engine_->Receive(agent.session, HelloWith({Held("r1", "scratch")}));
  KeepConnected(agent, absl::Hours(1));
  const v1::ControlMessage again = Take(agent);
  ASSERT_GE(again.release_size(), 1);
  EXPECT_EQ(again.release(0).undo().noop().fail_with(), "the release");
}

TEST_F(EngineLeftoversTest, AnObligationOfAFlowOf0_1IsUndoneByWhatItsReleaseDoes) {
  v1::Flow flow = WithObligation();
  flow.mutable_steps(1)->mutable_action()->mutable_noop()->set_fail_with("the release");
  const Agent agent = Connect();
  Start("r1", flow);
  const v1::Task opener = Take(agent).tasks(0);
  EXPECT_EQ(opener.undo().noop().fail_with(), "the release");
  Report(agent, opener.lease());
  Report(agent, Take(agent).tasks(0).lease(), "the host is gone");
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_FAILED);
  const v1::ControlMessage order = Take(agent);
  ASSERT_EQ(order.release_size(), 1);
  EXPECT_EQ(order.release(0).undo().noop().fail_with(), "the release");
}

TEST_F(EngineLeftoversTest,
       WhoHoldsAnObligationByItsNameAloneLearnsFromTheFlowOfTheRunThatIsOverHowItIsUndone) {
  v1::Flow flow = WithObligation();
  flow.mutable_steps(1)->mutable_action()->mutable_noop()->set_fail_with("the release");
  const Agent agent = Connect();
  Start("r1", flow);
  Report(agent, Take(agent).tasks(0).lease());
  Report(agent, Take(agent).tasks(0).lease());  // released, and the agent could not write it down
  ASSERT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
  engine_->Receive(agent.session,
                   HelloWith({Held("r1", "scratch"), Held("r1", "another"), Held("r2", "scratch")}));
  const v1::ControlMessage order = Take(agent);
  ASSERT_EQ(order.release_size(), 3);
  EXPECT_FALSE(order.release(0).has_undo()) << "the flow has no obligation of that name";
  EXPECT_EQ(order.release(1).undo().noop().fail_with(), "the release");
  EXPECT_FALSE(order.release(2).has_undo()) << "nobody knows that run";
}

TEST_F(EngineLeftoversTest, AReleaseThatFailsIsAskedForAgainAndEachTimeLater) {
  const Agent agent = Connect();
  engine_->Receive(agent.session, HelloWith({Held("nobody-knows-it")}));
  ASSERT_EQ(Take(agent).release_size(), 1);
  EXPECT_EQ(ReleasesWithin(agent, absl::Seconds(20)), 0);
  EXPECT_EQ(ReleasesWithin(agent, absl::Seconds(20)), 1) << "after 30 s";
  EXPECT_EQ(ReleasesWithin(agent, absl::Minutes(5)), 2) << "after a minute more, and two";
  EXPECT_GE(ReleasesWithin(agent, absl::Hours(1)), 4) << "and it is never given up";
  engine_->Receive(agent.session, HelloWith({}));
  EXPECT_EQ(ReleasesWithin(agent, absl::Hours(1)), 0) << "it is undone";
}

TEST_F(EngineLeftoversTest, WhatAnAgentHoldsIsAskedForAsSoonAsItsRunIsOverAndNotBefore) {
  const Agent agent = Connect();
  Start("restore-1", Chain(1));
  const v1::LeaseKey lease = Take(agent).tasks(0).lease();
  v1::AgentMessage hello = HelloWith({Held("restore-1")});
  *hello.mutable_hello()->add_held() = lease;
  engine_->Receive(agent.session, hello);
  EXPECT_EQ(ReleasesWithin(agent, absl::Minutes(5)), 0) << "its run goes on";
  Report(agent, lease, "the agent died in the middle of it");
  ASSERT_EQ(PhaseOf("restore-1"), v1::RUN_PHASE_FAILED);
  Take(agent);
  engine_->Tick();
  const v1::ControlMessage message = Take(agent);
  ASSERT_EQ(message.release_size(), 1);
  EXPECT_EQ(message.release(0).kind(), "restore-folders") << "as the agent named it";
}

// The agent's words waited for an answer, and came together.
TEST_F(EngineLeftoversTest, ASuccessThatTravelsWithTheEarlyReleaseOfWhatItReliedOnIsNone) {
  v1::Flow flow = WithObligation();
  v1::Step* guarded = flow.add_steps();
  guarded->set_id("uses it");
  guarded->mutable_action()->mutable_noop();
  guarded->add_after()->set_step("a");
  flow.mutable_obligations(0)->add_guards("uses it");
  const Agent agent = Connect();
  Start("r1", flow);
  Report(agent, Take(agent).tasks(0).lease());
  const v1::ControlMessage granted = Take(agent);
  ASSERT_EQ(granted.tasks_size(), 1);
  ASSERT_EQ(granted.tasks(0).lease().step(), "uses it");
  v1::AgentMessage message;
  *message.add_reports()->mutable_lease() = granted.tasks(0).lease();
  message.mutable_reports(0)->mutable_result();
  message.add_early_releases()->set_run("r1");
  message.mutable_early_releases(0)->set_name("scratch");
  engine_->Receive(agent.session, message);
  const v1::ControlMessage answer = Take(agent);
  EXPECT_EQ(answer.acks_size(), 1);
  EXPECT_EQ(answer.early_release_acks_size(), 1);
  EXPECT_EQ(engine_->GetRun("r1")->steps(2).phase(), v1::STEP_PHASE_FAILED);
}

TEST_F(EngineLeftoversTest, AnAgentThatComesBackIsAskedAtOnce) {
  Agent agent = Connect();
  engine_->Receive(agent.session, HelloWith({Held("r0")}));
  ReleasesWithin(agent, absl::Hours(2));  // the next one would be a quarter of an hour away
  agent.link = std::make_shared<RecordedLink>();
  agent.session = *engine_->Connect(HelloWith({Held("r0")}).hello(), agent.link);
  EXPECT_EQ(Take(agent).release_size(), 1);
  EXPECT_EQ(ReleasesWithin(agent, absl::Seconds(40)), 1);
}

TEST_F(EngineLeftoversTest, TheLastLinesOfARunAreTakenFromWhoHeldTheStepAlone) {
  const Agent holder = Connect("agent-a");
  RunToItsEnd("r1", holder);
  const Agent other = Connect("agent-b");
  for (const bool restarted : {false, true}) {
    const size_t before = LinesOf("r1");
    Agent writer = holder, stranger = other;
    if (restarted) {
      Restart();
      writer = Connect("agent-a");
      stranger = Connect("agent-b");
    }
    engine_->Receive(stranger.session, Line("r1", "a"));
    engine_->Receive(writer.session, Line("r1", "of-no-step"));
    EXPECT_EQ(LinesOf("r1"), before);
    engine_->Receive(writer.session, Line("r1", "a"));
    EXPECT_EQ(LinesOf("r1"), before + 1);
  }
}

TEST_F(EngineLeftoversTest, ARunThatNobodyKnowsHasNoLog) {
  const Agent agent = Connect();
  engine_->Receive(agent.session, Line("r1", "a"));
  EXPECT_EQ(LinesOf("r1"), 0u);
  RunToItsEnd("r1", agent);
  engine_->Receive(agent.session, Line("r1", "a"));
  EXPECT_EQ(LinesOf("r1"), 1u) << "and what was said before it began does not shut its log";
}

TEST_F(EngineLeftoversTest, AnAttemptThatWasGivenUpMayStillSayWhatItDid) {
  const Agent first = Connect("agent-a");
  v1::Flow flow = Chain(1, 3);
  flow.mutable_steps(0)->set_movable(true);
  Start("r1", flow);
  ASSERT_EQ(Take(first).tasks_size(), 1);
  const Agent second = Connect("agent-b");
  KeepConnected(second, absl::Minutes(2));  // the first is silent: its step moves
  ASSERT_EQ(Take(second).tasks_size(), 1);
  const Agent back = Connect("agent-a");
  engine_->Receive(back.session, Line("r1", "a"));
  EXPECT_EQ(LinesOf("r1"), 1u);
}

}  // namespace
}  // namespace salvor::controlplane
