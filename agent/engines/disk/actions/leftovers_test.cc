// The leftovers of a killed restore of files with which nobody goes on are removed, and nothing else is.
#include "agent/engines/disk/actions/leftovers.h"

#include "agent/engines/disk/actions/actions_testing.h"

namespace salvor::agent {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class DiskLeftoversTest : public DiskActionsTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(DiskActionsTest::SetUp());
    target_root_ = NormalisePaths({directory_ / "elsewhere"}).front();
  }

  std::vector<v1::HeldObligation> Unfinished() {
    const auto unfinished = UnfinishedDiskRestores(config_);
    EXPECT_TRUE(unfinished.ok()) << unfinished.status();
    return unfinished.value_or(std::vector<v1::HeldObligation>());
  }
  Status RemoveThem() {
    for (const v1::HeldObligation& one : Unfinished()) RETURN_IF_ERROR(Undo(one.undo()));
    return OkStatus();
  }
  Status Undo(const v1::Action& undo) {
    ActionContext context{config_, tools_, task_, {}, SteadyTime::InfiniteFuture(), nullptr, nullptr};
    return RunDiskRestoreUndo(undo.disk_restore_undo(), context).status();
  }
  std::string FolderOf(const RestoreState& state) const {
    return ParentOfRestored() + "/" + state.folders[0].name;
  }
  void Remember(const RestoreState& state) {
    ASSERT_TRUE(RecordOf("restore-shop-1").Write(EncodeRestoreState(state)).ok());
  }
};

TEST_F(DiskLeftoversTest, TheFoldersOfAKilledRestoreAreNamedAndRemoved) {
  Interrupted("half");
  ASSERT_THAT(Leftovers(target_root_), SizeIs(2));
  ASSERT_THAT(Unfinished(), SizeIs(1));
  EXPECT_EQ(Unfinished()[0].run(), "restore-shop-1");
  EXPECT_EQ(Unfinished()[0].undo().disk_restore_undo().run(), "restore-shop-1");
  Put(ParentOfRestored() + "/neighbour", "x");
  const Status removed = RemoveThem();
  ASSERT_TRUE(removed.ok()) << removed;
  EXPECT_THAT(Leftovers(target_root_), IsEmpty());
  EXPECT_TRUE(Exists(ParentOfRestored() + "/neighbour"));
  EXPECT_THAT(Unfinished(), IsEmpty());
}

TEST_F(DiskLeftoversTest, WhatIsInPlaceStaysAndTheCopiesThatAreNotGo) {
  RestoreState state = Interrupted("half");
  state.phase = RestoreState::Phase::kPlacing;
  Remember(state);
  ASSERT_TRUE(MakeDirectories(Restored()).ok());
  Put(Restored("/in place"), "x");
  ASSERT_TRUE(RemoveThem().ok());
  EXPECT_THAT(Leftovers(target_root_), IsEmpty());
  EXPECT_TRUE(Exists(Restored("/in place")));
}

// As an agent leaves it that is killed before it has given the file its name.
TEST_F(DiskLeftoversTest, ATemporaryFileOfARecordIsNone) {
  Interrupted("half");
  const std::string path = RecordOf("restore-shop-1").Path();
  ASSERT_EQ(::rename(path.c_str(), (path + ".a1B2c3").c_str()), 0);
  EXPECT_THAT(Unfinished(), IsEmpty());
}

TEST_F(DiskLeftoversTest, AFolderThatOnlyHasTheNameIsLeftAloneAndNotAskedForAgain) {
  const std::string folder = FolderOf(Interrupted("half"));
  ASSERT_EQ(::rename(folder.c_str(), (directory_ / "taken away").c_str()), 0);
  ASSERT_TRUE(MakeDirectories(folder).ok());
  Put(folder + "/precious", "x");
  EXPECT_TRUE(RemoveThem().ok());
  EXPECT_TRUE(Exists(folder + "/precious"));
  EXPECT_TRUE(Exists(directory_ / "taken away/half"));
  EXPECT_THAT(Unfinished(), IsEmpty());
}

TEST_F(DiskLeftoversTest, ASymlinkInTheFoldersPlaceIsNotFollowed) {
  const std::string folder = FolderOf(Interrupted("half")), victim = directory_ / "victim";
  ASSERT_TRUE(MakeDirectories(victim).ok());
  Put(victim + "/precious", "x");
  ASSERT_TRUE(RemoveTree(folder).ok());
  ASSERT_EQ(::symlink(victim.c_str(), folder.c_str()), 0);
  EXPECT_TRUE(RemoveThem().ok());
  EXPECT_TRUE(Exists(victim + "/precious"));
  EXPECT_TRUE(Exists(folder));
  EXPECT_THAT(Unfinished(), IsEmpty());
}

TEST_F(DiskLeftoversTest, OneThatWasNotMadeYetIsRemovedOnlyWhenItIsEmpty) {
  RestoreState state = Interrupted("half");
  const std::string folder = FolderOf(state);
  state.folders[0].id = {};
  Remember(state);
  ASSERT_TRUE(RemoveThem().ok());
  EXPECT_TRUE(Exists(folder + "/half")) << "nobody knows that this run put it there";
  ASSERT_TRUE(RemoveTree(folder).ok());
  ASSERT_TRUE(MakeDirectories(folder).ok());
  Remember(state);
  ASSERT_TRUE(RemoveThem().ok());
  EXPECT_FALSE(Exists(folder));
}

TEST_F(DiskLeftoversTest, WhereItsHolderIsGoneNothingIsMadeAnew) {
  Interrupted("half");
  ASSERT_TRUE(RemoveTree(target_root_).ok());
  ASSERT_TRUE(RemoveThem().ok());
  EXPECT_FALSE(Exists(target_root_));
  EXPECT_THAT(Unfinished(), IsEmpty());
}

TEST_F(DiskLeftoversTest, ADrillsPlaceARestoreThatCameToItsEndAndRecordsOfOthersAreNone) {
  ASSERT_TRUE(UnfinishedDiskRestores(config_).ok()) << "before there was any restore";
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  ASSERT_NO_FATAL_FAILURE(MustComeBack());
  EXPECT_THAT(Unfinished(), IsEmpty());
  RestoreState drill = Interrupted("half");
  drill.run = kScratch;
  drill.prefix = state_ + "/scratch/" + kScratch + "/files";
  ASSERT_TRUE(RecordOf(kScratch).Write(EncodeRestoreState(drill)).ok());
  const auto of_a_database = RestoreRecord::For(config_, "restore-shop-2", "salvor-0a");
  ASSERT_TRUE(of_a_database->Write("finished\n").ok());
  std::vector<std::string> runs;
  for (const v1::HeldObligation& one : Unfinished()) runs.push_back(one.run());
  EXPECT_THAT(runs, ElementsAre("restore-shop-1"));
}

TEST_F(DiskLeftoversTest, TheOrderOfAnotherRunRemovesNothing) {
  Interrupted("half");
  v1::Action other = Unfinished().at(0).undo();
  other.mutable_disk_restore_undo()->set_run("restore-shop-2");
  EXPECT_TRUE(Undo(other).ok());
  other.mutable_disk_restore_undo()->set_run("../restore-shop-1");
  EXPECT_FALSE(Undo(other).ok());
  EXPECT_THAT(Leftovers(target_root_), SizeIs(2));
}

}  // namespace
}  // namespace salvor::agent
