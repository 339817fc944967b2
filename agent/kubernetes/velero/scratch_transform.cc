#include "agent/kubernetes/velero/scratch_transform.h"

#include <algorithm>
#include <array>

#include "agent/kubernetes/velero/resources.h"

namespace salvor::velero {
namespace {

// A kind that comes back, as filters name it and as lists do.
struct Included {
  const char* resource;
  const char* kind;
};

// Left out are, among others: what lets in from outside, what has rights or gives them, what opens the walls (policies
// add up), Jobs, and every custom resource, for its operator stands outside and acts on it wherever it is.
constexpr std::array kIncluded = {
    Included{"configmaps", "v1/ConfigMap"},
    Included{"controllerrevisions.apps", "apps/v1/ControllerRevision"},
    Included{"cronjobs.batch", "batch/v1/CronJob"},
    Included{"daemonsets.apps", "apps/v1/DaemonSet"},
    Included{"deployments.apps", "apps/v1/Deployment"},
    Included{"persistentvolumeclaims", "v1/PersistentVolumeClaim"},
    Included{"persistentvolumes", "v1/PersistentVolume"},
    Included{"poddisruptionbudgets.policy", "policy/v1/PodDisruptionBudget"},
    Included{"pods", "v1/Pod"},
    Included{"replicasets.apps", "apps/v1/ReplicaSet"},
    Included{"replicationcontrollers", "v1/ReplicationController"},
    Included{"secrets", "v1/Secret"},
    Included{"services", "v1/Service"},
    Included{"statefulsets.apps", "apps/v1/StatefulSet"},
    Included{"volumesnapshotcontents.snapshot.storage.k8s.io",
             "snapshot.storage.k8s.io/v1/VolumeSnapshotContent"},
    Included{"volumesnapshots.snapshot.storage.k8s.io", "snapshot.storage.k8s.io/v1/VolumeSnapshot"},
};

Json Merge(const char* resource, const Json& patch) {
  return {{"conditions", {{"groupResource", resource}}},
          {"mergePatches", Json::array({{{"patchData", patch.dump()}}})}};
}

// Rules see a pod as it was before the first of them, so all of these hold for the same pods.
Json OfWaitingPods(Json patches) {
  return {
      {"conditions",
       {{"groupResource", "pods"},
        {"matches", Json::array({{{"path", "/spec/initContainers/0/name"}, {"value", "restore-wait"}}})}}},
      {"patches", std::move(patches)}};
}

Json HeldPod(const std::string& image) {
  const Json container = {{"name", "hold"},
                          {"image", image},
                          {"imagePullPolicy", "IfNotPresent"},
                          {"command", HoldCommand()},
                          {"securityContext",
                           {{"allowPrivilegeEscalation", false},
                            {"readOnlyRootFilesystem", true},
                            {"runAsNonRoot", true},
                            {"runAsUser", 65532},
                            {"capabilities", {{"drop", {"ALL"}}}}}}};
  Json spec = {{"containers", Json::array({container})},
               {"serviceAccountName", "default"},
               {"serviceAccount", "default"},
               {"automountServiceAccountToken", false},
               {"enableServiceLinks", false},
               {"terminationGracePeriodSeconds", 0}};
  // These would reach out of the pod, keep it from running, or be refused.
  for (const char* field : {"initContainers",
                            "ephemeralContainers",
                            "hostNetwork",
                            "hostPID",
                            "hostIPC",
                            "hostUsers",
                            "hostAliases",
                            "hostname",
                            "subdomain",
                            "securityContext",
                            "affinity",
                            "topologySpreadConstraints",
                            "readinessGates",
                            "nodeSelector",
                            "imagePullSecrets",
                            "priorityClassName",
                            "preemptionPolicy",
                            "runtimeClassName",
                            "overhead",
                            "schedulerName",
                            "resourceClaims",
                            "schedulingGates",
                            "activeDeadlineSeconds"})
    spec[field] = nullptr;
  return {{"metadata", {{"labels", nullptr}, {"annotations", nullptr}}}, {"spec", std::move(spec)}};
}

// A name without an address, and so without ports of nodes, load balancers, or anybody behind it.
Json AddresslessService() {
  Json spec = {{"type", "ExternalName"}, {"externalName", "drill.invalid"}};
  for (const char* field : {"ports", "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "externalIPs",
                            "externalTrafficPolicy", "internalTrafficPolicy", "healthCheckNodePort",
                            "allocateLoadBalancerNodePorts", "loadBalancerClass", "loadBalancerIP",
                            "loadBalancerSourceRanges", "trafficDistribution"})
    spec[field] = nullptr;
  return {{"metadata", {{"annotations", nullptr}}}, {"spec", std::move(spec)}};
}

}  // namespace

Json HoldCommand() { return {"salvor-supervise", "--hold", "7777"}; }

Json ScratchResources() {
  Json names = Json::array();
  for (const Included& one : kIncluded) names.push_back(one.resource);
  return names;
}

bool IsLeftOutOfScratch(std::string_view kind) {
  return std::none_of(kIncluded.begin(), kIncluded.end(),
                      [&](const Included& one) { return kind == one.kind; });
}

std::string ScratchModifiers(const std::string& image) {
  const Json none = {{"spec", {{"replicas", 0}}}};
  Json rules = Json::array();
  rules.push_back(OfWaitingPods(
      Json::array({{{"operation", "move"}, {"from", "/spec/initContainers/0"}, {"path", "/spec/keep"}}})));
  rules.push_back(Merge("pods", HeldPod(image)));
  rules.push_back(OfWaitingPods(
      Json::array({{{"operation", "add"}, {"path", "/spec/initContainers"}, {"value", "[]"}},
                   {{"operation", "move"}, {"from", "/spec/keep"}, {"path", "/spec/initContainers/0"}}})));
  for (const char* resource :
       {"deployments.apps", "statefulsets.apps", "replicasets.apps", "replicationcontrollers"})
    rules.push_back(Merge(resource, none));
  rules.push_back(
      Merge("daemonsets.apps",
            {{"spec", {{"template", {{"spec", {{"nodeSelector", {{"salvor.dev/none", "true"}}}}}}}}}}));
  rules.push_back(Merge("cronjobs.batch", {{"spec", {{"suspend", true}}}}));
  rules.push_back(Merge("services", AddresslessService()));
  // A claim whose data are not kept gets a new and empty volume, never the disk that the application still has.
  rules.push_back(Merge("persistentvolumeclaims", {{"spec", {{"volumeName", nullptr}}}}));
  rules.push_back(Merge("persistentvolumes", {{"spec",
                                               {{"claimRef", nullptr},
                                                {"storageClassName", kParkedClass},
                                                {"persistentVolumeReclaimPolicy", "Retain"}}}}));
  return Json({{"version", "v1"}, {"resourceModifierRules", std::move(rules)}}).dump(1);
}

Json MakeModifiers(const Json& restore, const std::string& image) {
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata",
           {{"name", At(restore, {"metadata", "name"})},
            {"namespace", At(restore, {"metadata", "namespace"})},
            {"labels", At(restore, {"metadata", "labels"})}}},
          {"data", {{"modifiers", ScratchModifiers(image)}}}};
}

bool IsRefusalOfScratch(std::string_view said) {
  constexpr std::array<std::string_view, 2> kWords = {"violates PodSecurity", "exceeded quota"};
  return std::any_of(kWords.begin(), kWords.end(),
                     [&](std::string_view words) { return said.find(words) != std::string_view::npos; });
}

}  // namespace salvor::velero
