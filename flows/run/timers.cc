#include "flows/run/timers.h"

#include "proto/time.h"

namespace salvor::flows {
namespace {

StartTimer TimerOfRun(v1::TimerFired::Kind kind, absl::Time at) { return StartTimer{-1, 0, kind, at}; }

}  // namespace

void AddRunTimers(const RunState& state, Effects& effects) {
  const v1::Flow& flow = state.graph->Flow();
  if (state.phase == v1::RUN_PHASE_CANCELLING) {
    effects.push_back(
        TimerOfRun(v1::TimerFired::KIND_CANCEL_GRACE, state.cancel_at + state.graph->Graces().cancel_answer));
    return;
  }
  if (flow.has_timeout()) {
    effects.push_back(
        TimerOfRun(v1::TimerFired::KIND_RUN_TIMEOUT, state.requested_at + FromProto(flow.timeout())));
  }
  if (flow.has_start_within() && !HasBegun(state)) {
    effects.push_back(
        TimerOfRun(v1::TimerFired::KIND_START_DEADLINE, state.requested_at + FromProto(flow.start_within())));
  }
}

void AddStepTimer(const RunState& state, int step, Effects& effects) {
  const StepState& at = state.steps[static_cast<size_t>(step)];
  const v1::Step& declared = state.graph->Step(step);
  if (at.phase == v1::STEP_PHASE_READY && declared.has_queue_timeout()) {
    effects.push_back(StartTimer{step, at.attempt, v1::TimerFired::KIND_QUEUE_TIMEOUT,
                                 at.ready_at + FromProto(declared.queue_timeout())});
  } else if (at.phase == v1::STEP_PHASE_BACKOFF) {
    effects.push_back(StartTimer{step, at.attempt, v1::TimerFired::KIND_BACKOFF, at.retry_at});
  } else if (at.phase == v1::STEP_PHASE_RUNNING && declared.has_attempt_timeout()) {
    const absl::Time timeout = at.granted_at + FromProto(declared.attempt_timeout());
    effects.push_back(StartTimer{step, at.attempt, v1::TimerFired::KIND_ATTEMPT_TIMEOUT,
                                 timeout + state.graph->Graces().attempt_report});
  }
}

void AddReleaseTimer(const RunState& state, int step, Effects& effects) {
  const StepState& at = state.steps[static_cast<size_t>(step)];
  const bool waited_for = state.graph->At(step).releases >= 0 && !IsTerminal(at.phase);
  // The run's own grace is that of a release whose turn came earlier.
  if (!waited_for || state.phase != v1::RUN_PHASE_CANCELLING || at.ready_at < state.cancel_at) return;
  effects.push_back(
      TimerOfRun(v1::TimerFired::KIND_CANCEL_GRACE, at.ready_at + state.graph->Graces().cancel_answer));
}

}  // namespace salvor::flows
