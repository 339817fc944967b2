#include "agent/kubernetes/velero/actions/velero_actions.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/restore_check.h"

namespace salvor::velero {
namespace {

class RestoreLooker {
 public:
  RestoreLooker(const v1::VeleroRestore& action, agent::ActionContext& context, const VeleroOptions& options,
                kubernetes::Kubernetes& cluster)
      : action_(action),
        context_(context),
        options_(options),
        cluster_(cluster),
        velero_(NamespaceOf(action.cluster())),
        call_{context.stop, context.deadline} {}

  StatusOr<RestoreFacts> Look() {
    v1::VeleroPreflight velero_alone;
    *velero_alone.mutable_cluster() = action_.cluster();
    ASSIGN_OR_RETURN(facts_.velero, LookAtCluster(velero_alone, context_, options_, cluster_));
    ASSIGN_OR_RETURN(facts_.restores, ListAll(cluster_, Restores(), velero_, "", ReadRestore, call_));
    RETURN_IF_ERROR(LookAtTarget(action_.target_namespace()));
    RETURN_IF_ERROR(LookAtClasses());
    // No Service has a port in a drill.
    if (action_.namespace_() != action_.target_namespace() && !action_.scratch())
      RETURN_IF_ERROR(LookAtOriginal(action_.namespace_()));
    return std::move(facts_);
  }

 private:
  Status LookAtTarget(const std::string& name) {
    const auto object = cluster_.Get({Namespaces(), "", name}, call_);
    if (kubernetes::IsForbidden(object.status())) return RefuseForbidden(name, object.status());
    if (!object.ok() && !kubernetes::IsNotFound(object.status())) return object.status();
    if (object.ok()) facts_.target = ReadNamespace(*object);
    facts_.target.exists = object.ok();
    facts_.target.name = name;
    if (!object.ok()) return OkStatus();
    auto claims = ListClaims(cluster_, name, call_);
    if (kubernetes::IsForbidden(claims.status())) return RefuseForbidden(name, claims.status());
    RETURN_IF_ERROR(claims.status());
    facts_.claims = *std::move(claims);
    return OkStatus();
  }

  // A server says of a namespace that is not there what it says of one that has not opted in.
  static Status RefuseForbidden(const std::string& name, const Status& why) {
    return WithHint(
        FailedPrecondition("namespace {} is not there, or has not opted in: {}", name, MessageOf(why)),
        fmt::format(
            "Make it if it is not there, and let it opt in: kubectl create namespace {0}; kubectl -n {0} create "
            "rolebinding salvor --clusterrole=salvor-application --serviceaccount=salvor:salvor-executor",
            name));
  }

  // It may be of another cluster, be gone, or have opted out: then nothing of it is in the way.
  Status LookAtOriginal(const std::string& name) {
    const auto services = ListAll(cluster_, Services(), name, "", FixedNodePorts, call_);
    if (kubernetes::IsForbidden(services.status()) || kubernetes::IsNotFound(services.status()))
      return OkStatus();
    RETURN_IF_ERROR(services.status());
    for (const std::vector<std::string>& ports : *services)
      facts_.fixed_ports.insert(facts_.fixed_ports.end(), ports.begin(), ports.end());
    return OkStatus();
  }

  // Who may not list them can't be told beforehand which is missing; then the restore waits, and says for what.
  Status LookAtClasses() {
    const auto classes = ListAll(
        cluster_, StorageClasses(), "", "",
        [](const Json& item) {
          return TextAt(item, {"metadata", "name"});
        },
        call_);
    if (kubernetes::IsForbidden(classes.status())) return OkStatus();
    RETURN_IF_ERROR(classes.status());
    facts_.storage_classes.emplace(classes->begin(), classes->end());
    return OkStatus();
  }

  const v1::VeleroRestore& action_;
  agent::ActionContext& context_;
  const VeleroOptions& options_;
  kubernetes::Kubernetes& cluster_;
  const std::string velero_;
  const kubernetes::Call call_;
  RestoreFacts facts_;
};

}  // namespace

StatusOr<v1::ActionResult> RunVeleroRestoreCheck(const v1::VeleroRestoreCheck& action,
                                                 agent::ActionContext& context,
                                                 const VeleroOptions& options) {
  const v1::VeleroRestore& restore = action.restore();
  ASSIGN_OR_RETURN(const std::shared_ptr<kubernetes::Kubernetes> cluster,
                   options.clusters(restore.cluster()));
  ASSIGN_OR_RETURN(const RestoreFacts facts, RestoreLooker(restore, context, options, *cluster).Look());
  return JudgeRestoreCheck(restore, facts);
}

}  // namespace salvor::velero
