// Measures what a process uses, and how long it has done nothing: restic 0.14 can sit in a deadlock after it failed to
// write its last pack, with no word on stderr, and only this shows it.
#pragma once

#include <absl/time/time.h>

#include <cstdint>
#include <optional>

#include "base/steady_time.h"

namespace salvor::agent {

// The use that a process has made of the machine since it began.
struct ProcessUsage {
  int64_t bytes_read = 0;  // by read() and its kin: files, pipes, sockets
  absl::Duration cpu;
  int64_t bytes_written = 0;  // by write() and its kin
};

// Read from /proc; nothing when the process is gone or another user's.
std::optional<ProcessUsage> ReadProcessUsage(int pid);

// Pure. A process is idle while it reads next to nothing and uses next to no processor time. Next to: Go's
// runtime wakes itself with a byte through a pipe now and then, and a timer that prints a status line costs
// 0.02 % of a processor, while a walk over a slow network file system that reads no file costs 1 %.
class Idleness {
 public:
  // Tells the usage at `now`; answers for how long the process has been idle by then.
  absl::Duration Observe(SteadyTime now, const ProcessUsage& usage);

 private:
  std::optional<SteadyTime> since_;
  ProcessUsage before_;
};

}  // namespace salvor::agent
