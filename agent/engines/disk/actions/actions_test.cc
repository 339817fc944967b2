// Backup, restore and checks of files with a real restic, and faults that must be found.
#include <signal.h>

#include "agent/engines/disk/actions/actions_testing.h"

namespace salvor::agent {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST_F(DiskActionsTest, AnOddTreeComesBackAsItWas) {
  ASSERT_NO_FATAL_FAILURE(MustRestoreToScratch());
  const v1::Artifact& tree = kept_.artifacts(0);
  EXPECT_EQ(tree.kind(), v1::Artifact::KIND_TREE);
  EXPECT_EQ(tree.files(), 11) << "as programs of 0.1 read it";
  EXPECT_EQ(tree.contents().word(), "files");
  ASSERT_EQ(tree.contents().counts_size(), 1);
  EXPECT_EQ(tree.contents().counts(0).number(), 11);
  EXPECT_EQ(tree.contents().gaps(), 0);
  EXPECT_EQ(kept_.artifacts(1).contents().role(), v1::Artifact::ROLE_DETAILS);
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
  int64_t told = 0;
  on_progress_ = [&](const v1::Progress& progress) {
    EXPECT_EQ(progress.bytes_total(), total);
    EXPECT_GE(progress.bytes_done(), told);
    told = progress.bytes_done();
  };
  ASSERT_TRUE(Restore().ok());
  EXPECT_EQ(told, total);
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
  ASSERT_TRUE(MakeDirectories(config_.state_directory + "/scratch/" + kScratch + "/files", 0755).ok());
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
  EXPECT_EQ(kept_.artifacts(0).contents().gaps(), 6) << "which make the backup partial";
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

TEST_F(DiskActionsTest, WhatAResticHadKeptThatDiedBeforeItCouldSaySoIsReplacedByTheNextAttempt) {
  tools_.Next({"restic", "backup"}, ToolScript::Really(0, SIGKILL));
  EXPECT_EQ(Backup().status().code(), absl::StatusCode::kAborted);
  ASSERT_TRUE(tools_.Played());
  const auto left = repository_.Open().Find({{"run", "backup-shop-1"}});
  ASSERT_TRUE(left.ok()) << left.status();
  ASSERT_EQ(left->size(), 1u);  // whole, and nobody knows of it
  task_.mutable_lease()->set_attempt(2);
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  const auto found = repository_.Open().Find({{"run", "backup-shop-1"}});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->size(), 2u);
  EXPECT_FALSE(Restic::FullId(*found, left->front().id).has_value());
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

TEST_F(DiskActionsTest, PathsAreSaidAsTheyWereDeclared) {
  paths_ = {root_ + "/größe 100%"};
  EXPECT_THAT(MessageOf(Backup().status()),
              HasSubstr("a declared path does not exist: " + root_ + "/größe 100%"));
  ASSERT_EQ(::symlink("a directory", (root_ + "/größe 100%").c_str()), 0);
  EXPECT_THAT(MessageOf(Backup().status()), HasSubstr("/größe 100% is a symlink"));
}

TEST_F(DiskActionsTest, ATargetThatIsNotEmptyIsRefusedWithNothingWritten) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  target_root_ = "/";
  for (const Status& status : {TargetCheck(), Restore()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(
        MessageOf(status),
        HasSubstr("path " + root_ + " exists and holds 10 entries, for example a directory, dangling"));
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

}  // namespace
}  // namespace salvor::agent
