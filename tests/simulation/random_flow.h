#pragma once

#include <string>

#include "salvor/v1/flow.pb.h"
#include "tests/simulation/fate.h"

namespace salvor::simulation {

// A flow as strategies make them and as they don't: up to a dozen steps with edges, keys, retries, timeouts, and up to two
// obligations. `run` names what is made and undone.
v1::Flow RandomFlow(Fate& fate, const std::string& run);

}  // namespace salvor::simulation
