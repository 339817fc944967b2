// Who works at a run's places. Pure: a place is bound by events alone, so that a replay binds it to the same agent.
#pragma once

#include <optional>
#include <string>

#include "base/status.h"
#include "flows/run/run_state.h"

namespace salvor::flows {

// The step is granted: its place is bound to the agent, unless it is already. FailedPrecondition, and nothing has
// changed, when the place is another agent's and does not move.
Status BindByGrant(RunState& state, int step, const v1::StepGranted& granted);

// Binds the places that a step's result names: all of them or, for the reason that it answers, none.
std::optional<std::string> BindByResult(RunState& state, const v1::ActionResult& result);

}  // namespace salvor::flows
