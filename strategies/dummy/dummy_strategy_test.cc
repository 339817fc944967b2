#include "strategies/dummy/dummy_strategy.h"

#include <gmock/gmock.h>

#include "strategies/interface/strategy_testing.h"

namespace salvor::strategies {
namespace {

using testing::ElementsAre;

TEST(DummyStrategy, IsAChainOfAsManyStepsAsDeclared) {
  const auto fragment = DummyStrategy().Backup(DummyChain(), ABackupRequest());
  ASSERT_TRUE(fragment.ok());
  ASSERT_EQ(fragment->steps.size(), 3u);
  EXPECT_EQ(fragment->steps[0].after_size(), 0);
  EXPECT_EQ(fragment->steps[2].after(0).step(), "nothing.noop.2");
  EXPECT_TRUE(fragment->artifacts.empty());
}

TEST(DummyStrategy, HasOneStepWhenNothingIsSaid) {
  const auto fragment =
      DummyStrategy().Backup(FromText<v1::Component>(R"(name: "d" dummy {})"), ABackupRequest());
  ASSERT_TRUE(fragment.ok());
  EXPECT_EQ(fragment->steps.size(), 1u);
}

TEST(DummyStrategy, RefusesChainsWithoutEndAndChecksOfNothing) {
  const auto problems = [](const std::string& text) {
    return ProblemLines(DummyStrategy().Validate(FromText<v1::Component>(text)));
  };
  EXPECT_THAT(problems(R"(name: "d" dummy { steps: 100001 })"),
              ElementsAre("dummy.steps: must be from 1 to 100000"));
  EXPECT_THAT(problems(R"(name: "d" dummy { steps: -1 })"),
              ElementsAre("dummy.steps: must be from 1 to 100000"));
  EXPECT_THAT(problems(R"(name: "d" dummy {} checks { name: "a" })"),
              ElementsAre("checks: has no meaning for a component that keeps nothing"));
}

}  // namespace
}  // namespace salvor::strategies
