#include <algorithm>
#include <map>

#include "agent/kubernetes/velero/actions/artefacts.h"
#include "agent/kubernetes/velero/actions/restore_rules.h"
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
    if (CanBeRead()) RETURN_IF_ERROR(LookAtObjects());
    return std::move(facts_);
  }

 private:
  // Where it can't, that is found by itself.
  bool CanBeRead() const {
    const auto& backups = facts_.velero.backups;
    const auto backup = std::find_if(backups.begin(), backups.end(), [&](const BackupState& one) {
      return one.name == action_.velero_backup();
    });
    if (facts_.velero.server_version.empty() || backup == backups.end()) return false;
    const auto& locations = facts_.velero.locations;
    return std::any_of(locations.begin(), locations.end(), [&](const StorageLocation& one) {
      return one.name == backup->location && one.phase == "Available";
    });
  }

  Status LookAtObjects() {
    ObjectFacts& objects = facts_.objects;
    if (const Status read = ReadObjects(&objects); !read.ok()) {
      if (context_.stop.stop_requested()) return read;
      objects.unreadable = MessageOf(read);
      return OkStatus();
    }
    RETURN_IF_ERROR(LookAtKinds());
    return facts_.target.exists ? LookAtWhatIsThere(action_.target_namespace()) : OkStatus();
  }

  Status ReadObjects(ObjectFacts* objects) {
    ASSIGN_OR_RETURN(const std::string listed, FetchRecord(cluster_, velero_, action_.velero_backup(),
                                                           "BackupResourceList", options_, call_));
    ASSIGN_OR_RETURN(objects->kept, ReadResourceList(listed));
    const auto kept = FetchObjects(cluster_, action_, options_, call_);
    // Without changes it only says how much space the claims ask for.
    if (!kept.ok()) return action_.has_transform() ? kept.status() : OkStatus();
    objects->demand = AddUpClaims(action_.transform(), *kept);
    if (action_.has_transform()) {
      objects->transform =
          PlanTransform(action_.transform(), *kept, {action_.volumes().begin(), action_.volumes().end()});
    }
    return OkStatus();
  }

  Status LookAtKinds() {
    std::map<std::pair<std::string, std::string>, std::set<std::string>>
        served;  // kinds, by group and version
    for (const auto& [listed, keys] : facts_.objects.kept) {
      const KindName kind = SplitKind(listed);
      const std::pair version{kind.group, kind.version};
      if (served.count(version) == 0) {
        ASSIGN_OR_RETURN(const auto resources, cluster_.Discover(kind.group, kind.version, call_));
        for (const kubernetes::ServedResource& one : resources) served[version].insert(one.kind);
      }
      if (served[version].count(kind.kind) == 0) facts_.objects.not_served.insert(listed);
    }
    return OkStatus();
  }

  // As far as a namespace lets itself be looked at: who opted in to an earlier version lets see less.
  Status LookAtWhatIsThere(const std::string& name) {
    const auto named = [](const char* kind) {
      return [kind](const Json& item) {
        return fmt::format("{} {}", kind, TextAt(item, {"metadata", "name"}));
      };
    };
    for (const auto& found : {ListAll(cluster_, Deployments(), name, "", named("Deployment"), call_),
                              ListAll(cluster_, StatefulSets(), name, "", named("StatefulSet"), call_),
                              ListAll(cluster_, DaemonSets(), name, "", named("DaemonSet"), call_),
                              ListAll(cluster_, CronJobs(), name, "", named("CronJob"), call_),
                              ListAll(cluster_, Services(), name, "", named("Service"), call_),
                              ListAll(cluster_, Pods(), name, "", named("Pod"), call_)}) {
      if (kubernetes::IsForbidden(found.status())) continue;
      RETURN_IF_ERROR(found.status());
      facts_.objects.there.insert(found->begin(), found->end());
    }
    for (const Claim& claim : facts_.claims)
      facts_.objects.there.insert("PersistentVolumeClaim " + claim.name);
    const auto quotas = ListAll(cluster_, ResourceQuotas(), name, "", ReadQuotas, call_);
    if (kubernetes::IsForbidden(quotas.status())) return OkStatus();
    RETURN_IF_ERROR(quotas.status());
    for (const std::vector<Quota>& some : *quotas)
      facts_.objects.quotas.insert(facts_.objects.quotas.end(), some.begin(), some.end());
    return OkStatus();
  }

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
