#include "base/steady_time.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/clock.h"

namespace salvor {
namespace {

TEST(SteadyTime, AddsAndComparesAsTimeDoes) {
  const SteadyTime start = SteadyTime::At(absl::Hours(3)), later = start + absl::Seconds(5);
  EXPECT_EQ(later - start, absl::Seconds(5));
  EXPECT_EQ(later - absl::Seconds(5), start);
  EXPECT_LT(start, later);
  EXPECT_GE(later, start);
  EXPECT_NE(later, start);
  EXPECT_EQ(std::min(start, later), start);
}

TEST(SteadyTime, WhatIsWithoutADeadlineStaysSo) {
  const SteadyTime never = SteadyTime::InfiniteFuture(), start = SteadyTime::At(absl::Hours(3));
  EXPECT_EQ(never + absl::Hours(1), never);
  EXPECT_EQ(never - absl::Hours(1), never);
  EXPECT_EQ(std::min(never, start), start);
  EXPECT_GT(never, start + absl::Hours(24 * 365 * 100));
  EXPECT_EQ(never - start, absl::InfiniteDuration());
  EXPECT_EQ(start - SteadyTime::InfinitePast(), absl::InfiniteDuration());
}

TEST(SteadyTime, DoesNotMoveWhenSomebodySetsTheClock) {
  FakeClock clock(absl::FromUnixSeconds(1795256100));
  const SteadyTime deadline = SteadyTime::At(clock.Monotonic()) + absl::Minutes(5);
  clock.Set(clock.Now() + absl::Hours(1));
  EXPECT_EQ(deadline - SteadyTime::At(clock.Monotonic()), absl::Minutes(5));
  clock.Set(clock.Now() - absl::Hours(24));
  clock.Advance(absl::Minutes(4));
  EXPECT_EQ(deadline - SteadyTime::At(clock.Monotonic()), absl::Minutes(1));
}

}  // namespace
}  // namespace salvor
