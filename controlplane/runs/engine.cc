#include "controlplane/runs/engine.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/io/log.h"
#include "flows/run/invariants.h"
#include "flows/run/view.h"
#include "proto/time.h"
#include "strategies/verdicts/records.h"
#include "strategies/verdicts/verdict.h"

namespace salvor::controlplane {
namespace {

RunPointer MakeRun(v1::RunHeader header, flows::Graph graph) {
  auto run = std::make_shared<ActiveRun>();
  run->header = std::move(header);
  run->state = flows::NewRun(std::make_shared<const flows::Graph>(std::move(graph)));
  for (int step = 0; step < run->state.graph->StepCount(); ++step) {
    if (!run->Step(step).keys().empty()) run->keyed.push_back(step);
  }
  return run;
}

// Whether the step undid what was no longer there, although the steps before it relied on it.
bool CameTooLate(const ActiveRun& run, int step) {
  const int obligation = run.state.graph->At(step).releases;
  return obligation >= 0 && run.state.obligations[static_cast<size_t>(obligation)].released_early;
}

// A later step learns of an earlier one its result, or why there is none.
v1::ActionResult InputOf(const ActiveRun& run, const std::string& id) {
  const int step = run.state.graph->Find(id);
  if (step < 0) return {};
  const flows::StepState& at = run.At(step);
  v1::ActionResult result;
  if (at.result != nullptr) result = *at.result;
  if (at.phase != v1::STEP_PHASE_SUCCEEDED) {
    result.clear_artifacts();
    result.mutable_error()->set_message(at.reason.empty() ? "it did not run" : at.reason);
  } else if (CameTooLate(run, step)) {
    result.mutable_error()->set_message(run.state.reason);
  }
  return result;
}

void CheckInvariants(const ActiveRun& run) {
  if (run.state.graph->StepCount() > 64) return;  // linear in the steps: large flows are checked in tests
  for (const std::string& broken : flows::BrokenInvariants(run.state)) {
    LogError("run {}: an invariant is broken, please report it: {}", run.header.name(), broken);
  }
}

// Without its steps and obligations, which are the most of it and are not copied first.
v1::Run SummaryOf(v1::Run& run) {
  v1::Run parts;
  parts.mutable_steps()->Swap(run.mutable_steps());
  parts.mutable_obligations()->Swap(run.mutable_obligations());
  v1::Run summary = run;
  parts.mutable_steps()->Swap(run.mutable_steps());
  parts.mutable_obligations()->Swap(run.mutable_obligations());
  return summary;
}

// How long ago the run was requested. Across a restart there is only what people call the time; it never runs backwards
// here.
absl::Duration AgeOf(const flows::RunState& state, const std::vector<v1::Event>& events, absl::Time now) {
  if (events.empty()) return absl::ZeroDuration();
  const v1::Event& last = events.back();
  const absl::Duration then =
      last.has_elapsed() ? FromProto(last.elapsed()) : FromProto(last.at()) - state.requested_at;
  return std::max(then, absl::ZeroDuration()) + std::max(now - FromProto(last.at()), absl::ZeroDuration());
}

// Changes that a watcher sees and no event says – progress, agents that come and go – count in revisions too. In all
// the life of a process it comes to less than one for each microsecond of this.
constexpr absl::Duration kUnstoredChanges = absl::Hours(1);

// Above all that the process before this one gave to anyone, so that a watcher's revisions never go back. They go on
// from the run's own time, which its events hold: somebody may have set the clock back. Two starts with no event of the run
// between them, and a clock that is set back between them too, may give one twice.
int64_t FirstRevision(absl::Time run_time) { return absl::ToUnixMicros(run_time); }

}  // namespace

Engine::~Engine() {
  // Callbacks of batches in flight use this object: wait for the last.
  (void)CommitAndWait(store_, {});
}

Status Engine::Recover() {
  MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(const std::vector<v1::Backup> backups, ReadAllBackups(store_));
  for (const v1::Backup& backup : backups) {
    backups_.Put(backup);
    if (observer_ != nullptr) observer_->OnBackup(backup);
  }
  ASSIGN_OR_RETURN(const std::vector<v1::AgentStatus> agents, store_.ListAgents());
  for (const v1::AgentStatus& agent : agents) sessions_.Know(agent);
  ASSIGN_OR_RETURN(const std::vector<StoredObligation> obligations, store_.ListObligations());
  for (const StoredObligation& held : obligations) {
    const auto run = store_.LoadRunSummary(held.obligation.run());
    if (!run.ok() && run.status().code() != absl::StatusCode::kNotFound && !IsDamage(run.status()))
      return run.status();
    const std::string& noted = held.obligation.environment();
    const AgentKey agent = {noted.empty() && run.ok() ? run->header().environment() : noted, held.agent};
    unconfirmed_[{held.obligation.run(), held.obligation.name()}] = {agent, held.obligation};
  }
  ASSIGN_OR_RETURN(const std::vector<v1::Run> looked, ReadAllRuns(store_, {.kind = v1::RUN_KIND_INSPECT}));
  for (const v1::Run& run : looked) answers_.Note(run);
  ASSIGN_OR_RETURN(const std::vector<std::string> names, store_.ActiveRuns());
  Turn turn;
  for (const std::string& name : names) {
    const Status status = RecoverRun(turn, name);
    if (status.ok()) continue;
    if (!IsDamage(status)) return WithContext(status, "recover run " + name);
    RETURN_IF_ERROR(Quarantine(name, status));
  }
  Conclude(turn);
  if (!runs_.empty()) LogInfo("{} active runs go on where they were", runs_.size());
  return OkStatus();
}

std::vector<WaitingRun> Engine::FindWaiting(v1::RunKind kind, const std::string& application) {
  std::vector<WaitingRun> waiting;
  MutexLock lock(mutex_);
  for (const auto& [name, run] : runs_) {
    if (run->header.kind() != kind || run->header.application() != application) continue;
    if (run->state.phase != v1::RUN_PHASE_RUNNING) continue;
    if (!flows::HasBegun(run->state)) waiting.push_back({run->header, run->state.graph->Flow()});
  }
  return waiting;
}

Status Engine::Quarantine(const std::string& name, const Status& why) {
  ASSIGN_OR_RETURN(v1::Run run, store_.LoadRunSummary(name));
  run.set_phase(v1::RUN_PHASE_QUARANTINED);
  run.set_reason(MessageOf(why));
  // Its own time can't be read but for when it was requested.
  const absl::Time known = std::max(clock_.Now(), FromProto(run.header().requested_at()));
  run.set_revision(FirstRevision(known + kUnstoredChanges));
  run.set_hint(fmt::format("The other runs go on. Give this one up with: salvor run cancel {}", name));
  LogError("run {} is quarantined, since its records can't be read: {}", name, MessageOf(why));
  quarantined_[name].view = std::move(run);
  return OkStatus();
}

void Engine::GiveUpQuarantined(const std::string& name, const std::string& by, const std::string& reason) {
  Quarantined& quarantined = quarantined_[name];
  if (std::exchange(quarantined.is_given_up, true)) return;
  v1::Run run = quarantined.view;
  run.set_phase(v1::RUN_PHASE_FAILED);
  run.set_reason(fmt::format("given up by {}{}{}: {}", by, reason.empty() ? "" : ", ", reason, run.reason()));
  run.clear_hint();
  run.set_revision(run.revision() + 1);
  *run.mutable_finished_at() = ToProto(clock_.Now());
  Turn turn;
  const v1::Backup* backup = FindConcerned(run.header());
  run = KeepRecords(turn, verdicts::RecordsOf(std::move(run), {backup, nullptr}));
  answers_.Note(run);
  turn.batch.push_back(controlplane::FinishRun{run, std::make_shared<v1::Run>(run)});
  turn.given_up.push_back(name);
  Conclude(turn);
}

Status Engine::StartRun(v1::RunHeader header, v1::Flow flow, const std::string& backup_location,
                        Durable durable, const verdicts::DeletionTerms& terms) {
  ASSIGN_OR_RETURN(flows::Graph graph, flows::Graph::Make(std::move(flow)));
  Status known = store_.LoadRunSummary(header.name()).status();
  if (known.ok()) return AlreadyExists("run {} exists already", header.name());
  if (known.code() != absl::StatusCode::kNotFound) return known;
  {
    MutexLock lock(mutex_);
    if (runs_.count(header.name()) > 0) return AlreadyExists("run {} exists already", header.name());
    Turn turn;
    RETURN_IF_ERROR(ClaimBackup(turn, header, terms));
    RunPointer run = MakeRun(std::move(header), std::move(graph));
    turn.batch.push_back(PutRun{run->header, {run->state.graph, &run->state.graph->Flow()}});
    if (!backup_location.empty()) RecordBackup(turn, verdicts::BeginBackup(run->header, backup_location));
    run->began = clock_.Monotonic();
    run->revision = FirstRevision(clock_.Now());
    runs_[run->header.name()] = run;
    v1::Event event;
    event.mutable_run_requested();
    RecordEvent(turn, run, std::move(event));
    Conclude(turn);
  }
  CallWhenDurable(std::move(durable));
  return OkStatus();
}

Status Engine::CancelRun(const std::string& name, const std::string& by, const std::string& reason,
                         Durable durable) {
  {
    MutexLock lock(mutex_);
    const RunPointer run = FindActive(name);
    if (quarantined_.count(name) > 0) {
      GiveUpQuarantined(name, by, reason);
    } else if (run == nullptr || run->state.Finished()) {
      return FailedPrecondition("run {} is not active", name);
    } else if (run->state.phase != v1::RUN_PHASE_CANCELLING) {
      Turn turn;
      v1::Event event;
      event.mutable_cancel_requested()->set_by(by);
      event.mutable_cancel_requested()->set_reason(reason);
      RecordEvent(turn, run, std::move(event));
      Conclude(turn);
    }
  }
  CallWhenDurable(std::move(durable));
  return OkStatus();
}

// Batches are committed in order: all before it is durable when this empty one is.
void Engine::CallWhenDurable(Durable durable) {
  store_.Commit({}, [this, durable = std::move(durable)](const CommitOutcome& outcome) {
    if (outcome.kind != CommitOutcome::Kind::kCommitted && options_.on_fatal) options_.on_fatal(outcome.why);
    durable(outcome.why);
  });
}

StatusOr<v1::Run> Engine::GetRun(const std::string& name) {
  {
    MutexLock lock(mutex_);
    if (const RunPointer run = FindActive(name)) return ViewOf(*run, true);
    if (const auto quarantined = quarantined_.find(name); quarantined != quarantined_.end())
      return quarantined->second.view;
  }
  return finished_.Load(name);
}

StatusOr<v1::Run> Engine::WaitForChange(const std::string& name, int64_t seen, absl::Duration timeout) {
  {
    MutexLock lock(mutex_);
    const RunPointer run = FindActive(name);
    if (run != nullptr) {
      const auto until = std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(timeout);
      while (!run->finish_is_durable && run->revision == seen) {
        const auto left = until - std::chrono::steady_clock::now();
        if (left.count() <= 0 || !run->changed.WaitFor(mutex_, left)) break;
      }
      return ViewOf(*run, true);
    }
  }
  return GetRun(name);
}

bool Engine::WaitUntilFinished(const std::string& name, absl::Duration timeout) {
  MutexLock lock(mutex_);
  const RunPointer run = FindActive(name);
  const auto until = std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(timeout);
  while (run != nullptr && !run->finish_is_durable) {
    const auto left = until - std::chrono::steady_clock::now();
    if (left.count() <= 0) return false;
    run->finished.WaitFor(mutex_, left);
  }
  return true;
}

StatusOr<Page<v1::Run>> Engine::ListRuns(const RunFilter& filter, const PageRequest& page) {
  const size_t size = static_cast<size_t>(std::max(page.size, 1));
  Page<v1::Run> runs = {{}, page.token};
  do {
    const int missing = static_cast<int>(size - runs.items.size());
    ASSIGN_OR_RETURN(Page<v1::Run> stored, store_.ListRuns(filter, {missing, runs.next_token}));
    for (v1::Run& summary : stored.items) {
      ASSIGN_OR_RETURN(v1::Run run, Refresh(std::move(summary)));
      if (filter.Matches(run) && filter.MatchesVerdict(run)) runs.items.push_back(std::move(run));
    }
    runs.next_token = std::move(stored.next_token);
  } while (runs.items.size() < size && !runs.next_token.empty());
  return runs;
}

StatusOr<v1::Run> Engine::Refresh(v1::Run summary) {
  const std::string name = summary.header().name();
  {
    MutexLock lock(mutex_);
    if (const RunPointer active = FindActive(name)) return ViewOf(*active, false);
    if (const auto found = quarantined_.find(name); found != quarantined_.end()) return found->second.view;
  }
  if (summary.phase() == v1::RUN_PHASE_UNSPECIFIED) {  // it ended after the list was read
    ASSIGN_OR_RETURN(summary, store_.LoadRunSummary(name));
  }
  finished_.FillVerdict(summary);
  return summary;
}

void Engine::SetWakeUp(std::function<void()> wake_up) {
  MutexLock lock(mutex_);
  wake_up_ = std::move(wake_up);
}

absl::Duration Engine::OldestReadyAge() {
  MutexLock lock(mutex_);
  return ready_.OldestAge(clock_.Monotonic());
}

int Engine::ActiveRunCount() {
  MutexLock lock(mutex_);
  return static_cast<int>(runs_.size() + quarantined_.size());
}

int Engine::OpenObligationCount() {
  MutexLock lock(mutex_);
  int open = static_cast<int>(unconfirmed_.size());
  for (const auto& [name, run] : runs_) {
    for (const auto& obligation : run->state.obligations)
      open += obligation.phase == v1::ObligationStatus::PHASE_OPEN;
  }
  return open;
}

RunPointer Engine::FindActive(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
  const auto found = runs_.find(name);
  return found == runs_.end() ? nullptr : found->second;
}

Status Engine::RecoverRun(Turn& turn, const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
  ASSIGN_OR_RETURN(StoredRun stored, store_.LoadRun(name));
  ASSIGN_OR_RETURN(flows::Graph graph, flows::Graph::Make(std::move(stored.flow)));
  RunPointer run = MakeRun(std::move(stored.header), std::move(graph));
  for (const v1::Event& event : stored.events) {
    flows::Effects ignored;
    RETURN_IF_ERROR(flows::Reduce(run->state, event, ignored));
  }
  run->holders = HoldersIn(run->header.environment(), run->state.graph->Flow(), stored.events);
  run->next_event = static_cast<int64_t>(stored.events.size());
  run->began = clock_.Monotonic() - AgeOf(run->state, stored.events, clock_.Now());
  const absl::Time now = stored.events.empty() ? clock_.Now() : run->RunTime(clock_.Monotonic());
  run->revision = FirstRevision(now + kUnstoredChanges);
  runs_[name] = run;
  if (stored.events.empty()) {
    v1::Event event;
    event.mutable_run_requested();
    RecordEvent(turn, run, std::move(event));
    return OkStatus();
  }
  for (flows::Effect& effect : flows::Outstanding(run->state)) {
    // Nobody can have come back yet: agents get a lease's time, as for their leases.
    auto* timer = std::get_if<flows::StartTimer>(&effect);
    if (timer != nullptr && timer->kind == v1::TimerFired::KIND_START_DEADLINE)
      timer->at = std::max(timer->at, run->RunTime(started_at_ + options_.lease_duration));
    PerformEffect(turn, run, effect);
  }
  return OkStatus();
}

bool Engine::RecordEvent(Turn& turn, const RunPointer& run, v1::Event event)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
  *event.mutable_at() = ToProto(clock_.Now());
  *event.mutable_elapsed() = ToProto(clock_.Monotonic() - run->began);
  flows::Effects effects;
  if (Status status = flows::Reduce(run->state, event, effects); !status.ok()) {
    LogError("run {}: an event was refused: {}", run->header.name(), MessageOf(status));
    return false;
  }
  const bool binds = !event.step_reported().result().bindings().empty();
  const bool may_free_keys = !run->keyed.empty() && !event.has_step_granted();
  *run->pending.add_events() = std::move(event);
  Touch(turn, run);
  for (const flows::Effect& effect : effects) PerformEffect(turn, run, effect);
  if (binds) {
    for (const v1::Place& place : run->state.graph->Places()) turn.dispatch.insert(run->EnvironmentOf(place));
  }
  if (may_free_keys) ready_.AddHeldBack(turn.dispatch);
  return true;
}

void Engine::Touch(Turn& turn, const RunPointer& run) {
  ++run->revision;
  if (std::find(turn.touched.begin(), turn.touched.end(), run) == turn.touched.end())
    turn.touched.push_back(run);
}

void Engine::PerformEffect(Turn& turn, const RunPointer& run, const flows::Effect& effect)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
  if (const auto* ready = std::get_if<flows::StepReady>(&effect)) {
    ready_.Push(run, ready->step);
    turn.dispatch.insert(run->EnvironmentOf(ready->step));
  } else if (const auto* timer = std::get_if<flows::StartTimer>(&effect)) {
    const absl::Duration at = run->Monotonic(timer->at);
    const bool earliest = timers_.empty() || at < timers_.top().at;
    timers_.push({at, run->header.name(), timer->step, timer->attempt, timer->kind});
    if (earliest && wake_up_) wake_up_();
  } else if (const auto* cancel = std::get_if<flows::CancelStep>(&effect)) {
    if (const SessionPointer session = sessions_.Find(run->Holder(cancel->step))) {
      *turn.messages[session].add_cancels() = run->Lease(cancel->step);
    }
  } else {
    FinishRun(turn, run);
  }
}

void Engine::FinishRun(Turn& turn, const RunPointer& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
  turn.finished.push_back(run);
  Touch(turn, run);
  const v1::Backup* backup = backups_.Find(run->header.backup());
  const v1::Backup* believed = backup == nullptr ? nullptr : backups_.LatestBelieved(backup->application());
  v1::Run& ended = *(run->ended = std::make_shared<v1::Run>());
  ended =
      KeepRecords(turn, verdicts::RecordsOf(flows::View(run->header, run->state, true), {backup, believed}));
  answers_.Note(ended);
  for (size_t i = 0; i < run->state.obligations.size(); ++i) {
    if (run->state.obligations[i].phase == v1::ObligationStatus::PHASE_UNCONFIRMED)
      KeepObligation(turn, run, i);
  }
  LogInfo("run {} is over: {}{}{}", run->header.name(), verdicts::WordOf(ended.verdict()),
          ended.verdict_reason().empty() ? "" : ": ", ended.verdict_reason());
}

v1::Run Engine::KeepRecords(Turn& turn, verdicts::Records records) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
  if (records.backup.has_value()) RecordBackup(turn, *std::move(records.backup));
  for (v1::Verification& verification : records.verifications)
    turn.batch.push_back(PutVerification{std::move(verification)});
  if (observer_ != nullptr) observer_->OnRun(records.run);
  return std::move(records.run);
}

void Engine::RecordBackup(Turn& turn, v1::Backup backup) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
  if (observer_ != nullptr) observer_->OnBackup(backup);
  turn.batch.push_back(PutBackup{backup});
  backups_.Put(std::move(backup));
}

void Engine::Conclude(Turn& turn) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
  while (!turn.dispatch.empty()) {
    const std::string environment = *turn.dispatch.begin();
    turn.dispatch.erase(turn.dispatch.begin());
    Dispatch(turn, environment);
  }
  turn.batch.changes.reserve(turn.batch.changes.size() + turn.touched.size() + turn.finished.size());
  for (const RunPointer& run : turn.touched) {
    if (!run->pending.events().empty()) {
      const int64_t first = run->next_event;
      run->next_event += run->pending.events_size();
      turn.batch.push_back(AppendEvents{run->header.name(), first, std::move(run->pending)});
      run->pending.Clear();
    }
    CheckInvariants(*run);
    run->changed.NotifyAll();
  }
  for (const RunPointer& run : turn.finished) {
    run->ended->set_revision(run->revision + 1);
    turn.batch.push_back(controlplane::FinishRun{SummaryOf(*run->ended), run->ended});
  }
  if (turn.batch.empty() && turn.messages.empty()) return;
  store_.Commit(std::move(turn.batch),
                [this, messages = std::move(turn.messages), finished = std::move(turn.finished),
                 given_up = std::move(turn.given_up)](const CommitOutcome& outcome) mutable {
                  if (outcome.kind != CommitOutcome::Kind::kCommitted) {
                    if (options_.on_fatal) options_.on_fatal(outcome.why);
                    return;
                  }
                  for (auto& [session, message] : messages) session->link->Send(std::move(message));
                  if (!finished.empty() || !given_up.empty()) Forget(finished, given_up);
                });
}

void Engine::Forget(const std::vector<RunPointer>& finished, const std::vector<std::string>& given_up) {
  MutexLock lock(mutex_);
  for (const std::string& name : given_up) quarantined_.erase(name);
  for (const RunPointer& run : finished) {
    run->finish_is_durable = true;
    ++run->revision;
    runs_.erase(run->header.name());
    finished_holders_.Put(run->header.name(), std::move(run->holders));
    run->changed.NotifyAll();
    run->finished.NotifyAll();
  }
}

void Engine::Dispatch(Turn& turn, const std::string& environment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
  ready_.Assign(
      environment, sessions_, runs_, clock_.Monotonic(),
      [&](const ReadyStep& ready, const SessionPointer& session) { return Grant(turn, session, ready); });
}

bool Engine::Grant(Turn& turn, const SessionPointer& session, const ReadyStep& ready)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
  const RunPointer& run = ready.run;
  const v1::Step& step = run->Step(ready.step);
  v1::Event event;
  v1::StepGranted* granted = event.mutable_step_granted();
  granted->set_step(step.id());
  granted->set_attempt(run->At(ready.step).attempt + 1);
  granted->set_epoch(run->At(ready.step).epoch + 1);
  granted->set_agent(session->status.name());
  if (run->state.BoundAt(ready.step) != granted->agent()) {
    v1::Binding* binding = granted->add_bindings();
    binding->set_place(run->PlaceOf(ready.step).name());
    binding->set_agent(granted->agent());
  }
  if (!RecordEvent(turn, run, std::move(event))) return false;  // what is not on record is not sent
  run->holders.Note(step.id(), session->status.environment(), session->status.name());
  v1::Task* task = turn.messages[session].add_tasks();
  *task->mutable_lease() = run->Lease(ready.step);
  *task->mutable_action() = step.action();
  task->set_component(step.component());
  task->set_title(step.title());
  if (step.has_attempt_timeout()) *task->mutable_timeout() = step.attempt_timeout();
  for (const std::string& input : step.inputs()) (*task->mutable_inputs())[input] = InputOf(*run, input);
  if (const int releases = run->state.graph->At(ready.step).releases; releases >= 0)
    task->set_releases(run->state.graph->ObligationAt(releases).name());
  const int opens = run->state.graph->At(ready.step).opens;
  if (opens < 0) return true;
  const v1::Obligation& obligation = run->state.graph->ObligationAt(opens);
  task->set_obligation(obligation.name());
  *task->mutable_undo() = run->state.graph->UndoOf(opens);
  if (obligation.has_deadline()) *task->mutable_obligation_deadline() = obligation.deadline();
  return true;
}

v1::Run Engine::ViewOf(ActiveRun& run, bool steps) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
  if (run.finish_is_durable) {
    v1::Run ended = *run.ended;
    ended.set_revision(run.revision);  // a watcher's never go back
    return ended;
  }
  v1::Run view = flows::View(run.header, run.state, steps);
  view.set_revision(run.revision);
  // An end that is not durable yet has not happened to anyone outside.
  if (run.state.Finished()) view.set_phase(v1::RUN_PHASE_RUNNING);
  if (!steps) return view;
  for (int step = 0; step < run.state.graph->StepCount(); ++step) {
    v1::StepStatus& status = *view.mutable_steps(step);
    const auto progress = run.progress.find(step);
    if (progress != run.progress.end()) *status.mutable_progress() = progress->second;
    ExplainWaiting(run, step, status);
  }
  return view;
}

StatusOr<std::unique_ptr<Engine>> Engine::Create(Store& store, const Clock& clock, EngineOptions options,
                                                 EngineObserver* observer) {
  std::unique_ptr<Engine> engine(new Engine(store, clock, std::move(options), observer));
  RETURN_IF_ERROR(engine->Recover());
  return engine;
}

Engine::Engine(Store& store, const Clock& clock, EngineOptions options, EngineObserver* observer)
    : store_(store),
      clock_(clock),
      options_(std::move(options)),
      observer_(observer),
      started_at_(clock.Monotonic()),
      started_wall_(clock.Now()),
      finished_(store,
                [this](const std::string& name) -> std::optional<v1::Backup> {
                  MutexLock lock(mutex_);
                  const v1::Backup* backup = backups_.Find(name);
                  return backup == nullptr ? std::nullopt : std::optional(*backup);
                }),
      releases_(options_.lease_duration),
      clock_jump_(clock),
      answers_(options_.answers_kept_for) {}

}  // namespace salvor::controlplane
