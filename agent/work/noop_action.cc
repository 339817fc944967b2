#include "agent/work/noop_action.h"

#include <condition_variable>
#include <mutex>

#include "agent/work/registry.h"
#include "base/io/steady_clock.h"

namespace salvor::agent {

StatusOr<v1::ActionResult> RunNoop(const v1::NoopAction& noop, ActionContext& context) {
  if (noop.wait_for_cancel()) {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::unique_lock lock(mutex);
    const bool limited = context.deadline != SteadyTime::InfiniteFuture();
    const auto never = [] { return false; };
    if (limited) {
      changed.wait_for(lock, context.stop, absl::ToChronoNanoseconds(context.deadline - SteadyNow()), never);
    } else {
      changed.wait(lock, context.stop, never);
    }
    if (!context.stop.stop_requested()) return DeadlineExceeded("waited in vain to be cancelled");
    return Cancelled("stopped as asked");
  }
  if (context.task.lease().attempt() <= noop.fail_attempts()) {
    return Unavailable("attempt {} fails as told", context.task.lease().attempt());
  }
  if (noop.fail_with().empty()) return v1::ActionResult();
  if (noop.retryable()) return Unavailable("{}", noop.fail_with());
  return Internal("{}", noop.fail_with());
}

void RegisterNoop(ActionRegistry& registry) { Register(registry, RunNoop, true); }

}  // namespace salvor::agent
