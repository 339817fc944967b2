#include "agent/executor/executor.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "agent/executor/reportable.h"
#include "base/io/log.h"
#include "base/io/steady_clock.h"
#include "base/text.h"
#include "proto/kind.h"
#include "proto/time.h"

namespace salvor::agent {
namespace {

constexpr absl::Duration kProgressPace = absl::Milliseconds(500);
// A clean-up's time. Who cancels waits for the report, and the control plane for a minute at most, of which the
// tool's own end may take a third.
constexpr absl::Duration kPatience = absl::Minutes(2), kPatienceOfACancel = absl::Seconds(15);

v1::ActionResult Failure(v1::Error::Reason reason, const std::string& message, bool retryable) {
  v1::ActionResult result;
  result.mutable_error()->set_reason(reason);
  result.mutable_error()->set_message(message);
  result.mutable_error()->set_retryable(retryable);
  return result;
}

}  // namespace

Executor::Executor(ExecutorOptions options) : options_(std::move(options)), journal_(*options_.journal) {}

Executor::~Executor() {
  MutexLock lock(mutex_);
  stopping_ = true;
  undo_stop_.request_stop();
  for (const auto& [key, attempt] : attempts_) attempt->stop.request_stop();
  while (threads_ > 0) Wait(idle_);
}

Executor::Key Executor::KeyOf(const v1::LeaseKey& lease) {
  return {lease.run(), lease.step(), lease.attempt(), lease.epoch()};
}

void Executor::SetSink(ReportSink* sink) {
  MutexLock lock(mutex_);
  sink_ = sink;
}

Status Executor::Recover() {
  ASSIGN_OR_RETURN(std::vector<JournalEntry> entries, options_.journal->Entries());
  for (JournalEntry& entry : entries) RETURN_IF_ERROR(RecoverAttempt(std::move(entry)));
  ASSIGN_OR_RETURN(const std::vector<JournalObligation> obligations, options_.journal->Obligations());
  MutexLock lock(mutex_);
  for (const JournalObligation& obligation : obligations) {
    const v1::HeldObligation& held = obligation.held;
    if (!obligation.damage.empty()) {
      LogError(
          "agent journal: how obligation {} of run {} is undone can't be read: {}; it is open until the control "
          "plane says how",
          held.name(), held.run(), obligation.damage);
    }
    if (!held.has_deadline()) continue;
    deadlines_[{held.run(), held.name()}] =
        options_.clock->Monotonic() + (FromProto(held.deadline()) - options_.clock->Now());
  }
  return OkStatus();
}

Status Executor::RecoverAttempt(JournalEntry entry) {
  auto attempt = std::make_shared<Attempt>();
  attempt->task = std::move(entry.task);
  const v1::LeaseKey& lease = attempt->task.lease();
  if (!entry.damage.empty() && attempt->task.action().kind_case() == v1::Action::KIND_NOT_SET) {
    // The task of the attempt is not known any more. It is not held, so the control plane sees it as lost and tries it
    // again.
    LogError("agent journal: {} of run {}: {}; this attempt is lost", lease.step(), lease.run(),
             entry.damage);
    return options_.journal->Forget(lease);
  }
  if (!entry.result && entry.damage.empty() && IsResumable(attempt->task)) {
    Resume(attempt);
    return OkStatus();
  }
  if (!entry.result) {
    LogWarning("{} of run {} was interrupted: cleaning up", lease.step(), lease.run());
    if (options_.clean_up) options_.clean_up(attempt->task, kPatience);
    const std::string why = entry.damage.empty()
                                ? "the agent died in the middle of it"
                                : "its result in the agent's journal can't be read: " + entry.damage;
    entry.result = Failure(v1::Error::REASON_INTERRUPTED, why, true);
    RETURN_IF_ERROR(options_.journal->Finish(lease, *entry.result));
  }
  attempt->result = std::move(entry.result);
  MakeReportable(*attempt->result);  // an earlier version wrote it as it came
  MutexLock lock(mutex_);
  attempts_[KeyOf(lease)] = attempt;
  return OkStatus();
}

bool Executor::IsResumable(const v1::Task& task) const {
  const auto entry = options_.actions.find(KindOf(task.action()));
  return entry != options_.actions.end() && entry->second.resumable;
}

// It is in the journal already, with the obligation that it opens.
void Executor::Resume(const AttemptPointer& attempt) {
  const v1::LeaseKey& lease = attempt->task.lease();
  LogInfo("{} of run {}: going on with what was begun", lease.step(), lease.run());
  MutexLock lock(mutex_);
  attempts_[KeyOf(lease)] = attempt;
  ++running_;
  attempt->running = true;
  Launch([this, attempt] { RunJournalled(attempt, options_.actions.at(KindOf(attempt->task.action()))); });
}

void Executor::Launch(std::function<void()> work) {
  ++threads_;
  auto run = [this, work = std::move(work)] {
    work();
    MutexLock lock(mutex_);
    --threads_;
    idle_.NotifyAll();
  };
  if (options_.launch) return options_.launch(std::move(run));
  std::thread(std::move(run)).detach();
}

void Executor::Wait(CondVar& changed) {
  if (options_.wait) return options_.wait(changed, mutex_);
  changed.Wait(mutex_);
}

void Executor::Submit(v1::Task task) {
  auto attempt = std::make_shared<Attempt>();
  attempt->task = std::move(task);
  const auto entry = options_.actions.find(KindOf(attempt->task.action()));
  const bool waits = attempt->task.action().has_noop() && attempt->task.action().noop().wait_for_cancel();
  const bool instant = entry != options_.actions.end() && entry->second.instant && !waits;
  {
    MutexLock lock(mutex_);
    if (stopping_ || !attempts_.emplace(KeyOf(attempt->task.lease()), attempt).second) return;
    ++running_;
    attempt->running = true;
    if (!instant) {
      if (options_.observer != nullptr) options_.observer->OnRunning(running_);
      return Launch([this, attempt] { RunTask(attempt); });
    }
  }
  Finish(attempt, Act(attempt, entry->second), false);
}

std::optional<v1::HeldObligation> Executor::ObligationOf(const v1::Task& task) {
  if (task.obligation().empty()) return std::nullopt;
  v1::HeldObligation obligation;
  obligation.set_run(task.lease().run());
  obligation.set_name(task.obligation());
  *obligation.mutable_undo() = task.has_undo() ? task.undo() : options_.undo_of_0_1(obligation);
  MutexLock lock(mutex_);
  undone_.erase({obligation.run(), obligation.name()});  // it is opened anew
  acknowledged_.erase({obligation.run(), obligation.name()});
  if (task.has_obligation_deadline()) {
    const absl::Duration left = FromProto(task.obligation_deadline());
    *obligation.mutable_deadline() = ToProto(options_.clock->Now() + left);
    deadlines_[{obligation.run(), obligation.name()}] = options_.clock->Monotonic() + left;
  }
  return obligation;
}

// The control plane grants again when it has given an attempt up, which does not mean that it has ended here.
bool Executor::WaitForEarlierAttempts(const AttemptPointer& attempt) {
  const v1::LeaseKey& lease = attempt->task.lease();
  const auto in_the_way = [&](const AttemptPointer& other) {
    const v1::LeaseKey& theirs = other->task.lease();
    return other != attempt && other->running && theirs.run() == lease.run() &&
           theirs.step() == lease.step() && theirs.attempt() < lease.attempt();
  };
  MutexLock lock(mutex_);
  while (true) {
    bool clear = true;
    const auto stop = [&](const AttemptPointer& other) {
      if (!in_the_way(other)) return;
      other->stop.request_stop();
      clear = false;
    };
    for (const auto& [key, other] : attempts_) stop(other);
    for (const AttemptPointer& other : superseded_) stop(other);
    if (clear) return !attempt->superseded;
    Wait(ended_);
  }
}

void Executor::RunTask(const AttemptPointer& attempt) {
  const v1::Task& task = attempt->task;
  if (!WaitForEarlierAttempts(attempt)) {
    return Finish(attempt, Failure(v1::Error::REASON_CANCELLED, "superseded before it began", false), false);
  }
  const std::optional<v1::HeldObligation> obligation = ObligationOf(task);
  if (const Status status = journal_.Begin(task, obligation); !status.ok()) {
    v1::ActionResult refused = Failure(v1::Error::REASON_UNAVAILABLE, MessageOf(status), true);
    refused.mutable_error()->set_hint(HintOf(status));
    return Finish(attempt, std::move(refused), false);
  }
  const auto entry = options_.actions.find(KindOf(task.action()));
  if (entry == options_.actions.end()) {
    return Finish(attempt,
                  Failure(v1::Error::REASON_INVALID, "this agent can't do " + KindOf(task.action()), false),
                  true);
  }
  RunJournalled(attempt, entry->second);
}

void Executor::RunJournalled(const AttemptPointer& attempt, const ActionEntry& entry) {
  v1::ActionResult result = Act(attempt, entry);
  if (options_.clean_up && WasCutShort(attempt, result)) options_.clean_up(attempt->task, kPatienceOfACancel);
  Finish(attempt, std::move(result), true);
}

// Then nobody but us removes what it left, as a restic that was interrupted while it took its lock leaves
// that. A superseded attempt's is left alone: the one that replaces it may already be at work under the same
// names.
bool Executor::WasCutShort(const AttemptPointer& attempt, const v1::ActionResult& result) {
  switch (result.error().reason()) {
    case v1::Error::REASON_TIMED_OUT:
    case v1::Error::REASON_DISTURBED:
      // Work elsewhere may have been taken over by another agent's attempt, which keeps under the same tags; the next
      // attempt and the manifest's step forget what is left.
      if (IsResumable(attempt->task)) return false;
      [[fallthrough]];
    case v1::Error::REASON_CANCELLED: {
      MutexLock lock(mutex_);
      return !stopping_ && !attempt->superseded;
    }
    default:
      return false;
  }
}

v1::ActionResult Executor::Act(const AttemptPointer& attempt, const ActionEntry& entry) {
  const v1::Task& task = attempt->task;
  const absl::Time started = options_.clock->Now();
  const SteadyTime began = SteadyNow();
  ActionContext context{
      *options_.config, *options_.tools, task, attempt->stop.get_token(), SteadyTime::InfiniteFuture(),
      nullptr,          nullptr};
  context.scratch = options_.scratch;
  if (task.has_timeout()) context.deadline = began + FromProto(task.timeout());
  context.progress = [this, attempt](const v1::Progress& progress) { OnProgress(attempt, progress); };
  context.log = [this, attempt](std::string_view source, std::string_view line) {
    ReportSink* sink = nullptr;  // asked anew: an attempt that is taken up again begins before there is one
    {
      MutexLock lock(mutex_);
      sink = sink_;
    }
    v1::LogLine record;
    *record.mutable_at() = ToProto(options_.clock->Now());
    record.set_source(ValidUtf8(source));
    record.set_text(ReportableText(line, kLongestLogLine));
    if (sink != nullptr) sink->Log(attempt->task.lease(), record);
  };
  const Status permitted = options_.config->policy.Permit(task.action());
  StatusOr<v1::ActionResult> outcome = permitted.ok() ? entry.run(task.action(), context) : permitted;
  v1::ActionResult result;
  if (outcome.ok()) {
    result = *std::move(outcome);
  } else {
    *result.mutable_error() = ToError(outcome.status());
  }
  for (v1::Check& check : *result.mutable_checks()) {
    if (check.component().empty()) check.set_component(task.component());
  }
  *result.mutable_started_at() = ToProto(started);
  *result.mutable_finished_at() = ToProto(options_.clock->Now());
  attempt->took = SteadyNow() - began;
  MakeReportable(result);
  return result;
}

void Executor::Finish(const AttemptPointer& attempt, v1::ActionResult result, bool journaled) {
  bool is_stopping;
  {
    MutexLock lock(mutex_);
    is_stopping = stopping_;  // then the journal has it begun and not ended: that is what happened
  }
  // The result is written before the attempt counts as ended: a later attempt of the step begins after that.
  const bool is_written = !is_stopping && (!journaled || journal_.Finish(attempt->task.lease(), result));
  {
    MutexLock lock(mutex_);
    --running_;
    attempt->running = false;
    superseded_.erase(std::remove(superseded_.begin(), superseded_.end(), attempt), superseded_.end());
    ended_.NotifyAll();
    if (options_.observer != nullptr && journaled) options_.observer->OnRunning(running_);
  }
  if (is_written) Deliver(attempt, std::move(result));
}

// Tells a result to the control plane and to the metrics.
void Executor::Deliver(const AttemptPointer& attempt, v1::ActionResult result) {
  const v1::Task& task = attempt->task;
  const bool succeeded = !result.has_error();
  if (succeeded) CloseObligationsUndoneBy(task);
  if (options_.observer != nullptr)
    options_.observer->OnTask(KindOf(task.action()), succeeded, attempt->took);
  v1::Report report;
  *report.mutable_lease() = task.lease();
  ReportSink* sink = nullptr;
  bool superseded = false;
  {
    MutexLock lock(mutex_);
    superseded = attempt->superseded;
    if (!superseded) attempt->result = result;
    sink = sink_;
  }
  if (sink == nullptr) return;
  if (superseded) return sink->RoomChanged();
  *report.mutable_result() = std::move(result);
  sink->Report(report);
}

void Executor::OnProgress(const AttemptPointer& attempt, v1::Progress progress) {
  const absl::Duration now = options_.clock->Monotonic();
  ReportSink* sink = nullptr;
  int64_t more = 0;
  {
    MutexLock lock(mutex_);
    const absl::Duration since = now - attempt->last_progress;
    // That all is done is said at once: nothing may come after it.
    const bool is_complete = progress.bytes_total() > 0 && progress.bytes_done() >= progress.bytes_total() &&
                             attempt->last_bytes < progress.bytes_total();
    if (since < kProgressPace && !is_complete) return;
    more = progress.bytes_done() - attempt->last_bytes;
    if (attempt->last_bytes > 0 && progress.bytes_per_second() == 0 && more > 0 && since >= kProgressPace) {
      progress.set_bytes_per_second(static_cast<double>(more) / absl::ToDoubleSeconds(since));
    }
    attempt->last_progress = now;
    attempt->last_bytes = progress.bytes_done();
    sink = sink_;
  }
  if (options_.observer != nullptr && more > 0)
    options_.observer->OnProgress(KindOf(attempt->task.action()), more);
  v1::ProgressReport report;
  *report.mutable_lease() = attempt->task.lease();
  *progress.mutable_at() = ToProto(options_.clock->Now());
  MakeReportable(progress);
  *report.mutable_progress() = std::move(progress);
  if (sink != nullptr) sink->Progress(report);
}

void Executor::Cancel(const v1::LeaseKey& lease) {
  MutexLock lock(mutex_);
  const auto found = attempts_.find(KeyOf(lease));
  if (found != attempts_.end()) found->second->stop.request_stop();
}

void Executor::Acknowledge(const v1::LeaseKey& lease) {
  bool journaled = false;
  {
    MutexLock lock(mutex_);
    const auto found = attempts_.find(KeyOf(lease));
    if (found == attempts_.end() || !found->second->result) return;
    const auto entry = options_.actions.find(KindOf(found->second->task.action()));
    journaled = entry == options_.actions.end() || !entry->second.instant ||
                found->second->task.action().noop().wait_for_cancel();
    attempts_.erase(found);
  }
  if (journaled) journal_.Forget(lease);
}

void Executor::Supersede(const v1::LeaseKey& lease) {
  {
    MutexLock lock(mutex_);
    const auto found = attempts_.find(KeyOf(lease));
    if (found == attempts_.end()) return;
    found->second->superseded = true;
    found->second->stop.request_stop();
    if (found->second->running) superseded_.push_back(found->second);
    attempts_.erase(found);
  }
  LogWarning("{} of run {} is superseded: stopping it", lease.step(), lease.run());
  journal_.Forget(lease);
}

void Executor::Reject(const v1::LeaseKey& lease, const std::string& why) {
  AttemptPointer attempt;
  {
    MutexLock lock(mutex_);
    const auto found = attempts_.find(KeyOf(lease));
    if (found == attempts_.end() || !found->second->result) return;
    attempt = found->second;
    attempts_.erase(found);
  }
  LogError("the control plane can't take the result of {} of run {}: {}", lease.step(), lease.run(), why);
  if (Status status = options_.journal->PutAside(lease, *attempt->result, why, std::nullopt); !status.ok())
    return LogError("the result is not put aside: {}", MessageOf(status));
  LogInfo("the result is put aside in the agent's journal");
}

void Executor::ReplaceUnreportable(const v1::LeaseKey& lease, const std::string& why) {
  v1::ActionResult instead = Failure(v1::Error::REASON_FAILED, why, false);
  instead.mutable_error()->set_hint("The agent's journal has the result put aside; please report this.");
  v1::ActionResult result;
  {
    MutexLock lock(mutex_);
    const auto found = attempts_.find(KeyOf(lease));
    if (found == attempts_.end() || !found->second->result) return;
    result = *found->second->result;
    *instead.mutable_started_at() = result.started_at();
    *instead.mutable_finished_at() = result.finished_at();
  }
  LogError("{} of run {}: {}", lease.step(), lease.run(), why);
  // First on the disk: until then the result is offered again, and refused again.
  if (Status status = options_.journal->PutAside(lease, result, why, instead); !status.ok())
    return LogError("{}", MessageOf(status));
  MutexLock lock(mutex_);
  const auto found = attempts_.find(KeyOf(lease));
  if (found != attempts_.end()) found->second->result = std::move(instead);
}

void Executor::ReleaseExpired() {
  DeliverWhatWaited();
  (void)CloseAcknowledged();  // said when it was acknowledged
  const std::vector<JournalObligation> obligations = JournalledObligations();
  const absl::Duration now = options_.clock->Monotonic();
  MutexLock lock(mutex_);
  for (const JournalObligation& obligation : obligations) {
    const auto deadline = deadlines_.find({obligation.held.run(), obligation.held.name()});
    if (!obligation.released_early.empty() || !obligation.damage.empty()) continue;
    if (deadline == deadlines_.end() || now < deadline->second) continue;
    Undo(obligation.held, "its deadline has passed");
  }
}

std::vector<v1::LeaseKey> Executor::Held() {
  MutexLock lock(mutex_);
  std::vector<v1::LeaseKey> held;
  for (const auto& [key, attempt] : attempts_) held.push_back(attempt->task.lease());
  return held;
}

std::vector<JournalObligation> Executor::JournalledObligations() {
  auto obligations = options_.journal->Obligations();
  if (obligations.ok()) return *std::move(obligations);
  LogError("{}", MessageOf(obligations.status()));
  return {};
}

std::vector<v1::HeldObligation> Executor::Obligations() {
  std::vector<v1::HeldObligation> standing;
  for (JournalObligation& obligation : JournalledObligations()) {
    if (obligation.released_early.empty()) standing.push_back(std::move(obligation.held));
  }
  if (options_.leftovers) {
    for (v1::HeldObligation& left : options_.leftovers()) standing.push_back(std::move(left));
  }
  return standing;
}

std::vector<v1::EarlyRelease> Executor::EarlyReleases() {
  std::vector<v1::EarlyRelease> releases;
  for (const JournalObligation& obligation : JournalledObligations()) {
    if (obligation.released_early.empty()) continue;
    v1::EarlyRelease& release = releases.emplace_back();
    release.set_run(obligation.held.run());
    release.set_name(obligation.held.name());
    release.set_reason(obligation.released_early);
  }
  return releases;
}

std::vector<v1::Report> Executor::Unacknowledged() {
  MutexLock lock(mutex_);
  std::vector<v1::Report> reports;
  for (const auto& [key, attempt] : attempts_) {
    if (!attempt->result) continue;
    v1::Report& report = reports.emplace_back();
    *report.mutable_lease() = attempt->task.lease();
    *report.mutable_result() = *attempt->result;
  }
  return reports;
}

std::vector<std::string> Executor::Capabilities() const {
  std::vector<std::string> kinds;
  for (const auto& [kind, entry] : options_.actions) kinds.push_back(kind);
  return kinds;
}

int Executor::Running() {
  MutexLock lock(mutex_);
  return running_;
}

}  // namespace salvor::agent
