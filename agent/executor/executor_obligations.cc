// What is to be undone, and how.
#include <google/protobuf/util/message_differencer.h>

#include <utility>

#include "agent/executor/executor.h"
#include "base/io/log.h"
#include "proto/kind.h"

namespace salvor::agent {

v1::Action Executor::UndoOf(const v1::HeldObligation& obligation) const {
  return obligation.has_undo() ? obligation.undo() : options_.undo_of_0_1(obligation);
}

void Executor::Release(const v1::HeldObligation& obligation) {
  // The journal's word on how to undo it counts: it stood there before anything was done.
  std::optional<v1::HeldObligation> journalled;
  for (JournalObligation& each : JournalledObligations()) {
    if (each.held.run() == obligation.run() && each.held.name() == obligation.name())
      journalled = std::move(each.held);
  }
  MutexLock lock(mutex_);
  if (journalled) return Undo(*journalled, "");
  if (!IsAtWork(obligation.run())) Undo(obligation, "");
}

// As any task does it, but for nobody who waits: its lines go to the agent's log.
Status Executor::PerformUndo(const v1::HeldObligation& obligation) {
  v1::Task task;
  task.mutable_lease()->set_run(obligation.run());
  *task.mutable_action() = UndoOf(obligation);
  const std::string kind = KindOf(task.action());
  const auto entry = options_.actions.find(kind);
  if (entry == options_.actions.end()) {
    return WithHint(FailedPrecondition("this agent can't do {}, which would undo it", kind),
                    "Start the version of the agent again that began it.");
  }
  RETURN_IF_ERROR(options_.config->policy.Permit(task.action()));
  ActionContext context{*options_.config, task,   undo_stop_.get_token(), SteadyTime::InfiniteFuture(),
                        nullptr,          nullptr};
  context.scratch = options_.scratch;
  context.log = [](std::string_view source, std::string_view line) { LogInfo("{}: {}", source, line); };
  ASSIGN_OR_RETURN(const v1::ActionResult result, entry->second.run(task.action(), context));
  return result.has_error() ? Internal("{}", result.error().message()) : OkStatus();
}

// Another obligation of the run stands as long as its own undo has not been done.
void Executor::CloseObligationsUndoneBy(const v1::Task& task) {
  for (const JournalObligation& obligation : JournalledObligations()) {
    const v1::HeldObligation& held = obligation.held;
    if (held.run() != task.lease().run() || !obligation.released_early.empty()) continue;
    if (!google::protobuf::util::MessageDifferencer::Equals(UndoOf(held), task.action())) continue;
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
  CloseAcknowledged();
}

// What the journal can't take now it takes at the next look.
void Executor::CloseAcknowledged() {
  std::set<ObligationKey> acknowledged;
  {
    MutexLock lock(mutex_);
    acknowledged = acknowledged_;
  }
  for (const auto& [run, name] : acknowledged) {
    if (!options_.journal->CloseReleasedEarly(run, name).ok()) continue;
    MutexLock lock(mutex_);
    acknowledged_.erase({run, name});
  }
}

}  // namespace salvor::agent
