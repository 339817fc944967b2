// The invariants of a run hold at all times: they are checked on every transition in tests, and by the engine in
// production.
#pragma once

#include <string>
#include <vector>

#include "flows/run/run_state.h"

namespace salvor::flows {

// Broken invariants as sentences; empty when all hold.
std::vector<std::string> BrokenInvariants(const RunState& state);

// The invariants that one transition broke: a terminal step changed, an attempt or an epoch went back.
std::vector<std::string> BrokenBetween(const RunState& before, const RunState& after);

}  // namespace salvor::flows
