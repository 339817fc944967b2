// Odd trees for tests. Tests only.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "agent/disk/tree.h"
#include "base/io/files.h"

namespace salvor::agent {

inline void Put(const std::string& path, const std::string& text, int mode = 0644) {
  ASSERT_TRUE(WriteFileAtomically(path, text, mode).ok()) << path;
  ASSERT_EQ(::chmod(path.c_str(), static_cast<mode_t>(mode)), 0);
}

inline void PutSparse(const std::string& path, int64_t bytes, const std::string& at_end) {
  const UniqueFd fd(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
  ASSERT_EQ(::pwrite(fd.Get(), at_end.data(), at_end.size(), bytes - static_cast<int64_t>(at_end.size())),
            static_cast<ssize_t>(at_end.size()));
}

inline timespec MtimeOf(const std::string& path) {
  struct stat facts {};
  EXPECT_EQ(::lstat(path.c_str(), &facts), 0) << path;
  return facts.st_mtim;
}

inline void SetMtime(const std::string& path, timespec mtime) {
  const timespec times[2] = {mtime, mtime};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0) << path;
}

// Everything that has ever surprised a backup program, below `root`.
inline void MakeOddTree(const std::string& root) {
  ASSERT_TRUE(MakeDirectories(root + "/a directory/deep/er").ok());
  ASSERT_TRUE(MakeDirectories(root + "/empty").ok());
  Put(root + "/a directory/with space", "one");
  Put(root + "/a directory/new\nline", "two");
  Put(root + "/a directory/not utf-8 \xff\xfe", "three");
  Put(root + "/a directory/100%", "four");
  Put(root + "/a directory/star*[x]?\\", "five");
  Put(root + "/a directory/deep/er/secret", "six", 0600);
  Put(root + "/program", "#!/bin/true\n", 04755);
  Put(root + "/nothing", "");
  Put(root + "/linked", "once");
  ASSERT_EQ(::link((root + "/linked").c_str(), (root + "/a directory/again").c_str()), 0);
  ASSERT_EQ(::symlink("linked", (root + "/link").c_str()), 0);
  ASSERT_EQ(::symlink("no such thing", (root + "/dangling").c_str()), 0);
  ASSERT_EQ(::symlink("/etc", (root + "/outside").c_str()), 0);
  ASSERT_EQ(::mkfifo((root + "/pipe").c_str(), 0640), 0);
  PutSparse(root + "/sparse", 3 << 20, "end");
  ASSERT_EQ(::setxattr((root + "/linked").c_str(), "user.color", "blue\0green", 10, 0), 0);
  ASSERT_EQ(::setxattr((root + "/empty").c_str(), "user.note", "", 0, 0), 0);
  ASSERT_EQ(::chmod((root + "/empty").c_str(), 01770), 0);
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown((root + "/a directory/deep").c_str(), 12, 34), 0);
    ASSERT_EQ(::lchown((root + "/link").c_str(), 56, 78), 0);
  }
  SetMtime(root + "/nothing", {1'000'000'000, 123'456'789});
  SetMtime(root + "/a directory", {1'100'000'000, 1});
}

inline std::vector<v1::TreeEntry> EntriesOf(const std::vector<std::string>& paths) {
  const StatusOr<std::vector<CapturedEntry>> walked = WalkPaths(paths, {});
  EXPECT_TRUE(walked.ok()) << walked.status();
  std::vector<v1::TreeEntry> entries;
  for (const CapturedEntry& captured : *walked) entries.push_back(captured.entry);
  return entries;
}

inline v1::TreeEntry* EntryAt(std::vector<v1::TreeEntry>& entries, const std::string& path) {
  for (v1::TreeEntry& entry : entries) {
    if (entry.path() == path) return &entry;
  }
  ADD_FAILURE() << "no entry " << path;
  static v1::TreeEntry none;
  return &none;
}

}  // namespace salvor::agent
