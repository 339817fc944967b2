#include "agent/kubernetes/velero/actions/scratch_restore.h"

#include "agent/kubernetes/velero/actions/own_pod.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/restore_object.h"
#include "agent/kubernetes/velero/scratch_namespace.h"
#include "agent/kubernetes/velero/scratch_transform.h"
#include "base/text.h"

namespace salvor::velero {
namespace {

constexpr char kOnceMore[] = "Start the drill once more: it takes another name.";

Status CheckOwner(const v1::VeleroRestore& action, kubernetes::Kubernetes& cluster,
                  const kubernetes::Call& call) {
  const std::string& scratch = action.target_namespace();
  const auto name_space = cluster.Get({Namespaces(), "", scratch}, call);
  if (!name_space.ok() && !kubernetes::IsNotFound(name_space.status())) return name_space.status();
  if (name_space.ok() && IsScratchOf(*name_space, action.run()) &&
      TextAt(*name_space, {"metadata", "deletionTimestamp"}).empty())
    return OkStatus();
  return WithHint(
      FailedPrecondition("namespace {} of the drill is not there any more, or is another's", scratch),
      kOnceMore);
}

}  // namespace

Status JudgeScratchWalls(const v1::VeleroRestore& action, kubernetes::Kubernetes& cluster,
                         const kubernetes::Call& call, v1::ActionResult& result) {
  RETURN_IF_ERROR(CheckOwner(action, cluster, call));
  const std::string& scratch = action.target_namespace();
  const auto name_of = [](const Json& item) { return TextAt(item, {"metadata", "name"}); };
  ASSIGN_OR_RETURN(const std::vector<std::string> policies,
                   ListAll(cluster, NetworkPolicies(), scratch, "", name_of, call));
  if (policies == std::vector<std::string>{kScratchGuard}) return OkStatus();
  const std::string lack =
      fmt::format("not isolated: somebody changed its network policies, which were {} alone and are now {}",
                  kScratchGuard, policies.empty() ? "none" : Join(policies, ", "));
  v1::Check* check = result.add_checks();
  check->set_kind("isolation");
  check->set_subject("namespace " + scratch);
  check->set_verdict(v1::Check::VERDICT_UNVERIFIABLE);
  check->set_compared(lack);
  result.add_warnings(fmt::format(
      "the drill is not isolated: {}. What adds policies to new namespaces has to leave out those with the label {}",
      lack, kScratchLabel));
  return OkStatus();
}

Status PrepareScratchRestore(const v1::VeleroRestore& action, const std::string& name,
                             const VeleroOptions& options, kubernetes::Kubernetes& cluster,
                             const kubernetes::Call& call) {
  RETURN_IF_ERROR(CheckOwner(action, cluster, call));
  ASSIGN_OR_RETURN(const OwnPod own, FindOwnPod(cluster, options, call));
  const std::string velero_namespace = NamespaceOf(action.cluster());
  const auto made = cluster.Create(ConfigMaps(), velero_namespace,
                                   MakeModifiers(MakeRestore(action, name), own.image), {}, call);
  if (made.ok()) return OkStatus();
  if (!kubernetes::IsAlreadyExists(made.status()))
    return WithContext(made.status(), "make the rules of Velero's restore");
  ASSIGN_OR_RETURN(const Json taken, cluster.Get({ConfigMaps(), velero_namespace, name}, call));
  if (TextAt(taken, {"metadata", "labels", kRunLabel}) == action.run()) return OkStatus();
  return WithHint(
      AlreadyExists("there is a ConfigMap {} in namespace {} already, which this run did not make", name,
                    velero_namespace),
      kOnceMore);
}

}  // namespace salvor::velero
