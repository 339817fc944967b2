#include "agent/kubernetes/velero/restore_coverage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/velero/restore_objects_testing.h"
#include "strategies/verdicts/verdict.h"

namespace salvor::velero {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto kFiles = v1::VOLUME_METHOD_FILE_SYSTEM;
constexpr auto kSnapshot = v1::VOLUME_METHOD_SNAPSHOT;
constexpr auto kMoved = v1::VOLUME_METHOD_SNAPSHOT_MOVED;

// A Restore of one volume that is whole, and what a test changes of it.
class RestoreCoverage : public testing::Test {
 protected:
  RestoreCoverage() {
    evidence_.restore = ReadRestore(RestoreObject("r", "Completed"));
    evidence_.kept = {{"v1/PersistentVolumeClaim", {"shop/uploads"}},
                      {"v1/Pod", {"shop/web-1"}},
                      {"v1/Namespace", {"shop"}},
                      {"v1/PersistentVolume", {"pvc-uploads"}}};
    evidence_.objects = {{"v1/PersistentVolumeClaim", {{"shop-copy/uploads", "created"}}},
                         {"v1/Pod", {{"shop-copy/web-1", "created"}}},
                         {"v1/Namespace", {{"shop-copy", "created"}}},
                         {"v1/PersistentVolume", {{"pvc-uploads", "skipped"}}}};
    Claim claim;
    claim.name_space = "shop-copy";
    claim.name = "uploads";
    claim.uid = "uid-new";
    evidence_.claims = {claim};
    By(kFiles);
  }

  // The volume was kept in that way, and came back in the same.
  void By(v1::VolumeMethod method) {
    action_ = RestoreAction(method);
    evidence_.transfers.clear();
    evidence_.returned.clear();
    if (method == kSnapshot) {
      evidence_.returned = {{"shop-copy", "uploads", "CSISnapshot", false, "handle-uploads", 4096}};
      return;
    }
    Transfer transfer;
    transfer.name = "r-x";
    transfer.is_upload = method == kMoved;
    transfer.name_space = "shop-copy";
    transfer.source = method == kMoved ? "uploads" : "data";
    transfer.claim_uid = method == kMoved ? "" : "uid-new";
    transfer.pod = "web-1";
    transfer.handle = "handle-uploads";
    transfer.phase = "Completed";
    transfer.bytes_done = transfer.bytes_total = 4096;
    evidence_.transfers = {transfer};
  }

  v1::ActionResult Judge() { return JudgeRestoreCoverage(action_, evidence_); }

  // The verdict of a run whose restore found this.
  std::string Verdict() {
    v1::Run run;
    run.mutable_header()->set_kind(v1::RUN_KIND_RESTORE);
    run.set_phase(v1::RUN_PHASE_SUCCEEDED);
    *run.add_steps()->mutable_result() = Judge();
    return std::string(verdicts::WordOf(verdicts::Judge(run, nullptr).verdict));
  }

  // What the check of that kind says; "passed" where it passed.
  std::string Said(const std::string& kind) {
    std::vector<std::string> said;
    const v1::ActionResult result = Judge();
    for (const v1::Check& check : result.checks()) {
      if (check.kind() == kind)
        said.push_back(check.verdict() == v1::Check::VERDICT_PASSED ? "passed" : check.compared());
    }
    return said.size() == 1 ? said.front() : std::to_string(said.size()) + " checks";
  }

  Transfer& TheTransfer() { return evidence_.transfers.front(); }

  v1::VeleroRestore action_;
  RestoreEvidence evidence_;
};

TEST_F(RestoreCoverage, OfAVolumeWhoseDataCameBackIsRestored) {
  for (const auto method : {kFiles, kSnapshot, kMoved}) {
    By(method);
    const v1::ActionResult result = Judge();
    EXPECT_EQ(Verdict(), "restored") << method << Said("volume") << Said("objects");
    ASSERT_EQ(result.checks_size(), 2);
    EXPECT_EQ(result.checks(0).subject(), "shop-copy/uploads");
    EXPECT_EQ(result.checks(0).component(), "files");
    EXPECT_EQ(result.checks(0).compared(), "4.00 KiB of 4.00 KiB came back");
    EXPECT_EQ(result.checks(1).compared(), "3 created, and none of the backup is missing");
    EXPECT_EQ(result.velero_restore().objects(), 3);
    EXPECT_EQ(result.velero_restore().volumes(), 1);
    EXPECT_EQ(result.velero_restore().bytes(), 4096);
    EXPECT_THAT(result.warnings(), IsEmpty());
    EXPECT_EQ(result.note(), "Velero's restore r into shop-copy: 3 objects, 1 of 1 volumes, 4.00 KiB");
  }
}

TEST_F(RestoreCoverage, IsFailedWhereAVolumeCameBackEmptyUnderCompleted) {
  for (const auto method : {kFiles, kSnapshot, kMoved}) {
    By(method);
    evidence_.transfers.clear();
    evidence_.returned.clear();
    EXPECT_EQ(Verdict(), "failed") << method;
    EXPECT_THAT(Said("volume"), HasSubstr("the volume is new and empty")) << method;
    EXPECT_EQ(Judge().velero_restore().volumes(), 0);
  }
}

TEST_F(RestoreCoverage, CountsBytesAndNotPhases) {
  for (const auto method : {kFiles, kMoved}) {
    By(method);
    TheTransfer().bytes_done = 4095;
    EXPECT_EQ(Said("volume"),
              "Velero says Completed, and brought back 4095 of the 4096 bytes that were kept");
    TheTransfer().bytes_done = 0;
    EXPECT_EQ(Verdict(), "failed") << method;
    TheTransfer().bytes_done = 4097;
    EXPECT_EQ(Verdict(), "restored") << method;
  }
}

TEST_F(RestoreCoverage, OfAVolumeThatWasEmptyWantsItsClaimAlone) {
  action_.mutable_volumes(0)->set_bytes(0);
  action_.mutable_volumes(0)->mutable_velero()->clear_snapshot_handle();
  evidence_.transfers.clear();
  EXPECT_EQ(Verdict(), "restored") << Said("volume");
  evidence_.objects["v1/PersistentVolumeClaim"].clear();
  EXPECT_EQ(Verdict(), "failed");
}

TEST_F(RestoreCoverage, WantsTheDataOfThisBackupInTheClaimOfThisRestore) {
  TheTransfer().handle = "another";
  EXPECT_EQ(Said("volume"), "Velero brought back the snapshot another, and the backup is handle-uploads");
  By(kFiles);
  TheTransfer().claim_uid = "uid-of-another";
  EXPECT_THAT(Said("volume"), HasSubstr("brought no data into it"));
  By(kFiles);
  evidence_.claims.clear();
  EXPECT_EQ(Said("volume"), "its claim was made, and is not there any more");
  By(kSnapshot);
  evidence_.returned[0].handle = "another";
  EXPECT_EQ(Verdict(), "failed");
  evidence_.returned[0].method = "PodVolumeRestore";
  EXPECT_EQ(Verdict(), "failed");
  evidence_.returned[0] = {"elsewhere", "uploads", "CSISnapshot", false, "handle-uploads", 4096};
  EXPECT_EQ(Verdict(), "failed");
}

TEST_F(RestoreCoverage, IsUnverifiableWhereTheClaimsCouldNotBeLookedAt) {
  for (const auto method : {kFiles, kSnapshot, kMoved}) {
    By(method);
    evidence_.claims.clear();
    evidence_.claims_unseen = "no right";
    EXPECT_EQ(Verdict(), "unverifiable") << method;
    EXPECT_EQ(Said("volume"),
              "its claim was made, and could not be looked at when the restore was over: no right");
  }
  evidence_.objects["v1/PersistentVolumeClaim"] = {{"shop-copy/uploads", "skipped"}};
  EXPECT_EQ(Verdict(), "failed") << "Velero itself says that it did not make it";
}

TEST_F(RestoreCoverage, IsUncertainOfAClaimThatWasFilledTwice) {
  evidence_.transfers.push_back(TheTransfer());
  EXPECT_THAT(Said("volume"), HasSubstr("Velero filled it 2 times"));
}

TEST_F(RestoreCoverage, NamesTheTransferThatDidNotEndWell) {
  TheTransfer().phase = "Failed";
  TheTransfer().message = "no space left";
  TheTransfer().bytes_done = 1024;
  EXPECT_EQ(Said("volume"), "the transfer of its data is Failed, 1.00 KiB of 4.00 KiB done: no space left");
}

TEST_F(RestoreCoverage, OfAClaimThatWasThereBeforeIsNone) {
  evidence_.objects["v1/PersistentVolumeClaim"] = {{"shop-copy/uploads", "skipped"}};
  EXPECT_THAT(Said("volume"), HasSubstr("its claim was not made by this restore"));
  evidence_.objects["v1/PersistentVolumeClaim"].clear();
  EXPECT_THAT(Said("volume"), HasSubstr("is not among the objects that Velero restored"));
}

struct ObjectCase {
  std::string kind, key, action;  // action "": Velero does not list it
  std::string said;               // by Velero, as an error
  std::string verdict, named;
};

TEST_F(RestoreCoverage, NamesEveryObjectThatIsNotThere) {
  const std::string exists =
      "namespace shop-copy: could not restore, Service \"web\" already exists. Warning: the in-cluster version is "
      "different than the backed-up version";
  for (const ObjectCase& one : {
           ObjectCase{"v1/Service", "shop/web", "created", "", "restored", ""},
           ObjectCase{"v1/Service", "shop/web", "updated", "", "restored", ""},
           ObjectCase{"v1/Service", "shop/web", "skipped", "", "restored", ""},
           ObjectCase{"v1/Service", "shop/web", "", "", "failed", "not restored: Service shop-copy/web"},
           ObjectCase{
               "v1/Service", "shop/web", "failed",
               "error restoring services/shop-copy/web: provided port is already allocated", "failed",
               "not restored: Service shop-copy/web; Velero says: error restoring services/shop-copy/web: "
               "provided port is already allocated"},
           ObjectCase{
               "v1/Service", "shop/web", "failed", exists, "partial",
               "there already, different from the backup, and left as they are: Service shop-copy/web"},
           ObjectCase{"coordination.k8s.io/v1/Lease", "shop/leader", "failed",
                      "namespace shop-copy: could not restore, Lease \"leader\" already exists. Warning: …",
                      "restored", ""},
           ObjectCase{"v1/Endpoints", "shop/outside", "", "", "failed",
                      "not restored: Endpoints shop-copy/outside"},
           ObjectCase{"example.com/v1/Widget", "shop/w", "", "", "failed",
                      "not restored: Widget shop-copy/w"},
           ObjectCase{"v1/ConfigMap", "shop/kube-root-ca.crt", "failed", "", "restored", ""},
           ObjectCase{"v1/ServiceAccount", "shop/default", "failed", "", "restored", ""},
           ObjectCase{"v1/Event", "shop/e", "", "", "restored", ""},
           ObjectCase{"snapshot.storage.k8s.io/v1/VolumeSnapshot", "shop/velero-x", "", "", "restored", ""},
       }) {
    const RestoreEvidence before = evidence_;
    evidence_.kept[one.kind].push_back(one.key);
    const std::string target = "shop-copy" + one.key.substr(one.key.find('/'));
    if (!one.action.empty()) evidence_.objects[one.kind].push_back({target, one.action});
    if (!one.said.empty()) evidence_.results.warnings.push_back(one.said);
    EXPECT_EQ(Verdict(), one.verdict) << one.kind << " " << one.action << ": " << Said("objects");
    if (!one.named.empty()) {
      EXPECT_EQ(Said("objects"), one.named);
    }
    evidence_ = before;
  }
}

TEST_F(RestoreCoverage, OfWhatWasThereBeforeHasAHintOfItsOwn) {
  evidence_.kept["v1/Service"] = {"shop/web"};
  evidence_.objects["v1/Service"] = {{"shop-copy/web", "failed"}};
  evidence_.results.warnings = {
      "namespace shop-copy: could not restore, Service \"web\" already exists. Warning: the in-cluster version is "
      "different than the backed-up version"};
  v1::Run run;
  run.mutable_header()->set_kind(v1::RUN_KIND_RESTORE);
  run.set_phase(v1::RUN_PHASE_SUCCEEDED);
  *run.add_steps()->mutable_result() = Judge();
  const verdicts::Judgement judgement = verdicts::Judge(run, nullptr);
  EXPECT_EQ(judgement.verdict, v1::VERDICT_PARTIAL);
  EXPECT_EQ(judgement.hint,
            "All the rest is restored. What is named was in namespace shop-copy before: compare it with the "
            "backup, and change or remove it by hand.")
      << "it is no database";
}

TEST_F(RestoreCoverage, WarnsOfWhatVeleroLeavesOutAndOfClaimsWithoutData) {
  evidence_.kept["v1/Pod"].push_back("shop/migrate-x7");
  evidence_.kept["batch/v1/Job"] = {"shop/migrate"};
  evidence_.kept["rbac.authorization.k8s.io/v1/ClusterRoleBinding"] = {"shop-reader"};
  evidence_.kept["v1/PersistentVolumeClaim"].push_back("shop/cache");
  evidence_.objects["v1/PersistentVolumeClaim"].push_back({"shop-copy/cache", "created"});
  EXPECT_EQ(Verdict(), "restored");
  const v1::ActionResult result = Judge();
  EXPECT_THAT(result.warnings(),
              ElementsAre(AllOf(HasSubstr("leaves out what has ended"), HasSubstr("Job shop-copy/migrate"),
                                HasSubstr("Pod shop-copy/migrate-x7")),
                          AllOf(HasSubstr("in no namespace"), HasSubstr("ClusterRoleBinding shop-reader")),
                          AllOf(HasSubstr("came back without them"), HasSubstr("shop-copy/cache"))));
}

TEST_F(RestoreCoverage, OfAPartiallyFailedOneIsNeverRestored) {
  evidence_.restore = ReadRestore(RestoreObject("r", "PartiallyFailed", {{"errors", 1}}));
  EXPECT_EQ(Verdict(), "failed");
  EXPECT_THAT(Said("objects"), HasSubstr("Velero says PartiallyFailed: its errors are not in its results"));
  evidence_.results.errors = {"namespace shop-copy: a plugin crashed"};
  EXPECT_EQ(Said("objects"),
            "Velero says PartiallyFailed: namespace shop-copy: a plugin crashed. See: velero restore logs r");
}

TEST_F(RestoreCoverage, ShowsAFewOfManyWarnings) {
  evidence_.results.warnings.assign(60, "w");
  const v1::ActionResult result = Judge();
  EXPECT_EQ(result.warnings_size(), 51);
  EXPECT_EQ(result.warnings(50), "10 more of Velero's warnings are in its log");
}

}  // namespace
}  // namespace salvor::velero
