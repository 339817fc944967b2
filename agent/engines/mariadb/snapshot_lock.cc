#include "agent/engines/mariadb/snapshot_lock.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "base/io/steady_clock.h"

namespace salvor::agent {
namespace {

// The server renews its list of transactions only when nobody has read it for a tenth of a second.
constexpr auto kLook = std::chrono::milliseconds(110);

}  // namespace

StatusOr<std::unique_ptr<SnapshotLock>> SnapshotLock::Take(const v1::MariadbConnection& where,
                                                           const MariadbSessionOptions& options,
                                                           MariadbSession& reader, absl::Duration wait,
                                                           absl::Duration hold) {
  ASSIGN_OR_RETURN(std::unique_ptr<MariadbSession> locker, MariadbSession::Open(where, options));
  const auto whole_seconds = [](absl::Duration time) {
    return std::max<int64_t>(1, absl::ToInt64Seconds(absl::Ceil(time, absl::Seconds(1))));
  };
  // The first has whole seconds alone; the second ends the statement, whatever it waits for. By the third the server itself
  // gives the lock back when it hears nothing of this session: its host may be gone, or stand still.
  RETURN_IF_ERROR(locker->Execute(
      fmt::format("SET SESSION lock_wait_timeout={}, max_statement_time={:.3f}, wait_timeout={}",
                  whole_seconds(wait), std::max(0.001, absl::ToDoubleSeconds(wait)), whole_seconds(hold))));
  RETURN_IF_ERROR_IN(locker->Execute("FLUSH TABLES WITH READ LOCK"),
                     "waiting for the moment of the snapshot");
  const uint64_t newest = std::max(locker->Id(), reader.Id());
  auto lock = std::unique_ptr<SnapshotLock>(new SnapshotLock(std::move(locker), newest, hold));
  RETURN_IF_ERROR(reader.Execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"));
  RETURN_IF_ERROR(reader.Execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"));
  return lock;
}

SnapshotLock::SnapshotLock(std::unique_ptr<MariadbSession> locker, uint64_t newest, absl::Duration hold)
    : locker_(std::move(locker)), newest_(newest), hold_(hold) {
  thread_ = std::thread([this] { Watch(); });
}

SnapshotLock::~SnapshotLock() {
  {
    MutexLock lock(mutex_);
    leave_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

void SnapshotLock::Watch() {
  const SteadyTime begin = SteadyNow();
  Outcome outcome = Outcome::kHeld;
  std::string why;
  while (outcome == Outcome::kHeld) {
    bool spoke = false, leave = false;
    {
      MutexLock lock(mutex_);
      const auto left =
          absl::ToChronoMilliseconds(std::max(absl::ZeroDuration(), hold_ - (SteadyNow() - begin)));
      if (!spoke_ && !leave_) changed_.WaitFor(mutex_, std::min<std::chrono::milliseconds>(kLook, left));
      spoke = spoke_;
      leave = leave_;
    }
    if (spoke) {
      outcome = Outcome::kSeen;
    } else if (leave || SteadyNow() - begin >= hold_) {
      outcome = Outcome::kTooLong;
    } else if (const auto has = DumpHasSnapshot(); !has.ok()) {
      outcome = Outcome::kLost;
      why = MessageOf(has.status());
    } else if (*has) {
      outcome = Outcome::kSeen;
    }
  }
  // A session that is gone holds nothing, and nobody can tell since when: what it should have covered is in doubt.
  if (const Status unlocked = locker_->Execute("UNLOCK TABLES"); !unlocked.ok()) {
    outcome = Outcome::kLost;
    why = MessageOf(unlocked);
  }
  MutexLock lock(mutex_);
  outcome_ = outcome;
  why_ = why;
  held_ = SteadyNow() - begin;
  changed_.NotifyAll();
}

// A younger session of our account with a transaction is the dump's. Another that came in just then is taken for it, and
// the lock ends too early: the counts tell, and the position of the binary log.
StatusOr<bool> SnapshotLock::DumpHasSnapshot() {
  ASSIGN_OR_RETURN(
      const int64_t found,
      locker_->Number(fmt::format(
          "SELECT COUNT(*) FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p"
          " ON p.ID = t.trx_mysql_thread_id WHERE p.ID > {} AND p.USER = SUBSTRING_INDEX(USER(), '@', 1)",
          newest_)));
  return found > 0;
}

void SnapshotLock::DumpSpoke() {
  MutexLock lock(mutex_);
  spoke_ = true;
  changed_.NotifyAll();
}

SnapshotLock::Outcome SnapshotLock::Now() {
  MutexLock lock(mutex_);
  return outcome_;
}

SnapshotLock::Outcome SnapshotLock::Await() {
  MutexLock lock(mutex_);
  while (outcome_ == Outcome::kHeld) changed_.Wait(mutex_);
  return outcome_;
}

absl::Duration SnapshotLock::Held() {
  MutexLock lock(mutex_);
  return held_;
}

std::string SnapshotLock::Why() {
  MutexLock lock(mutex_);
  return why_;
}

}  // namespace salvor::agent
