#include "controlplane/runs/step_holders.h"

#include <gmock/gmock.h>

namespace salvor::controlplane {
namespace {

v1::Event Granted(const std::string& step, const std::string& agent) {
  v1::Event event;
  event.mutable_step_granted()->set_step(step);
  event.mutable_step_granted()->set_agent(agent);
  return event;
}

TEST(StepHolders, AreThoseWhoWereGrantedAStepEverAndNobodyElse) {
  v1::Event reported;
  reported.mutable_step_reported()->set_step("c");
  v1::Flow flow;
  flow.add_steps()->set_id("a");
  const StepHolders holders =
      HoldersIn("local", flow, {Granted("a", "agent-a"), Granted("a", "agent-b"), reported});
  EXPECT_EQ(holders, (StepHolders{{"a", {"local", "agent-a"}}, {"a", {"local", "agent-b"}}}));
}

TEST(StepHolders, AreOfTheEnvironmentOfTheStepsPlace) {
  v1::Flow flow;
  flow.add_places()->set_name("here");
  flow.add_places()->set_name("there");
  flow.mutable_places(1)->set_environment("cluster");
  for (const char* id : {"a", "b"}) flow.add_steps()->set_id(id);
  flow.mutable_steps(0)->set_place("here");
  flow.mutable_steps(1)->set_place("there");
  const StepHolders holders = HoldersIn("local", flow, {Granted("a", "agent-a"), Granted("b", "agent-a")});
  EXPECT_EQ(holders, (StepHolders{{"a", {"local", "agent-a"}}, {"b", {"cluster", "agent-a"}}}));
}

TEST(FinishedHolders, KeepsTheNewestRuns) {
  FinishedHolders finished;
  for (size_t i = 0; i <= FinishedHolders::kMostRuns; ++i)
    finished.Put("r" + std::to_string(i), {{"a", {"local", "agent-a"}}});
  EXPECT_EQ(finished.Find("r0"), nullptr);
  ASSERT_NE(finished.Find("r1"), nullptr);
  EXPECT_EQ(finished.Find("r1")->count({"a", {"local", "agent-a"}}), 1u);
  finished.Put("r1", {});
  EXPECT_TRUE(finished.Find("r1")->empty());
  EXPECT_NE(finished.Find("r2"), nullptr) << "the same run again takes no other's place";
}

}  // namespace
}  // namespace salvor::controlplane
