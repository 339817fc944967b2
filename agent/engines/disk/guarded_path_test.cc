// Symlinks on the way to a restore: who made them decides.
#include "agent/engines/disk/guarded_path.h"

#include <gmock/gmock.h>

#include "agent/engines/disk/tree.h"
#include "agent/engines/disk/tree_testing.h"
#include "agent/process/process_testing.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;

class GuardedPathTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(MakeDirectories(root_ + "/real/deep").ok());
    ASSERT_TRUE(MakeDirectories(root_ + "/victim").ok());
  }
  void Link(const std::string& target, const std::string& path) {
    ASSERT_EQ(::symlink(target.c_str(), (root_ + path).c_str()), 0) << path;
  }
  bool Exists(const std::string& path) const {
    struct stat facts {};
    return ::lstat((root_ + path).c_str(), &facts) == 0;
  }
  // The path that the descriptor leads to; the error when there is none.
  std::string Place(const StatusOr<UniqueFd>& fd) const {
    if (!fd.ok()) return MessageOf(fd.status());
    std::string path(4096, '\0');
    const ssize_t size = ::readlink(PathOfDescriptor(fd->Get()).c_str(), path.data(), path.size());
    path.resize(size < 0 ? 0 : static_cast<size_t>(size));
    return path.rfind(root_, 0) == 0 ? path.substr(root_.size()) : path;
  }
  std::string Trusted(const std::string& path) const {
    return Place(OpenTrustedDirectory(root_ + path, Missing::kIsNotFound));
  }
  std::string Below(const std::string& root, const std::string& path,
                    Missing missing = Missing::kIsNotFound) const {
    return Place(OpenParentBelow(root_ + root, root_ + path, missing));
  }

  TemporaryDirectory directory_;
  std::string root_ = NormalisePaths({directory_ / "x"}).front();
};

TEST_F(GuardedPathTest, OurOwnSymlinksInOurOwnDirectoriesAreFollowed) {
  Link("real", "/relative");
  Link(root_ + "/real", "/absolute");
  Link("../victim", "/real/up");
  EXPECT_EQ(Trusted("/real/deep"), "/real/deep");
  EXPECT_EQ(Trusted("/relative/deep"), "/real/deep");
  EXPECT_EQ(Trusted("/absolute/deep"), "/real/deep");
  EXPECT_EQ(Trusted("/relative/up"), "/victim");
}

TEST_F(GuardedPathTest, ALoopAMissingDirectoryAndAFileAreErrors) {
  Link("loop", "/loop");
  Put(root_ + "/file", "x");
  EXPECT_THAT(Trusted("/loop"), HasSubstr("Too many levels"));
  EXPECT_THAT(Trusted("/none"), HasSubstr("does not exist"));
  EXPECT_THAT(Trusted("/file"), HasSubstr("is no directory"));
}

TEST_F(GuardedPathTest, ASymlinkWhereOthersCanWriteIsNotFollowed) {
  Link("../victim", "/real/link");
  ASSERT_EQ(::chmod((root_ + "/real").c_str(), 0777), 0);
  EXPECT_THAT(Trusted("/real/link"), HasSubstr("/real/link is a symlink, which somebody else can change"));
  ASSERT_EQ(::chmod((root_ + "/real").c_str(), 01777), 0);
  EXPECT_EQ(Trusted("/real/link"), "/victim");
}

TEST_F(GuardedPathTest, SomebodyElsesSymlinkIsNotFollowed) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root gives files away";
  Link("victim", "/link");
  ASSERT_EQ(::lchown((root_ + "/link").c_str(), 12, 34), 0);
  EXPECT_THAT(Trusted("/link"), HasSubstr("is not followed"));
  // A symlink in a directory of somebody else is not followed either.
  Link("../victim", "/real/link");
  ASSERT_EQ(::chown((root_ + "/real").c_str(), 12, 34), 0);
  EXPECT_THAT(Trusted("/real/link"), HasSubstr("is not followed"));
}

TEST_F(GuardedPathTest, BelowAFolderNoSymlinkIsFollowedWhoeverMadeIt) {
  Link("../victim", "/real/link");
  Link("real", "/way");
  EXPECT_EQ(Below("/real", "/real/deep/file"), "/real/deep");
  EXPECT_EQ(Below("/way", "/way/deep/file"), "/real/deep");  // the folder itself may be reached by one
  EXPECT_THAT(Below("/real", "/real/link/file"), HasSubstr("/real/link is a symlink: it is not followed"));
  EXPECT_THAT(Below("/real", "/real/link/new/file", Missing::kIsMade), HasSubstr("is a symlink"));
  EXPECT_FALSE(Exists("/victim/new"));
}

TEST_F(GuardedPathTest, WhatIsMissingIsMadeAtItsOwnPlace) {
  EXPECT_EQ(Below("/real", "/real/a/b/file", Missing::kIsMade), "/real/a/b");
  EXPECT_EQ(Below("/new", "/new/a/file", Missing::kIsMade), "/new/a");
  struct stat facts {};
  ASSERT_EQ(::stat((root_ + "/real/a").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0755u);
}

TEST_F(GuardedPathTest, APathIsSaidAsItWasDeclaredAndHarmless) {
  EXPECT_THAT(Trusted("/größe 100%"), HasSubstr("/größe 100% does not exist"));
  Put(root_ + "/größe 100%", "x");
  EXPECT_THAT(Trusted("/größe 100%/deep"), HasSubstr("/größe 100% is no directory"));
  EXPECT_THAT(Trusted("/\x1b[31mred"), HasSubstr("/\\x1b[31mred does not exist"));
  EXPECT_THAT(Trusted("/not utf-8 \xff"), HasSubstr("/not utf-8 \\xff does not exist"));
}

TEST_F(GuardedPathTest, ATreeIsRemovedAndNothingBesideIt) {
  ASSERT_TRUE(MakeDirectories(root_ + "/real/locked/in").ok());
  Put(root_ + "/real/locked/in/file", "x");
  Put(root_ + "/victim/kept", "x");
  Link(root_ + "/victim", "/real/locked/link");
  ASSERT_EQ(::chmod((root_ + "/real/locked").c_str(), 0500), 0);
  const auto parent = OpenTrustedDirectory(root_, Missing::kIsNotFound);
  ASSERT_TRUE(parent.ok()) << parent.status();
  EXPECT_TRUE(RemoveTreeAt(parent->Get(), "real").ok());
  EXPECT_FALSE(Exists("/real"));
  EXPECT_TRUE(Exists("/victim/kept"));
  EXPECT_TRUE(RemoveTreeAt(parent->Get(), "real").ok());
}

}  // namespace
}  // namespace salvor::agent
