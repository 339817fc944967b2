// The flow of a run that looks what there is in a namespace of a cluster, for a declaration to be proposed of it. Pure.
#pragma once

#include <string>

#include "base/status.h"
#include "salvor/v1/flow.pb.h"
#include "salvor/v1/object.pb.h"

namespace salvor::strategies {

// One step, on whichever executor the environment has. It is begun at once or given up: somebody waits for the answer.
StatusOr<v1::Flow> CompileDiscovery(const std::string& environment, const v1::KubernetesCluster& cluster,
                                    const std::string& in_namespace);

}  // namespace salvor::strategies
