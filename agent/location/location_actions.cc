#include "agent/location/location_actions.h"

#include <absl/time/clock.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "agent/restic/restic_errors.h"
#include "agent/work/clean_up.h"
#include "base/io/steady_clock.h"

namespace salvor::agent {
namespace {

constexpr absl::Duration kLookEvery = absl::Seconds(5), kTellEvery = absl::Minutes(1);
// The part of the attempt's time that is left for the answer itself.
constexpr absl::Duration kBeforeTheDeadline = absl::Seconds(30);

const ResticLock* ExclusiveOf(const ResticLocks& locks) {
  for (const ResticLock& lock : locks.living) {
    if (lock.exclusive) return &lock;
  }
  return nullptr;
}

void Wait(const ActionContext& context, absl::Duration how_long) {
  const SteadyTime until = std::min(context.deadline, SteadyNow() + how_long);
  while (SteadyNow() < until && !context.stop.stop_requested()) absl::SleepFor(absl::Milliseconds(50));
}

// Whoever only reads needs no lock, no right to write, and nobody's leave.
void TidyUpForReaders(const Restic& restic, v1::ActionResult* result) {
  const StatusOr<ResticLocks> locks = restic.RemoveStaleLocks();
  if (locks.ok() && locks->removed > 0) {
    result->add_warnings("removed stale locks of the repository " +
                         WithoutCredentials(restic.Location().repository()));
  }
}

}  // namespace

Status AwaitExclusiveLocks(const Restic& restic, ActionContext& context, v1::ActionResult* result) {
  SteadyTime told_at = SteadyTime::InfinitePast();
  while (true) {
    ASSIGN_OR_RETURN(const ResticLocks locks, restic.RemoveStaleLocks());
    if (locks.removed > 0) {
      result->add_warnings("removed stale locks of the repository " +
                           WithoutCredentials(restic.Location().repository()));
    }
    const ResticLock* lock = ExclusiveOf(locks);
    if (lock == nullptr) return OkStatus();
    const SteadyTime now = SteadyNow();
    const std::string holder = Describe(*lock, absl::Now());
    if (context.stop.stop_requested()) return Cancelled("stopped on request");
    if (now + kBeforeTheDeadline >= context.deadline) {
      return WithHint(
          Unavailable("the repository is locked by {}", holder),
          "It works on the repository for itself alone (prune, check, forget). Wait until it is done; "
          "if it is long gone, `restic unlock` removes its lock.");
    }
    if (context.log && now - told_at >= kTellEvery) {
      context.log("salvor-agent", "waiting for the repository: it is locked by " + holder);
      told_at = now;
    }
    Wait(context, kLookEvery);
  }
}

Status CheckWritable(const v1::ResticLocation& location) {
  const std::optional<std::string> directory = LocalDirectory(location);
  if (!directory.has_value()) return OkStatus();
  const std::string locks = *directory + "/locks";
  if (::access(locks.c_str(), W_OK) == 0 || errno == ENOENT) return OkStatus();
  return WithHint(
      FailedPrecondition("the repository cannot be written: {}", MessageOf(ErrnoStatus(errno, locks))),
      "A backup needs it writable, for the user the agent runs as; a restore does not, and a drill only to keep what it "
      "found there.");
}

StatusOr<v1::ActionResult> RunLocationOpen(const v1::LocationOpen& open, ActionContext& context) {
  const Restic restic = context.Repository(open.location());
  const std::string shown = WithoutCredentials(open.location().repository());
  v1::ActionResult result;
  Status answer = restic.Check();
  if (answer.code() == absl::StatusCode::kNotFound && open.must_exist()) {
    return WithHint(
        FailedPrecondition("there is no repository {} here, and another host of the run has opened it",
                           shown),
        "A folder is that of one host: declare a Location that all hosts of the application reach.");
  }
  if (answer.code() == absl::StatusCode::kNotFound && open.create()) {
    const Status made = restic.Init();
    answer =
        made.ok() ? made : restic.Check();  // someone else may have been quicker: then it is there as well
    if (!answer.ok()) return WithContext(made, "create repository " + shown);
    if (made.ok()) result.set_note("created repository " + shown);
  }
  RETURN_IF_ERROR(answer);
  if (!open.create()) {
    TidyUpForReaders(restic, &result);
    return result;
  }
  RETURN_IF_ERROR(CheckWritable(open.location()));
  RETURN_IF_ERROR(AwaitExclusiveLocks(restic, context, &result));
  const StatusOr<int> forgotten = ForgetRuns(restic, {open.forget_runs().begin(), open.forget_runs().end()});
  // Who is stopped here is cleaned up after, as restic leaves its lock then.
  if (!forgotten.ok() && context.stop.stop_requested()) return forgotten.status();
  if (!forgotten.ok()) {
    result.add_warnings("leftovers of earlier runs stay in the repository: " + MessageOf(forgotten.status()));
  } else if (*forgotten > 0 && context.log) {
    context.log("salvor-agent", fmt::format("forgot {} snapshots of runs that made no backup", *forgotten));
  }
  return result;
}

}  // namespace salvor::agent
