#include "agent/process/idleness.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/steady_time.h"

namespace salvor::agent {
namespace {

const SteadyTime kStart = SteadyTime::At(absl::Hours(1));

TEST(Idleness, GrowsWhileNothingIsReadAndNoProcessorTimeIsUsed) {
  Idleness idleness;
  const ProcessUsage usage = {1000, absl::Seconds(3)};
  EXPECT_EQ(idleness.Observe(kStart, usage), absl::ZeroDuration());
  EXPECT_EQ(idleness.Observe(kStart + absl::Seconds(1), usage), absl::Seconds(1));
  EXPECT_EQ(idleness.Observe(kStart + absl::Seconds(90), usage), absl::Seconds(90));
}

TEST(Idleness, BeginsAnewWhenSomethingIsRead) {
  Idleness idleness;
  idleness.Observe(kStart, {1000, absl::Seconds(3)});
  EXPECT_EQ(idleness.Observe(kStart + absl::Seconds(9), {5096, absl::Seconds(3)}), absl::ZeroDuration());
  EXPECT_EQ(idleness.Observe(kStart + absl::Seconds(10), {5096, absl::Seconds(3)}), absl::Seconds(1));
}

TEST(Idleness, ARuntimeThatWakesItselfThroughAPipeDoesNoWork) {
  Idleness idleness;
  idleness.Observe(kStart, {1000, absl::Seconds(3)});
  EXPECT_EQ(idleness.Observe(kStart + absl::Seconds(60), {1030, absl::Seconds(3)}), absl::Seconds(60));
}

TEST(Idleness, BeginsAnewWithWorkThatReadsNothing) {
  Idleness idleness;
  idleness.Observe(kStart, {1000, absl::Seconds(3)});
  EXPECT_EQ(idleness.Observe(kStart + absl::Seconds(1), {1000, absl::Milliseconds(3100)}),
            absl::ZeroDuration());
}

TEST(Idleness, ATimerThatPrintsStatusLinesIsNoWork) {
  Idleness idleness;
  idleness.Observe(kStart, {1000, absl::Seconds(3)});
  const absl::Duration an_hour_of_status_lines = absl::Hours(1) * 0.0002;
  EXPECT_EQ(idleness.Observe(kStart + absl::Hours(1), {1000, absl::Seconds(3) + an_hour_of_status_lines}),
            absl::Hours(1));
}

TEST(ProcessUsage, OfThisTestGrowsByWhatItReads) {
  const auto before = ReadProcessUsage(::getpid());
  ASSERT_TRUE(before.has_value());
  const auto after = ReadProcessUsage(::getpid());  // which has read the files of the first call
  ASSERT_TRUE(after.has_value());
  EXPECT_GT(after->bytes_read, before->bytes_read);
  EXPECT_GE(after->cpu, before->cpu);
}

TEST(ProcessUsage, OfAProcessThatIsGoneIsNothing) { EXPECT_EQ(ReadProcessUsage(-1), std::nullopt); }

}  // namespace
}  // namespace salvor::agent
