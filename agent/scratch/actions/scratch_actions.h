// A drill's throw-away server and folder.
#pragma once

#include "agent/work/action.h"

namespace salvor::agent {

StatusOr<v1::ActionResult> RunScratchStart(const v1::ScratchStart& action, ActionContext& context);
StatusOr<v1::ActionResult> RunScratchStop(const v1::ScratchStop& action, ActionContext& context);

void RegisterScratchActions(ActionRegistry& registry);

}  // namespace salvor::agent
