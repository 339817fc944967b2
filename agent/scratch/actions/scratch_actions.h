// A drill's throw-away servers and folders.
#pragma once

#include "agent/work/action.h"

namespace salvor::agent {

StatusOr<v1::ActionResult> RunScratchStart(const v1::ScratchStart& action, ActionContext& context);
StatusOr<v1::ActionResult> RunScratchStop(const v1::ScratchStop& action, ActionContext& context);

// Whether this obligation is to remove the place of that name. Those of version 0.1 name no undo, and their places were
// named as their run.
bool HoldsPlace(const v1::HeldObligation& held, const std::string& place);

void RegisterScratchActions(ActionRegistry& registry);

}  // namespace salvor::agent
