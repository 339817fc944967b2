// The backlog holds what the journal could not take because its disk was full for a while, and must have all the same.
//
// A result is told to nobody before it is on the disk. Were it, and did the agent die, the next start would take the
// attempt for interrupted and remove what it kept, which the control plane believes in. A row that should be gone is as
// dangerous once another attempt of its step is at work under the same names: nothing begins before it is gone.
//
// Thread-safe.
#pragma once

#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "agent/journal/journal.h"
#include "base/io/mutex.h"

namespace salvor::agent {

class JournalBacklog {
 public:
  using Written = std::vector<std::pair<v1::LeaseKey, v1::ActionResult>>;

  explicit JournalBacklog(Journal& journal) : journal_(journal) {}  // which must outlive it

  // Journal::Begin, after all that waits. An error says that there is no room for either.
  Status Begin(const v1::Task& task, const std::optional<v1::HeldObligation>& obligation);
  // True when the result is on the disk. Else it waits, and comes out of Retry.
  bool Finish(const v1::LeaseKey& lease, const v1::ActionResult& result);
  // Now or later. A result of it that waits does not any more.
  void Forget(const v1::LeaseKey& lease);

  // Tries again. The results that have come to the disk since the last call.
  Written Retry();

 private:
  struct Waiting {
    v1::LeaseKey lease;
    std::optional<v1::ActionResult> result;  // none: to be forgotten
  };
  Status Write(const Waiting& waiting) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Status WriteAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Wait(Waiting waiting, const Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Journal& journal_;
  Mutex mutex_;
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  Written written_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace salvor::agent
