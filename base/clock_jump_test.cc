#include "base/clock_jump.h"

#include <gtest/gtest.h>

namespace salvor {
namespace {

TEST(ClockJump, IsNoticedOnceAndInItsDirection) {
  FakeClock clock(absl::FromUnixSeconds(1795256100));
  ClockJump jump(clock);
  clock.Advance(absl::Hours(5));
  EXPECT_FALSE(jump.Notice()) << "time passes";
  clock.Set(clock.Now() + absl::Hours(1));
  EXPECT_EQ(jump.Notice(), absl::Hours(1));
  EXPECT_FALSE(jump.Notice());
  clock.Advance(absl::Minutes(1));
  clock.Set(clock.Now() - absl::Hours(24));
  EXPECT_EQ(jump.Notice(), -absl::Hours(24));
}

TEST(ClockJump, SmallCorrectionsAreNoneUntilTheyAddUp) {
  FakeClock clock(absl::FromUnixSeconds(1795256100));
  ClockJump jump(clock);
  for (int i = 0; i < 3; ++i) {
    clock.Set(clock.Now() + absl::Seconds(3));
    EXPECT_FALSE(jump.Notice());
  }
  clock.Set(clock.Now() + absl::Seconds(3));
  EXPECT_EQ(jump.Notice(), absl::Seconds(12));
}

TEST(ClockJump, IsToldInPlainWords) {
  EXPECT_EQ(DescribeClockJump(-absl::Hours(1)).find("this machine's clock was set back by 1h"), 0u);
  EXPECT_EQ(DescribeClockJump(absl::Minutes(90)).find("this machine's clock was set forward by 1h30m"), 0u);
}

}  // namespace
}  // namespace salvor
