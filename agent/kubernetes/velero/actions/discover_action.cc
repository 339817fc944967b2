#include <utility>

#include "agent/kubernetes/velero/actions/velero_actions.h"
#include "agent/kubernetes/velero/discovery.h"
#include "agent/kubernetes/velero/resources.h"

namespace salvor::velero {
namespace {

Json AsItIs(const Json& item) { return item; }

class Lister {
 public:
  Lister(const v1::Discover& action, const agent::ActionContext& context, kubernetes::Kubernetes& cluster)
      : action_(action), cluster_(cluster), call_{context.stop, context.deadline} {}

  StatusOr<NamespaceObjects> List() {
    const std::string& name = action_.namespace_();
    const auto name_space = cluster_.Get({Namespaces(), "", name}, call_);
    if (kubernetes::IsNotFound(name_space.status())) {
      return WithHint(FailedPrecondition("there is no namespace {}", name),
                      "See which there are: kubectl get namespaces");
    }
    RETURN_IF_ERROR(name_space.status());
    objects_.name_space = ReadNamespace(*name_space);
    objects_.name_space.name = name;
    ASSIGN_OR_RETURN(objects_.claims, ListClaims(cluster_, name, call_));
    ASSIGN_OR_RETURN(objects_.pods, ListAll(cluster_, Pods(), name, "", AsItIs, call_));
    ASSIGN_OR_RETURN(objects_.services, ListAll(cluster_, Services(), name, "", AsItIs, call_));
    RETURN_IF_ERROR(Add("Deployment", ListAll(cluster_, Deployments(), name, "", AsItIs, call_)));
    RETURN_IF_ERROR(Add("StatefulSet", ListAll(cluster_, StatefulSets(), name, "", AsItIs, call_)));
    RETURN_IF_ERROR(Add("DaemonSet", ListAll(cluster_, DaemonSets(), name, "", AsItIs, call_)));
    RETURN_IF_ERROR(Add("CronJob", ListAll(cluster_, CronJobs(), name, "", AsItIs, call_)));
    return std::move(objects_);
  }

 private:
  Status Add(const char* kind, StatusOr<std::vector<Json>> listed) {
    RETURN_IF_ERROR(listed.status());
    objects_.workloads.push_back({kind, *std::move(listed)});
    return OkStatus();
  }

  const v1::Discover& action_;
  kubernetes::Kubernetes& cluster_;
  const kubernetes::Call call_;
  NamespaceObjects objects_;
};

// The same refusal, with the one command that mends it.
Status SayHowToOptIn(const Status& refused, const std::string& name_space) {
  return WithHint(PermissionDenied("{}", MessageOf(refused)), HintToOptIn(MessageOf(refused), name_space));
}

}  // namespace

StatusOr<v1::ActionResult> RunDiscover(const v1::Discover& action, agent::ActionContext& context,
                                       const VeleroOptions& options) {
  ASSIGN_OR_RETURN(const std::shared_ptr<kubernetes::Kubernetes> cluster, options.clusters(action.cluster()));
  StatusOr<NamespaceObjects> objects = Lister(action, context, *cluster).List();
  if (kubernetes::IsForbidden(objects.status())) return SayHowToOptIn(objects.status(), action.namespace_());
  RETURN_IF_ERROR(objects.status());
  ASSIGN_OR_RETURN(PreflightFacts facts, LookAtSnapshotMeans(action.cluster(), context, options, *cluster));
  facts.claims = objects->claims;
  std::vector<v1::VeleroVolume> volumes;
  for (const Claim& claim : objects->claims) {
    v1::VeleroVolume& volume = volumes.emplace_back();
    volume.set_namespace_(claim.name_space);
    volume.set_claim(claim.name);
    volume.set_method(v1::VOLUME_METHOD_AUTO);
  }
  objects->volumes = DecideMethods(volumes, facts);
  v1::ActionResult result;
  *result.mutable_discovery() = ReadDiscovery(*objects);
  return result;
}

}  // namespace salvor::velero
