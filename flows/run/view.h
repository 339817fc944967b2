// A run as people and programs see it. Pure.
#pragma once

#include "flows/run/run_state.h"
#include "salvor/v1/run.pb.h"

namespace salvor::flows {

// Everything but progress, which is nobody's state. With `steps` false only the header and outcome.
v1::Run View(const v1::RunHeader& header, const RunState& state, bool steps);

}  // namespace salvor::flows
