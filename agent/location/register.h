// What an agent does with a Location.
#pragma once

#include "agent/work/action.h"

namespace salvor::agent {

void RegisterLocationActions(ActionRegistry& registry);

}  // namespace salvor::agent
