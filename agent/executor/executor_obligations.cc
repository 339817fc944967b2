// The part of the executor that undoes what tasks opened.
#include <google/protobuf/util/message_differencer.h>

#include <utility>

#include "agent/executor/executor.h"
#include "base/io/log.h"
#include "base/io/steady_clock.h"
#include "proto/kind.h"

namespace salvor::agent {
namespace {

using google::protobuf::util::MessageDifferencer;

// One that hangs is tried again.
constexpr absl::Duration kUndoTimeout = absl::Minutes(30);

}  // namespace

v1::Action Executor::UndoOf(const v1::HeldObligation& obligation) const {
  return obligation.has_undo() ? obligation.undo() : options_.undo_of_0_1(obligation);
}

void Executor::Release(const v1::HeldObligation& obligation) {
  std::optional<JournalObligation> journalled;
  for (JournalObligation& each : JournalledObligations()) {
    if (each.held.run() == obligation.run() && each.held.name() == obligation.name())
      journalled = std::move(each);
  }
  const bool is_damaged = journalled && !journalled->damage.empty();
  if (is_damaged && !obligation.has_undo()) {
    // Nothing is undone by guess, and what was not undone is not closed.
    return LogError(
        "obligation {} of run {}: how it is undone can't be read any more; look at what is left, and "
        "undo it by hand",
        obligation.name(), obligation.run());
  }
  MutexLock lock(mutex_);
  // The journal's word on how to undo it counts: it stood there before anything was done.
  if (journalled) return Undo(is_damaged ? obligation : journalled->held, "");
  if (!IsAtWork(obligation.run())) Undo(obligation, "");
}

// The action runs as in a task, but for nobody who waits: its lines go to the agent's log.
Status Executor::PerformUndo(const v1::HeldObligation& obligation) {
  v1::Task task;
  task.mutable_lease()->set_run(obligation.run());
  *task.mutable_action() = UndoOf(obligation);
  const std::string kind = KindOf(task.action());
  const auto entry = options_.actions.find(kind);
  if (kind.empty()) return FailedPrecondition("it does not say how it is undone");
  if (entry == options_.actions.end()) {
    return WithHint(FailedPrecondition("this agent can't do {}, which would undo it", kind),
                    "Start the version of the agent again that began it.");
  }
  RETURN_IF_ERROR(options_.config->policy.Permit(task.action()));
  ActionContext context{*options_.config,           *options_.tools, task,   undo_stop_.get_token(),
                        SteadyNow() + kUndoTimeout, nullptr,         nullptr};
  context.progress = [](const v1::Progress&) {};
  context.scratch = options_.scratch;
  context.log = [](std::string_view source, std::string_view line) { LogInfo("{}: {}", source, line); };
  ASSIGN_OR_RETURN(const v1::ActionResult result, entry->second.run(task.action(), context));
  return result.has_error() ? Internal("{}", result.error().message()) : OkStatus();
}

// Another obligation of the run stands as long as its own undo has not been done. A control plane of 0.1 does not name
// the one that a task undoes.
void Executor::CloseObligationsUndoneBy(const v1::Task& task) {
  for (const JournalObligation& obligation : JournalledObligations()) {
    const v1::HeldObligation& held = obligation.held;
    if (held.run() != task.lease().run() || !obligation.released_early.empty()) continue;
    const bool is_it = !task.releases().empty() ? held.name() == task.releases()
                                                : obligation.damage.empty() &&
                                                      MessageDifferencer::Equals(UndoOf(held), task.action());
    if (!is_it) continue;
    if (const Status status = options_.journal->CloseObligation(held.run(), held.name()); !status.ok())
      LogError("{}", MessageOf(status));
  }
}

void Executor::Undo(const v1::HeldObligation& obligation, const std::string& early_reason) {
  const ObligationKey key{obligation.run(), obligation.name()};
  if (stopping_ || !releasing_.insert(key).second) return;
  const bool is_undone = undone_.count(key) > 0;
  Launch([this, obligation, key, early_reason, is_undone] {
    Status status = is_undone ? OkStatus() : PerformUndo(obligation);
    if (!is_undone) {
      LogInfo("obligation {} of run {}: {}", obligation.name(), obligation.run(),
              status.ok() ? "released" : MessageOf(status));
    }
    bool has_no_room = false;
    if (status.ok()) {
      status = early_reason.empty()
                   ? options_.journal->CloseObligation(obligation.run(), obligation.name())
                   : options_.journal->MarkReleasedEarly(obligation.run(), obligation.name(), early_reason);
      has_no_room = !status.ok();
      if (has_no_room && !is_undone) LogError("{}", MessageOf(status));
    }
    ReportSink* sink = nullptr;
    {
      MutexLock lock(mutex_);
      releasing_.erase(key);
      has_no_room ? void(undone_.insert(key)) : void(undone_.erase(key));
      sink = stopping_ || !status.ok() ? nullptr : sink_;
    }
    if (sink == nullptr) return;
    if (early_reason.empty()) return sink->HoldingsChanged();
    v1::EarlyRelease early;
    early.set_run(obligation.run());
    early.set_name(obligation.name());
    early.set_reason(early_reason);
    sink->ReleasedEarly(early);
  });
}

void Executor::AcknowledgeEarlyRelease(const v1::EarlyRelease& release) {
  {
    MutexLock lock(mutex_);
    acknowledged_.insert({release.run(), release.name()});
  }
  if (const Status closed = CloseAcknowledged(); !closed.ok()) LogError("{}", MessageOf(closed));
}

// An entry that the journal can't take now is taken at the next look.
Status Executor::CloseAcknowledged() {
  std::set<ObligationKey> acknowledged;
  {
    MutexLock lock(mutex_);
    acknowledged = acknowledged_;
  }
  Status first;
  for (const auto& [run, name] : acknowledged) {
    if (const Status closed = options_.journal->CloseReleasedEarly(run, name); !closed.ok()) {
      first = first.ok() ? closed : first;
      continue;
    }
    MutexLock lock(mutex_);
    acknowledged_.erase({run, name});
  }
  return first;
}

}  // namespace salvor::agent
