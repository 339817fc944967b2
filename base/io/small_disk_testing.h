// A directory on a disk that can be full. Tests only, one at a time.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>

#include "base/io/files.h"

namespace salvor {

// Root gets a disk of its own, in memory, which only this thread and those that it starts see. For others no file can
// grow while it is "full", which SQLite takes for another error, and tests must do as well with.
class SmallDisk {
 public:
  SmallDisk() : path_(testing::TempDir() + "smalldiskXXXXXX") {
    EXPECT_NE(::mkdtemp(path_.data()), nullptr);
    is_own_ = ::geteuid() == 0 && ::unshare(CLONE_NEWNS) == 0 &&
              ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
              ::mount("memory", path_.c_str(), "tmpfs", 0, "size=1m,mode=0700") == 0;
    (void)::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &limit_);
  }
  ~SmallDisk() {
    MakeRoom();
    if (is_own_) ::umount2(path_.c_str(), MNT_DETACH);
    EXPECT_TRUE(RemoveTree(path_).ok());
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  const std::string& Path() const { return path_; }
  // The disk is filled to its last byte.
  void Fill() {
    if (!is_own_) return LimitFiles(1);
    const UniqueFd filler(::open(Filler().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    const std::string block(4096, 'x');
    while (::write(filler.Get(), block.data(), block.size()) > 0) continue;
  }
  void MakeRoom() {
    if (!is_own_) return LimitFiles(limit_.rlim_cur);
    ::unlink(Filler().c_str());
  }

 private:
  std::string Filler() const { return path_ + "/filler"; }
  void LimitFiles(rlim_t bytes) const {
    rlimit limit = limit_;
    limit.rlim_cur = bytes;
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  }

  std::string path_;
  bool is_own_ = false;
  rlimit limit_{};
};

}  // namespace salvor
