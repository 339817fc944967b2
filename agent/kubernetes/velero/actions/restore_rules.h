// The rules by which Velero changes objects on their way: found out of the Backup's archive, put where a Restore finds them,
// and removed again.
#pragma once

#include <string>
#include <vector>

#include "agent/kubernetes/velero/actions/cluster.h"
#include "agent/kubernetes/velero/transform.h"

namespace salvor::velero {

// The objects of the Backup that a transform has to see.
StatusOr<std::vector<KeptObject>> FetchObjects(kubernetes::Kubernetes& cluster,
                                               const v1::VeleroRestore& action, const VeleroOptions& options,
                                               const kubernetes::Call& call);

// What becomes of them; nothing is fetched where the action asks for nothing.
StatusOr<Transform> FetchTransform(kubernetes::Kubernetes& cluster, const v1::VeleroRestore& action,
                                   const VeleroOptions& options, const kubernetes::Call& call);

// Puts the ConfigMap there that the Restore of that name needs. One that an earlier attempt of the run left is taken, or made
// anew where it has other rules. AlreadyExists where it is another's.
Status StoreRules(kubernetes::Kubernetes& cluster, const v1::VeleroRestore& action,
                  const std::string& restore, const Json& rules, const kubernetes::Call& call);

// Removes it, with those of the run's tries before, whatever became of the Restore: Velero has read it when it began, and
// makes no Restore whose rules are not there. Returns what kept one from being removed.
Status RemoveRules(kubernetes::Kubernetes& cluster, const v1::VeleroRestore& action,
                   const std::string& restore, const kubernetes::Call& call);

// CronJobs and Services of a namespace as they are now.
StatusOr<std::vector<KeptObject>> ListWhatActs(kubernetes::Kubernetes& cluster, const std::string& name_space,
                                               const kubernetes::Call& call);

}  // namespace salvor::velero
