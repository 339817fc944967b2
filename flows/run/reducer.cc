#include "flows/run/reducer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/text.h"
#include "flows/run/binding.h"
#include "flows/run/timers.h"
#include "proto/time.h"

namespace salvor::flows {
namespace {

// One event being applied: state, its time, and where effects go.
class Transition {
 public:
  // `measured`: the engine measures durations, so `now` is on the run's own time; see Event.elapsed.
  Transition(RunState& state, absl::Time now, bool measured, Effects& effects)
      : state_(state), now_(now), measured_(measured), effects_(effects) {}

  Status Apply(const v1::Event& event) {
    switch (event.kind_case()) {
      case v1::Event::kRunRequested:
        return OnRequested();
      case v1::Event::kStepGranted:
        return OnGranted(event.step_granted());
      case v1::Event::kStepReported:
        return OnReported(event.step_reported());
      case v1::Event::kLeaseExpired:
        return OnLeaseExpired(event.lease_expired());
      case v1::Event::kTimerFired:
        return OnTimer(event.timer_fired());
      case v1::Event::kCancelRequested:
        return OnCancel(event.cancel_requested());
      case v1::Event::kReleasedEarly:
        return OnReleasedEarly(event.released_early());
      case v1::Event::KIND_NOT_SET:
        break;
    }
    return FailedPrecondition("event of an unknown kind");
  }

 private:
  const Graph& graph() const { return *state_.graph; }
  StepState& At(int step) { return state_.steps[static_cast<size_t>(step)]; }
  bool IsRelease(int step) const { return graph().At(step).releases >= 0; }
  bool Cancelling() const { return state_.phase == v1::RUN_PHASE_CANCELLING; }

  Status OnRequested() {
    if (state_.phase != v1::RUN_PHASE_UNSPECIFIED) return FailedPrecondition("run was requested already");
    state_.phase = v1::RUN_PHASE_RUNNING;
    state_.requested_at = now_;
    AddRunTimers(state_, effects_);
    for (int step = 0; step < graph().StepCount(); ++step) Settle(step);
    FinishIfDone();
    return OkStatus();
  }

  Status OnGranted(const v1::StepGranted& granted) {
    const int step = graph().Find(granted.step());
    if (step < 0) return FailedPrecondition("no step '{}'", granted.step());
    StepState& at = At(step);
    const bool regrant = at.phase == v1::STEP_PHASE_RUNNING && at.lease_expired &&
                         graph().PlaceOf(step).movable() && !Cancelling();
    if (at.phase != v1::STEP_PHASE_READY && !regrant)
      return FailedPrecondition("step '{}' is not ready", granted.step());
    if (granted.attempt() != at.attempt + 1)
      return FailedPrecondition("attempt of '{}' out of order", granted.step());
    if (granted.epoch() <= at.epoch) return FailedPrecondition("epoch of '{}' does not grow", granted.step());
    RETURN_IF_ERROR(BindByGrant(state_, step, granted));
    at.phase = v1::STEP_PHASE_RUNNING;
    at.attempt = granted.attempt();
    at.epoch = granted.epoch();
    at.agent = granted.agent();
    at.lease_expired = false;
    at.granted_at = now_;
    if (at.first_granted_at == absl::InfinitePast()) at.first_granted_at = now_;
    at.reason.clear();
    if (const int opens = graph().At(step).opens; opens >= 0) {
      ObligationState& obligation = state_.obligations[static_cast<size_t>(opens)];
      if (obligation.phase == v1::ObligationStatus::PHASE_PENDING) {
        obligation.phase = v1::ObligationStatus::PHASE_OPEN;
        obligation.opened_at = now_;
      }
    }
    AddStepTimer(state_, step, effects_);
    return OkStatus();
  }

  Status OnReported(const v1::StepReported& reported) {
    if (CheckReport(state_, reported.step(), reported.attempt(), reported.epoch()) != Fence::kAccept) {
      return FailedPrecondition("report for '{}' is behind its fence", reported.step());
    }
    const int step = graph().Find(reported.step());
    StepState& at = At(step);
    at.result = std::make_shared<v1::ActionResult>(reported.result());
    at.result_attempt = at.attempt;
    const v1::Error* error = reported.result().has_error() ? &reported.result().error() : nullptr;
    v1::Error unbound;
    const bool succeeds = error == nullptr && !at.must_fail;
    if (const auto why = succeeds ? BindByResult(state_, reported.result()) : std::nullopt) {
      unbound.set_reason(v1::Error::REASON_FAILED);
      unbound.set_message(*why);
      error = &unbound;
    }
    // An attempt that was given up reports late, and nobody was granted since: its success is welcome, and its failure
    // changes nothing.
    if (at.phase == v1::STEP_PHASE_RUNNING || error == nullptr) EndAttempt(step, error, reported.jitter());
    FinishIfDone();
    return OkStatus();
  }

  // The attempt is over; `error` is null when it succeeded.
  void EndAttempt(int step, const v1::Error* error, double jitter) {
    StepState& at = At(step);
    at.lease_expired = false;
    if (error == nullptr && at.must_fail) {
      End(step, v1::STEP_PHASE_FAILED, at.reason);
    } else if (error == nullptr) {
      End(step, v1::STEP_PHASE_SUCCEEDED, "");
    } else if (Cancelling() && !IsRelease(step)) {
      End(step, v1::STEP_PHASE_CANCELLED, error->message());
    } else if (IsDeath(*error) && !at.must_fail && at.deaths < graph().Graces().agent_deaths_forgiven) {
      // One that kills its agent each time comes to an end.
      ++at.deaths;
      MakeReady(step);
    } else if (error->retryable() && !at.must_fail && MayRetry(step)) {
      at.phase = v1::STEP_PHASE_BACKOFF;
      at.retry_at = now_ + RetryDelay(graph().Graces(), graph().Step(step).retry(), at.attempt, jitter);
      at.reason = error->message();
      AddStepTimer(state_, step, effects_);
    } else if (error->retryable() &&
               graph().Step(step).retry().on_exhausted() == v1::RetryPolicy::ON_EXHAUSTED_PAUSE &&
               !at.must_fail) {
      at.phase = v1::STEP_PHASE_PAUSED;
      at.reason = error->message();
    } else {
      End(step, v1::STEP_PHASE_FAILED, error->message());
    }
  }

  // The agent died, or it no longer knows of the attempt. Both are said by whoever finds it out, and by no action: what
  // came between an action and its work (REASON_DISTURBED) counts. 0.1 counted deaths like all others, and its journals
  // replay so.
  bool IsDeath(const v1::Error& error) const {
    return measured_ && error.retryable() &&
           (error.reason() == v1::Error::REASON_INTERRUPTED || error.reason() == v1::Error::REASON_LOST);
  }

  bool MayRetry(int step) {
    const v1::RetryPolicy& policy = graph().Step(step).retry();
    if (At(step).attempt - At(step).deaths >= AttemptsOf(graph().Graces(), policy)) return false;
    return !policy.has_budget() || now_ < At(step).first_granted_at + FromProto(policy.budget());
  }

  Status OnLeaseExpired(const v1::LeaseExpired& expired) {
    const int step = graph().Find(expired.step());
    if (step < 0) return FailedPrecondition("no step '{}'", expired.step());
    StepState& at = At(step);
    if (at.phase != v1::STEP_PHASE_RUNNING || at.epoch != expired.epoch() || at.lease_expired)
      return OkStatus();
    at.lease_expired = true;
    at.reason = fmt::format("agent {} is not heard from", at.agent);
    if (graph().PlaceOf(step).movable() && !Cancelling()) effects_.push_back(StepReady{step});
    return OkStatus();
  }

  Status OnTimer(const v1::TimerFired& timer) {
    if (state_.Finished()) return OkStatus();
    if (timer.kind() == v1::TimerFired::KIND_RUN_TIMEOUT) {
      state_.timed_out = true;
      return BeginCancel("the run's time is over");
    }
    if (timer.kind() == v1::TimerFired::KIND_START_DEADLINE) {
      if (HasBegun(state_) || Cancelling()) return OkStatus();
      state_.timed_out = true;
      return BeginCancel(fmt::format("not started within {}{}{}",
                                     HumanDuration(FromProto(graph().Flow().start_within())),
                                     timer.reason().empty() ? "" : ": ", timer.reason()));
    }
    if (timer.kind() == v1::TimerFired::KIND_CANCEL_GRACE) {
      GiveUpWaiting();
      FinishIfDone();
      return OkStatus();
    }
    const int step = graph().Find(timer.step());
    if (step < 0) return FailedPrecondition("no step '{}'", timer.step());
    StepState& at = At(step);
    if (at.attempt != timer.attempt()) return OkStatus();
    if (timer.kind() == v1::TimerFired::KIND_BACKOFF && at.phase == v1::STEP_PHASE_BACKOFF) {
      MakeReady(step);
    } else if (timer.kind() == v1::TimerFired::KIND_QUEUE_TIMEOUT && at.phase == v1::STEP_PHASE_READY) {
      End(step, v1::STEP_PHASE_FAILED, "waited too long for an agent or a concurrency key");
    } else if (timer.kind() == v1::TimerFired::KIND_ATTEMPT_TIMEOUT && at.phase == v1::STEP_PHASE_RUNNING) {
      effects_.push_back(CancelStep{step});
      v1::Error error;
      error.set_reason(v1::Error::REASON_TIMED_OUT);
      error.set_message(fmt::format("attempt {} did not report in time", at.attempt));
      error.set_retryable(true);
      EndAttempt(step, &error, 0);
    }
    FinishIfDone();
    return OkStatus();
  }

  // The agents had their time: what they have not confirmed is over, and said to be unconfirmed.
  void GiveUpWaiting() {
    for (int step = 0; step < graph().StepCount(); ++step) {
      if (IsTerminal(At(step).phase) || IsRelease(step)) continue;
      End(step, v1::STEP_PHASE_CANCELLED,
          fmt::format("agent {} did not confirm that it stopped", At(step).agent));
    }
    for (const auto& obligation : graph().Obligations()) {
      const int step = obligation.released_by;
      const StepState& at = At(step);
      if (IsTerminal(at.phase) || now_ < at.ready_at + graph().Graces().cancel_answer) continue;
      End(step, v1::STEP_PHASE_FAILED, "release unconfirmed: no agent has done it yet");
    }
  }

  Status OnCancel(const v1::CancelRequested& cancel) {
    if (state_.Finished() || Cancelling())
      return FailedPrecondition("the run is over or being cancelled already");
    return BeginCancel(cancel.reason().empty()
                           ? fmt::format("cancelled by {}", cancel.by())
                           : fmt::format("cancelled by {}: {}", cancel.by(), cancel.reason()));
  }

  Status BeginCancel(std::string reason) {
    if (Cancelling()) return OkStatus();
    state_.phase = v1::RUN_PHASE_CANCELLING;
    state_.reason = std::move(reason);
    state_.cancel_at = now_;
    AddRunTimers(state_, effects_);
    for (int step = 0; step < graph().StepCount(); ++step) {
      if (IsTerminal(At(step).phase) || IsRelease(step)) continue;
      if (At(step).phase == v1::STEP_PHASE_RUNNING) {
        effects_.push_back(CancelStep{step});
      } else {
        End(step, v1::STEP_PHASE_CANCELLED, "not begun");
      }
    }
    FinishIfDone();
    return OkStatus();
  }

  Status OnReleasedEarly(const v1::ReleasedEarly& early) {
    for (int i = 0; i < graph().Flow().obligations_size(); ++i) {
      ObligationState& obligation = state_.obligations[static_cast<size_t>(i)];
      if (graph().ObligationAt(i).name() != early.obligation()) continue;
      if (obligation.phase != v1::ObligationStatus::PHASE_OPEN) return OkStatus();
      SettleObligation(obligation, v1::ObligationStatus::PHASE_RELEASED);
      obligation.released_early = state_.released_early = true;
      const std::string reason = fmt::format("{} was released early: {}", early.obligation(), early.reason());
      if (state_.reason.empty()) state_.reason = reason;
      for (const int guard : graph().Obligations()[static_cast<size_t>(i)].guards) FailGuarded(guard, reason);
      FinishIfDone();
      return OkStatus();
    }
    return FailedPrecondition("no obligation '{}'", early.obligation());
  }

  void FailGuarded(int step, const std::string& reason) {
    if (IsTerminal(At(step).phase)) return;  // terminal states never change; the run itself fails
    if (At(step).phase == v1::STEP_PHASE_RUNNING) {
      At(step).must_fail = true;
      At(step).reason = reason;
      effects_.push_back(CancelStep{step});
    } else {
      End(step, v1::STEP_PHASE_FAILED, reason);
    }
  }

  void MakeReady(int step) {
    StepState& at = At(step);
    at.phase = v1::STEP_PHASE_READY;
    at.ready_at = now_;
    effects_.push_back(StepReady{step});
    AddStepTimer(state_, step, effects_);
    AddReleaseTimer(state_, step, effects_);
  }

  // The step is over; looks at everything that waited for it. Iterative: a flow may be a long chain.
  void End(int step, v1::StepPhase phase, std::string reason) {
    std::vector<int> look = {EndOne(step, phase, std::move(reason))};
    while (!look.empty()) {
      const int ended = look.back();
      look.pop_back();
      for (const int dependent : graph().At(ended).dependents) {
        if (const int also = Decide(dependent); also >= 0) look.push_back(also);
      }
    }
  }

  int EndOne(int step, v1::StepPhase phase, std::string reason) {
    StepState& at = At(step);
    at.phase = phase;
    at.finished_at = now_;
    at.reason = std::move(reason);
    --state_.open_steps;
    if (const int releases = graph().At(step).releases; releases >= 0) {
      ObligationState& obligation = state_.obligations[static_cast<size_t>(releases)];
      if (phase == v1::STEP_PHASE_SUCCEEDED)
        SettleObligation(obligation, v1::ObligationStatus::PHASE_RELEASED);
      if (phase == v1::STEP_PHASE_FAILED)
        SettleObligation(obligation, v1::ObligationStatus::PHASE_UNCONFIRMED);
    }
    return step;
  }

  // An obligation that was released early, before its step, is so since then.
  void SettleObligation(ObligationState& obligation, v1::ObligationStatus::Phase phase) {
    if (obligation.phase != phase) obligation.settled_at = now_;
    obligation.phase = phase;
  }

  void Settle(int step) {
    const int ended = Decide(step);
    if (ended < 0) return;
    for (const int dependent : graph().At(ended).dependents) Settle(dependent);
  }

  // A pending step whose edges are all decided becomes ready or ends. Its index when it ended, else -1.
  int Decide(int step) {
    if (At(step).phase != v1::STEP_PHASE_PENDING) return -1;
    if (IsRelease(step)) return DecideRelease(step);
    for (const Graph::In& in : graph().At(step).after) {
      const StepState& before = At(in.step);
      if (!IsTerminal(before.phase)) return -1;
    }
    for (const Graph::In& in : graph().At(step).after) {
      const v1::StepPhase phase = At(in.step).phase;
      const bool holds = in.condition == v1::Edge::CONDITION_FINISHED || phase == v1::STEP_PHASE_SUCCEEDED;
      if (holds) continue;
      return EndOne(step, v1::STEP_PHASE_SKIPPED,
                    fmt::format("{} {}", graph().Step(in.step).id(), PhaseWord(phase)));
    }
    MakeReady(step);
    return -1;
  }

  int DecideRelease(int step) {
    const int releases = graph().At(step).releases;
    const Graph::Obligation& obligation = graph().Obligations()[static_cast<size_t>(releases)];
    if (!IsTerminal(At(obligation.opened_by).phase)) return -1;
    for (const int guard : obligation.guards) {
      if (!IsTerminal(At(guard).phase)) return -1;
    }
    ObligationState& state = state_.obligations[static_cast<size_t>(releases)];
    if (state.phase == v1::ObligationStatus::PHASE_PENDING) {
      state.phase = v1::ObligationStatus::PHASE_NOT_NEEDED;
      return EndOne(step, v1::STEP_PHASE_SKIPPED, "nothing to release");
    }
    MakeReady(step);
    return -1;
  }

  static const char* PhaseWord(v1::StepPhase phase) {
    switch (phase) {
      case v1::STEP_PHASE_SUCCEEDED:
        return "succeeded";
      case v1::STEP_PHASE_FAILED:
        return "failed";
      case v1::STEP_PHASE_CANCELLED:
        return "was cancelled";
      default:
        return "was skipped";
    }
  }

  void FinishIfDone() {
    if (state_.open_steps > 0 || state_.Finished()) return;
    std::string failed;
    absl::Time first = absl::InfiniteFuture();
    for (int step = 0; step < graph().StepCount(); ++step) {
      const StepState& at = At(step);
      if (at.phase != v1::STEP_PHASE_FAILED || at.finished_at >= first) continue;
      first = at.finished_at;
      failed = fmt::format("{}: {}", graph().Step(step).id(), at.reason);
    }
    if (Cancelling() && !state_.timed_out) {
      state_.phase = v1::RUN_PHASE_CANCELLED;
      if (!failed.empty()) state_.reason += "; " + failed;
    } else if (!failed.empty() || state_.timed_out || state_.released_early) {
      state_.phase = v1::RUN_PHASE_FAILED;
      if (!failed.empty() && !state_.timed_out) state_.reason = failed;
    } else {
      state_.phase = v1::RUN_PHASE_SUCCEEDED;
    }
    state_.finished_at = now_;
    effects_.push_back(RunFinished{});
  }

  RunState& state_;
  const absl::Time now_;
  const bool measured_;
  Effects& effects_;
};

}  // namespace

bool HasBegun(const RunState& state) {
  return std::any_of(state.steps.begin(), state.steps.end(),
                     [](const StepState& at) { return at.attempt > 0; });
}

RunState NewRun(std::shared_ptr<const Graph> graph) {
  RunState state;
  state.steps.resize(static_cast<size_t>(graph->StepCount()));
  state.obligations.resize(graph->Obligations().size());
  for (const v1::Place& place : graph->Places()) state.bound.push_back(place.agent());
  state.open_steps = graph->StepCount();
  state.graph = std::move(graph);
  return state;
}

Status Reduce(RunState& state, const v1::Event& event, Effects& effects) {
  const bool measured = event.has_elapsed();
  const absl::Time now = measured && state.requested_at != absl::InfinitePast()
                             ? state.requested_at + FromProto(event.elapsed())
                             : FromProto(event.at());
  return Transition(state, now, measured, effects).Apply(event);
}

Fence CheckReport(const RunState& state, const std::string& step, int attempt, int64_t epoch) {
  const int index = state.graph->Find(step);
  if (index < 0) return Fence::kSuperseded;
  const StepState& at = state.steps[static_cast<size_t>(index)];
  if (at.attempt != attempt || at.epoch != epoch) return Fence::kSuperseded;
  if (at.phase == v1::STEP_PHASE_RUNNING) return Fence::kAccept;
  if (at.result_attempt == attempt) return Fence::kDuplicate;  // its acknowledgement was lost
  // The attempt was given up; as long as nobody was granted since, its result is welcome.
  const bool waits = at.phase == v1::STEP_PHASE_BACKOFF || at.phase == v1::STEP_PHASE_READY;
  return waits && !at.must_fail ? Fence::kAccept : Fence::kSuperseded;
}

Effects Outstanding(const RunState& state) {
  Effects due;
  if (state.phase == v1::RUN_PHASE_UNSPECIFIED) return due;
  if (state.Finished()) return {RunFinished{}};
  const Graph& graph = *state.graph;
  const bool cancelling = state.phase == v1::RUN_PHASE_CANCELLING;
  AddRunTimers(state, due);
  for (int i = 0; i < graph.StepCount(); ++i) {
    const StepState& at = state.steps[static_cast<size_t>(i)];
    if (at.phase == v1::STEP_PHASE_READY) due.push_back(StepReady{i});
    AddStepTimer(state, i, due);
    AddReleaseTimer(state, i, due);
    if (at.phase != v1::STEP_PHASE_RUNNING) continue;
    if (at.must_fail || (cancelling && graph.At(i).releases < 0)) due.push_back(CancelStep{i});
    if (at.lease_expired && graph.PlaceOf(i).movable() && !cancelling) due.push_back(StepReady{i});
  }
  return due;
}

}  // namespace salvor::flows
