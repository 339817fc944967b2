#include "flows/run/binding.h"

#include <utility>

#include "fmt/core.h"

namespace salvor::flows {
namespace {

bool MayBind(const RunState& state, int place, const std::string& agent) {
  const std::string& bound = state.bound[static_cast<size_t>(place)];
  return bound.empty() || bound == agent || state.graph->Places()[static_cast<size_t>(place)].movable();
}

}  // namespace

Status BindByGrant(RunState& state, int step, const v1::StepGranted& granted) {
  const int place = state.graph->At(step).place;
  const std::string& name = state.graph->PlaceOf(step).name();
  std::string& bound = state.bound[static_cast<size_t>(place)];
  std::string agent = bound;
  if (state.graph->Flow().places().empty()) agent = granted.agent();  // 0.1 did not say what a grant binds
  for (const v1::Binding& binding : granted.bindings()) {
    if (binding.place() != name)
      return FailedPrecondition("a grant at place '{}' binds place '{}'", name, binding.place());
    agent = binding.agent();
  }
  if (agent.empty() || agent != granted.agent())
    return FailedPrecondition("step '{}' is granted to agent '{}', and place '{}' is bound to '{}'",
                              granted.step(), granted.agent(), name, agent);
  if (!state.graph->Flow().places().empty() && !MayBind(state, place, agent))
    return FailedPrecondition("place '{}' stays with agent '{}'", name, bound);
  bound = std::move(agent);
  return OkStatus();
}

std::optional<std::string> BindByResult(RunState& state, const v1::ActionResult& result) {
  for (const v1::Binding& binding : result.bindings()) {
    const int place = state.graph->FindPlace(binding.place());
    if (place < 0)
      return fmt::format("its result binds place '{}', which the run does not have", binding.place());
    if (binding.agent().empty() || !MayBind(state, place, binding.agent())) {
      return fmt::format("its result binds place '{}' to agent '{}', and it stays with '{}'", binding.place(),
                         binding.agent(), state.bound[static_cast<size_t>(place)]);
    }
  }
  for (const v1::Binding& binding : result.bindings())
    state.bound[static_cast<size_t>(state.graph->FindPlace(binding.place()))] = binding.agent();
  return std::nullopt;
}

}  // namespace salvor::flows
