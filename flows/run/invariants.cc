#include "flows/run/invariants.h"

#include <algorithm>

#include "fmt/core.h"

namespace salvor::flows {
namespace {

void CheckStep(const RunState& state, int i, std::vector<std::string>& broken) {
  const Graph& graph = *state.graph;
  const StepState& at = state.steps[static_cast<size_t>(i)];
  const std::string& id = graph.Step(i).id();
  if (at.phase == v1::STEP_PHASE_RUNNING && (at.agent.empty() || at.attempt < 1 || at.epoch < 1)) {
    broken.push_back(fmt::format("{} runs without a lease", id));
  }
  if (at.attempt - at.deaths > AttemptsOf(graph.Graces(), graph.Step(i).retry()) &&
      !graph.PlaceOf(i).movable()) {
    broken.push_back(fmt::format("{} had more attempts than its policy allows", id));
  }
  if (at.phase == v1::STEP_PHASE_RUNNING && !graph.PlaceOf(i).movable() && at.agent != state.BoundAt(i)) {
    broken.push_back(
        fmt::format("{} runs on {}, and its place is bound to {}", id, at.agent, state.BoundAt(i)));
  }
  if (at.phase == v1::STEP_PHASE_SUCCEEDED && at.result == nullptr) {
    broken.push_back(fmt::format("{} succeeded without a result", id));
  }
  // Ready exactly when every edge is decided, and no edge undecided when it has begun.
  if (graph.At(i).releases >= 0 || at.phase == v1::STEP_PHASE_CANCELLED) return;
  const auto& after = graph.At(i).after;
  const bool decided = std::all_of(after.begin(), after.end(), [&](const Graph::In& in) {
    return IsTerminal(state.steps[static_cast<size_t>(in.step)].phase);
  });
  if (state.phase == v1::RUN_PHASE_RUNNING && at.phase == v1::STEP_PHASE_PENDING && decided) {
    broken.push_back(fmt::format("{} waits although everything before it is over", id));
  }
  if (at.phase != v1::STEP_PHASE_PENDING && at.phase != v1::STEP_PHASE_FAILED && !decided) {
    broken.push_back(fmt::format("{} began before everything before it was over", id));
  }
}

void CheckObligation(const RunState& state, size_t i, std::vector<std::string>& broken) {
  const Graph::Obligation& obligation = state.graph->Obligations()[i];
  const StepState& opener = state.steps[static_cast<size_t>(obligation.opened_by)];
  const StepState& release = state.steps[static_cast<size_t>(obligation.released_by)];
  const auto phase = state.obligations[i].phase;
  const std::string& name = state.graph->ObligationAt(static_cast<int>(i)).name();
  if (opener.attempt > 0 && phase == v1::ObligationStatus::PHASE_PENDING) {
    broken.push_back(fmt::format("obligation {} is not open although its step was granted", name));
  }
  if (release.attempt > 0) {
    const bool over = std::all_of(obligation.guards.begin(), obligation.guards.end(), [&](int guard) {
      return IsTerminal(state.steps[static_cast<size_t>(guard)].phase);
    });
    if (!over)
      broken.push_back(fmt::format("obligation {} was released before what it guards was over", name));
  }
  const bool is_settled =
      phase == v1::ObligationStatus::PHASE_RELEASED || phase == v1::ObligationStatus::PHASE_UNCONFIRMED;
  if (is_settled != (state.obligations[i].settled_at != absl::InfinitePast()))
    broken.push_back(fmt::format("obligation {} does not say when it was settled", name));
  if (state.Finished() && phase == v1::ObligationStatus::PHASE_OPEN) {
    broken.push_back(
        fmt::format("the run is over and obligation {} is neither released nor unconfirmed", name));
  }
}

}  // namespace

std::vector<std::string> BrokenInvariants(const RunState& state) {
  std::vector<std::string> broken;
  int open = 0;
  for (int i = 0; i < state.graph->StepCount(); ++i) {
    if (!IsTerminal(state.steps[static_cast<size_t>(i)].phase)) ++open;
    CheckStep(state, i, broken);
  }
  if (open != state.open_steps) broken.push_back("the count of open steps drifted");
  if (state.phase != v1::RUN_PHASE_UNSPECIFIED && state.Finished() != (open == 0)) {
    broken.push_back("the run is over if and only if all its steps are");
  }
  for (size_t i = 0; i < state.obligations.size(); ++i) CheckObligation(state, i, broken);
  return broken;
}

std::vector<std::string> BrokenBetween(const RunState& before, const RunState& after) {
  std::vector<std::string> broken;
  for (size_t i = 0; i < before.steps.size(); ++i) {
    const StepState& was = before.steps[i];
    const StepState& is = after.steps[i];
    const std::string& id = before.graph->Step(static_cast<int>(i)).id();
    if (IsTerminal(was.phase) && was.phase != is.phase)
      broken.push_back(fmt::format("{} left a terminal state", id));
    if (is.attempt < was.attempt) broken.push_back(fmt::format("the attempt of {} went back", id));
    if (is.epoch < was.epoch) broken.push_back(fmt::format("the fence of {} went back", id));
  }
  for (size_t i = 0; i < before.bound.size(); ++i) {
    const v1::Place& place = before.graph->Places()[i];
    if (!place.movable() && !before.bound[i].empty() && before.bound[i] != after.bound[i])
      broken.push_back(fmt::format("place {} left its agent", place.name()));
  }
  if (before.Finished() && before.phase != after.phase) broken.push_back("the run left a terminal state");
  return broken;
}

}  // namespace salvor::flows
