// The pod that an executor runs in: its own pods take its image, and it works in a drill's namespace by its account.
#pragma once

#include "agent/kubernetes/velero/actions/cluster.h"
#include "agent/kubernetes/velero/scratch_namespace.h"

namespace salvor::velero {

// With an image always: FailedPrecondition where none is known. Without an account where the agent runs in no pod.
StatusOr<OwnPod> FindOwnPod(kubernetes::Kubernetes& cluster, const VeleroOptions& options,
                            const kubernetes::Call& call);

}  // namespace salvor::velero
