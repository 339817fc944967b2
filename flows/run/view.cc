#include "flows/run/view.h"

#include "flows/run/purpose_of_0_1.h"
#include "proto/kind.h"
#include "proto/time.h"

namespace salvor::flows {
namespace {

void SetTime(absl::Time time, google::protobuf::Timestamp* field) {
  if (time != absl::InfinitePast()) *field = ToProto(time);
}

v1::StepStatus StepView(const RunState& state, int i) {
  const v1::Step& step = state.graph->Step(i);
  const StepState& at = state.steps[static_cast<size_t>(i)];
  v1::StepStatus status;
  status.set_id(step.id());
  status.set_component(step.component());
  status.set_title(step.title());
  status.set_phase(at.phase);
  status.set_attempt(at.attempt);
  status.set_agent(at.agent);
  status.set_reason(at.reason);
  if (at.ready_at != absl::InfinitePast()) SetTime(at.ready_at, status.mutable_ready_at());
  if (at.granted_at != absl::InfinitePast()) SetTime(at.granted_at, status.mutable_started_at());
  if (at.finished_at != absl::InfinitePast()) SetTime(at.finished_at, status.mutable_finished_at());
  if (at.result != nullptr) *status.mutable_result() = *at.result;
  *status.mutable_after() = step.after();
  status.set_action(KindOf(step.action()));
  const bool says = step.purpose() != v1::PURPOSE_UNSPECIFIED;
  status.set_purpose(says ? step.purpose() : PurposeOf01(status.action()));
  return status;
}

// A step that was stopped says what it could not stop, and what to do about it: the first that does.
std::string HintOfWhatGoesOn(const RunState& state) {
  const StepState* first = nullptr;
  for (const StepState& at : state.steps) {
    const bool says = at.phase == v1::STEP_PHASE_CANCELLED && at.result != nullptr &&
                      at.result_attempt == at.attempt && !at.result->error().hint().empty();
    if (says && (first == nullptr || at.finished_at < first->finished_at)) first = &at;
  }
  return first == nullptr ? "" : first->result->error().hint();
}

}  // namespace

v1::Run View(const v1::RunHeader& header, const RunState& state, bool steps) {
  v1::Run run;
  *run.mutable_header() = header;
  run.set_phase(state.phase);
  run.set_reason(state.reason);
  if (state.finished_at != absl::InfinitePast()) SetTime(state.finished_at, run.mutable_finished_at());
  // The reason is of the failed step that ended first: so is the hint, or there is none.
  const StepState* first = nullptr;
  for (const StepState& at : state.steps) {
    if (at.phase == v1::STEP_PHASE_FAILED && (first == nullptr || at.finished_at < first->finished_at))
      first = &at;
  }
  if (first != nullptr && first->result != nullptr) run.set_hint(first->result->error().hint());
  if (first == nullptr && state.Finished()) run.set_hint(HintOfWhatGoesOn(state));
  if (!steps) return run;
  for (int i = 0; i < state.graph->StepCount(); ++i) *run.add_steps() = StepView(state, i);
  for (size_t i = 0; i < state.obligations.size(); ++i) {
    v1::ObligationStatus* status = run.add_obligations();
    status->set_name(state.graph->ObligationAt(static_cast<int>(i)).name());
    status->set_phase(state.obligations[i].phase);
    if (state.obligations[i].opened_at != absl::InfinitePast()) {
      SetTime(state.obligations[i].opened_at, status->mutable_opened_at());
    }
    if (state.obligations[i].settled_at != absl::InfinitePast())
      SetTime(state.obligations[i].settled_at, status->mutable_settled_at());
    status->set_released_early(state.obligations[i].released_early);
  }
  return run;
}

}  // namespace salvor::flows
