// A backup of files says what it leaves out, or keeps in part: with a real restic, and real mounts.
#include <linux/magic.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/vfs.h>

#include <cstdlib>
#include <set>

#include "agent/engines/disk/actions/actions_testing.h"
#include "agent/engines/disk/digest_table.h"
#include "agent/engines/disk/file_attributes.h"
#include "agent/engines/disk/tree_coverage.h"

namespace salvor::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

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
  EXPECT_LE(coverage.not_covered(0).size(), 600u);
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

// The test has a mount namespace of its own: nothing of this is seen, or left, outside it.
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

// The agent's disk says nothing about the backup.
TEST_F(DiskMountsTest, AFullDiskOfTheAgentIsAnErrorWithAHintAndNoVerdict) {
  for (int i = 0; i < 50; ++i) Put(fmt::format("{}/more-{}", root_, i), "x");
  ASSERT_NO_FATAL_FAILURE(MustRestoreToScratch());
  const std::string spool = SpoolFolder(state_).Path();
  ASSERT_TRUE(MakeDirectories(spool, 0700).ok());
  ASSERT_EQ(::mount("memory", spool.c_str(), "tmpfs", 0, "size=4k,mode=0700"), 0);
  mounted_.push_back(spool);
  v1::Action verify;
  Fill(verify.mutable_disk_verify());
  *verify.mutable_disk_verify()->mutable_location() = repository_.Location();
  *verify.mutable_disk_verify()->mutable_details() = kept_.artifacts(1);
  for (const Status& status :
       {Run(RunDiskVerify, verify).status(), Backup().status(), Restore("restore-shop-2")}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_THAT(HintOf(status), HasSubstr("Free some space on the disk of the agent's state directory"));
  }
  ASSERT_EQ(::umount2(spool.c_str(), MNT_DETACH), 0);
  mounted_.clear();
  EXPECT_THAT(Verify(), ElementsAre("files PASSED", "content PASSED", "metadata PASSED"));
}

// Wherever an entry lies, across the end of the last page that there is room for too: of that a part is written.
TEST_F(DiskMountsTest, ATableOfDigestsThatHasNoRoomSaysSoWhereverItsEntriesLie) {
  const std::string spool = SpoolFolder(state_).Path();
  ASSERT_TRUE(MakeDirectories(spool, 0700).ok());
  ASSERT_EQ(::mount("memory", spool.c_str(), "tmpfs", 0, "size=4k,mode=0700"), 0);
  mounted_.push_back(spool);
  for (uint64_t first = 0; first < 2000; ++first) {
    DigestTable table{SpoolFolder(state_)};
    Status status;
    for (uint64_t inode = 1000 * first; status.ok() && inode < 1000 * first + 100; ++inode)
      status = table.Put({1, inode, 0, 0}, std::string(32, 'd'));
    ASSERT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << first << ": " << status;
  }
}

TEST_F(DiskMountsTest, AnotherFileSystemIsLeftOutAndNamedUnlessItIsWanted) {
  ASSERT_NO_FATAL_FAILURE(MountMemory(root_ + "/empty"));
  Put(root_ + "/empty/there", "x");
  on_progress_ = [&](const v1::Progress& progress) {  // what is mounted works on
    if (progress.message().rfind("backing up", 0) == 0) Put(root_ + "/empty/there", "y");
  };
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  on_progress_ = nullptr;
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

TEST_F(DiskMountsTest, NamesThatAreKeptCanBeReadBack) {
  ASSERT_TRUE(MakeDirectories(root_ + "/100% of it").ok());
  ASSERT_NO_FATAL_FAILURE(MountMemory(root_ + "/100% of it"));
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  EXPECT_THAT(kept_.warnings(), ElementsAre(HasSubstr(PercentEncode(root_ + "/100% of it") + ": another")));
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

}  // namespace
}  // namespace salvor::agent
