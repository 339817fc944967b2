// Whether backups have a place to go to.
#pragma once

#include "agent/work/action.h"

namespace salvor::agent {

// FailedPrecondition for a repository in this host's file system that can only be read: at once, where restic would try
// for most of a minute and end in a stack of Go's.
Status CheckWritable(const v1::ResticLocation& location);

// Waits while a living restic has the repository for itself alone (prune, check), and logs for whom; Unavailable shortly
// before the attempt's deadline, Cancelled when it is stopped. Stale locks are removed, with a warning in the result.
Status AwaitExclusiveLocks(const Restic& restic, ActionContext& context, v1::ActionResult* result);

// The repository answers and takes our password. Locks of processes that are gone are removed.
//
// With `create` (a backup) it is made where there is none; it must be writable; and while a living restic has
// it for itself alone this waits, says for whom, and is Unavailable at the end of its time. What the given
// runs left is forgotten. Without (a drill, a restore) nothing is needed but the right to read.
StatusOr<v1::ActionResult> RunLocationOpen(const v1::LocationOpen& action, ActionContext& context);

}  // namespace salvor::agent
