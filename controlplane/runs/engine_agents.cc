#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "base/io/grpc/limits.h"
#include "base/io/log.h"
#include "controlplane/runs/engine.h"
#include "controlplane/runs/protocol.h"
#include "proto/time.h"

namespace salvor::controlplane {
namespace {

// Acknowledges the report, or says that its result can't be taken and puts the error in its place.
void AnswerReport(v1::ControlMessage& answer, v1::Report& report) {
  const size_t bytes = report.result().ByteSizeLong();
  if (bytes <= kLargestResult) {
    *answer.add_acks() = report.lease();
    return;
  }
  const std::string why =
      fmt::format("the result has {} bytes, and at most {} are taken", bytes, kLargestResult);
  v1::RejectedReport* rejected = answer.add_rejected();
  *rejected->mutable_lease() = report.lease();
  rejected->set_why(why);
  report.mutable_result()->Clear();
  v1::Error* error = report.mutable_result()->mutable_error();
  error->set_reason(v1::Error::REASON_FAILED);
  error->set_message(why);
  error->set_hint("The agent has put it aside in its journal; please report this.");
}

bool MadeObligation(const ActiveRun& run, const std::string& name, const AgentKey& agent) {
  for (size_t i = 0; i < run.state.obligations.size(); ++i) {
    if (run.state.graph->ObligationAt(static_cast<int>(i)).name() == name)
      return run.ObligationHolder(i) == agent;
  }
  return false;
}

// Overtaken timers are not worth an event in the journal.
bool Matters(const ActiveRun& run, const Timer& timer) {
  if (timer.kind == v1::TimerFired::KIND_START_DEADLINE) return !flows::HasBegun(run.state);
  if (timer.step < 0) return true;
  const flows::StepState& at = run.At(timer.step);
  if (at.attempt != timer.attempt) return false;
  switch (timer.kind) {
    case v1::TimerFired::KIND_BACKOFF:
      return at.phase == v1::STEP_PHASE_BACKOFF;
    case v1::TimerFired::KIND_QUEUE_TIMEOUT:
      return at.phase == v1::STEP_PHASE_READY;
    default:
      return at.phase == v1::STEP_PHASE_RUNNING;
  }
}

}  // namespace

std::vector<v1::AgentStatus> Engine::ListAgents() {
  MutexLock lock(mutex_);
  std::vector<v1::AgentStatus> agents = sessions_.List();
  for (v1::AgentStatus& agent : agents) agent.set_running(RunningOn({agent.environment(), agent.name()}));
  return agents;
}

StatusOr<int64_t> Engine::Connect(const v1::AgentHello& hello, std::shared_ptr<AgentLink> link) {
  ASSIGN_OR_RETURN(const int protocol, ChooseProtocol(hello, options_.version));
  if (hello.agent().empty() || hello.environment().empty())
    return InvalidArgument("hello without agent or environment");
  MutexLock lock(mutex_);
  RETURN_IF_ERROR(CloseOlder(hello));
  const SessionPointer session = sessions_.Add(hello, std::move(link), clock_);
  Turn turn;
  v1::AgentWelcome* welcome = turn.messages[session].mutable_welcome();
  *welcome->mutable_heartbeat_interval() = ToProto(options_.heartbeat_interval);
  *welcome->mutable_lease_duration() = ToProto(options_.lease_duration);
  welcome->set_control_plane_version(options_.version);
  welcome->set_protocol(protocol);
  ResumeLeases(turn, session, hello);
  SettleObligations(turn, session, true);
  LogInfo("agent {} of environment {} is connected", hello.agent(), hello.environment());
  TouchRunsOf(turn, hello.environment());
  turn.dispatch.insert(hello.environment());
  Conclude(turn);
  return session->id;
}

void Engine::Receive(int64_t id, v1::AgentMessage message) {
  MutexLock lock(mutex_);
  const SessionPointer session = sessions_.Find(id);
  if (session == nullptr) return;
  session->Hear(clock_);
  session->credits += message.credits();
  if (message.has_task_limit()) session->task_limit = message.task_limit();
  Turn turn;
  // First: the success of what relied on one is none, and may travel with it.
  for (const v1::EarlyRelease& release : message.early_releases()) OnEarlyRelease(turn, session, release);
  for (v1::Report& report : *message.mutable_reports()) OnReport(turn, session, std::move(report));
  for (v1::ProgressReport& progress : *message.mutable_progress()) OnProgress(session, std::move(progress));
  for (v1::LogLines& lines : *message.mutable_logs()) {
    if (MayLog(session, lines)) turn.batch.push_back(AppendLog{std::move(lines)});
  }
  if (message.has_hello()) {  // an agent that still lives says again what it holds
    session->SetObligations(message.hello());
    SettleObligations(turn, session, false);
  }
  turn.dispatch.insert(session->status.environment());
  Conclude(turn);
}

void Engine::Disconnect(int64_t id) {
  MutexLock lock(mutex_);
  const SessionPointer session = sessions_.Find(id);
  if (session == nullptr) return;
  Turn turn;
  turn.batch.push_back(PutAgent{sessions_.Remove(session)});
  LogWarning("agent {} is not connected any more", session->status.name());
  TouchRunsOf(turn, session->status.environment());
  turn.dispatch.insert(session->status.environment());  // a place that moves may go to another now
  Conclude(turn);
  if (wake_up_) wake_up_();
}

void Engine::TouchRunsOf(Turn& turn, const std::string& environment) {
  for (const auto& [name, run] : runs_) {
    if (run->IsIn(environment) && !run->state.Finished()) Touch(turn, run);
  }
}

void Engine::ExplainWaiting(const ActiveRun& run, int step, v1::StepStatus& status) {
  Waiting waiting;
  if (status.phase() == v1::STEP_PHASE_READY) {
    waiting = WhyItWaits(run, step, sessions_, runs_);
  } else if (status.phase() == v1::STEP_PHASE_RUNNING && sessions_.Find(run.Holder(step)) == nullptr) {
    waiting = {fmt::format("agent {} is not connected; its result is awaited", status.agent()),
               sessions_.LastSeen(run.Holder(step))};
  } else {
    return;
  }
  status.set_reason(waiting.why);
  if (waiting.since) *status.mutable_waits_since() = ToProto(std::max(*waiting.since, started_wall_));
}

absl::Duration Engine::Tick() {
  MutexLock lock(mutex_);
  NoticeClockJump();
  const absl::Duration now = clock_.Monotonic();
  Turn turn;
  while (!timers_.empty() && timers_.top().at <= now) {
    const Timer timer = timers_.top();
    timers_.pop();
    FireTimer(turn, timer);
  }
  ExpireLeases(turn, now);
  RepeatReleases(turn, now);
  for (std::string& run : answers_.TakeExpired(clock_.Now())) {
    finished_holders_.Forget(run);  // a log line that comes now would stay for ever
    turn.batch.push_back(EraseRun{std::move(run)});
  }
  Conclude(turn);
  absl::Duration next = options_.heartbeat_interval;
  if (!timers_.empty()) next = std::min(next, timers_.top().at - now);
  return next;
}

int Engine::RunningOn(const AgentKey& agent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
  int running = 0;
  for (const auto& [name, run] : runs_) {
    for (int step = 0; step < run->state.graph->StepCount(); ++step)
      running += run->At(step).phase == v1::STEP_PHASE_RUNNING && run->Holder(step) == agent;
  }
  return running;
}

Status Engine::CloseOlder(const v1::AgentHello& hello) {
  const SessionPointer older = sessions_.Find({hello.environment(), hello.agent()});
  if (older == nullptr) return OkStatus();
  // Another process has the name, and the first one is alive: a machine that was cloned, say. Both would do the same
  // work.
  const bool another =
      !hello.instance().empty() && !older->instance.empty() && hello.instance() != older->instance;
  if (another && clock_.Monotonic() - older->heard_at <= options_.lease_duration) {
    return WithHint(
        AlreadyExists("an agent of the name {} is connected already, from host {}", hello.agent(),
                      older->status.host()),
        "Give each agent a --name of its own. One that was restarted is taken as soon as the first is gone.");
  }
  older->link->Close("the agent opened a newer connection");
  sessions_.Remove(older);
  return OkStatus();
}

void Engine::ResumeLeases(Turn& turn, const SessionPointer& session, const v1::AgentHello& hello)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
  std::set<std::tuple<std::string, std::string, int>> held;
  for (const v1::LeaseKey& lease : hello.held()) {
    held.insert({lease.run(), lease.step(), lease.attempt()});
    const RunPointer run = FindActive(lease.run());
    const bool ours = FindHeld(session, lease.run(), lease.step()) != nullptr &&
                      flows::CheckReport(run->state, lease.step(), lease.attempt(), lease.epoch()) !=
                          flows::Fence::kSuperseded;
    if (!ours) *turn.messages[session].add_superseded() = lease;
  }
  const auto runs = runs_;
  for (const auto& [name, run] : runs) {
    for (int step = 0; step < run->state.graph->StepCount(); ++step) {
      const flows::StepState& at = run->At(step);
      if (at.phase != v1::STEP_PHASE_RUNNING ||
          !run->IsHeldBy(step, session->status.environment(), session->status.name()))
        continue;
      if (held.count({name, run->Step(step).id(), at.attempt}) == 0) {
        ReportLost(turn, run, step);
      } else {
        const bool stop =
            run->state.phase == v1::RUN_PHASE_CANCELLING && run->state.graph->At(step).releases < 0;
        if (stop || at.must_fail) *turn.messages[session].add_cancels() = run->Lease(step);
        Touch(turn, run);
      }
    }
  }
}

void Engine::ReportLost(Turn& turn, const RunPointer& run, int step) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
  v1::Event event;
  v1::StepReported* reported = event.mutable_step_reported();
  reported->set_step(run->Step(step).id());
  reported->set_attempt(run->At(step).attempt);
  reported->set_epoch(run->At(step).epoch);
  reported->set_jitter(options_.random ? options_.random() : 0);
  v1::Error* error = reported->mutable_result()->mutable_error();
  error->set_reason(v1::Error::REASON_LOST);
  error->set_message(
      fmt::format("agent {} came back and does not know of this attempt", run->At(step).agent));
  error->set_retryable(true);
  RecordEvent(turn, run, std::move(event));
}

void Engine::SettleObligations(Turn& turn, const SessionPointer& session, bool is_connecting)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
  for (const auto& [key, held] : session->obligations) {
    const RunPointer run = FindActive(key.first);
    if (run != nullptr && !run->state.Finished()) continue;
    const ReleaseSchedule::Key asked = {session->Key(), key.first, key.second};
    // Who only says again what it holds is asked for what is new and what is due.
    if (!is_connecting && !releases_.IsDue(asked, clock_.Monotonic())) continue;
    *turn.messages[session].add_release() = OrderOf(session->Key(), held);
    if (is_connecting) releases_.NoteAsked(asked, clock_.Monotonic());
  }
  for (auto it = unconfirmed_.begin(); it != unconfirmed_.end();) {
    const bool gone = it->second.agent == session->Key() && session->obligations.count(it->first) == 0;
    if (gone) {
      LogInfo("obligation {} of run {} is released", it->first.second, it->first.first);
      turn.batch.push_back(EraseObligation{it->first.first, it->first.second});
      it = unconfirmed_.erase(it);
    } else {
      ++it;
    }
  }
}

v1::HeldObligation Engine::OrderOf(const AgentKey& agent, v1::HeldObligation held) {
  if (held.has_undo()) return held;
  const RunPointer run = FindActive(held.run());  // its end is not durable yet
  const StepHolders* holders = run != nullptr ? &run->holders : FinishedRun(held.run());
  // No agent makes us read, or learns of, a run that it has had no part in.
  if (holders == nullptr || !holders->HadAny(agent)) return held;
  StatusOr<StoredRun> stored = store_.LoadRun(held.run());
  if (!stored.ok()) return held;
  const StatusOr<flows::Graph> graph = flows::Graph::Make(std::move(stored->flow));
  if (!graph.ok()) return held;
  const int obligation = graph->FindObligation(held.name());
  if (obligation < 0) return held;
  const std::string& opener =
      graph->Step(graph->Obligations()[static_cast<size_t>(obligation)].opened_by).id();
  if (holders->Had(opener, agent)) *held.mutable_undo() = graph->UndoOf(obligation);
  return held;
}

void Engine::KeepObligation(Turn& turn, const RunPointer& run, size_t i)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
  Unconfirmed held;
  held.agent = run->ObligationHolder(i);
  held.obligation.set_run(run->header.name());
  held.obligation.set_environment(held.agent.environment);
  held.obligation.set_name(run->state.graph->ObligationAt(static_cast<int>(i)).name());
  *held.obligation.mutable_undo() = run->state.graph->UndoOf(static_cast<int>(i));
  if (const SessionPointer session = sessions_.Find(held.agent)) {
    *turn.messages[session].add_release() = held.obligation;
    releases_.NoteAsked({held.agent, run->header.name(), held.obligation.name()}, clock_.Monotonic());
  }
  unconfirmed_[{run->header.name(), held.obligation.name()}] = held;
  turn.batch.push_back(PutObligation{held.agent.name, held.obligation});
}

void Engine::OnReport(Turn& turn, const SessionPointer& session, v1::Report report)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
  const v1::LeaseKey& lease = report.lease();
  const RunPointer run = FindActive(lease.run());
  if (run != nullptr && FindHeld(session, lease.run(), lease.step()) == nullptr) {
    LogWarning("agent {} reports {} of run {}, which it does not hold: not taken", session->status.name(),
               lease.step(), lease.run());
    *turn.messages[session].add_superseded() = lease;
    return;
  }
  // A run that is over has taken all its reports: this one was acknowledged, and the acknowledgement was
  // lost.
  const flows::Fence fence =
      quarantined_.count(lease.run()) > 0 ? flows::Fence::kSuperseded
      : run == nullptr                    ? flows::Fence::kDuplicate
                       : flows::CheckReport(run->state, lease.step(), lease.attempt(), lease.epoch());
  if (fence == flows::Fence::kSuperseded) {
    *turn.messages[session].add_superseded() = lease;
    return;
  }
  if (fence == flows::Fence::kDuplicate) {
    *turn.messages[session].add_acks() = lease;
    return;
  }
  AnswerReport(turn.messages[session], report);
  const int step = run->state.graph->Find(lease.step());
  run->progress.erase(step);
  v1::Event event;
  v1::StepReported* reported = event.mutable_step_reported();
  reported->set_step(lease.step());
  reported->set_attempt(lease.attempt());
  reported->set_epoch(lease.epoch());
  reported->set_jitter(options_.random ? options_.random() : 0);
  *reported->mutable_result() = std::move(*report.mutable_result());
  const absl::Time granted_at = run->At(step).granted_at;
  if (!RecordEvent(turn, run, std::move(event))) return;
  if (observer_ == nullptr) return;
  observer_->OnStep(run->header, run->Step(step), run->At(step).phase,
                    run->RunTime(clock_.Monotonic()) - granted_at);
  if (run->At(step).phase == v1::STEP_PHASE_BACKOFF) observer_->OnRetry(run->header);
}

void Engine::OnProgress(const SessionPointer& session, v1::ProgressReport report) {
  const v1::LeaseKey& lease = report.lease();
  const RunPointer run = FindHeld(session, lease.run(), lease.step());
  if (run == nullptr) return;
  const auto fence = flows::CheckReport(run->state, lease.step(), lease.attempt(), lease.epoch());
  if (fence != flows::Fence::kAccept ||
      run->At(run->state.graph->Find(lease.step())).phase != v1::STEP_PHASE_RUNNING)
    return;
  run->progress[run->state.graph->Find(lease.step())] = std::move(*report.mutable_progress());
  ++run->revision;
  run->changed.NotifyAll();
}

RunPointer Engine::FindHeld(const SessionPointer& session, const std::string& run, const std::string& step) {
  const RunPointer active = FindActive(run);
  if (active == nullptr) return nullptr;
  const int index = active->state.graph->Find(step);
  return index >= 0 && active->IsHeldBy(index, session->status.environment(), session->status.name())
             ? active
             : nullptr;
}

// The last lines of a run may come when it is over, and of one that ended before this start.
bool Engine::MayLog(const SessionPointer& session, const v1::LogLines& lines) {
  const RunPointer run = FindActive(lines.run());
  const StepHolders* holders = run != nullptr ? &run->holders : FinishedRun(lines.run());
  const bool may = holders != nullptr && holders->Had(lines.step(), session->Key());
  if (!may) {
    LogWarning("agent {} logs to {} of run {}, which it never held: not taken", session->status.name(),
               lines.step(), lines.run());
  }
  return may;
}

// Null when the store does not have it, or can't say now: that is not remembered.
const StepHolders* Engine::FinishedRun(const std::string& name) {
  if (const StepHolders* kept = finished_holders_.Find(name)) return kept;
  // The summary is a single row: whoever names runs that there are not makes us read no more than that.
  if (!store_.LoadRunSummary(name).ok()) return nullptr;
  const StatusOr<StoredRun> stored = store_.LoadRun(name);
  if (!stored.ok()) return nullptr;
  finished_holders_.Put(name, HoldersIn(stored->header.environment(), stored->flow, stored->events));
  return finished_holders_.Find(name);
}

void Engine::OnEarlyRelease(Turn& turn, const SessionPointer& session, const v1::EarlyRelease& release) {
  *turn.messages[session].add_early_release_acks() = release;
  const RunPointer run = FindActive(release.run());
  if (run == nullptr || run->state.Finished() || !MadeObligation(*run, release.name(), session->Key()))
    return;
  LogWarning("agent {} released {} of run {} early: {}", session->status.name(), release.name(),
             release.run(), release.reason());
  v1::Event event;
  event.mutable_released_early()->set_obligation(release.name());
  event.mutable_released_early()->set_reason(release.reason());
  RecordEvent(turn, run, std::move(event));
}

void Engine::RepeatReleases(Turn& turn, absl::Duration now) {
  std::map<ReleaseSchedule::Key, std::pair<SessionPointer, v1::HeldObligation>> open;
  for (const auto& [key, held] : unconfirmed_) {
    if (const SessionPointer session = sessions_.Find(held.agent))
      open[{held.agent, key.first, key.second}] = {session, held.obligation};
  }
  for (const SessionPointer& session : sessions_.All()) {
    for (const auto& [key, held] : session->obligations) {
      const RunPointer run = FindActive(key.first);
      if (run == nullptr || run->state.Finished())
        open[{session->Key(), key.first, key.second}] = {session, held};
    }
  }
  std::set<ReleaseSchedule::Key> keys;
  for (const auto& [key, what] : open) {
    keys.insert(key);
    if (releases_.IsDue(key, now))
      *turn.messages[what.first].add_release() = OrderOf(what.first->Key(), what.second);
  }
  releases_.KeepOnly(keys);
}

void Engine::NoticeClockJump() {
  if (const std::optional<absl::Duration> jump = clock_jump_.Notice())
    LogWarning("{}", DescribeClockJump(*jump));
}

void Engine::FireTimer(Turn& turn, const Timer& timer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
  const RunPointer run = FindActive(timer.run);
  if (run == nullptr || run->state.Finished() || !Matters(*run, timer)) return;
  v1::Event event;
  v1::TimerFired* fired = event.mutable_timer_fired();
  if (timer.step >= 0) fired->set_step(run->Step(timer.step).id());
  fired->set_attempt(timer.attempt);
  fired->set_kind(timer.kind);
  for (int step = 0;
       timer.kind == v1::TimerFired::KIND_START_DEADLINE && step < run->state.graph->StepCount(); ++step) {
    if (run->At(step).phase != v1::STEP_PHASE_READY) continue;
    fired->set_reason(WhyItWaits(*run, step, sessions_, runs_).why);
    break;
  }
  RecordEvent(turn, run, std::move(event));
}

void Engine::ExpireLeases(Turn& turn, absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
  for (const SessionPointer& session : sessions_.SilentSince(now - options_.lease_duration)) {
    LogWarning("agent {} is silent for {}", session->status.name(),
               absl::FormatDuration(now - session->heard_at));
    session->link->Close("no heartbeat");
    turn.batch.push_back(PutAgent{sessions_.Remove(session)});
    TouchRunsOf(turn, session->status.environment());
    turn.dispatch.insert(session->status.environment());
  }
  const auto runs = runs_;
  for (const auto& [name, run] : runs) {
    for (int step = 0; step < run->state.graph->StepCount(); ++step) {
      const flows::StepState& at = run->At(step);
      if (at.phase != v1::STEP_PHASE_RUNNING || at.lease_expired || !run->PlaceOf(step).movable()) continue;
      if (sessions_.Find(run->Holder(step)) != nullptr) continue;
      // Nobody has been heard from after a restart: agents get a lease's time to come back.
      const absl::Duration since = sessions_.LastHeard(run->Holder(step))
                                       .value_or(std::max(run->Monotonic(at.granted_at), started_at_));
      if (now - since <= options_.lease_duration) continue;
      v1::Event event;
      event.mutable_lease_expired()->set_step(run->Step(step).id());
      event.mutable_lease_expired()->set_epoch(at.epoch);
      RecordEvent(turn, run, std::move(event));
    }
  }
}

}  // namespace salvor::controlplane
