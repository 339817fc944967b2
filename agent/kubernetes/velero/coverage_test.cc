#include "agent/kubernetes/velero/coverage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/velero/velero_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto kFiles = v1::VOLUME_METHOD_FILE_SYSTEM;
constexpr auto kSnapshot = v1::VOLUME_METHOD_SNAPSHOT;
constexpr auto kMoved = v1::VOLUME_METHOD_SNAPSHOT_MOVED;

// A Backup of one volume that is whole, and what a test changes of it.
class Coverage : public testing::Test {
 protected:
  Coverage() {
    action_.set_name("b");
    action_.add_namespaces("shop");
    volumes_ = {Planned("uploads", kFiles)};
    evidence_.backup = ReadBackup(BackupObject("b", "run", "Completed"));
    evidence_.volumes = {Record("uploads", "PodVolumeBackup", false)};
    evidence_.resources = {{"v1/PersistentVolumeClaim", {"shop/uploads"}},
                           {"v1/Pod", {"shop/web-1", "shop/web-2"}}};
    evidence_.claims = {BoundClaim("uploads")};
    evidence_.velero_version = "v1.18.2";
  }

  static VolumeRecord Record(const std::string& claim, const std::string& method, bool moved) {
    VolumeRecord record;
    record.name_space = "shop";
    record.claim = claim;
    record.volume = "pvc-" + claim;
    record.method = method;
    record.moved = moved;
    record.result = "succeeded";
    record.handle = "handle-" + claim;
    record.bytes = 4096;
    record.pod = "web-1";
    record.started = absl::FromUnixSeconds(1000);
    record.completed = absl::FromUnixSeconds(1060);
    return record;
  }

  static VolumeRecord Skipped(const std::string& claim, const std::string& reason) {
    VolumeRecord record;
    record.name_space = "shop";
    record.claim = claim;
    record.skipped = true;
    record.skipped_reason = reason;
    return record;
  }

  v1::ActionResult Judge() { return JudgeCoverage(action_, volumes_, evidence_); }

  // What is missing, as "title: why"; "" when nothing is.
  std::string Missing() {
    std::string texts;
    const v1::ActionResult result = Judge();
    for (const v1::MissingArtifact& one : result.missing()) texts += one.title() + ": " + one.why() + "\n";
    return texts;
  }

  v1::VeleroBackup action_;
  std::vector<v1::VeleroVolume> volumes_;
  Evidence evidence_;
};

TEST_F(Coverage, OfAWholeBackupHasAnArtifactForEachVolumeAndTheReport) {
  const v1::ActionResult result = Judge();
  EXPECT_THAT(result.missing(), IsEmpty());
  EXPECT_THAT(result.warnings(), IsEmpty());
  ASSERT_EQ(result.artifacts_size(), 1);
  const v1::Artifact& artifact = result.artifacts(0);
  EXPECT_EQ(artifact.component(), "files");
  EXPECT_EQ(artifact.name(), "files.uploads");
  EXPECT_EQ(artifact.keeper(), v1::Artifact::KEEPER_VELERO);
  EXPECT_EQ(artifact.bytes(), 4096);
  EXPECT_EQ(artifact.consistent_at().seconds(), 1000);
  EXPECT_EQ(artifact.consistent_until().seconds(), 1060);
  EXPECT_EQ(artifact.velero().ShortDebugString(),
            "backup: \"b\" namespace: \"shop\" claim: \"uploads\" method: VOLUME_METHOD_FILE_SYSTEM "
            "snapshot_handle: \"handle-uploads\" storage_class: \"salvor-csi\" volume: \"pvc-uploads\"");
  EXPECT_EQ(result.velero().objects(), 3);
  EXPECT_EQ(result.velero().phase(), "Completed");
  EXPECT_EQ(result.velero().velero_version(), "v1.18.2");
  EXPECT_EQ(result.velero().volumes_size(), 1);
  EXPECT_EQ(result.note(), "Velero's backup b: 3 objects, 1 of 1 volumes, 4.00 KiB");
}

TEST_F(Coverage, IsByEachMethod) {
  volumes_ = {Planned("kept", kSnapshot), Planned("moved", kMoved)};
  evidence_.volumes = {Record("kept", "CSISnapshot", false), Record("moved", "CSISnapshot", true)};
  evidence_.resources["v1/PersistentVolumeClaim"] = {"shop/kept", "shop/moved"};
  evidence_.claims.clear();
  const v1::ActionResult result = Judge();
  EXPECT_EQ(Missing(), "");
  ASSERT_EQ(result.artifacts_size(), 2);
  EXPECT_FALSE(result.artifacts(0).has_consistent_until()) << "a snapshot is of one moment";
  EXPECT_EQ(result.artifacts(1).velero().method(), kMoved);
}

// What Velero does in silence under Completed.
TEST_F(Coverage, NamesAVolumeThatWasSkippedUnderCompleted) {
  evidence_.volumes = {Skipped("uploads", "any: skipped due to resource policy ;")};
  const v1::ActionResult result = Judge();
  EXPECT_THAT(result.artifacts(), IsEmpty());
  ASSERT_EQ(result.missing_size(), 1);
  EXPECT_EQ(result.missing(0).artifact(), "files.uploads");
  EXPECT_EQ(result.missing(0).component(), "files");
  EXPECT_THAT(
      Missing(),
      HasSubstr("volume uploads of shop: Velero skipped its data: any: skipped due to resource policy ;"));
  EXPECT_THAT(Missing(), HasSubstr("needs a running pod that mounts the volume"));
}

TEST_F(Coverage, NamesAVolumeWithoutAnyRecord) {
  evidence_.volumes.clear();
  EXPECT_THAT(
      Missing(),
      HasSubstr("volume uploads of shop: Velero has no record of its data. A file-system backup needs"));
  volumes_ = {Planned("uploads", kSnapshot)};
  EXPECT_THAT(Missing(), HasSubstr("A snapshot needs a CSI driver with a VolumeSnapshotClass"));
}

TEST_F(Coverage, NamesWhatVeleroSaysOfTheVolume) {
  evidence_.volumes.clear();
  evidence_.results.warnings = {"namespace shop: pod web-2 is not running",
                                "namespace shop: PVC uploads: no agent"};
  EXPECT_THAT(Missing(), HasSubstr("Velero says: namespace shop: PVC uploads: no agent. A file-system"));
}

TEST_F(Coverage, NamesAVolumeThatWasKeptByAnotherMethod) {
  evidence_.volumes = {Record("uploads", "CSISnapshot", false)};
  EXPECT_THAT(Missing(), HasSubstr("Velero kept it by a CSI snapshot, and a file-system backup was planned"));
  evidence_.volumes = {Record("uploads", "NativeSnapshot", false)};
  EXPECT_THAT(Missing(), HasSubstr("Velero kept it by NativeSnapshot, and"));
  volumes_ = {Planned("uploads", kMoved)};
  evidence_.volumes = {Record("uploads", "CSISnapshot", false)};
  EXPECT_THAT(
      Missing(),
      HasSubstr("Velero kept it by a CSI snapshot, and a CSI snapshot with its data moved was planned"));
}

TEST_F(Coverage, NamesATransferThatFailedByItsOwnWords) {
  evidence_.volumes[0].result = "failed";
  evidence_.volumes[0].phase = "Failed";
  Transfer transfer;
  transfer.name_space = "shop";
  transfer.pod = "web-1";
  transfer.phase = "Failed";
  transfer.message = "no space\nleft";
  evidence_.transfers = {transfer};
  EXPECT_THAT(Missing(), HasSubstr("Velero failed to keep its data: its transfer is Failed: no space left"));
  evidence_.transfers.clear();
  EXPECT_THAT(Missing(),
              HasSubstr("Velero failed to keep its data: its transfer is Failed. See: velero backup logs b"));
}

TEST_F(Coverage, DoesNotTakeSilenceForSuccess) {
  evidence_.volumes[0].result = "";
  EXPECT_THAT(Missing(), HasSubstr("Velero does not say whether its data were kept"));
}

TEST_F(Coverage, NeedsTheClaimAmongTheObjects) {
  evidence_.resources["v1/PersistentVolumeClaim"] = {"shop/other", "other/uploads"};
  EXPECT_THAT(Missing(), HasSubstr("the claim itself is not among the objects of the backup"));
  evidence_.resources.clear();
  EXPECT_THAT(Missing(), HasSubstr("the claim itself is not among the objects of the backup"));
}

TEST_F(Coverage, NeedsASnapshotToRestoreFromUnlessTheVolumeIsEmpty) {
  evidence_.volumes[0].handle = "";
  EXPECT_THAT(Missing(), HasSubstr("does not name the snapshot"));
  evidence_.volumes[0].bytes = 0;
  EXPECT_EQ(Missing(), "");
  volumes_ = {Planned("uploads", kSnapshot)};
  evidence_.volumes[0].method = "CSISnapshot";
  EXPECT_THAT(Missing(), HasSubstr("does not name the snapshot"));
}

TEST_F(Coverage, DoesNotGuessBetweenTwoRecords) {
  evidence_.volumes.push_back(evidence_.volumes[0]);
  EXPECT_THAT(Missing(), HasSubstr("Velero has 2 records of it"));
}

TEST_F(Coverage, OfAPartiallyFailedBackupKeepsWhatIsWholeAndNamesTheRest) {
  evidence_.backup = ReadBackup(BackupObject("b", "run", "PartiallyFailed", {{"errors", 1}}));
  evidence_.results.errors = {"namespace shop: error getting widget w"};
  const v1::ActionResult result = Judge();
  EXPECT_EQ(result.artifacts_size(), 1);
  EXPECT_EQ(
      Missing(),
      "objects of namespace shop: Velero says PartiallyFailed: namespace shop: error getting widget w. See: velero "
      "backup logs b\n");
}

TEST_F(Coverage, OfAPartiallyFailedBackupWithoutReasonsIsNotWhole) {
  evidence_.backup = ReadBackup(BackupObject("b", "run", "PartiallyFailed"));
  EXPECT_THAT(Missing(), HasSubstr("Velero says PartiallyFailed: its errors are not in its results"));
}

TEST_F(Coverage, OfACompletedBackupWithErrorsIsNotWhole) {
  evidence_.backup = ReadBackup(BackupObject("b", "run", "Completed", {{"errors", 2}}));
  EXPECT_THAT(Missing(), HasSubstr("objects of namespace shop: Velero says Completed"));
}

TEST_F(Coverage, SaysAnErrorOnceThatExplainsAVolume) {
  evidence_.backup = ReadBackup(BackupObject("b", "run", "PartiallyFailed", {{"errors", 1}}));
  evidence_.volumes.clear();
  evidence_.results.errors = {"namespace shop: backup of uploads timed out"};
  EXPECT_EQ(Judge().missing_size(), 1);
  EXPECT_THAT(
      Missing(),
      HasSubstr("volume uploads of shop: Velero has no record of its data; Velero says: namespace shop: "
                "backup of uploads timed out."));
}

TEST_F(Coverage, WarnsOfClaimsThatNobodyNamesAndOfWhatWasToBeLeftOut) {
  evidence_.claims.push_back(BoundClaim("spare"));
  volumes_.push_back(Planned("cache", kFiles, "a cache"));
  evidence_.volumes.push_back(Record("cache", "PodVolumeBackup", false));
  evidence_.results.warnings = {"namespace shop: w"};
  EXPECT_THAT(Judge().warnings(),
              ElementsAre("the data of volume shop/cache are in the backup, and were to be left out",
                          "the data of claims that no component names are not in the backup: shop/spare",
                          "Velero warns: namespace shop: w"));
  EXPECT_EQ(Missing(), "");
  EXPECT_EQ(Judge().artifacts_size(), 1);
}

TEST_F(Coverage, KeepsItsWarningsFew) {
  for (int i = 0; i < 500; ++i) evidence_.results.warnings.push_back(std::to_string(i));
  EXPECT_LE(Judge().warnings_size(), 52);
}

}  // namespace
}  // namespace salvor::velero
