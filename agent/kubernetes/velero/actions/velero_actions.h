// What an agent does with the Velero of a cluster. Each may be killed at any point: all that it knows is read from the
// objects again, and what an earlier attempt made is adopted by its name and its labels.
#pragma once

#include "agent/kubernetes/velero/actions/cluster.h"
#include "agent/kubernetes/velero/preflight.h"
#include "agent/work/action.h"
#include "salvor/v1/discovery.pb.h"
#include "salvor/v1/quiesce.pb.h"
#include "salvor/v1/scratch_namespace.pb.h"
#include "salvor/v1/velero.pb.h"

namespace salvor::velero {

// Looks whether Velero could keep what it will be asked for. FailedPrecondition names all that it could not.
StatusOr<v1::ActionResult> RunVeleroPreflight(const v1::VeleroPreflight& action,
                                              agent::ActionContext& context, const VeleroOptions& options);

// Makes a Backup, or goes on with that of an earlier attempt, waits for its end, and judges what it holds. Unavailable
// when Velero gave it up: the next attempt makes another one, and counts. FailedPrecondition when it is not over in time, for the next
// attempt would wait for the same one. A stop ends the waiting alone, for Velero can't be stopped.
StatusOr<v1::ActionResult> RunVeleroBackup(const v1::VeleroBackup& action, agent::ActionContext& context,
                                           const VeleroOptions& options);

// The part of RunVeleroBackup up to where the Backup is over or passes the test, which is asked after each change and
// now and then; what it holds is not judged.
using BackupTest = std::function<bool(const BackupState& backup)>;
StatusOr<BackupState> MakeVeleroBackup(const v1::VeleroBackup& action, agent::ActionContext& context,
                                       const VeleroOptions& options, kubernetes::Kubernetes& cluster,
                                       const BackupTest& is_enough);

// Waits until Velero has nothing to do before a Backup that is made now.
StatusOr<v1::ActionResult> RunVeleroSlot(const v1::VeleroSlot& action, agent::ActionContext& context,
                                         const VeleroOptions& options);

// Holds pods still, makes a Backup, and lets them go when its snapshots are made; on every other way, too. Unavailable
// where the turn was lost or a pod ended: the next attempt makes another Backup. FailedPrecondition where the deadline
// came first.
StatusOr<v1::ActionResult> RunVeleroSnapshot(const v1::VeleroSnapshot& action, agent::ActionContext& context,
                                             const VeleroOptions& options);

// Runs the releases in all pods that run. Unavailable where one did not end with 0.
StatusOr<v1::ActionResult> RunVeleroRelease(const v1::VeleroRelease& action, agent::ActionContext& context,
                                            const VeleroOptions& options);

// Removes a Backup with all that it kept, or all of a run, and the policies that its attempts were made by. Done when they
// are gone. FailedPrecondition, and nothing was deleted: one is another run's or another environment's, or Velero still
// restores from it. Once something was asked to go the answer has an error and what is left, rather than a status.
StatusOr<v1::ActionResult> RunVeleroDelete(const v1::VeleroDelete& action, agent::ActionContext& context,
                                           const VeleroOptions& options);

// Looks whether Velero could bring back what it will be asked for. FailedPrecondition names all that it could not,
// and what is in the way.
StatusOr<v1::ActionResult> RunVeleroRestoreCheck(const v1::VeleroRestoreCheck& action,
                                                 agent::ActionContext& context, const VeleroOptions& options);

// Makes a Restore, or goes on with that of an earlier attempt, waits for its end, and judges what came back.
// Unavailable when Velero refused it: the next attempt makes another one. FailedPrecondition when it failed or is not
// over in time, for another one would write over nothing that is there. A stop ends the waiting, and takes a Restore
// back that Velero has not begun.
StatusOr<v1::ActionResult> RunVeleroRestore(const v1::VeleroRestore& action, agent::ActionContext& context,
                                            const VeleroOptions& options);

// Makes the walls of a drill's namespace, and has a pod try them from inside. FailedPrecondition where it is another's, or
// where isolation is required and does not hold: then it is removed again.
StatusOr<v1::ActionResult> RunScratchNamespaceStart(const v1::ScratchNamespaceStart& action,
                                                    agent::ActionContext& context,
                                                    const VeleroOptions& options);

// Removes it, once none of Velero's Restores is at work in it: one that goes on would make the namespace anew, without
// its walls. Unavailable where something keeps it: the next attempt goes on.
StatusOr<v1::ActionResult> RunScratchNamespaceStop(const v1::ScratchNamespaceStop& action,
                                                   agent::ActionContext& context,
                                                   const VeleroOptions& options);

// Lists what runs in a namespace, for a declaration to be proposed of it; changes nothing. PermissionDenied, with the
// command that mends it, where the namespace has not opted in.
StatusOr<v1::ActionResult> RunDiscover(const v1::Discover& action, agent::ActionContext& context,
                                       const VeleroOptions& options);

// The part of what a preflight looks at that decides whether a claim can be kept by a snapshot: Velero's server, and
// the cluster's classes. Nothing is made for it, and nobody is asked but the API server.
StatusOr<PreflightFacts> LookAtSnapshotMeans(const v1::KubernetesCluster& where,
                                             agent::ActionContext& context, const VeleroOptions& options,
                                             kubernetes::Kubernetes& cluster);

void RegisterVeleroActions(agent::ActionRegistry& registry, const VeleroOptions& options);

}  // namespace salvor::velero
