#include "agent/kubernetes/velero/actions/own_pod.h"

#include "agent/kubernetes/velero/resources.h"

namespace salvor::velero {

StatusOr<OwnPod> FindOwnPod(kubernetes::Kubernetes& cluster, const VeleroOptions& options,
                            const kubernetes::Call& call) {
  OwnPod own;
  const size_t slash = options.own_pod.find('/');
  if (slash != std::string::npos) {
    const std::string own_namespace = options.own_pod.substr(0, slash),
                      name = options.own_pod.substr(slash + 1);
    const auto pod = cluster.Get({Pods(), own_namespace, name}, call);
    if (!pod.ok()) return WithContext(pod.status(), "look at the agent's own pod");
    own = ReadOwnPod(*pod);
    own.name_space = own_namespace;
  }
  if (!options.image.empty()) own.image = options.image;
  if (!own.image.empty()) return own;
  return WithHint(
      FailedPrecondition("a drill on a cluster needs pods of Salvor's image, and this agent knows none"),
      "Start the executor with --image IMAGE; inside of the cluster, with --pod NAMESPACE/NAME of its own.");
}

}  // namespace salvor::velero
