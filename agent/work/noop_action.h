// The action that does nothing, or fails as told.
#pragma once

#include "agent/work/action.h"

namespace salvor::agent {

StatusOr<v1::ActionResult> RunNoop(const v1::NoopAction& action, ActionContext& context);

// Registers it as an instant action.
void RegisterNoop(ActionRegistry& registry);

}  // namespace salvor::agent
