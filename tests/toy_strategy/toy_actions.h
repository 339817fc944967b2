// The actions of an agent for the toy strategy.
#pragma once

#include "agent/work/action.h"

namespace salvor::toy {

// Adds them to what an agent can do.
void RegisterToyActions(agent::ActionRegistry& registry);

}  // namespace salvor::toy
