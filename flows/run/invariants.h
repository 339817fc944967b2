// What must hold of a run at all times. Checked on every transition in tests, and by the engine in
// production.
#pragma once

#include <string>
#include <vector>

#include "flows/run/run_state.h"

namespace salvor::flows {

// Broken invariants as sentences; empty when all hold.
std::vector<std::string> BrokenInvariants(const RunState& state);

// What one transition must not have done: changed a terminal step, lowered an attempt or an epoch.
std::vector<std::string> BrokenBetween(const RunState& before, const RunState& after);

}  // namespace salvor::flows
