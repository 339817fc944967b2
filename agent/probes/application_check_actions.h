// Checks by which the application itself says what must hold of a restored copy.
#pragma once

#include <vector>

#include "agent/work/copy_probes.h"

namespace salvor::agent {

// One Check of kind "application" per declared check, except HTTP probes in a drill: those ask a running
// application, and a drill must not touch production; the result's note says so. Kinds of checks that are an engine's
// own are asked of these.
StatusOr<v1::ActionResult> RunApplicationChecks(const v1::ApplicationChecks& action, ActionContext& context,
                                                const std::vector<CopyEngine>& engines);

void RegisterApplicationChecks(ActionRegistry& registry, std::vector<CopyEngine> engines);

}  // namespace salvor::agent
