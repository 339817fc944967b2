// Runs that wait for their beginning or for an agent that is away: how long, for what, since when.
#include "controlplane/runs/engine_testing.h"
#include "proto/time.h"

namespace salvor::controlplane {
namespace {

class EngineWaitingTest : public EngineTest {
 protected:
  void StartWithin(const std::string& name, absl::Duration time) {
    v1::Flow flow = Chain(2, 2);
    *flow.mutable_start_within() = ToProto(time);
    Start(name, flow);
  }
  absl::Duration Pass(absl::Duration time) {
    clock_.Advance(time);
    return engine_->Tick();
  }
  v1::StepStatus FirstStep(const std::string& run = "r1") { return engine_->GetRun(run)->steps(0); }
};

TEST_F(EngineWaitingTest, ARunThatNobodyBeginsInTimeHasFailedAndSaysWhatItWaitedFor) {
  StartWithin("r1", absl::Minutes(10));
  EXPECT_LE(Pass(absl::Minutes(10) - absl::Milliseconds(1)), absl::Milliseconds(1))
      << "it is looked at in time";
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_RUNNING);
  Pass(absl::Milliseconds(1));
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_FAILED);
  EXPECT_EQ(engine_->GetRun("r1")->reason(), "not started within 10m00s: no agent serves environment local");
  const Agent agent = Connect();
  EXPECT_EQ(Take(agent).tasks_size(), 0);
  Restart();
  EXPECT_EQ(engine_->GetRun("r1")->reason(), "not started within 10m00s: no agent serves environment local")
      << "what it waited for is replayed, and not asked again";
}

TEST_F(EngineWaitingTest, TheDeadlineHoldsAcrossARestart) {
  StartWithin("r1", absl::Minutes(10));
  StartWithin("r2", absl::Hours(10));
  Pass(absl::Minutes(6));
  Restart();
  Pass(absl::Minutes(3));
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_RUNNING);
  Pass(absl::Minutes(1));
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_FAILED);
  EXPECT_EQ(PhaseOf("r2"), v1::RUN_PHASE_RUNNING) << "its neighbour has more time";
}

TEST_F(EngineWaitingTest, WhatPassedWhileNobodyWasHereLeavesAgentsTimeToComeBack) {
  StartWithin("r1", absl::Seconds(6));
  StartWithin("r2", absl::Seconds(6));
  Restart();
  Pass(absl::Seconds(7));  // the deadline is over, and agents are on their way
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_RUNNING);
  Agent agent = Connect("agent-a", {}, 1);
  EXPECT_EQ(Take(agent).tasks_size(), 1);
  KeepConnected(agent, absl::Minutes(1));
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_RUNNING);
  EXPECT_EQ(PhaseOf("r2"), v1::RUN_PHASE_FAILED) << "they had it";
}

TEST_F(EngineWaitingTest, ARunThatHasBegunHasNoStartDeadlineAlsoWhenItsAgentDies) {
  StartWithin("r1", absl::Minutes(10));
  Pass(absl::Minutes(9));
  Agent agent = Connect();
  ASSERT_EQ(Take(agent).tasks_size(), 1);
  engine_->Disconnect(agent.session);
  Pass(absl::Minutes(5));
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_RUNNING);
  Restart();
  Pass(absl::Hours(1));
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_RUNNING);
  const size_t events = store_.LoadRun("r1")->events.size();
  EXPECT_EQ(events, 2u) << "a deadline that is void is no event";
}

TEST_F(EngineWaitingTest, WhatHoldsUpAQueuedRunIsNamedToo) {
  const Agent agent = Connect("agent-a", {}, 1);
  Start("busy", Chain(1));
  ASSERT_EQ(Take(agent).tasks_size(), 1);
  StartWithin("r1", absl::Seconds(20));
  KeepConnected(agent, absl::Seconds(20));
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_FAILED);
  EXPECT_EQ(engine_->GetRun("r1")->reason(),
            "not started within 20.0s: no agent of environment local has room for one more task");
  EXPECT_EQ(PhaseOf("busy"), v1::RUN_PHASE_RUNNING);
}

TEST_F(EngineWaitingTest, SaysSinceWhenNobodyIsThere) {
  Start("r1", Chain(1));
  EXPECT_FALSE(FirstStep().has_waits_since()) << "nobody was ever there";
  ASSERT_TRUE(CancelRunAndWait(*engine_, "r1", "operator", "").ok());
  const Agent agent = Connect();
  KeepConnected(agent, absl::Minutes(5));
  const absl::Time last = clock_.Now();
  engine_->Disconnect(agent.session);
  Pass(absl::Minutes(30));
  Start("r2", Chain(1));
  EXPECT_EQ(FirstStep("r2").reason(), "no agent serves environment local");
  EXPECT_EQ(FromProto(FirstStep("r2").waits_since()), last);
  Restart();
  EXPECT_EQ(FromProto(FirstStep("r2").waits_since()), clock_.Now()) << "of before nobody here knows";
}

TEST_F(EngineWaitingTest, SaysSinceWhenTheAgentOfARunningStepIsAway) {
  const Agent agent = Connect();
  Start("r1", Chain(1));
  ASSERT_EQ(Take(agent).tasks_size(), 1);
  EXPECT_FALSE(FirstStep().has_waits_since());
  const absl::Time last = clock_.Now();
  engine_->Disconnect(agent.session);
  Pass(absl::Minutes(1));
  EXPECT_EQ(FirstStep().reason(), "agent agent-a is not connected; its result is awaited");
  EXPECT_EQ(FromProto(FirstStep().waits_since()), last);
}

TEST_F(EngineWaitingTest, WatchersSeeThatAnAgentComesAndGoes) {
  Start("r1", Chain(1));
  const auto seen = [this] { return engine_->GetRun("r1")->revision(); };
  int64_t before = seen();
  Agent agent = Connect("agent-a", {}, 0);  // without room: nothing is granted
  EXPECT_GT(seen(), before);
  EXPECT_EQ(FirstStep().reason(), "no agent of environment local has room for one more task");
  before = seen();
  engine_->Disconnect(agent.session);
  EXPECT_GT(seen(), before);
  agent = Connect("agent-a", {}, 0);
  before = seen();
  Pass(absl::Minutes(1));  // it falls silent
  EXPECT_GT(seen(), before);
  EXPECT_EQ(FirstStep().reason(), "no agent serves environment local");
}

}  // namespace
}  // namespace salvor::controlplane
