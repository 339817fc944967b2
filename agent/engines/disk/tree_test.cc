#include "agent/engines/disk/tree.h"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <limits>

#include "agent/engines/disk/file_attributes.h"
#include "agent/engines/disk/file_digest.h"
#include "agent/engines/disk/tree_testing.h"
#include "agent/process/process_testing.h"
#include "base/io/sha256.h"
#include "base/steady_time.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class TreeTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NO_FATAL_FAILURE(MakeOddTree(root_)); }
  v1::TreeEntry& At(const std::string& path) { return *EntryAt(entries_, PercentEncode(root_ + path)); }
  void Walk() { entries_ = EntriesOf({root_}); }

  TemporaryDirectory directory_;
  std::string root_ = NormalisePaths({directory_ / "tree"}).front();
  std::vector<v1::TreeEntry> entries_;
};

TEST_F(TreeTest, EveryEntryIsListedOnceSortedAndPercentEncoded) {
  Walk();
  EXPECT_EQ(entries_.size(), 20u);
  EXPECT_TRUE(std::is_sorted(entries_.begin(), entries_.end(),
                             [](const auto& a, const auto& b) { return a.path() < b.path(); }));
  EXPECT_THAT(At("/a directory/not utf-8 \xff\xfe").path(), HasSubstr("not%20utf-8%20%FF%FE"));
  EXPECT_EQ(At("/a directory/new\nline").sha256(), ToHex(Sha256::Of("two")));
  EXPECT_EQ(At("/nothing").mtime_ns(), 1'000'000'000'123'456'789);
  EXPECT_EQ(At("/program").mode(), 04755);
  EXPECT_EQ(At("/pipe").type(), "fifo");
}

TEST_F(TreeTest, SymlinksAreRecordedAndNeverFollowed) {
  Walk();
  EXPECT_EQ(At("/outside").type(), "symlink");
  EXPECT_EQ(At("/outside").target(), "/etc");
  EXPECT_EQ(At("/dangling").target(), "no%20such%20thing");
  for (const auto& entry : entries_) EXPECT_THAT(entry.path(), testing::Not(HasSubstr("outside/")));
  entries_ = EntriesOf({root_ + "/outside"});
  ASSERT_EQ(entries_.size(), 1u);
  EXPECT_EQ(entries_[0].type(), "symlink");
}

TEST_F(TreeTest, HardLinksNameTheFirstPathOfTheirInode) {
  Walk();
  EXPECT_EQ(At("/a directory/again").hard_link(), "");
  EXPECT_EQ(At("/linked").hard_link(), At("/a directory/again").path());
  EXPECT_EQ(At("/linked").sha256(), ToHex(Sha256::Of("once")));
}

TEST_F(TreeTest, ExtendedAttributesAreSortedAndInHex) {
  ASSERT_EQ(::setxattr((root_ + "/linked").c_str(), "user.also", "x", 1, 0), 0);
  Walk();
  EXPECT_THAT(At("/linked").xattrs(),
              ElementsAre("user.also=78", "user.color=" + ToHex(std::string("blue\0green", 10))));
  EXPECT_THAT(At("/empty").xattrs(), ElementsAre("user.note="));
}

TEST_F(TreeTest, OwnersAreRecorded) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root gives files away";
  Walk();
  EXPECT_EQ(At("/a directory/deep").uid(), 12);
  EXPECT_EQ(At("/a directory/deep").gid(), 34);
  EXPECT_EQ(At("/link").uid(), 56);
}

TEST_F(TreeTest, HolesCountAsZerosAndAreNotRead) {
  PutSparse(root_ + "/huge", int64_t{1} << 30, "end");
  Walk();
  std::string zeros(3 << 20, '\0');
  zeros.replace(zeros.size() - 3, 3, "end");
  EXPECT_EQ(At("/sparse").sha256(), ToHex(Sha256::Of(zeros)));
  EXPECT_EQ(At("/huge").bytes(), int64_t{1} << 30);
  // sha256sum reads the holes; ours must say the same.
  const auto told = Tools().Run(Shell("sha256sum '" + root_ + "/huge'"), {}, SteadyTime::InfiniteFuture());
  ASSERT_TRUE(told.ok()) << told.status();
  EXPECT_EQ(At("/huge").sha256(), told->output.substr(0, 64));
}

TEST_F(TreeTest, TwoWalksOfAnUntouchedTreeAreTheSame) {
  Walk();
  const std::vector<v1::TreeEntry> first = entries_;
  Walk();
  ASSERT_EQ(first.size(), entries_.size());
  for (size_t i = 0; i < first.size(); ++i) EXPECT_EQ(first[i].DebugString(), entries_[i].DebugString());
}

TEST_F(TreeTest, AMissingPathIsAnErrorUnlessItIsFine) {
  EXPECT_EQ(WalkPaths({root_ + "/none"}, {}).status().code(), absl::StatusCode::kNotFound);
  WalkOptions options;
  options.missing_is_fine = true;
  const auto walked = WalkPaths({root_ + "/none", root_ + "/no/such"}, options);
  ASSERT_TRUE(walked.ok()) << walked.status();
  EXPECT_TRUE(walked->empty());
}

TEST_F(TreeTest, AFileThatGrowsWhileItIsReadIsNotCovered) {
  PutSparse(root_ + "/growing", 200 << 20, "end");
  bool grown = false;
  WalkOptions options;
  options.progress = [&](const WalkProgress& progress) {
    if (progress.bytes_hashed == 0 || grown) return;
    grown = true;
    PutSparse(root_ + "/growing", 201 << 20, "more");
  };
  const auto walked = WalkPaths({root_ + "/growing"}, options);
  ASSERT_TRUE(walked.ok()) << walked.status();
  ASSERT_TRUE(grown);
  EXPECT_EQ(walked->at(0).entry.not_covered(), "changed while it was read");
  EXPECT_EQ(walked->at(0).entry.sha256(), "");
}

TEST_F(TreeTest, ADirectoryLongerThanWhatIsReadAtOnceIsListedWhole) {
  constexpr int kFiles = 9'000;
  for (int i = 0; i < kFiles; ++i) {
    const std::string path = fmt::format("{}/empty/{:05}", root_, i);
    ASSERT_TRUE(UniqueFd(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)).Valid());
  }
  entries_ = EntriesOf({root_ + "/empty"});
  ASSERT_EQ(entries_.size(), kFiles + 1u);
  EXPECT_EQ(entries_.front().path(), PercentEncode(root_ + "/empty"));
  EXPECT_EQ(entries_.front().type(), "dir");
  EXPECT_EQ(entries_.back().path(), PercentEncode(root_ + "/empty/08999"));
  EXPECT_EQ(
      std::count_if(entries_.begin(), entries_.end(), [](const auto& e) { return !e.not_covered().empty(); }),
      0);
}

TEST_F(TreeTest, WhatIsExcludedIsNeitherLookedAtNorEntered) {
  WalkOptions options;
  options.exclude = ExcludePatterns({"deep", "*.log"});
  std::vector<std::string> left_out;
  options.on_left_out = [&](LeftOut why, const std::string& path) {
    EXPECT_EQ(why, LeftOut::kExcluded);
    left_out.push_back(path);
  };
  Put(root_ + "/a.log", "x");
  const auto walked = WalkPaths({root_}, options);
  ASSERT_TRUE(walked.ok()) << walked.status();
  EXPECT_THAT(left_out, testing::UnorderedElementsAre(root_ + "/a directory/deep", root_ + "/a.log"));
  EXPECT_EQ(walked->size(), 17u);  // without deep, er, secret
}

TEST_F(TreeTest, HolesAreRecordedAndNothingElseIsTakenForOne) {
  Walk();
  EXPECT_GT(At("/sparse").allocated_bytes(), 0);
  EXPECT_LT(At("/sparse").allocated_bytes(), 1 << 20);
  EXPECT_EQ(At("/program").allocated_bytes(), 0);
  EXPECT_EQ(At("/nothing").allocated_bytes(), 0);
}

TEST_F(TreeTest, ATimeBeyond2262IsAsFarAsTimesGo) {
  SetMtime(root_ + "/nothing", {10'413'792'000, 0});
  if (MtimeOf(root_ + "/nothing").tv_sec != 10'413'792'000)
    GTEST_SKIP() << "this file system has no such times";
  Walk();
  EXPECT_TRUE(At("/nothing").mtime_unknown());
  EXPECT_EQ(At("/nothing").mtime_ns(), std::numeric_limits<int64_t>::max());
  EXPECT_FALSE(At("/program").mtime_unknown());
}

TEST_F(TreeTest, BelowARootNoSymlinkIsFollowed) {
  ASSERT_EQ(::symlink("a directory", (root_ + "/way").c_str()), 0);
  WalkOptions options;
  ASSERT_TRUE(WalkPaths({root_ + "/way/deep"}, options).ok());
  options.root = root_;
  EXPECT_EQ(WalkPaths({root_ + "/way/deep"}, options).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(WalkPaths({root_ + "/a directory/deep"}, options).ok());
}

TEST_F(TreeTest, HolesAreDugWhereThereAreZerosAndNothingElseChanges) {
  const std::string path = root_ + "/dense", text = std::string(3 << 20, '\0') + "middle" +
                                                    std::string(5'000, '\0') + "end" + std::string(100, '\0');
  Put(path, text);
  SetMtime(path, {1'000'000'000, 5});
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(DigHoles(fd.Get()).ok());
  EXPECT_EQ(*ReadFile(path), text);
  EXPECT_EQ(MtimeOf(path).tv_nsec, 5);
  struct stat facts {};
  ASSERT_EQ(::fstat(fd.Get(), &facts), 0);
  EXPECT_LT(facts.st_blocks * 512, 1 << 20);
}

TEST_F(TreeTest, AStopRequestEndsTheWalk) {
  std::stop_source source;
  source.request_stop();
  WalkOptions options;
  options.stop = source.get_token();
  EXPECT_EQ(WalkPaths({root_}, options).status().code(), absl::StatusCode::kCancelled);
}

TEST_F(TreeTest, SocketsAreListedAsSuch) {
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = directory_ / "s";
  ASSERT_LT(path.size(), sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(::bind(fd.Get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  entries_ = EntriesOf({path});
  ASSERT_EQ(entries_.size(), 1u);
  EXPECT_EQ(entries_[0].type(), "socket");
}

TEST(PathsTest, NormalisedPathsHaveNoDoubleSlashesAndNoneInsideAnother) {
  EXPECT_THAT(NormalisePaths({"/srv//b/", "/srv/a/x", "/srv/a", "/srv/a b", "/srv/b"}),
              ElementsAre("/srv/a", "/srv/a b", "/srv/b"));
  EXPECT_THAT(NormalisePaths({"/x", "/"}), ElementsAre("/"));
  EXPECT_FALSE(IsAtOrBelow("/srv/ab", "/srv/a"));
  EXPECT_TRUE(IsAtOrBelow("/srv/a/b", "/srv/a"));
}

}  // namespace
}  // namespace salvor::agent
