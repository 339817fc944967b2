// Who gets what is ready, on days when two things come together.
#include "controlplane/runs/engine_testing.h"

namespace salvor::controlplane {
namespace {

v1::Flow Movable(bool exclusive) {
  v1::Flow flow;
  v1::Step* step = flow.add_steps();
  step->set_id("a");
  step->set_movable(true);
  step->mutable_action()->mutable_noop();
  if (!exclusive) return flow;
  step->add_keys()->set_name("vault");
  step->mutable_keys(0)->set_exclusive(true);
  return flow;
}

TEST_F(EngineTest, StepsThatNeverMoveAndAreReadyAtOnceGoToOneAgent) {
  const Agent a = Connect("agent-a"), b = Connect("agent-b");
  v1::Flow flow;
  for (const char* id : {"a", "b", "c", "d"}) {
    flow.add_steps()->set_id(id);
    flow.mutable_steps(flow.steps_size() - 1)->mutable_action()->mutable_noop();
  }
  Start("r1", flow);
  const int of_a = Take(a).tasks_size(), of_b = Take(b).tasks_size();
  EXPECT_EQ(of_a + of_b, 4);
  EXPECT_TRUE(of_a == 0 || of_b == 0) << of_a << " and " << of_b;
}

// A step for which the first agent does not have room waits for it, and does not go to the other.
TEST_F(EngineTest, StepsThatNeverMoveWaitForTheirAgentsRoom) {
  const Agent a = Connect("agent-a", {}, 1), b = Connect("agent-b", {}, 1);
  v1::Flow flow;
  for (const char* id : {"a", "b"}) {
    flow.add_steps()->set_id(id);
    flow.mutable_steps(flow.steps_size() - 1)->mutable_action()->mutable_noop();
  }
  Start("r1", flow);
  const v1::ControlMessage to_a = Take(a), to_b = Take(b);
  ASSERT_EQ(to_a.tasks_size() + to_b.tasks_size(), 1);
  const Agent& first = to_a.tasks_size() == 1 ? a : b;
  Report(first, (to_a.tasks_size() == 1 ? to_a : to_b).tasks(0).lease());
  EXPECT_EQ(Take(first).tasks_size(), 1);
}

TEST_F(EngineTest, AStepThatHoldsAKeyAloneIsTakenOverFromASilentAgent) {
  const Agent a = Connect("agent-a");
  Start("r1", Movable(true));
  ASSERT_EQ(Take(a).tasks_size(), 1);
  clock_.Advance(absl::Seconds(31));
  engine_->Tick();  // agent-a is given up
  engine_->Tick();
  const Agent b = Connect("agent-b");
  const v1::ControlMessage to_b = Take(b);
  ASSERT_EQ(to_b.tasks_size(), 1);
  EXPECT_EQ(to_b.tasks(0).lease().attempt(), 2);
  Start("r2", Movable(true));
  EXPECT_EQ(Take(b).tasks_size(), 0) << "another step waits for it all the same";
  Report(b, to_b.tasks(0).lease());
  EXPECT_EQ(Take(b).tasks_size(), 1);
}

// The two waited for each other: one for the key, the other behind whoever waits for it alone.
TEST_F(EngineTest, AStepIsTakenOverThoughAnotherWaitsForItsKeyAlone) {
  const Agent a = Connect("agent-a");
  v1::Flow shares = Movable(true);
  shares.mutable_steps(0)->mutable_keys(0)->set_exclusive(false);
  Start("r1", shares);
  ASSERT_EQ(Take(a).tasks_size(), 1);
  Start("r2", Movable(true));
  ASSERT_EQ(Take(a).tasks_size(), 0);
  clock_.Advance(absl::Seconds(31));
  engine_->Tick();
  engine_->Tick();
  const Agent b = Connect("agent-b");
  const v1::ControlMessage to_b = Take(b);
  ASSERT_EQ(to_b.tasks_size(), 1);
  EXPECT_EQ(to_b.tasks(0).lease().run(), "r1");
  Report(b, to_b.tasks(0).lease());
  const v1::ControlMessage next = Take(b);
  ASSERT_EQ(next.tasks_size(), 1);
  EXPECT_EQ(next.tasks(0).lease().run(), "r2");
}

// Nothing follows from the report within its own run.
TEST_F(EngineTest, AKeyThatBecomesFreeIsGivenToARunOfAnotherEnvironmentAtOnce) {
  const Agent here = Connect(), there = Connect("agent-b", {}, 8, "cluster");
  v1::Flow flow = Movable(true);
  v1::Step* other = flow.add_steps();
  other->set_id("b");
  other->mutable_action()->mutable_noop();
  Start("r1", flow);
  const v1::ControlMessage both = Take(here);
  ASSERT_EQ(both.tasks_size(), 2);
  v1::Flow elsewhere = Movable(true);
  elsewhere.add_places()->set_name("target");
  elsewhere.mutable_places(0)->set_environment("cluster");
  elsewhere.mutable_steps(0)->set_place("target");
  Start("r2", elsewhere);
  ASSERT_EQ(Take(there).tasks_size(), 0);
  Report(here, both.tasks(both.tasks(0).lease().step() == "a" ? 0 : 1).lease());
  EXPECT_EQ(Take(there).tasks_size(), 1);
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_RUNNING);
}

TEST_F(EngineTest, AGrantThatIsRefusedTakesNoRoom) {
  const Agent a = Connect("agent-a");
  Start("r1", Movable(false));
  ASSERT_EQ(Take(a).tasks_size(), 1);
  clock_.Advance(absl::Seconds(31));
  engine_->Tick();
  engine_->Tick();
  ASSERT_TRUE(CancelRunAndWait(*engine_, "r1", "operator", "").ok());
  const Agent b = Connect("agent-b", {}, 1);
  EXPECT_EQ(Take(b).tasks_size(), 0) << "a cancelled run's step is not taken over";
  EXPECT_EQ(engine_->OldestReadyAge(), absl::ZeroDuration()) << "nor does it wait for that";
  Start("r2", Movable(false));
  EXPECT_EQ(Take(b).tasks_size(), 1);
}

}  // namespace
}  // namespace salvor::controlplane
