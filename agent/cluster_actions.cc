#include "agent/cluster_actions.h"

#include <memory>

#include "agent/engines/postgres/actions/actions.h"
#include "agent/engines/postgres/actions/copy_probes.h"
#include "agent/host_actions.h"
#include "agent/kubernetes/client/http_kubernetes.h"
#include "agent/kubernetes/movers/actions/mover_action.h"
#include "agent/kubernetes/velero/actions/artefacts.h"
#include "agent/kubernetes/velero/actions/certificate.h"
#include "agent/kubernetes/velero/actions/velero_actions.h"
#include "agent/location/register.h"
#include "agent/probes/application_check_actions.h"
#include "agent/work/noop_action.h"
#include "base/io/files.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

velero::ClusterFactory OneCluster(const std::string& kubeconfig) {
  const std::shared_ptr<kubernetes::Kubernetes> cluster = kubernetes::MakeHttpKubernetes(
      kubeconfig.empty() ? kubernetes::FromPod() : kubernetes::FromKubeconfig(kubeconfig));
  return [cluster, kubeconfig](
             const v1::KubernetesCluster& asked) -> StatusOr<std::shared_ptr<kubernetes::Kubernetes>> {
    if (asked.kubeconfig().empty() || asked.kubeconfig() == kubeconfig) return cluster;
    return WithHint(
        FailedPrecondition("this agent may not use the kubeconfig {}", asked.kubeconfig()),
        "Start it with --kubeconfig and that path, or leave the kubeconfig out of the Environment.");
  };
}

constexpr char kOwnNamespaceFile[] = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

std::string MoverNamespace(const ClusterOptions& options) {
  if (!options.mover_namespace.empty()) return options.mover_namespace;
  const auto own = options.kubeconfig.empty() ? ReadFile(kOwnNamespaceFile) : StatusOr<std::string>("");
  const std::string name = own.ok() ? std::string(Trim(*own)) : "";
  return name.empty() ? "salvor" : name;
}

std::vector<std::string> KindsOf(const ActionRegistry& registry) {
  std::vector<std::string> kinds;
  for (const auto& [kind, entry] : registry) kinds.push_back(kind);
  return kinds;
}

}  // namespace

ActionRegistry MoverActions() {
  ActionRegistry registry;
  RegisterPostgresActions(registry);
  RegisterApplicationChecks(registry, {PostgresCopies()});
  return registry;
}

ActionRegistry ExecutorActions(const ClusterOptions& options) {
  velero::VeleroOptions velero;
  velero.clusters = OneCluster(options.kubeconfig);
  velero.download = velero::DownloadSigned;
  velero.check_certificate = [](const std::string& address, const kubernetes::Call& call) {
    return velero::CheckCertificate(address, call);
  };
  velero.observer = options.observer;
  velero.image = options.image;
  velero.own_pod = options.own_pod;
  ActionRegistry registry;
  RegisterNoop(registry);
  RegisterLocationActions(registry);
  velero::RegisterVeleroActions(registry, velero);
  movers::MoverOptions mover;
  mover.cluster = [clusters = velero.clusters] { return clusters(v1::KubernetesCluster()); };
  mover.name_space = MoverNamespace(options);
  movers::RegisterMovers(registry, KindsOf(MoverActions()), mover);
  return registry;
}

ActionRegistry NodeActions() {
  ActionRegistry registry;
  RegisterNoop(registry);
  return registry;
}

StatusOr<ActionRegistry> ActionsFor(v1::Runtime runtime, v1::AgentKind kind, const ClusterOptions& options) {
  if (runtime != v1::RUNTIME_KUBERNETES) {
    if (kind != v1::AGENT_KIND_HOST) return InvalidArgument("an agent of a host is of the kind host");
    if (!options.kubeconfig.empty()) return InvalidArgument("an agent of a host speaks to no cluster");
    return HostActions();
  }
  if (kind == v1::AGENT_KIND_EXECUTOR) return ExecutorActions(options);
  if (kind == v1::AGENT_KIND_NODE) {
    if (!options.kubeconfig.empty()) return InvalidArgument("an agent of a node speaks to no API server");
    return NodeActions();
  }
  return InvalidArgument("an agent of a cluster is of the kind executor or node");
}

}  // namespace salvor::agent
