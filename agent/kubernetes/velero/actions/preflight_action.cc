#include <algorithm>

#include "agent/kubernetes/client/wait.h"
#include "agent/kubernetes/velero/actions/velero_actions.h"
#include "agent/kubernetes/velero/preflight.h"
#include "agent/kubernetes/velero/resources.h"

namespace salvor::velero {
namespace {

constexpr char kPublishedPassword[] = "c3RhdGljLXBhc3N3MHJk";  // base64 of the one in Velero's source

// When the program in a pod was started, which a restart of its container alone changes, too; InfinitePast where it
// does not run.
absl::Time StartOf(const Json& pod) {
  if (TextAt(pod, {"status", "phase"}) != "Running") return absl::InfinitePast();
  absl::Time start = TimeAt(pod, {"status", "startTime"});
  const Json& containers = At(pod, {"status", "containerStatuses"});
  if (!containers.is_array()) return start;
  for (const Json& container : containers)
    start = std::max(start, TimeAt(container, {"state", "running", "startedAt"}));
  return start;
}

class Looker {
 public:
  Looker(const v1::VeleroPreflight& action, agent::ActionContext& context, const VeleroOptions& options,
         kubernetes::Kubernetes& cluster)
      : action_(action),
        context_(context),
        options_(options),
        cluster_(cluster),
        velero_(NamespaceOf(action.cluster())),
        call_{context.stop, context.deadline} {}

  StatusOr<PreflightFacts> Look() {
    RETURN_IF_ERROR(AskServer());
    RETURN_IF_ERROR(LookAtVelero());
    RETURN_IF_ERROR(LookAtLocation());
    RETURN_IF_ERROR(LookAtSnapshots());
    for (const std::string& name : action_.namespaces()) RETURN_IF_ERROR(LookAtNamespace(name));
    for (const v1::PodQuiesce& quiesce : action_.quiesces()) AskForCommands(quiesce.namespace_());
    return std::move(facts_);
  }

  StatusOr<PreflightFacts> LookAtSnapshotMeans() {
    RETURN_IF_ERROR(LookAtServer());
    RETURN_IF_ERROR(LookAtSnapshots());
    return std::move(facts_);
  }

 private:
  // A cheap question that only a server answers that is well. Without an answer the rest is looked at all the same.
  Status AskServer() {
    const Json request = {{"apiVersion", "velero.io/v1"},
                          {"kind", "ServerStatusRequest"},
                          {"metadata", {{"generateName", "salvor-"}, {"namespace", velero_}}}};
    const auto made = cluster_.Create(ServerStatusRequests(), velero_, request, {}, call_);
    if (kubernetes::IsNotFound(made.status())) {
      if (options_.observer != nullptr) options_.observer->OnServer(velero_, "");
      return WithHint(FailedPrecondition("there is no Velero in namespace {}", velero_),
                      "Install Velero there, or name its namespace in the Environment.");
    }
    RETURN_IF_ERROR(made.status());
    const kubernetes::ObjectKey key{ServerStatusRequests(), velero_, TextAt(*made, {"metadata", "name"})};
    const auto answer = kubernetes::WaitUntil(
        cluster_, key,
        [](const Json* object) -> StatusOr<bool> {
          return object == nullptr || TextAt(*object, {"status", "phase"}) == "Processed";
        },
        CallWithin(context_, options_.answer_within));
    if (answer.ok()) facts_.server_version = TextAt(*answer, {"status", "serverVersion"});
    (void)cluster_.Delete(key, {}, CallWithin(context_, absl::Seconds(5)));  // else Velero does, in a minute
    if (context_.stop.stop_requested()) return Cancelled("stopped on request");
    // An API server that is away says nothing of Velero.
    const bool is_known = answer.ok() || absl::IsDeadlineExceeded(answer.status());
    if (options_.observer != nullptr && is_known) options_.observer->OnServer(velero_, facts_.server_version);
    return answer.ok() || IsPassing(answer.status()) ? OkStatus() : answer.status();
  }

  Status LookAtVelero() {
    ASSIGN_OR_RETURN(facts_.locations,
                     ListAll(cluster_, StorageLocations(), velero_, "", ReadStorageLocation, call_));
    ASSIGN_OR_RETURN(facts_.backups, ListAll(cluster_, Backups(), velero_, "", ReadBackup, call_));
    if (options_.observer != nullptr) {
      options_.observer->OnLocations(velero_, facts_.locations);
      options_.observer->OnQueue(velero_, CountQueue(facts_.backups));
    }
    ASSIGN_OR_RETURN(const std::vector<Pod> agents,
                     ListAll(cluster_, Pods(), velero_, "role=node-agent", ReadPod, call_));
    for (const Pod& pod : agents) {
      if (pod.running) facts_.agent_nodes.insert(pod.node);
    }
    RETURN_IF_ERROR(LookAtServer());
    // Who may not read it can't warn of it, and no data are lost by that.
    const auto password = cluster_.Get({{"", "v1", "secrets"}, velero_, "velero-repo-credentials"}, call_);
    facts_.has_published_password =
        password.ok() && TextAt(*password, {"data", "repository-password"}) == kPublishedPassword;
    return OkStatus();
  }

  // Whether the records of a Backup could be read, which is done only once it is made.
  Status LookAtLocation() {
    const StorageLocation* location = ChooseLocation(action_.cluster(), facts_.locations);
    if (location == nullptr || location->address.empty() || !options_.check_certificate) return OkStatus();
    const Status shown = options_.check_certificate(location->address, call_);
    if (context_.stop.stop_requested()) return Cancelled("stopped on request");
    facts_.location_trust = shown.ok() ? LocationTrust::kTrusted
                            : shown.code() == absl::StatusCode::kFailedPrecondition
                                ? LocationTrust::kUntrusted
                                : LocationTrust::kSilent;
    facts_.location_trust_why = MessageOf(shown);
    return OkStatus();
  }

  // Each way of installing it names the Deployment, and labels its pods, in its own way. Who may not list Deployments
  // may know the one that velero install makes.
  Status LookAtServer() {
    auto listed = ListAll(
        cluster_, Deployments(), velero_, "component=velero", [](const Json& item) { return item; }, call_);
    if (!listed.ok() && !kubernetes::IsForbidden(listed.status())) return listed.status();
    std::vector<Json> servers;
    if (listed.ok()) servers = *std::move(listed);
    if (servers.empty()) {
      const auto named = cluster_.Get({Deployments(), velero_, facts_.deployment}, call_);
      if (kubernetes::IsNotFound(named.status())) return OkStatus();
      RETURN_IF_ERROR(named.status());
      servers.push_back(*named);
    }
    const Json& server = servers.front();
    facts_.deployment = TextAt(server, {"metadata", "name"});
    facts_.has_csi = HasCsi(server);
    const std::string selector = PodSelector(server);
    if (selector.empty()) return OkStatus();
    ASSIGN_OR_RETURN(const std::vector<absl::Time> starts,
                     ListAll(cluster_, Pods(), velero_, selector, StartOf, call_));
    for (const absl::Time start : starts) {
      if (start != absl::InfinitePast())
        facts_.server_since = std::max(start, facts_.server_since.value_or(start));
    }
    return OkStatus();
  }

  Status LookAtSnapshots() {
    const auto definition = cluster_.Get({ResourceDefinitions(), "", kSnapshotDefinition}, call_);
    if (kubernetes::IsNotFound(definition.status())) return OkStatus();
    RETURN_IF_ERROR(definition.status());
    facts_.snapshots_since = TimeAt(*definition, {"metadata", "creationTimestamp"});
    ASSIGN_OR_RETURN(facts_.snapshot_classes,
                     ListAll(cluster_, SnapshotClasses(), "", "", ReadSnapshotClass, call_));
    return OkStatus();
  }

  // Where it can't be asked, whoever runs the command finds out.
  void AskForCommands(const std::string& name) {
    const Json may = {{"namespace", name}, {"verb", "create"}, {"resource", "pods"}, {"subresource", "exec"}};
    const Json review = {{"apiVersion", "authorization.k8s.io/v1"},
                         {"kind", "SelfSubjectAccessReview"},
                         {"spec", {{"resourceAttributes", may}}}};
    const auto answer = cluster_.Create(AccessReviews(), "", review, {}, call_);
    if (answer.ok() && At(*answer, {"status", "allowed"}).is_boolean() &&
        !FlagAt(*answer, {"status", "allowed"}))
      facts_.no_commands_in.insert(name);
  }

  Status LookAtNamespace(const std::string& name) {
    const auto object = cluster_.Get({Namespaces(), "", name}, call_);
    if (!object.ok() && !kubernetes::IsNotFound(object.status())) return object.status();
    NamespaceFacts facts = object.ok() ? ReadNamespace(*object) : NamespaceFacts();
    facts.exists = object.ok();
    facts.name = name;
    facts_.namespaces.push_back(std::move(facts));
    ASSIGN_OR_RETURN(std::vector<Claim> claims, ListClaims(cluster_, name, call_));
    ASSIGN_OR_RETURN(std::vector<Pod> pods, ListAll(cluster_, Pods(), name, "", ReadPod, call_));
    std::move(claims.begin(), claims.end(), std::back_inserter(facts_.claims));
    std::move(pods.begin(), pods.end(), std::back_inserter(facts_.pods));
    return OkStatus();
  }

  const v1::VeleroPreflight& action_;
  agent::ActionContext& context_;
  const VeleroOptions& options_;
  kubernetes::Kubernetes& cluster_;
  const std::string velero_;
  const kubernetes::Call call_;
  PreflightFacts facts_;
};

}  // namespace

StatusOr<PreflightFacts> LookAtCluster(const v1::VeleroPreflight& action, agent::ActionContext& context,
                                       const VeleroOptions& options, kubernetes::Kubernetes& cluster) {
  return Looker(action, context, options, cluster).Look();
}

StatusOr<PreflightFacts> LookAtSnapshotMeans(const v1::KubernetesCluster& where,
                                             agent::ActionContext& context, const VeleroOptions& options,
                                             kubernetes::Kubernetes& cluster) {
  v1::VeleroPreflight of_nothing;
  *of_nothing.mutable_cluster() = where;
  return Looker(of_nothing, context, options, cluster).LookAtSnapshotMeans();
}

StatusOr<v1::ActionResult> RunVeleroPreflight(const v1::VeleroPreflight& action,
                                              agent::ActionContext& context, const VeleroOptions& options) {
  ASSIGN_OR_RETURN(const std::shared_ptr<kubernetes::Kubernetes> cluster, options.clusters(action.cluster()));
  ASSIGN_OR_RETURN(const PreflightFacts facts, LookAtCluster(action, context, options, *cluster));
  return JudgePreflight(action, facts);
}

}  // namespace salvor::velero
