// Restored files go to the right place: whose symlinks are followed, what a retry removes, what a target declares.
#include "agent/engines/disk/actions/actions_testing.h"

namespace salvor::agent {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

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
  ASSERT_NO_FATAL_FAILURE(MustLay("restore-shop-1"));
  // It needs the repository for the details alone.
  v1::Artifact& tree = *kept_.mutable_artifacts(0);
  tree.set_snapshot(std::string(64, 'f'));
  ASSERT_NO_FATAL_FAILURE(MustComeBack());
  EXPECT_THAT(Leftovers(target_root_), IsEmpty());
  // The record says so: a further attempt does nothing.
  EXPECT_TRUE(Restore().ok());
}

// Something appears between a copy's last look at its destination and its move, which is where the next attempt goes on.
TEST_F(DiskActionsTest, WhatAppearsMeanwhileIsNotReplaced) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  target_root_ = NormalisePaths({directory_ / "elsewhere"}).front();
  ASSERT_NO_FATAL_FAILURE(MustLay("restore-shop-1"));
  ASSERT_TRUE(MakeDirectories(Restored()).ok());
  Put(Restored("/new"), "x");
  const Status status = Restore();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(status), HasSubstr("something has appeared at"));
  EXPECT_TRUE(Exists(Restored("/new")));
  EXPECT_FALSE(Exists(Restored("/program")));
  EXPECT_THAT(Leftovers(target_root_), IsEmpty());
}

TEST_F(DiskActionsTest, WhatAppearsWhileResticWritesIsNotReplaced) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  target_root_ = NormalisePaths({directory_ / "elsewhere"}).front();
  ToolScript script = ToolScript::Really(0);
  script.at_end = [this] {
    ASSERT_TRUE(MakeDirectories(Restored()).ok());
    Put(Restored("/new"), "x");
  };
  tools_.Next({"restic", "restore"}, std::move(script));
  const Status status = Restore();
  ASSERT_TRUE(tools_.Played());
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
  // The destination's own content counts, not that of the place where the files came from.
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
