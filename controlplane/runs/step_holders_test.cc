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
  const StepHolders holders = HoldersIn({Granted("a", "agent-a"), Granted("a", "agent-b"), reported});
  EXPECT_THAT(holders, testing::ElementsAre(testing::Pair("a", "agent-a"), testing::Pair("a", "agent-b")));
}

TEST(FinishedHolders, KeepsTheNewestRuns) {
  FinishedHolders finished;
  for (size_t i = 0; i <= FinishedHolders::kMostRuns; ++i)
    finished.Put("r" + std::to_string(i), {"local", {{"a", "agent-a"}}});
  EXPECT_EQ(finished.Find("r0"), nullptr);
  ASSERT_NE(finished.Find("r1"), nullptr);
  EXPECT_EQ(finished.Find("r1")->holders.count({"a", "agent-a"}), 1u);
  finished.Put("r1", {});
  EXPECT_TRUE(finished.Find("r1")->holders.empty());
  EXPECT_NE(finished.Find("r2"), nullptr) << "the same run again takes no other's place";
}

}  // namespace
}  // namespace salvor::controlplane
