// What the application itself says must hold of a restored copy.
#pragma once

#include <string>
#include <string_view>

#include "agent/work/action.h"

namespace salvor::agent {

// One Check of kind "application" per declared check, except HTTP probes in a drill: those ask a running
// application, and a drill must not touch production; the result's note says so. SQL probes leave nothing
// behind.
StatusOr<v1::ActionResult> RunApplicationChecks(const v1::ApplicationChecks& action, ActionContext& context);

// The first word of a statement in lower case, past white space and comments. Pure.
std::string FirstKeyword(std::string_view statement);

void RegisterProbeActions(ActionRegistry& registry);

}  // namespace salvor::agent
