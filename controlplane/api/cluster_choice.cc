#include "controlplane/api/cluster_choice.h"

#include "base/text.h"

namespace salvor::controlplane {
namespace {

bool IsCluster(const v1::Object& environment) {
  return environment.environment().runtime() == v1::RUNTIME_KUBERNETES;
}

}  // namespace

StatusOr<v1::Object> ChooseCluster(const std::vector<v1::Object>& environments, const std::string& name) {
  std::vector<std::string> clusters;
  const v1::Object* chosen = nullptr;
  for (const v1::Object& environment : environments) {
    const std::string& own = environment.metadata().name();
    if (IsCluster(environment)) clusters.push_back(own);
    if (name.empty() ? IsCluster(environment) : own == name) chosen = &environment;
  }
  if (chosen == nullptr && !name.empty()) {
    return WithHint(NotFound("there is no environment '{}'", CleanText(name.substr(0, 80))),
                    "See which there are: salvor get environments");
  }
  if (chosen == nullptr) {
    return WithHint(FailedPrecondition("no environment is a cluster"),
                    "Declare one first, with runtime Kubernetes and a Location, and apply it.");
  }
  if (!IsCluster(*chosen)) {
    return WithHint(
        FailedPrecondition("environment '{}' is a set of hosts, and a namespace is of a cluster", name),
        clusters.empty() ? "Declare an environment with runtime Kubernetes, and apply it."
                         : "Name one that is a cluster: " + Join(clusters, ", "));
  }
  if (name.empty() && clusters.size() > 1) {
    return WithHint(
        InvalidArgument("{} environments are clusters, and it is not said which", clusters.size()),
        "Name one with --environment: " + Join(clusters, ", "));
  }
  return *chosen;
}

}  // namespace salvor::controlplane
