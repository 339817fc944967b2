// Whether backups have a place to go to.
#pragma once

#include "agent/actions/action.h"

namespace salvor::agent {

// The repository answers and takes our password. With `create` it is made where there is none. Locks are
// looked at only when one is in the way, and then only stale ones (restic's own judgement) are removed.
StatusOr<v1::ActionResult> RunLocationOpen(const v1::Action& action, ActionContext& context);

}  // namespace salvor::agent
