// The executor waits for room in the journal, and for the end of what is at work.
#include <algorithm>

#include "agent/executor/executor.h"
#include "base/io/log.h"

namespace salvor::agent {

void Executor::DeliverWhatWaited() {
  for (auto& [lease, result] : journal_.Retry()) {
    AttemptPointer attempt;
    {
      MutexLock lock(mutex_);
      const auto found = attempts_.find(KeyOf(lease));
      if (found == attempts_.end()) continue;  // superseded meanwhile
      attempt = found->second;
    }
    Deliver(attempt, std::move(result));
  }
}

bool Executor::IsAtWork(const std::string& run) {
  const auto is_at_work = [&](const AttemptPointer& attempt) {
    return attempt->running && attempt->task.lease().run() == run;
  };
  return std::any_of(superseded_.begin(), superseded_.end(), is_at_work) ||
         std::any_of(attempts_.begin(), attempts_.end(),
                     [&](const auto& attempt) { return is_at_work(attempt.second); });
}

}  // namespace salvor::agent
