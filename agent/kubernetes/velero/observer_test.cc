#include "agent/kubernetes/velero/observer.h"

#include <gtest/gtest.h>

namespace salvor::velero {
namespace {

void Plan(v1::ActionResult& judged, const std::string& artifact, const std::string& skip = "") {
  v1::VeleroVolume* volume = judged.mutable_velero()->add_volumes();
  volume->set_artifact(artifact);
  volume->set_skip(skip);
}

void Keep(v1::ActionResult& judged, const std::string& artifact, int64_t bytes) {
  v1::Artifact* kept = judged.add_artifacts();
  kept->set_name(artifact);
  kept->set_bytes(bytes);
}

TEST(CountVolumes, TellsWhatIsKeptFromWhatIsNotAndWhatWasNotWanted) {
  v1::ActionResult judged;
  for (const char* name : {"uploads", "cache", "empty"}) Plan(judged, name);
  Plan(judged, "scratch", "it can be made again");
  Keep(judged, "uploads", 7);
  Keep(judged, "empty", 0);
  Keep(judged, "manifest", 100);
  judged.add_missing()->set_artifact("cache");
  judged.add_missing()->set_title("objects of namespace shop");
  const VolumeCount count = CountVolumes(judged);
  EXPECT_EQ(count.covered, 2);
  EXPECT_EQ(count.not_covered, 1) << "errors of objects are of no volume";
  EXPECT_EQ(count.left_out, 1);
  EXPECT_EQ(count.bytes, 7);
}

TEST(CountVolumes, TakesAVolumeThatNobodyToldOfForNotKept) {
  v1::ActionResult judged;
  Plan(judged, "uploads");
  EXPECT_EQ(CountVolumes(judged).not_covered, 1);
  EXPECT_EQ(CountVolumes({}).not_covered, 0);
}

TEST(CountQueue, CountsWhatIsNotOver) {
  std::vector<BackupState> backups;
  for (const char* phase : {"", "New", "Queued", "ReadyToStart", "InProgress", "Finalizing", "Completed",
                            "PartiallyFailed", "Failed", "FailedValidation", "Deleting", "ANewPhase"}) {
    BackupState backup;
    backup.stage = StageOf(phase);
    backups.push_back(backup);
  }
  backups.push_back({});
  backups.back().being_deleted = true;
  const Queue queue = CountQueue(backups);
  EXPECT_EQ(queue.queued, 4);
  EXPECT_EQ(queue.running, 3) << "a phase that this version does not know counts as running";
}

}  // namespace
}  // namespace salvor::velero
