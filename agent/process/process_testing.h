// Helpers that tests of subprocesses share. Tests only.
#pragma once

#include <absl/time/clock.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "agent/process/process.h"
#include "base/io/files.h"
#include "base/io/steady_clock.h"

namespace salvor::agent {

inline std::string Supervisor() {
  const char* path = std::getenv("SALVOR_SUPERVISE");
  return path != nullptr ? path : "salvor-supervise";
}

// The tools of this host, as an agent runs them.
inline SupervisedTools& Tools() {
  static SupervisedTools tools{Supervisor()};
  return tools;
}

inline ProcessSpec Shell(const std::string& script) {
  ProcessSpec spec;
  spec.argv = {"sh", "-c", script};
  return spec;
}

// Waits until the condition holds; false when it did not within `limit`.
inline bool Eventually(const std::function<bool()>& condition, absl::Duration limit = absl::Seconds(20)) {
  for (const SteadyTime end = SteadyNow() + limit; !condition(); absl::SleepFor(absl::Milliseconds(5))) {
    if (SteadyNow() > end) return false;
  }
  return true;
}

inline bool Exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

// Whether it runs no more; it is at most a zombie, where nobody reaps orphans (containers).
inline bool Gone(int pid) {
  const StatusOr<std::string> stat = ReadFile("/proc/" + std::to_string(pid) + "/stat");
  if (!stat.ok()) return true;
  const size_t name_end = stat->rfind(") ");
  return name_end == std::string::npos || (*stat)[name_end + 2] == 'Z' || (*stat)[name_end + 2] == 'X';
}

// AddressSanitizer keeps freed memory back, so a peak says nothing there.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kPeaksAreMeaningful = false;
#else
inline constexpr bool kPeaksAreMeaningful = true;
#endif

// How much memory this process has held at most since the last ResetPeakMemory; 0 where that says nothing.
inline int64_t PeakMemoryBytes() {
  if (!kPeaksAreMeaningful) return 0;
  const std::string status = ReadFile("/proc/self/status").value_or("");
  const size_t at = status.find("VmHWM:");
  return at == std::string::npos ? -1 : std::atoll(status.c_str() + at + 6) * 1024;
}

inline void ResetPeakMemory() {
  const UniqueFd file(::open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(::write(file.Get(), "5", 1), 1) << "the peak that is measured is of all that was before";
}

// A directory that goes with the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_(testing::TempDir() + "/salvor-test-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "no temporary directory at " << path_;
  }
  ~TemporaryDirectory() { (void)RemoveTree(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& Path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace salvor::agent
