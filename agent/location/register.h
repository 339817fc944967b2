// The actions of an agent on a Location.
#pragma once

#include "agent/work/action.h"

namespace salvor::agent {

void RegisterLocationActions(ActionRegistry& registry);

}  // namespace salvor::agent
