// restic's locks, and whose they are. restic 0.14 judges a lock of this host stale when no process has its
// number, which a zombie and a stranger with the same number still have, and any lock after 30 minutes
// without a refresh; a living restic refreshes its own every 5 minutes, under a new id.
#pragma once

#include <absl/time/time.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "salvor/v1/object.pb.h"

namespace salvor::agent {

struct ResticLock {
  std::string id;      // 64 hex digits
  absl::Time created;  // or refreshed
  bool exclusive = false;
  std::string host, user;
  int pid = 0;
};

// The state of a repository's locks after they were looked at.
struct ResticLocks {
  int removed = 0;
  std::vector<ResticLock> living;  // of processes that are alive, or of other hosts
  std::vector<ResticLock> stuck;   // of dead processes of this host, which restic takes for living
};

// `restic cat lock`. Pure. Internal when it is none.
StatusOr<ResticLock> ParseResticLock(const std::string& id, std::string_view json);

// "restic of root on vm (PID 3, since 2m05s)". Pure.
std::string Describe(const ResticLock& lock, absl::Time now);

// The known facts of a process of this host.
struct ProcessFacts {
  bool exists = false;
  bool zombie = false;
  std::string name;                   // empty: not known
  std::optional<absl::Time> started;  // by the wall clock as it is now
};
ProcessFacts ReadProcessFacts(int pid);

// Whether the process that made the lock is gone: it is not there, is a zombie, or is another program's that began
// after the lock was made. False for another host's lock, and whenever something is not known. Pure.
bool IsOwnerGone(const ResticLock& lock, const std::string& this_host, const ProcessFacts& process);

// The same of this host as it is.
bool IsOwnerGone(const ResticLock& lock);

// The directory of a repository in this host's file system; nothing for the others.
std::optional<std::string> LocalDirectory(const v1::ResticLocation& location);

}  // namespace salvor::agent
