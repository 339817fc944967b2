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
  EXPECT_TRUE(holders.Had("a", {"local", "agent-a"}));
  EXPECT_TRUE(holders.Had("a", {"local", "agent-b"}));
  EXPECT_FALSE(holders.Had("a", {"local", "agent-c"}));
  EXPECT_FALSE(holders.Had("c", {"local", "agent-a"}));
  EXPECT_TRUE(holders.HadAny({"local", "agent-b"}));
  EXPECT_FALSE(holders.HadAny({"local", ""}));
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
  EXPECT_TRUE(holders.Had("a", {"local", "agent-a"}));
  EXPECT_TRUE(holders.Had("b", {"cluster", "agent-a"}));
  EXPECT_FALSE(holders.Had("a", {"cluster", "agent-a"}));
  EXPECT_FALSE(holders.HadAny({"elsewhere", "agent-a"}));
}

TEST(FinishedHolders, KeepsTheNewestRuns) {
  FinishedHolders finished;
  StepHolders holders;
  holders.Note("a", "local", "agent-a");
  for (size_t i = 0; i <= FinishedHolders::kMostRuns; ++i) finished.Put("r" + std::to_string(i), holders);
  EXPECT_EQ(finished.Find("r0"), nullptr);
  ASSERT_NE(finished.Find("r1"), nullptr);
  EXPECT_TRUE(finished.Find("r1")->Had("a", {"local", "agent-a"}));
  finished.Put("r1", {});
  EXPECT_FALSE(finished.Find("r1")->HadAny({"local", "agent-a"}));
  EXPECT_NE(finished.Find("r2"), nullptr) << "the same run again takes no other's place";
}

}  // namespace
}  // namespace salvor::controlplane
