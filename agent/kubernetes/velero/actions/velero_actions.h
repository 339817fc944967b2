// What an agent does with the Velero of a cluster. Each may be killed at any point: all that it knows is read from the
// objects again, and what an earlier attempt made is adopted by its name and its labels.
#pragma once

#include "agent/kubernetes/velero/actions/cluster.h"
#include "agent/work/action.h"
#include "salvor/v1/velero.pb.h"

namespace salvor::velero {

// Looks whether Velero could keep what it will be asked for. FailedPrecondition names all that it could not.
StatusOr<v1::ActionResult> RunVeleroPreflight(const v1::VeleroPreflight& action,
                                              agent::ActionContext& context, const VeleroOptions& options);

// Makes a Backup, or goes on with that of an earlier attempt, waits for its end, and judges what it holds. Unavailable
// when Velero gave it up: the next attempt makes another one, and counts. FailedPrecondition when it is not over in time,
// for the next attempt would wait for the same one. A stop ends the waiting alone, for Velero can't be stopped.
StatusOr<v1::ActionResult> RunVeleroBackup(const v1::VeleroBackup& action, agent::ActionContext& context,
                                           const VeleroOptions& options);

// Removes a Backup with all that it kept, and the policies that its attempts were made by. Done when it is gone.
StatusOr<v1::ActionResult> RunVeleroDelete(const v1::VeleroDelete& action, agent::ActionContext& context,
                                           const VeleroOptions& options);

void RegisterVeleroActions(agent::ActionRegistry& registry, const VeleroOptions& options);

}  // namespace salvor::velero
