// Real, empty restic repositories for tests. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/process/process_testing.h"
#include "agent/restic/restic.h"
#include "base/io/files.h"

namespace salvor::agent {

// A repository whose key is cheap (testdata/README.md), and its password file, at this Location.
void MakeRepositoryForTest(const v1::ResticLocation& location);

// Leaves the lock of a process that held the repository for itself alone, as `restic check` does, and was killed.
void LeaveExclusiveLock(const v1::ResticLocation& location);

// The same, and whoever was to reap it does not: a zombie for as long as this lives.
class ExclusiveLockOfAZombie {
 public:
  explicit ExclusiveLockOfAZombie(const v1::ResticLocation& location);

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<Process> parent_;
};

// A restic that is alive and has the repository for itself alone until it is let go.
class LivingExclusiveLock {
 public:
  explicit LivingExclusiveLock(const v1::ResticLocation& location);
  void LetGo() const { EXPECT_TRUE(WriteFileAtomically(directory_ / "go", "").ok()); }
  int Pid() const { return pid_; }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<Process> parent_;
  int pid_ = 0;
};

class ResticRepositoryForTest {
 public:
  // The directory, password and cache; Make the repository, or Init one by restic, as the test needs it.
  ResticRepositoryForTest() {
    location_.set_repository(directory_ / "repository");
    location_.set_password_file(directory_ / "password");
    location_.set_cache_directory(directory_ / "cache");
    EXPECT_TRUE(WriteFileAtomically(directory_ / "password", "a password for a test\n", 0600).ok());
  }

  void Make() const { MakeRepositoryForTest(location_); }
  Restic Open() const { return Open(location_); }
  static Restic Open(v1::ResticLocation location) {
    ResticContext context;
    context.tools = &Tools();
    return Restic(std::move(location), std::move(context));
  }
  v1::ResticLocation& Location() { return location_; }
  const std::string& Path() const { return directory_.Path(); }

 private:
  TemporaryDirectory directory_;
  v1::ResticLocation location_;
};

}  // namespace salvor::agent
