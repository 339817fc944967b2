// Says for whom a step waits, while it waits.
//
// A dump that waits for a table, a restore that waits to drop a database: for a person both look like work that
// stands still. While nothing moves, a short session of its own asks the server every few seconds whether a session
// of ours waits for a lock and who is in its way, and the step's progress says so until it goes on.
#pragma once

#include <chrono>
#include <functional>
#include <stop_token>
#include <string>
#include <thread>

#include "agent/engines/postgres/connection.h"
#include "agent/work/action.h"
#include "base/io/mutex.h"

namespace salvor::agent {

class LockWatch {
 public:
  // Watches sessions of ours in `database` (empty: the maintenance database) until its end, which is to come before
  // that of the context. Puts itself in front of the context's progress, by which it sees that something moves; what it
  // says itself goes the same way, never at the same time, from a thread of its own. A server that does not answer is
  // the business of those who work with it: the watch is silent then.
  LockWatch(ActionContext& context, v1::PostgresConnection where, std::string database);
  ~LockWatch();
  LockWatch(const LockWatch&) = delete;
  LockWatch& operator=(const LockWatch&) = delete;

 private:
  struct Waits {
    std::string
        now;  // "waits for table public.orders, held by process 4711 (psql of user app) for 12s"; empty: none
    std::string what;  // the same without what changes by itself
  };

  void Watch();
  // Once nothing has moved for `pause`. False when the watch is over.
  bool StoodStill(std::chrono::seconds pause) ABSL_LOCKS_EXCLUDED(mutex_);
  StatusOr<Waits> Ask() const;
  void Show(const v1::Progress& progress) ABSL_LOCKS_EXCLUDED(mutex_);
  void Tell(const Waits& waits) ABSL_LOCKS_EXCLUDED(mutex_);

  ActionContext& context_;
  const v1::PostgresConnection where_;
  const std::string database_;
  const std::function<void(const v1::Progress&)> shown_;  // the context's own
  std::stop_source stop_;
  Mutex mutex_;
  CondVar changed_;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  bool moved_ ABSL_GUARDED_BY(mutex_) = false;    // since the thread looked last
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;  // as it was shown last
  v1::Progress last_ ABSL_GUARDED_BY(mutex_);     // of the action
  std::string logged_;                            // of the thread
  std::thread thread_;
};

}  // namespace salvor::agent
