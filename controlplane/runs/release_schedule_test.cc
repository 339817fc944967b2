#include "controlplane/runs/release_schedule.h"

#include <gmock/gmock.h>

#include <vector>

namespace salvor::controlplane {
namespace {

const ReleaseSchedule::Key kScratch = {{"local", "agent-a"}, "drill-shop-1", "scratch"};
const ReleaseSchedule::Key kFolders = {{"local", "agent-a"}, "restore-shop-1", "files of shop"};

// The seconds at which it is asked, looked at once a second.
std::vector<int> AskedWithin(ReleaseSchedule& schedule, const ReleaseSchedule::Key& key, int from_s,
                             int to_s) {
  std::vector<int> asked;
  for (int second = from_s; second <= to_s; ++second) {
    if (schedule.IsDue(key, absl::Seconds(second))) asked.push_back(second);
  }
  return asked;
}

TEST(ReleaseSchedule, AsksAtOnceAndThenTwiceAsLateEachTime) {
  ReleaseSchedule schedule(absl::Seconds(30));
  EXPECT_THAT(AskedWithin(schedule, kScratch, 100, 600), testing::ElementsAre(100, 130, 190, 310, 550));
}

TEST(ReleaseSchedule, NeverWaitsLongerThanAQuarterOfAnHour) {
  ReleaseSchedule schedule(absl::Seconds(30));
  const std::vector<int> asked = AskedWithin(schedule, kScratch, 0, 24 * 3600);
  ASSERT_GT(asked.size(), 90u);
  EXPECT_EQ(asked.back() - asked[asked.size() - 2], 900);
}

TEST(ReleaseSchedule, WhatWasAskedForOnAnOccasionWaitsFromThere) {
  ReleaseSchedule schedule(absl::Seconds(30));
  AskedWithin(schedule, kScratch, 0, 400);  // it waits for minutes by now
  schedule.NoteAsked(kScratch, absl::Seconds(400));
  EXPECT_THAT(AskedWithin(schedule, kScratch, 400, 500), testing::ElementsAre(430, 490));
}

TEST(ReleaseSchedule, EachIsOnItsOwnAndWhatIsUndoneIsForgotten) {
  ReleaseSchedule schedule(absl::Seconds(30));
  EXPECT_TRUE(schedule.IsDue(kScratch, absl::Seconds(0)));
  EXPECT_TRUE(schedule.IsDue(kFolders, absl::Seconds(1)));
  schedule.KeepOnly({kFolders});
  EXPECT_FALSE(schedule.IsDue(kFolders, absl::Seconds(2)));
  EXPECT_TRUE(schedule.IsDue(kScratch, absl::Seconds(2))) << "it begins anew";
}

}  // namespace
}  // namespace salvor::controlplane
