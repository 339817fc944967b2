// The two things that a restore into the namespace of a drill does beside any other.
#pragma once

#include <string>

#include "agent/kubernetes/velero/actions/cluster.h"

namespace salvor::velero {

// After the restore: adds a check of kind "isolation" that did not pass where the namespace has another network
// policy than its own, for policies add up. FailedPrecondition where it is not the run's any more, for then it is not
// known where Velero restored to.
Status JudgeScratchWalls(const v1::VeleroRestore& action, kubernetes::Kubernetes& cluster,
                         const kubernetes::Call& call, v1::ActionResult& result);

// Before the restore: looks whose the namespace is, and lays down the rules by which Velero makes the Restore of this
// name. Nothing of a backup comes in without them.
Status PrepareScratchRestore(const v1::VeleroRestore& action, const std::string& name,
                             const VeleroOptions& options, kubernetes::Kubernetes& cluster,
                             const kubernetes::Call& call);

}  // namespace salvor::velero
