#include "controlplane/runs/engine.h"

#include "controlplane/runs/engine_testing.h"
#include "proto/time.h"

namespace salvor::controlplane {
namespace {

TEST_F(EngineTest, TheNextStepTravelsWithTheAcknowledgement) {
  const Agent agent = Connect();
  Start("r1", Chain(2));
  const v1::ControlMessage first = Take(agent);
  ASSERT_EQ(first.tasks_size(), 1);
  EXPECT_EQ(first.tasks(0).lease().step(), "a");
  const int64_t commits = store_.Statistics().commits;
  Report(agent, first.tasks(0).lease());
  EXPECT_EQ(store_.Statistics().commits, commits + 1) << "one commit: a is done, b is ready, b is leased";
  const v1::ControlMessage second = Take(agent);
  ASSERT_EQ(second.acks_size(), 1);
  ASSERT_EQ(second.tasks_size(), 1);
  EXPECT_EQ(second.tasks(0).lease().step(), "b");
  Report(agent, second.tasks(0).lease());
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
}

TEST_F(EngineTest, GoesOnAfterARestartWhereItWas) {
  Agent agent = Connect();
  Start("r1", Chain(3));
  const v1::LeaseKey a = Take(agent).tasks(0).lease();
  Report(agent, a);
  const v1::LeaseKey b = Take(agent).tasks(0).lease();
  Restart();
  agent = Connect("agent-a", {b});  // it still works on b
  EXPECT_EQ(Take(agent).tasks_size(), 0) << "b is not granted twice";
  Report(agent, b);
  const v1::ControlMessage next = Take(agent);
  ASSERT_EQ(next.tasks_size(), 1);
  EXPECT_EQ(next.tasks(0).lease().step(), "c");
  Report(agent, next.tasks(0).lease());
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
}

TEST_F(EngineTest, AReportIsAcknowledgedAgainWhenItComesAgain) {
  Agent agent = Connect();
  Start("r1", Chain(1));
  const v1::LeaseKey a = Take(agent).tasks(0).lease();
  Report(agent, a);
  EXPECT_EQ(Take(agent).acks_size(), 1);
  Restart();
  agent = Connect("agent-a", {a});
  Report(agent, a);
  const v1::ControlMessage answer = Take(agent);
  EXPECT_EQ(answer.acks_size() + answer.superseded_size(), 2) << "the hello and the report are answered";
  EXPECT_EQ(engine_->GetRun("r1")->phase(), v1::RUN_PHASE_SUCCEEDED);
}

TEST_F(EngineTest, AnAgentThatForgotAnAttemptLosesIt) {
  Agent agent = Connect();
  Start("r1", Chain(1, 2));
  Take(agent);
  engine_->Disconnect(agent.session);
  EXPECT_EQ(engine_->GetRun("r1")->steps(0).reason(),
            "agent agent-a is not connected; its result is awaited");
  agent = Connect();  // and holds nothing: it is granted again at once
  const v1::ControlMessage again = Take(agent);
  ASSERT_EQ(again.tasks_size(), 1);
  EXPECT_EQ(again.tasks(0).lease().attempt(), 2);
}

TEST_F(EngineTest, ALateResultIsWelcomeAsLongAsNobodyElseWasGranted) {
  Agent agent = Connect();
  Start("r1", Chain(1));
  const v1::LeaseKey a = Take(agent).tasks(0).lease();
  engine_->Disconnect(agent.session);
  clock_.Advance(absl::Hours(6));
  engine_->Tick();
  const Agent other = Connect("agent-b");
  EXPECT_EQ(Take(other).tasks_size(), 0) << "a step that is bound to its host never moves";
  agent = Connect("agent-a", {a});
  Report(agent, a);
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
}

TEST_F(EngineTest, AMovableStepMovesAndTheLateReportIsSuperseded) {
  Agent agent = Connect();
  v1::Flow flow = Chain(1, 2);
  flow.mutable_steps(0)->set_movable(true);
  Start("r1", flow);
  const v1::LeaseKey first = Take(agent).tasks(0).lease();
  const Agent other = Connect("agent-b");
  engine_->Disconnect(agent.session);
  clock_.Advance(absl::Minutes(1));
  v1::AgentMessage alive;
  alive.set_heartbeat(true);
  engine_->Receive(other.session, alive);
  engine_->Tick();
  const v1::ControlMessage moved = Take(other);
  ASSERT_EQ(moved.tasks_size(), 1);
  agent = Connect("agent-a", {first});
  EXPECT_EQ(Take(agent).superseded_size(), 1) << "the agent must stop";
  Report(other, moved.tasks(0).lease());
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
}

TEST_F(EngineTest, ASilentAgentIsDisconnected) {
  const Agent agent = Connect();
  clock_.Advance(absl::Minutes(1));
  engine_->Tick();
  EXPECT_EQ(agent.link->Closed(), "no heartbeat");
  ASSERT_EQ(engine_->ListAgents().size(), 1u);
  EXPECT_FALSE(engine_->ListAgents()[0].connected());
}

TEST_F(EngineTest, ANewerConnectionOfAnAgentClosesTheOlder) {
  const Agent older = Connect();
  Connect();
  EXPECT_EQ(older.link->Closed(), "the agent opened a newer connection");
}

TEST_F(EngineTest, ExclusiveKeysHoldBackAndARoomThatIsFreeIsTakenAtOnce) {
  const Agent agent = Connect();
  v1::Flow flow = Chain(1);
  v1::ConcurrencyKey* key = flow.mutable_steps(0)->add_keys();
  key->set_name("location:vault");
  key->set_exclusive(true);
  Start("r1", flow);
  Start("r2", flow);
  const v1::ControlMessage first = Take(agent);
  ASSERT_EQ(first.tasks_size(), 1);
  EXPECT_EQ(engine_->GetRun("r2")->steps(0).reason(), "a of r1 is using location:vault");
  Report(agent, first.tasks(0).lease());
  const v1::ControlMessage second = Take(agent);
  ASSERT_EQ(second.tasks_size(), 1);
  EXPECT_EQ(second.tasks(0).lease().run(), "r2");
}

TEST_F(EngineTest, CreditsBoundWhatAnAgentGets) {
  const Agent agent = Connect("agent-a", {}, 1);
  Start("r1", Chain(1));
  Start("r2", Chain(1));
  const v1::ControlMessage first = Take(agent);
  ASSERT_EQ(first.tasks_size(), 1);
  EXPECT_EQ(engine_->GetRun("r2")->steps(0).reason(),
            "no agent of environment local has room for one more task");
  Report(agent, first.tasks(0).lease());
  EXPECT_EQ(Take(agent).tasks_size(), 1);
}

TEST_F(EngineTest, SaysWhyAStepWaits) {
  Start("r1", Chain(1));
  EXPECT_EQ(engine_->GetRun("r1")->steps(0).reason(), "no agent serves environment local");
}

TEST_F(EngineTest, CancelTellsTheAgentAndAgainWhenItComesBack) {
  Agent agent = Connect();
  Start("r1", Chain(2));
  const v1::LeaseKey a = Take(agent).tasks(0).lease();
  engine_->Disconnect(agent.session);
  ASSERT_TRUE(CancelRunAndWait(*engine_, "r1", "operator", "wrong one").ok());
  agent = Connect("agent-a", {a});
  ASSERT_EQ(Take(agent).cancels_size(), 1);
  Report(agent, a, "stopped");
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_CANCELLED);
  EXPECT_EQ(engine_->GetRun("r1")->reason(), "cancelled by operator: wrong one");
  EXPECT_EQ(CancelRunAndWait(*engine_, "r1", "operator", "").code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(EngineTest, AnObligationOutlivesItsRunAndIsReleasedWhenTheAgentComesBack) {
  v1::Flow flow = Chain(2);
  flow.mutable_steps(1)->clear_after();
  v1::Obligation* obligation = flow.add_obligations();
  obligation->set_name("scratch");
  obligation->set_opened_by("a");
  obligation->set_released_by("b");
  Agent agent = Connect();
  Start("r1", flow);
  const v1::ControlMessage first = Take(agent);
  EXPECT_EQ(first.tasks(0).obligation(), "scratch");
  engine_->Disconnect(agent.session);
  ASSERT_TRUE(CancelRunAndWait(*engine_, "r1", "operator", "").ok());
  for (int i = 0; i < 2; ++i) {
    clock_.Advance(absl::Minutes(2));
    engine_->Tick();
  }
  ASSERT_EQ(PhaseOf("r1"), v1::RUN_PHASE_CANCELLED);
  EXPECT_THAT(engine_->GetRun("r1")->reason(), testing::HasSubstr("release unconfirmed"));
  EXPECT_EQ(engine_->OpenObligationCount(), 1);
  Restart();
  EXPECT_EQ(engine_->OpenObligationCount(), 1);
  v1::AgentHello hello;
  hello.set_agent("agent-a");
  hello.set_environment("local");
  hello.set_protocol(1);
  v1::HeldObligation* held = hello.add_obligations();
  held->set_run("r1");
  held->set_name("scratch");
  agent.link = std::make_shared<RecordedLink>();
  agent.session = *engine_->Connect(hello, agent.link);
  ASSERT_EQ(Take(agent).release_size(), 1);
  hello.clear_obligations();
  v1::AgentMessage released;
  *released.mutable_hello() = hello;
  engine_->Receive(agent.session, released);
  EXPECT_EQ(engine_->OpenObligationCount(), 0);
}

// Attempt 1 failed, attempt 2 was given up for its time: the result of 1 must not stand for that of 2.
TEST_F(EngineTest, InputsTravelWithTheTask) {
  const Agent agent = Connect();
  v1::Flow flow = Chain(2);
  flow.mutable_steps(1)->mutable_after(0)->set_condition(v1::Edge::CONDITION_FINISHED);
  flow.mutable_steps(1)->add_inputs("a");
  Start("r1", flow);
  Report(agent, Take(agent).tasks(0).lease(), "disk full");
  const v1::ControlMessage next = Take(agent);
  ASSERT_EQ(next.tasks_size(), 1);
  EXPECT_EQ(next.tasks(0).inputs().at("a").error().message(), "disk full");
}

TEST_F(EngineTest, WatchersSeeTheOutcomeOnceItIsDurable) {
  const Agent agent = Connect();
  Start("r1", Chain(1));
  EXPECT_FALSE(engine_->WaitUntilFinished("r1", absl::ZeroDuration()));
  Report(agent, Take(agent).tasks(0).lease());
  EXPECT_TRUE(engine_->WaitUntilFinished("r1", absl::Seconds(10)));
  EXPECT_EQ(engine_->WaitForChange("r1", 0, absl::Seconds(10))->phase(), v1::RUN_PHASE_SUCCEEDED);
  EXPECT_EQ(engine_->ListRuns({}, {})->items[0].phase(), v1::RUN_PHASE_SUCCEEDED);
}

}  // namespace
}  // namespace salvor::controlplane
