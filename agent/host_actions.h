// All kinds of Action that an agent on a plain host can run.
#pragma once

#include "agent/work/action.h"

namespace salvor::agent {

ActionRegistry HostActions();

}  // namespace salvor::agent
