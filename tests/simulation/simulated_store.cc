#include "tests/simulation/simulated_store.h"

#include <cstdlib>

namespace salvor::simulation {

using controlplane::Batch;
using controlplane::CommitOutcome;

void SimulatedStore::Commit(Batch batch, controlplane::CommitCallback done) {
  if (is_dead_) return done(CommitOutcome::Of(Unavailable("the store has ended")));
  waiting_.push_back({std::move(batch), std::move(done), now_()});
  if (waiting_.size() == 1) has_work_();
}

void SimulatedStore::Write(const Waits& waits) {
  if (!waits.batch.empty()) {
    if (!controlplane::CommitAndWait(kept_, waits.batch).ok()) std::abort();  // memory takes everything
  }
  witness_(waits.batch, waits.committed_at);
}

void SimulatedStore::MakeDurable(size_t most) {
  for (; most > 0 && !waiting_.empty() && !is_dead_; --most) {
    const Waits first = std::move(waiting_.front());
    waiting_.pop_front();
    Write(first);
    first.done(CommitOutcome::Of(OkStatus()));
  }
  if (!waiting_.empty()) has_work_();
}

void SimulatedStore::Fail(bool written_all_the_same) {
  is_dead_ = true;
  const std::deque<Waits> waiting = std::exchange(waiting_, {});
  for (const Waits& each : waiting) {
    if (written_all_the_same) Write(each);
    each.done(CommitOutcome::Of(Unavailable("the disk has failed")));
  }
}

void SimulatedStore::Crash(size_t written) {
  is_dead_ = true;
  for (; written > 0 && !waiting_.empty(); --written) {
    Write(waiting_.front());
    waiting_.pop_front();
  }
  waiting_.clear();
}

}  // namespace salvor::simulation
