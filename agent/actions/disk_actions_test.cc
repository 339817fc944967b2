// Backup, restore and checks of files with a real restic, and faults that must be found.
#include "agent/actions/disk_actions.h"

#include <gmock/gmock.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/vfs.h>

#include <cstdlib>
#include <set>

#include "agent/actions/action_testing.h"
#include "agent/actions/disk_staging.h"
#include "agent/actions/restore_record.h"
#include "agent/disk/file_attributes.h"
#include "agent/disk/tree_codec.h"
#include "agent/disk/tree_coverage.h"
#include "agent/disk/tree_testing.h"
#include "agent/restic/restic_testing.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr char kScratch[] = "drill-shop-1";

class DiskActionsTest : public testing::Test {
 protected:
  void SetUp() override {
    repository_.Make();
    ASSERT_NO_FATAL_FAILURE(MakeOddTree(root_));
    config_.state_directory = state_;
    config_.supervisor = Supervisor();
    task_.mutable_lease()->set_run("backup-shop-1");
    task_.mutable_lease()->set_attempt(1);
    task_.set_component("files");
  }

  using Function = StatusOr<v1::ActionResult> (*)(const v1::Action&, ActionContext&);
  StatusOr<v1::ActionResult> Run(Function function, const v1::Action& action) {
    ActionContext context{config_, task_, {}, absl::InfiniteFuture(), on_progress_, nullptr};
    return function(action, context);
  }

  StatusOr<v1::ActionResult> Backup(const std::vector<std::string>& exclude = {}) {
    v1::Action action;
    for (const std::string& path : paths_) action.mutable_disk_backup()->mutable_component()->add_paths(path);
    for (const std::string& one : exclude)
      action.mutable_disk_backup()->mutable_component()->add_exclude(one);
    for (const std::string& one : mount_points_)
      action.mutable_disk_backup()->mutable_component()->add_mount_points(one);
    action.mutable_disk_backup()->mutable_component()->set_cross_file_systems(cross_file_systems_);
    v1::ArtifactTarget& target = *action.mutable_disk_backup()->mutable_target();
    *target.mutable_location() = repository_.Location();
    target.set_backup("shop-1");
    target.set_component("files");
    target.set_artifact("files.tree");
    return Run(RunDiskBackup, action);
  }
  void MustBackup(const std::vector<std::string>& exclude = {}) {
    const StatusOr<v1::ActionResult> result = Backup(exclude);
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->artifacts_size(), 2);
    kept_ = *result;
  }

  template <typename Part>
  void Fill(Part* part) {
    if (target_root_.empty()) {
      part->mutable_target()->set_scratch(kScratch);
    } else {
      part->mutable_target()->set_root(target_root_);
    }
    for (const std::string& path : paths_) part->add_paths(path);
    if (destination_.empty()) return;
    v1::DiskDestination* pair = part->add_destinations();
    pair->set_path(root_);
    pair->set_destination(destination_);
  }
  Status TargetCheck() {
    v1::Action action;
    Fill(action.mutable_disk_target_check());
    return Run(RunDiskTargetCheck, action).status();
  }
  Status Restore(const std::string& run = "restore-shop-1") {
    v1::Action action;
    Fill(action.mutable_disk_restore());
    *action.mutable_disk_restore()->mutable_location() = repository_.Location();
    *action.mutable_disk_restore()->mutable_tree() = kept_.artifacts(0);
    *action.mutable_disk_restore()->mutable_details() = kept_.artifacts(1);
    action.mutable_disk_restore()->set_run(run);
    const auto result = Run(RunDiskRestore, action);
    restore_warnings_ = {};
    if (result.ok()) restore_warnings_.assign(result->warnings().begin(), result->warnings().end());
    return result.status();
  }
  // "files passed", "content failed: …" of each check.
  std::vector<std::string> Verify() {
    v1::Action action;
    Fill(action.mutable_disk_verify());
    *action.mutable_disk_verify()->mutable_location() = repository_.Location();
    *action.mutable_disk_verify()->mutable_details() = kept_.artifacts(1);
    const StatusOr<v1::ActionResult> result = Run(RunDiskVerify, action);
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) return {};
    std::vector<std::string> verdicts;
    for (const v1::Check& check : result->checks()) {
      EXPECT_EQ(check.component(), "files");
      EXPECT_EQ(check.subject(), PercentEncode(root_));
      const std::string word = v1::Check::Verdict_Name(check.verdict()).substr(8);
      verdicts.push_back(check.kind() + " " + word);
      compared_[check.kind()] = check.compared();
    }
    return verdicts;
  }
  std::string Restored(const std::string& path = "") const {
    return (target_root_.empty()  ? state_ + "/scratch/" + kScratch + "/files"
            : target_root_ == "/" ? ""
                                  : target_root_) +
           (destination_.empty() ? root_ : destination_) + path;
  }
  void MustRestoreToScratch() {
    ASSERT_NO_FATAL_FAILURE(MustBackup());
    const Status status = Restore();
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_THAT(Verify(), ElementsAre("files PASSED", "content PASSED", "metadata PASSED"))
        << compared_["files"] << "\n"
        << compared_["content"] << "\n"
        << compared_["metadata"];
  }
  std::vector<v1::TreeEntry> Details() {
    const auto text = repository_.Open().LoadText(kept_.artifacts(1));
    EXPECT_TRUE(text.ok()) << text.status();
    const auto tree = DecodeTree(text.value_or(""));
    EXPECT_TRUE(tree.ok()) << tree.status();
    return tree.ok() ? tree->entries : std::vector<v1::TreeEntry>();
  }

  // A whole backup, restored and equal.
  void MustComeBack(const std::string& run = "restore-shop-1") {
    const Status status = Restore(run);
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_THAT(Verify(), ElementsAre("files PASSED", "content PASSED", "metadata PASSED"))
        << compared_["files"] << "\n"
        << compared_["content"] << "\n"
        << compared_["metadata"];
  }
  // Folders of restores that are still there.
  std::vector<std::string> Leftovers(const std::string& directory) const {
    std::vector<std::string> found;
    for (const auto& entry : EntriesOf({directory})) {
      if (entry.path().find(".salvor-restore-") != std::string::npos) found.push_back(entry.path());
    }
    return found;
  }
  std::vector<DiskPlace> Places() const {
    return {{root_, target_root_ + (destination_.empty() ? root_ : destination_)}};
  }
  // What a restore that was killed in the middle leaves, and its record; `half` is in its folder.
  RestoreState Interrupted(const std::string& half) {
    auto state = PlanStaging(Places(), target_root_);
    EXPECT_TRUE(state.ok()) << state.status();
    EXPECT_TRUE(MakeFolders(target_root_, &*state).ok());
    const auto folder = OpenFolder(target_root_, *state, 0);
    EXPECT_TRUE(folder.ok()) << folder.status();
    Put(PathOfDescriptor(folder->Get()) + "/" + half, "x");
    EXPECT_TRUE(RecordOf("restore-shop-1").Write(EncodeRestoreState(*state)).ok());
    return *state;
  }
  RestoreRecord RecordOf(const std::string& run) { return *RestoreRecord::For(config_, run, "files"); }
  std::string ParentOfRestored() const {
    const std::string path = Restored();
    return path.substr(0, path.rfind('/'));
  }

  ResticRepositoryForTest repository_;
  TemporaryDirectory directory_;
  std::string state_ = NormalisePaths({directory_ / "state"}).front();
  std::string root_ = NormalisePaths({directory_ / "srv/shop"}).front();
  std::vector<std::string> paths_ = {root_};
  std::string target_root_;  // "" scratch
  std::string destination_;  // of root_; "" itself
  std::vector<std::string> mount_points_;
  bool cross_file_systems_ = false;
  std::vector<std::string> restore_warnings_;
  AgentConfig config_;
  v1::Task task_;
  std::function<void(const v1::Progress&)> on_progress_;
  v1::ActionResult kept_;
  std::map<std::string, std::string> compared_;
};

TEST_F(DiskActionsTest, AnOddTreeComesBackAsItWas) {
  ASSERT_NO_FATAL_FAILURE(MustRestoreToScratch());
  const v1::Artifact& tree = kept_.artifacts(0);
  EXPECT_EQ(tree.kind(), v1::Artifact::KIND_TREE);
  EXPECT_EQ(tree.files(), 11);
  EXPECT_EQ(tree.coverage().exact(), 11);
  EXPECT_EQ(tree.coverage().not_covered_total(), 0);
  EXPECT_GE(tree.snapshot().size(), 8u);
  EXPECT_LE(tree.consistent_at().seconds(), tree.consistent_until().seconds());
  EXPECT_EQ(kept_.artifacts(1).kind(), v1::Artifact::KIND_TREE_DETAILS);
  EXPECT_EQ(kept_.artifacts(1).name(), "files.tree.details");
  EXPECT_THAT(kept_.warnings(), IsEmpty());
  EXPECT_EQ(compared_["metadata"], "20 entries equal");
}

TEST_F(DiskActionsTest, ARestoreTellsHowMuchThereIsAndHowMuchIsWritten) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  const int64_t total = kept_.artifacts(0).bytes();
  int told = 0;
  on_progress_ = [&](const v1::Progress& progress) {
    EXPECT_EQ(progress.bytes_total(), total);
    EXPECT_LE(progress.bytes_done(), total);
    ++told;
  };
  ASSERT_TRUE(Restore().ok());
  EXPECT_GT(told, 0);
}

TEST_F(DiskActionsTest, OneByteChangedFailsTheContentCheckAndNoOther) {
  ASSERT_NO_FATAL_FAILURE(MustRestoreToScratch());
  const std::string victim = Restored("/a directory/deep/er/secret");
  const timespec mtime = MtimeOf(victim);
  const UniqueFd fd(::open(victim.c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(::pwrite(fd.Get(), "S", 1, 0), 1);
  SetMtime(victim, mtime);
  EXPECT_THAT(Verify(), ElementsAre("files PASSED", "content FAILED", "metadata PASSED"));
  EXPECT_THAT(compared_["content"], HasSubstr("er/secret: other content of the same length"));
}

TEST_F(DiskActionsTest, AMissingFileAndOneTooManyFailTheFilesCheckAndNoOther) {
  ASSERT_NO_FATAL_FAILURE(MustRestoreToScratch());
  ASSERT_EQ(::unlink(Restored("/a directory/with space").c_str()), 0);
  EXPECT_THAT(Verify(), ElementsAre("files FAILED", "content PASSED", "metadata PASSED"));
  EXPECT_THAT(compared_["files"], HasSubstr("with%20space: file is missing"));
  Put(Restored("/empty/intruder"), "x");
  EXPECT_THAT(Verify(), ElementsAre("files FAILED", "content PASSED", "metadata PASSED"));
  EXPECT_THAT(compared_["files"], HasSubstr("empty/intruder: file is unexpected"));
}

TEST_F(DiskActionsTest, AnotherModeFailsTheMetadataCheckAndNoOther) {
  ASSERT_NO_FATAL_FAILURE(MustRestoreToScratch());
  ASSERT_EQ(::chmod(Restored("/program").c_str(), 0755), 0);
  EXPECT_THAT(Verify(), ElementsAre("files PASSED", "content PASSED", "metadata FAILED"));
  EXPECT_THAT(compared_["metadata"], HasSubstr("program: mode is 0755, was 4755"));
}

TEST_F(DiskActionsTest, NothingRestoredFailsTheFilesCheck) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  EXPECT_EQ(Verify().front(), "files FAILED");
  EXPECT_THAT(compared_["files"], HasSubstr("and 15 more"));
}

TEST_F(DiskActionsTest, WhatChangesAppearsOrVanishesMeanwhileIsNamedAndUnverifiable) {
  bool done = false;
  on_progress_ = [&](const v1::Progress& progress) {
    if (done || progress.message().rfind("backing up", 0) != 0) return;
    done = true;
    Put(root_ + "/program", "other", 04755);
    Put(root_ + "/empty/new", "x");
    ASSERT_EQ(::unlink((root_ + "/a directory/100%").c_str()), 0);
  };
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  ASSERT_TRUE(done);
  const v1::CoverageSummary& coverage = kept_.artifacts(0).coverage();
  EXPECT_THAT(coverage.not_covered(), Contains(HasSubstr("/program: changed while it was backed up")));
  EXPECT_THAT(coverage.not_covered(), Contains(HasSubstr("/empty/new: appeared while the backup ran")));
  EXPECT_THAT(coverage.not_covered(),
              Contains(HasSubstr("/a%20directory/100%25: vanished while it was backed up")));
  EXPECT_EQ(coverage.not_covered_total(), 6);  // and the three directories around them
  EXPECT_EQ(coverage.exact(), 9);
  EXPECT_EQ(coverage.none(), 3);
  EXPECT_THAT(kept_.warnings(), Contains(HasSubstr("not covered: " + root_ + "/program: changed")));
  on_progress_ = nullptr;
  ASSERT_TRUE(Restore().ok());
  EXPECT_THAT(Verify(), ElementsAre("files PASSED", "content UNVERIFIABLE", "metadata PASSED"))
      << compared_["files"] << compared_["metadata"];
  EXPECT_THAT(compared_["content"], HasSubstr("6 entries changed while they were backed up"));
  Put(Restored("/a directory/deep/er/secret"), "SIX", 0600);
  EXPECT_THAT(Verify(), Contains("content FAILED"));
}

TEST_F(DiskActionsTest, ExcludedEntriesAreNeitherExpectedNorUncovered) {
  ASSERT_NO_FATAL_FAILURE(MustBackup({"secret", "*utf-8*"}));
  EXPECT_EQ(kept_.artifacts(0).files(), 9);
  EXPECT_THAT(kept_.note(), HasSubstr("2 entries left out by exclude patterns"));
  EXPECT_THAT(kept_.warnings(), IsEmpty());
  for (const auto& entry : Details()) EXPECT_THAT(entry.path(), Not(HasSubstr("secret")));
  ASSERT_TRUE(Restore().ok());
  EXPECT_THAT(Verify(), ElementsAre("files PASSED", "content PASSED", "metadata PASSED"))
      << compared_["files"] << compared_["metadata"];
}

TEST_F(DiskActionsTest, AnotherAttemptReplacesWhatTheFirstKept) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  task_.mutable_lease()->set_attempt(2);
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  const auto found = repository_.Open().Find({{"run", "backup-shop-1"}});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->size(), 2u);
}

TEST_F(DiskActionsTest, MissingPathsAreAllNamedAndNothingIsKept) {
  paths_ = {root_, root_ + "/none", directory_ / "neither"};
  const auto result = Backup();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("/neither"));
  paths_ = {directory_ / "none", directory_ / "neither"};
  EXPECT_THAT(MessageOf(Backup().status()), testing::AllOf(HasSubstr("/none"), HasSubstr("/neither")));
  EXPECT_THAT(HintOf(Backup().status()), Not(IsEmpty()));
  EXPECT_THAT(*repository_.Open().Find({{"salvor", ""}}), IsEmpty());
}

TEST_F(DiskActionsTest, ALiveDatabaseIsRefused) {
  Put(root_ + "/empty/ibdata1", "x");
  const auto result = Backup();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("MySQL or MariaDB"));
}

TEST_F(DiskActionsTest, ATargetThatIsNotEmptyIsRefusedWithNothingWritten) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  target_root_ = "/";
  for (const Status& status : {TargetCheck(), Restore()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(
        MessageOf(status),
        HasSubstr("path " + root_ + " exists and holds 10 entries, for example a%20directory, dangling"));
    EXPECT_THAT(HintOf(status), HasSubstr("another root"));
  }
  EXPECT_FALSE(Exists(state_ + "/restores/restore-shop-1-files"));
  EXPECT_THAT(Verify(), ElementsAre("files PASSED", "content PASSED", "metadata PASSED"));
}

TEST_F(DiskActionsTest, ARestoreIntoPlaceMakesParentsThatOthersCanEnter) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  ASSERT_TRUE(RemoveTree(directory_ / "srv").ok());
  target_root_ = "/";
  ASSERT_TRUE(TargetCheck().ok()) << TargetCheck();
  const Status status = Restore();
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(Verify(), ElementsAre("files PASSED", "content PASSED", "metadata PASSED"))
      << compared_["metadata"];
  struct stat facts {};
  ASSERT_EQ(::stat((directory_ / "srv").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777, 0755u);
}

TEST_F(DiskActionsTest, ARestoreBelowAnotherRootWritesThereOnly) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  target_root_ = NormalisePaths({directory_ / "elsewhere"}).front();
  ASSERT_TRUE(TargetCheck().ok());
  ASSERT_FALSE(Exists(target_root_));
  ASSERT_TRUE(Restore().ok());
  EXPECT_THAT(Verify(), ElementsAre("files PASSED", "content PASSED", "metadata PASSED"));
}

TEST_F(DiskActionsTest, ARestoreThatFailsLeavesNothing) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  target_root_ = NormalisePaths({directory_ / "elsewhere"}).front();
  kept_.mutable_artifacts(0)->set_snapshot(std::string(64, 'f'));  // no such snapshot
  ASSERT_FALSE(Restore().ok());
  EXPECT_THAT(Leftovers(target_root_), IsEmpty());
  EXPECT_FALSE(Exists(Restored()));
}

TEST_F(DiskActionsTest, AnInterruptedRestoreIsClearedByItsOwnRunAndByNoOther) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  target_root_ = NormalisePaths({directory_ / "elsewhere"}).front();
  Interrupted("half");
  ASSERT_THAT(Leftovers(target_root_), testing::SizeIs(2));
  ASSERT_TRUE(MakeDirectories(Restored("/somebody")).ok());
  Put(Restored("/somebody/else"), "x");
  EXPECT_EQ(Restore("restore-shop-2").code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_THAT(Leftovers(target_root_), testing::SizeIs(2));
  // Its own run removes what it made, and nothing else.
  EXPECT_EQ(Restore().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Leftovers(target_root_), IsEmpty());
  ASSERT_TRUE(Exists(Restored("/somebody/else")));
  ASSERT_TRUE(RemoveTree(Restored()).ok());
  ASSERT_NO_FATAL_FAILURE(MustComeBack());
}

TEST_F(DiskActionsTest, ARetryRemovesNothingThatOnlyHasTheNameOfWhatItMade) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  target_root_ = NormalisePaths({directory_ / "elsewhere"}).front();
  const RestoreState state = Interrupted("half");
  const std::string folder = ParentOfRestored() + "/" + state.folders[0].name;
  ASSERT_EQ(::rename(folder.c_str(), (directory_ / "taken away").c_str()), 0);
  ASSERT_TRUE(MakeDirectories(folder).ok());
  Put(folder + "/precious", "x");
  const Status status = Restore();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(status), HasSubstr("is not the folder that this run made"));
  EXPECT_TRUE(Exists(folder + "/precious"));
  EXPECT_TRUE(Exists(directory_ / "taken away/half"));
}

TEST_F(DiskActionsTest, ACopyThatIsWholeIsMovedIntoPlaceByTheNextAttempt) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  target_root_ = NormalisePaths({directory_ / "elsewhere"}).front();
  auto state = PlanStaging(Places(), target_root_);
  ASSERT_TRUE(state.ok()) << state.status();
  ASSERT_TRUE(MakeFolders(target_root_, &*state).ok());
  const auto folder = OpenFolder(target_root_, *state, 0);
  ASSERT_TRUE(folder.ok()) << folder.status();
  const Status laid =
      repository_.Open().Restore(kept_.artifacts(0).snapshot(), PathOfDescriptor(folder->Get()), {root_});
  ASSERT_TRUE(laid.ok()) << laid;
  ASSERT_TRUE(IdentifyCopies(target_root_, kept_.artifacts(0).snapshot(), &*state).ok());
  ASSERT_TRUE(RecordOf("restore-shop-1").Write(EncodeRestoreState(*state)).ok());
  // It needs the repository for the details alone.
  v1::Artifact& tree = *kept_.mutable_artifacts(0);
  tree.set_snapshot(std::string(64, 'f'));
  ASSERT_NO_FATAL_FAILURE(MustComeBack());
  EXPECT_THAT(Leftovers(target_root_), IsEmpty());
  // The record says so: a further attempt does nothing.
  EXPECT_TRUE(Restore().ok());
}

TEST_F(DiskActionsTest, WhatAppearsMeanwhileIsNotReplaced) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  target_root_ = NormalisePaths({directory_ / "elsewhere"}).front();
  bool done = false;
  on_progress_ = [&](const v1::Progress&) {
    if (done) return;
    done = true;
    ASSERT_TRUE(MakeDirectories(Restored()).ok());
    Put(Restored("/new"), "x");
  };
  const Status status = Restore();
  ASSERT_TRUE(done);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(status), HasSubstr("something has appeared at"));
  EXPECT_TRUE(Exists(Restored("/new")));
  EXPECT_FALSE(Exists(Restored("/program")));
  EXPECT_THAT(Leftovers(target_root_), IsEmpty());
}

TEST_F(DiskActionsTest, ASymlinkOnTheWayIsFollowedByNobody) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  target_root_ = NormalisePaths({directory_ / "elsewhere"}).front();
  const std::string victim = directory_ / "victim", way = ParentOfRestored();
  ASSERT_TRUE(MakeDirectories(victim).ok());
  ASSERT_TRUE(MakeDirectories(way.substr(0, way.rfind('/'))).ok());
  ASSERT_EQ(::symlink(victim.c_str(), way.c_str()), 0);
  for (const Status& status : {TargetCheck(), Restore()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(MessageOf(status), HasSubstr(way + " is a symlink: it is not followed"));
    EXPECT_THAT(HintOf(status), HasSubstr("Remove the symlink"));
  }
  EXPECT_EQ(EntriesOf({victim}).size(), 1u);
  // One that is put there afterwards is not followed by the comparison either.
  ASSERT_EQ(::unlink(way.c_str()), 0);
  ASSERT_NO_FATAL_FAILURE(MustComeBack());
  ASSERT_EQ(::rename(way.c_str(), (victim + "/moved").c_str()), 0);
  ASSERT_EQ(::symlink((victim + "/moved").c_str(), way.c_str()), 0);
  v1::Action action;
  Fill(action.mutable_disk_verify());
  *action.mutable_disk_verify()->mutable_location() = repository_.Location();
  *action.mutable_disk_verify()->mutable_details() = kept_.artifacts(1);
  EXPECT_THAT(MessageOf(Run(RunDiskVerify, action).status()), HasSubstr("it is not followed"));
}

TEST_F(DiskActionsTest, InItsOwnPlaceSomebodyElsesSymlinkIsNotFollowed) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root gives files away";
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  const std::string way = root_.substr(0, root_.rfind('/'));
  ASSERT_TRUE(RemoveTree(way).ok());
  ASSERT_TRUE(MakeDirectories(directory_ / "victim").ok());
  ASSERT_EQ(::symlink((directory_ / "victim").c_str(), way.c_str()), 0);
  ASSERT_EQ(::lchown(way.c_str(), 12, 34), 0);
  target_root_ = "/";
  EXPECT_THAT(MessageOf(TargetCheck()), HasSubstr("which somebody else can change"));
  EXPECT_EQ(Restore().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(EntriesOf({directory_ / "victim"}).size(), 1u);
  // The administrator's own is.
  ASSERT_EQ(::lchown(way.c_str(), 0, 0), 0);
  ASSERT_NO_FATAL_FAILURE(MustComeBack());
}

TEST_F(DiskActionsTest, FilesGoWhereTheTargetDeclaresThem) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  target_root_ = "/";
  destination_ = NormalisePaths({directory_ / "other/place/copy"}).front();
  ASSERT_TRUE(TargetCheck().ok()) << TargetCheck();
  ASSERT_NO_FATAL_FAILURE(MustComeBack());
  EXPECT_TRUE(Exists(destination_ + "/program"));
  Put(Restored("/program"), "other", 04755);
  EXPECT_THAT(Verify(), Contains("content FAILED"));
  EXPECT_THAT(compared_["content"], HasSubstr(PercentEncode(root_) + "/program"));
  // What stands there is what counts, not what stands where the files came from.
  EXPECT_THAT(MessageOf(TargetCheck()), HasSubstr("path " + destination_ + " exists and holds 10 entries"));
}

TEST_F(DiskActionsTest, TwoPathsThatMeetAreRefused) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  target_root_ = "/";
  paths_ = {root_, root_ + "2"};
  destination_ = root_ + "2/below";
  EXPECT_EQ(TargetCheck().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(DiskActionsTest, ADefaultAclOfTheTargetIsNotHandedDown) {
  // Version 2; user::rwx, user:33:rwx, group::r-x, mask::rwx, other::r-x.
  struct Entry {
    uint16_t tag, permissions;
    uint32_t id;
  };
  const Entry entries[] = {{1, 7, ~0U}, {2, 7, 33}, {4, 5, ~0U}, {16, 7, ~0U}, {32, 5, ~0U}};
  std::string acl("\2\0\0\0", 4);
  acl.append(reinterpret_cast<const char*>(entries), sizeof entries);
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  target_root_ = NormalisePaths({directory_ / "elsewhere"}).front();
  const std::string parent = ParentOfRestored();
  ASSERT_TRUE(MakeDirectories(parent).ok());
  if (::setxattr(parent.c_str(), "system.posix_acl_default", acl.data(), acl.size(), 0) != 0)
    GTEST_SKIP() << "this file system has no ACLs";
  ASSERT_NO_FATAL_FAILURE(MustComeBack());
}

TEST_F(DiskActionsTest, ASocketIsNamedAndTheBackupIsWhole) {
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = root_ + "/s";
  ASSERT_LT(path.size(), sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(::bind(fd.Get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  EXPECT_EQ(kept_.artifacts(0).coverage().not_covered_total(), 0);
  EXPECT_THAT(kept_.artifacts(0).coverage().left_out(), ElementsAre(HasSubstr("/s: a socket is not kept")));
  EXPECT_THAT(kept_.warnings(), ElementsAre(HasSubstr("/s: a socket is not kept")));
  ASSERT_NO_FATAL_FAILURE(MustComeBack());
}

TEST_F(DiskActionsTest, WhatResticDoesNotRestoreIsNamedAndComesBack) {
  ASSERT_EQ(::symlink("not utf-8 \xff", (root_ + "/odd").c_str()), 0);
  ASSERT_EQ(::symlink("same", (root_ + "/empty/one").c_str()), 0);
  ASSERT_EQ(::linkat(AT_FDCWD, (root_ + "/empty/one").c_str(), AT_FDCWD, (root_ + "/two").c_str(), 0), 0);
  PutSparse(root_ + "/disk image", 64 << 20, "end");
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  EXPECT_EQ(kept_.artifacts(0).coverage().not_covered_total(), 0);
  EXPECT_THAT(kept_.warnings(),
              testing::UnorderedElementsAre(HasSubstr("/odd: a symlink whose target"),
                                            HasSubstr("/two: a symlink with several names")));
  ASSERT_NO_FATAL_FAILURE(MustComeBack());
  EXPECT_THAT(restore_warnings_, IsEmpty());
  struct stat image {
  }, one{}, two{};
  ASSERT_EQ(::lstat(Restored("/disk image").c_str(), &image), 0);
  EXPECT_LT(image.st_blocks * 512, 1 << 20);
  ASSERT_EQ(::lstat(Restored("/empty/one").c_str(), &one), 0);
  ASSERT_EQ(::lstat(Restored("/two").c_str(), &two), 0);
  EXPECT_EQ(one.st_ino, two.st_ino);
}

TEST_F(DiskActionsTest, AttributesOfChattrComeBackButNotIntoADrill) {
  {
    const UniqueFd fd(::open((root_ + "/program").c_str(), O_RDONLY | O_CLOEXEC));
    if (!SetAttributes(fd.Get(), "d").ok()) GTEST_SKIP() << "this file system has no attributes of chattr";
  }
  const auto attributes = [&] {
    const UniqueFd fd(::open(Restored("/program").c_str(), O_RDONLY | O_CLOEXEC));
    return AttributesOf(fd.Get());
  };
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  EXPECT_THAT(kept_.warnings(), ElementsAre(HasSubstr("/program: its attributes d (chattr)")));
  ASSERT_NO_FATAL_FAILURE(MustComeBack());
  EXPECT_EQ(attributes(), "");
  target_root_ = NormalisePaths({directory_ / "elsewhere"}).front();
  ASSERT_NO_FATAL_FAILURE(MustComeBack("restore-shop-2"));
  EXPECT_EQ(attributes(), "d");
}

TEST_F(DiskActionsTest, ATimeBeyond2262IsNamedAndRaisesNoAlarm) {
  SetMtime(root_ + "/program", {10'413'792'000, 0});  // the year 2300
  if (MtimeOf(root_ + "/program").tv_sec != 10'413'792'000)
    GTEST_SKIP() << "this file system has no such times";
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  EXPECT_EQ(kept_.artifacts(0).coverage().not_covered_total(), 0);
  EXPECT_THAT(kept_.warnings(), ElementsAre(HasSubstr("/program: its time of modification cannot be kept")));
  ASSERT_NO_FATAL_FAILURE(MustComeBack());
}

TEST_F(DiskActionsTest, AChangeThroughAMemoryMapIsNamed) {
  struct statfs file_system {};
  ASSERT_EQ(::statfs(root_.c_str(), &file_system), 0);
  if (file_system.f_type == TMPFS_MAGIC) GTEST_SKIP() << "in memory nothing is written back";
  const std::string path = root_ + "/mapped";
  Put(path, std::string(4096, 'a'));
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  void* map = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd.Get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  auto* bytes = static_cast<volatile char*>(map);
  bytes[0] = 'b';  // from now on the page waits to be written back
  bool done = false;
  on_progress_ = [&](const v1::Progress& progress) {
    if (!done && progress.message().rfind("backing up", 0) == 0) bytes[1] = 'c';
    done = done || progress.message().rfind("backing up", 0) == 0;
  };
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  ::munmap(map, 4096);
  ASSERT_TRUE(done);
  EXPECT_THAT(kept_.artifacts(0).coverage().not_covered(),
              ElementsAre(HasSubstr("/mapped: changed while it was backed up")));
}

TEST_F(DiskActionsTest, ADeclaredPathThatIsASymlinkIsRefused) {
  paths_ = {root_ + "/link"};
  const Status status = Backup().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(status), HasSubstr("/link is a symlink"));
  EXPECT_THAT(HintOf(status), HasSubstr(": " + root_ + "/linked"));
  paths_ = {root_ + "/dangling"};
  EXPECT_THAT(HintOf(Backup().status()), HasSubstr("leads to nothing"));
  EXPECT_THAT(*repository_.Open().Find({{"salvor", ""}}), IsEmpty());
}

TEST_F(DiskActionsTest, ADeclaredPathThatItsOwnPatternsExcludeIsRefused) {
  const Status status = Backup({"sh*p"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(status), HasSubstr("is excluded by the component's own patterns"));
}

TEST_F(DiskActionsTest, NothingIsBackedUpWhenAMountIsGone) {
  mount_points_ = {root_ + "/empty"};
  const Status status = Backup().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(status), HasSubstr("nothing is mounted on " + root_ + "/empty"));
  EXPECT_THAT(*repository_.Open().Find({{"salvor", ""}}), IsEmpty());
  mount_points_ = {"/proc"};
  EXPECT_TRUE(Backup().ok());
}

// restic's patterns are read here and there: what one leaves out, the other does.
TEST_F(DiskActionsTest, PatternsLeaveOutWhatResticLeavesOut) {
  for (const std::string path : {"/keep/k.tmp", "/a/b/c/f", "/a/1.tmp", "/x.tmp/y", "/a/a-b", "/a/a*b"}) {
    const std::string whole = root_ + path;
    ASSERT_TRUE(MakeDirectories(whole.substr(0, whole.rfind('/'))).ok());
    Put(whole, "x");
  }
  const std::vector<std::vector<std::string>> all = {{"*.tmp"},
                                                     {"*.tmp", "!keep/*.tmp"},
                                                     {"!keep/*.tmp", "*.tmp"},
                                                     {"a/b"},
                                                     {root_ + "/a/**/f"},
                                                     {"b/**"},
                                                     {"**/c"},
                                                     {"a\\*b"},
                                                     {"a?b"},
                                                     {"[^a-z]*"},
                                                     {"./a//b/"},
                                                     {"x/../a/b"},
                                                     {"*utf-8*"},
                                                     {"/a"}};
  for (const auto& patterns : all) {
    ASSERT_NO_FATAL_FAILURE(MustBackup(patterns));
    EXPECT_EQ(kept_.artifacts(0).coverage().not_covered_total(), 0)
        << patterns[0] << ": " << Join({kept_.warnings().begin(), kept_.warnings().end()}, "; ");
    std::set<std::string> expected, kept;
    for (const auto& entry : Details())
      expected.insert(AsResticPrints(PercentDecode(entry.path()).value_or("")));
    const Status listed = repository_.Open().ListPaths(kept_.artifacts(0).snapshot(),
                                                       [&](const std::string& path, const std::string&) {
                                                         if (IsAtOrBelow(path, root_)) kept.insert(path);
                                                       });
    ASSERT_TRUE(listed.ok()) << listed;
    EXPECT_EQ(expected, kept) << patterns[0];
  }
}

TEST_F(DiskActionsTest, WhatIsExcludedIsNotRead) {
  PutSparse(root_ + "/a directory/huge.img", int64_t{1} << 40, "end");
  int64_t hashed = 0;
  on_progress_ = [&](const v1::Progress& progress) {
    if (progress.message().rfind("reading", 0) == 0) hashed = std::max(hashed, progress.bytes_done());
  };
  ASSERT_NO_FATAL_FAILURE(MustBackup({"*.img"}));
  EXPECT_LT(hashed, 16 << 20);
}

// Below `root`: whole paths up to about 4,050 bytes, which restic reads, and one that is longer than any path can be.
void MakeTooLongPath(const std::string& root) {
  UniqueFd at(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  size_t length = root.size();
  const auto descend = [&](size_t bytes) {
    const std::string name(bytes, 'n');
    ASSERT_EQ(::mkdirat(at.Get(), name.c_str(), 0755), 0);
    at = UniqueFd(::openat(at.Get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(at.Valid());
    length += bytes + 1;
  };
  while (length < 3700) ASSERT_NO_FATAL_FAILURE(descend(99));
  ASSERT_NO_FATAL_FAILURE(descend(249));
  ASSERT_NO_FATAL_FAILURE(descend(249));
}

TEST_F(DiskActionsTest, APathTooLongForResticIsOneEntryThatIsNamed) {
  ASSERT_NO_FATAL_FAILURE(MakeTooLongPath(root_ + "/empty"));
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  const v1::CoverageSummary& coverage = kept_.artifacts(0).coverage();
  EXPECT_THAT(coverage.not_covered(), ElementsAre(HasSubstr("restic: ")));
  EXPECT_EQ(coverage.exact(), 11);
  const Status status = Restore();
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(Verify(), ElementsAre("files PASSED", "content UNVERIFIABLE", "metadata PASSED"))
      << compared_["files"] << compared_["metadata"];
}

TEST_F(DiskActionsTest, ALossThatResticDoesNotNameIsAFailure) {
  // The real restic, of whose words none arrives.
  const std::string bin = directory_ / "bin";
  ASSERT_TRUE(MakeDirectories(bin).ok());
  const std::string path = std::getenv("PATH");
  Put(bin + "/restic", "#!/bin/sh\nexec env PATH='" + path + "' restic \"$@\" 2>/dev/null\n", 0755);
  ASSERT_NO_FATAL_FAILURE(MakeTooLongPath(root_ + "/empty"));
  ::setenv("PATH", (bin + ":" + path).c_str(), 1);
  const Status status = Backup().status();
  ::setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(MessageOf(status), HasSubstr("does not say which"));
  EXPECT_THAT(*repository_.Open().Find({{"salvor", ""}}), IsEmpty());
}

// In a mount namespace of the test's own: nothing of this is seen, or left, outside it.
class DiskMountsTest : public DiskActionsTest {
 protected:
  void SetUp() override {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      GTEST_SKIP() << "mounts need root";
    }
    ASSERT_NO_FATAL_FAILURE(DiskActionsTest::SetUp());
  }
  void TearDown() override {
    for (const std::string& path : mounted_) ::umount2(path.c_str(), MNT_DETACH);
  }
  void MountMemory(const std::string& path) {
    ASSERT_TRUE(MakeDirectories(path).ok());
    ASSERT_EQ(::mount("memory", path.c_str(), "tmpfs", 0, "mode=0750"), 0);
    mounted_.insert(mounted_.begin(), path);
  }
  // A mount whose server is gone: everything about it fails with ENOTCONN.
  void MountDead(const std::string& path) {
    ASSERT_TRUE(MakeDirectories(path).ok());
    const UniqueFd server(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
    if (!server.Valid()) GTEST_SKIP() << "there is no FUSE here";
    const std::string options = fmt::format("fd={},rootmode=40000,user_id=0,group_id=0", server.Get());
    ASSERT_EQ(::mount("dead", path.c_str(), "fuse", 0, options.c_str()), 0);
    mounted_.insert(mounted_.begin(), path);
  }

  std::vector<std::string> mounted_;
};

TEST_F(DiskMountsTest, AnotherFileSystemIsLeftOutAndNamedUnlessItIsWanted) {
  ASSERT_NO_FATAL_FAILURE(MountMemory(root_ + "/empty"));
  Put(root_ + "/empty/there", "x");
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  EXPECT_EQ(kept_.artifacts(0).coverage().not_covered_total(), 0);
  EXPECT_THAT(kept_.warnings(), ElementsAre(HasSubstr(root_ + "/empty: another file system is left out")));
  EXPECT_EQ(kept_.artifacts(0).files(), 11);
  ASSERT_NO_FATAL_FAILURE(MustComeBack());
  cross_file_systems_ = true;
  mount_points_ = {root_ + "/empty"};
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  EXPECT_EQ(kept_.artifacts(0).files(), 12);
  EXPECT_THAT(kept_.warnings(), IsEmpty());
}

TEST_F(DiskMountsTest, ADeadMountIsOneEntryAndNoneBelowAnExclude) {
  ASSERT_NO_FATAL_FAILURE(MountDead(root_ + "/empty/dead"));
  if (mounted_.empty()) GTEST_SKIP() << "there is no FUSE here";
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  EXPECT_THAT(kept_.artifacts(0).coverage().not_covered(),
              ElementsAre(testing::AllOf(HasSubstr("/empty/dead: "), HasSubstr("not connected"))));
  EXPECT_EQ(kept_.artifacts(0).coverage().exact(), 11);
  ASSERT_NO_FATAL_FAILURE(MustBackup({"empty/dead"}));
  EXPECT_EQ(kept_.artifacts(0).coverage().not_covered_total(), 0);
}

TEST_F(DiskMountsTest, ARestoreFillsAMountPointAndLeavesItMounted) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  target_root_ = "/";
  destination_ = NormalisePaths({directory_ / "mounted"}).front();
  const std::string volume = directory_ / "volume";
  ASSERT_TRUE(MakeDirectories(volume + "/lost+found", 0700).ok());  // as a new file system has
  ASSERT_TRUE(MakeDirectories(destination_).ok());
  ASSERT_EQ(::mount(volume.c_str(), destination_.c_str(), nullptr, MS_BIND, nullptr), 0);
  mounted_.push_back(destination_);
  ASSERT_TRUE(TargetCheck().ok()) << TargetCheck();
  ASSERT_NO_FATAL_FAILURE(MustComeBack());
  EXPECT_THAT(Leftovers(destination_), IsEmpty());
  EXPECT_TRUE(Exists(volume + "/program"));
  EXPECT_TRUE(Exists(volume + "/lost+found"));
}

TEST_F(DiskMountsTest, LostAndFoundIsTheFileSystemsOwnUnlessSomethingIsInIt) {
  paths_ = {root_};
  ASSERT_TRUE(RemoveTree(root_).ok());
  ASSERT_NO_FATAL_FAILURE(MountMemory(root_));
  ASSERT_TRUE(MakeDirectories(root_ + "/lost+found", 0700).ok());
  Put(root_ + "/file", "x");
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  EXPECT_THAT(kept_.warnings(), ElementsAre(HasSubstr("/lost+found: belongs to the file system")));
  EXPECT_EQ(Details().size(), 2u);
  ASSERT_NO_FATAL_FAILURE(MustComeBack());
  Put(root_ + "/lost+found/#12", "x");
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  EXPECT_EQ(Details().size(), 4u);
}

TEST_F(DiskActionsTest, ARestoreWhoseAgentDiedBeforeItCouldSayThatItHadFinishedIsNotMadeAgain) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  target_root_ = NormalisePaths({directory_ / "elsewhere"}).front();
  ASSERT_TRUE(Restore().ok());
  Put(Restored("/in use since"), "x");
  const Status again = Restore();
  EXPECT_TRUE(again.ok()) << again;
  EXPECT_TRUE(Exists(Restored("/in use since")));
  EXPECT_EQ(Restore("restore-shop-2").code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(DiskActionsTest, ARecordOfOtherPathsClearsNothing) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  target_root_ = "/";
  ASSERT_TRUE(MakeDirectories(state_ + "/restores").ok());
  Put(state_ + "/restores/restore-shop-1-files", "{\"writing\":[\"/elsewhere\"]}\n");
  EXPECT_EQ(Restore().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Exists(root_ + "/program"));
}

TEST_F(DiskActionsTest, ATargetBelowAFileCannotBeMade) {
  target_root_ = root_ + "/program";
  EXPECT_THAT(MessageOf(TargetCheck()),
              testing::AnyOf(HasSubstr("is no directory"), HasSubstr("Not a directory")));
}

TEST_F(DiskActionsTest, ASnapshotWithoutThePathIsDataLossNotSuccess) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  paths_ = {directory_ / "never/kept"};
  EXPECT_EQ(Restore().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace salvor::agent
