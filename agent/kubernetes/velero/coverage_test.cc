#include "agent/kubernetes/velero/coverage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/velero/velero_objects_testing.h"
#include "strategies/verdicts/records.h"

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

// A mount that is gone leaves a volume that is whole, and empty.
TEST_F(Coverage, OfAVolumeThatIsSuddenlyEmptyIsDoubted) {
  const auto kept = [&](int64_t bytes, const std::string& handle) {
    evidence_.volumes[0].bytes = bytes;
    evidence_.volumes[0].handle = handle;
    v1::Manifest manifest;
    *manifest.mutable_artifacts() = Judge().artifacts();
    EXPECT_EQ(manifest.artifacts_size(), 1);
    return manifest;
  };
  const v1::Manifest last = kept(50 << 20, "handle"), now = kept(0, "");
  EXPECT_THAT(verdicts::DoubtsAbout(now, last), ElementsAre(HasSubstr("files.uploads has 0 bytes")));
  EXPECT_THAT(verdicts::DoubtsAbout(last, last), IsEmpty());
  EXPECT_THAT(verdicts::DoubtsAbout(kept(40 << 20, "handle"), last), IsEmpty());
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
  EXPECT_THAT(
      Missing(),
      HasSubstr(
          "Velero failed to keep its data: its transfer is Failed. See: velero -n velero backup logs b"));
}

// Velero writes no record where the pod that the files were read through is gone at the end.
TEST_F(Coverage, GoesByTheTransferWhereThereIsNoRecord) {
  Transfer copy;
  copy.name_space = "shop";
  copy.pod = "web-1";
  copy.claim_uid = "uid-uploads";
  copy.phase = "Completed";
  copy.handle = "9d2e";
  copy.bytes_total = 8192;
  copy.started = absl::FromUnixSeconds(1000);
  copy.completed = absl::FromUnixSeconds(1030);
  evidence_.volumes.clear();
  evidence_.transfers = {copy};
  const v1::ActionResult result = Judge();
  EXPECT_EQ(Missing(), "");
  ASSERT_EQ(result.artifacts_size(), 1);
  EXPECT_EQ(result.artifacts(0).bytes(), 8192);
  EXPECT_EQ(result.artifacts(0).consistent_until().seconds(), 1030);
  EXPECT_EQ(result.artifacts(0).velero().snapshot_handle(), "9d2e");
  EXPECT_EQ(result.artifacts(0).velero().volume(), "pvc-uploads");
}

TEST_F(Coverage, GoesByNoTransferThatIsNotCertain) {
  Transfer copy;
  copy.name_space = "shop";
  copy.pod = "web-1";
  copy.claim_uid = "uid-uploads";
  copy.phase = "Completed";
  copy.handle = "9d2e";
  copy.bytes_total = 8192;
  const auto missing_with = [&](const std::vector<Transfer>& transfers) {
    evidence_.volumes.clear();
    evidence_.transfers = transfers;
    return Missing();
  };
  EXPECT_EQ(missing_with({copy}), "");
  EXPECT_THAT(missing_with({copy, copy}), HasSubstr("Velero copied it 2 times and has no record of it"));
  Transfer other = copy;
  other.claim_uid = "uid-other";
  EXPECT_THAT(missing_with({other}), HasSubstr("Velero has no record of its data"));
  other.claim_uid = "";
  EXPECT_THAT(missing_with({other}), HasSubstr("Velero has no record of its data"));
  Transfer without_handle = copy;
  without_handle.handle = "";
  EXPECT_THAT(missing_with({without_handle}), HasSubstr("does not name the snapshot"));
  without_handle.bytes_total = 0;
  EXPECT_EQ(missing_with({without_handle}), "") << "the volume is empty";
  Transfer failed = copy;
  failed.phase = "Failed";
  failed.message = "pod is gone";
  EXPECT_THAT(missing_with({failed}), HasSubstr("its transfer is Failed: pod is gone"));
  missing_with({copy});
  evidence_.volumes = {Skipped("uploads", "by the policy")};
  EXPECT_THAT(Missing(), HasSubstr("Velero skipped its data: by the policy"));
  volumes_ = {Planned("uploads", kSnapshot)};
  EXPECT_THAT(missing_with({copy}), HasSubstr("Velero has no record of its data"));
}

TEST_F(Coverage, DoesNotTakeSilenceForSuccess) {
  evidence_.volumes[0].result = "";
  EXPECT_THAT(Missing(), HasSubstr("Velero does not say whether its data were kept"));
}

TEST_F(Coverage, DoesNotTakeVelerosWordForATransferThatDidNotEndWell) {
  for (const char* phase : {"Canceled", "Failed", "InProgress", "New"}) {
    evidence_.volumes[0].phase = phase;
    EXPECT_THAT(Missing(), HasSubstr(std::string("which is not certain: its transfer is ") + phase));
  }
  evidence_.volumes[0].phase = "Completed";
  EXPECT_EQ(Missing(), "");
}

TEST_F(Coverage, NeedsTheClaimAmongTheObjects) {
  evidence_.resources["v1/PersistentVolumeClaim"] = {"shop/other", "other/uploads"};
  EXPECT_THAT(Missing(), HasSubstr("the claim itself is not among the objects of the backup"));
  evidence_.resources.clear();
  EXPECT_THAT(Missing(), HasSubstr("the claim itself is not among the objects of the backup"));
}

// Velero brings files back only with their pod, and says Completed over an empty volume.
TEST_F(Coverage, OfFilesNeedsThePodThatTheyWereReadThrough) {
  const std::string not_there =
      "its files were read through pod shop/web-1, which is not among the objects of the backup, and Velero "
      "brings files back only with their pod";
  evidence_.resources["v1/Pod"] = {"shop/web-2", "other/web-1"};
  EXPECT_THAT(Missing(), HasSubstr("volume uploads of shop: " + not_there))
      << "others that mount it don't help";
  EXPECT_EQ(Judge().artifacts_size(), 0);
  evidence_.results.errors = {"namespace shop: error backing up pod web-1: a plugin crashed"};
  EXPECT_THAT(Missing(), HasSubstr(not_there + "; Velero says: namespace shop: error backing up pod web-1"));
  evidence_.results.errors.clear();
  evidence_.resources.erase("v1/Pod");
  EXPECT_THAT(Missing(), HasSubstr(not_there));
  evidence_.volumes[0].pod = "";
  EXPECT_THAT(Missing(), HasSubstr("Velero does not name the pod that its files were read through"));
  // One that was empty comes back with its claim alone.
  evidence_.volumes[0].bytes = 0;
  evidence_.volumes[0].handle = "";
  EXPECT_EQ(Missing(), "");
}

TEST_F(Coverage, OfFilesWithoutTheirPodIsNoneWhereTheTransferAloneSpeaksForThem) {
  Transfer orphan;
  orphan.name_space = "shop";
  orphan.pod = "web-9";
  orphan.claim_uid = "uid-uploads";
  orphan.phase = "Completed";
  orphan.handle = "9d2e";
  orphan.bytes_total = 8192;
  evidence_.volumes.clear();
  evidence_.transfers = {orphan};
  EXPECT_THAT(Missing(), HasSubstr("read through pod shop/web-9, which is not among the objects"));
  evidence_.resources["v1/Pod"].push_back("shop/web-9");
  EXPECT_EQ(Missing(), "");
  evidence_.resources["v1/PersistentVolumeClaim"].clear();
  EXPECT_THAT(Missing(), HasSubstr("the claim itself is not among the objects of the backup"));
}

TEST_F(Coverage, OfASnapshotNeedsNoPod) {
  evidence_.resources.erase("v1/Pod");
  for (const auto method : {kSnapshot, kMoved}) {
    volumes_ = {Planned("uploads", method)};
    evidence_.volumes = {Record("uploads", "CSISnapshot", method == kMoved)};
    EXPECT_EQ(Missing(), "") << method;
  }
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
      "objects of namespace shop: Velero says PartiallyFailed: namespace shop: error getting widget w. See: velero -n velero "
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

// A claim that has all in common with one that is kept is kept as well.
TEST_F(Coverage, SaysOfUnplannedClaimsWhetherTheirDataAreInTheBackup) {
  evidence_.claims.push_back(BoundClaim("spare"));
  evidence_.claims.push_back(BoundClaim("cache"));
  evidence_.claims.push_back(BoundClaim("skipped"));
  evidence_.volumes.push_back(Record("spare", "PodVolumeBackup", false));
  evidence_.volumes.push_back(Skipped("skipped", "by the policy"));
  EXPECT_THAT(
      Judge().warnings(),
      ElementsAre(
          "the data of claims that no component names are not in the backup: shop/cache, shop/skipped",
          "the data of claims that no component names are in the backup too, for Velero can't tell them "
          "from those that are kept: shop/spare"));
}

TEST_F(Coverage, KeepsItsWarningsFew) {
  for (int i = 0; i < 500; ++i) evidence_.results.warnings.push_back(std::to_string(i));
  EXPECT_LE(Judge().warnings_size(), 52);
}

TEST_F(Coverage, LacksHooksThatAComponentReliesOn) {
  action_.add_hook_components("files");
  EXPECT_EQ(Missing(),
            "hooks of Velero's: Velero ran none, so its volumes are those of an application at work\n");
  evidence_.backup.hooks_attempted = 2;
  EXPECT_EQ(Missing(), "");
  EXPECT_EQ(Judge().warnings_size(), 0) << "they are wanted";
  evidence_.backup.hooks_failed = 1;
  EXPECT_EQ(
      Missing(),
      "hooks of Velero's: Velero ran 2 hooks, 1 of them in vain; see: velero -n velero backup logs b\n");
  EXPECT_EQ(Judge().missing(0).component(), "files");
  action_.clear_hook_components();
  EXPECT_EQ(Missing(), "") << "nobody relies on them";
  EXPECT_EQ(Judge().warnings_size(), 1);
}

}  // namespace
}  // namespace salvor::velero
