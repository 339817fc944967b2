// The moment at which two snapshots are taken that have to be the same: that of mariadb-dump, and that of a session of
// ours which counts. Nobody can commit between them, for a global read lock is held; and because writers queue behind it,
// it is waited for and held only as long as was declared, else given up.
//
// mariadb-dump writes its first byte after it has its snapshot (measured with 10.11: the header leaves its buffer with the
// first table); where that takes longer, the server's list of transactions shows it too.
#pragma once

#include <absl/time/time.h>

#include <memory>
#include <string>
#include <thread>

#include "agent/engines/mariadb/session.h"
#include "base/io/mutex.h"
#include "base/status.h"

namespace salvor::agent {

class SnapshotLock {
 public:
  enum class Outcome {
    kHeld,     // still
    kSeen,     // the dump had its snapshot while the lock was held
    kTooLong,  // given up: it had none by then
    kLost,     // the session with the lock is gone, or the server refused something
  };

  // Locks, and lets `reader` take its snapshot. Aborted when the lock was not had in that time.
  static StatusOr<std::unique_ptr<SnapshotLock>> Take(const v1::MariadbConnection& where,
                                                      const MariadbSessionOptions& options,
                                                      MariadbSession& reader, absl::Duration wait,
                                                      absl::Duration hold);
  ~SnapshotLock();  // unlocks

  // mariadb-dump has written something. Thread-safe.
  void DumpSpoke();
  // Thread-safe.
  Outcome Now();
  // Waits until it is no longer held.
  Outcome Await();
  // For how long it was held, once it is no more.
  absl::Duration Held();
  // Why it was lost.
  std::string Why();

 private:
  SnapshotLock(std::unique_ptr<MariadbSession> locker, uint64_t reader, absl::Duration hold);
  void Watch();
  StatusOr<bool> DumpHasSnapshot();
  void End(Outcome outcome, const std::string& why);

  const std::unique_ptr<MariadbSession> locker_;  // the watching thread's
  const uint64_t newest_;                         // of our own sessions
  const absl::Duration hold_;
  Mutex mutex_;
  CondVar changed_;
  bool spoke_ ABSL_GUARDED_BY(mutex_) = false;
  bool leave_ ABSL_GUARDED_BY(mutex_) = false;
  Outcome outcome_ ABSL_GUARDED_BY(mutex_) = Outcome::kHeld;
  absl::Duration held_ ABSL_GUARDED_BY(mutex_);
  std::string why_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace salvor::agent
