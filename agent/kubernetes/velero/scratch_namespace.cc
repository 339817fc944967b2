#include "agent/kubernetes/velero/scratch_namespace.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/scratch_transform.h"
#include "base/text.h"

namespace salvor::velero {
namespace {

constexpr size_t kReachedShown = 8;

Json Walls(const char* api_version, const char* kind, const std::string& name_space, const char* name) {
  return {
      {"apiVersion", api_version},
      {"kind", kind},
      {"metadata", {{"name", name}, {"namespace", name_space}, {"labels", {{kScratchLabel, name_space}}}}}};
}

// The pod is as confined as one can be, without a token, and quick to end.
Json OwnPodObject(const std::string& name_space, const char* name, const OwnPod& own, Json container) {
  container["name"] = "probe";
  container["image"] = own.image;
  container["imagePullPolicy"] = "IfNotPresent";
  container["securityContext"] = {{"allowPrivilegeEscalation", false},
                                  {"readOnlyRootFilesystem", true},
                                  {"capabilities", {{"drop", {"ALL"}}}}};
  Json pod = Walls("v1", "Pod", name_space, name);
  pod["metadata"]["labels"][kExcludeLabel] = "true";
  pod["spec"] = {{"automountServiceAccountToken", false},
                 {"enableServiceLinks", false},
                 {"restartPolicy", "Never"},
                 {"terminationGracePeriodSeconds", 0},
                 {"securityContext",
                  {{"runAsNonRoot", true},
                   {"runAsUser", 65532},
                   {"runAsGroup", 65532},
                   {"seccompProfile", {{"type", "RuntimeDefault"}}}}},
                 {"containers", Json::array({std::move(container)})}};
  return pod;
}

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  for (std::string& line : Split(text, '\n')) {
    if (!line.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

const Json& FirstStatus(const Json& pod) {
  static const Json kNone;
  const Json& all = At(pod, {"status", "containerStatuses"});
  return all.is_array() && !all.empty() ? all.front() : kNone;
}

bool IsOneOf(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

OwnPod ReadOwnPod(const Json& pod) {
  OwnPod own;
  own.name_space = TextAt(pod, {"metadata", "namespace"});
  own.service_account = TextAt(pod, {"spec", "serviceAccountName"});
  const Json& containers = At(pod, {"spec", "containers"});
  if (!containers.is_array()) return own;
  for (const Json& container : containers) {
    if (own.image.empty() || TextAt(container, {"name"}) == "agent") own.image = TextAt(container, {"image"});
  }
  return own;
}

Json MakeScratchNamespace(const v1::ScratchNamespaceStart& action) {
  Json labels = {{kScratchLabel, "drill"},
                 {kRunLabel, action.run()},
                 {"pod-security.kubernetes.io/enforce", "baseline"}};
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) labels[key] = value;
  };
  add(kBackupLabel, action.backup());
  add(kApplicationLabel, action.application());
  add(kEnvironmentLabel, action.environment());
  return {{"apiVersion", "v1"},
          {"kind", "Namespace"},
          {"metadata", {{"name", action.name()}, {"labels", labels}}}};
}

bool IsScratchOf(const Json& name_space, const std::string& run) {
  return !run.empty() && TextAt(name_space, {"metadata", "labels", kScratchLabel}) == "drill" &&
         TextAt(name_space, {"metadata", "labels", kRunLabel}) == run;
}

Json MakeScratchBinding(const std::string& name_space, const OwnPod& own) {
  Json binding = Walls("rbac.authorization.k8s.io/v1", "RoleBinding", name_space, kScratchGuard);
  binding["roleRef"] = {
      {"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "ClusterRole"}, {"name", kScratchRole}};
  binding["subjects"] = Json::array(
      {{{"kind", "ServiceAccount"}, {"name", own.service_account}, {"namespace", own.name_space}}});
  return binding;
}

Json MakeScratchPolicy(const std::string& name_space) {
  Json policy = Walls("networking.k8s.io/v1", "NetworkPolicy", name_space, kScratchGuard);
  const Json beside = Json::array({{{"podSelector", Json::object()}}});
  policy["spec"] = {{"podSelector", Json::object()},
                    {"policyTypes", {"Ingress", "Egress"}},
                    {"ingress", Json::array({{{"from", beside}}})},
                    {"egress", Json::array({{{"to", beside}}})}};
  return policy;
}

Json MakeScratchQuota(const std::string& name_space) {
  Json quota = Walls("v1", "ResourceQuota", name_space, kScratchGuard);
  quota["spec"] = {{"hard",
                    {{"pods", "500"},
                     {"requests.cpu", "64"},
                     {"requests.memory", "128Gi"},
                     {"services.loadbalancers", "0"},
                     {"services.nodeports", "0"}}}};
  return quota;
}

Json MakeScratchLimits(const std::string& name_space) {
  Json limits = Walls("v1", "LimitRange", name_space, kScratchGuard);
  limits["spec"] = {{"limits", Json::array({{{"type", "Container"},
                                             {"default", {{"cpu", "500m"}, {"memory", "128Mi"}}},
                                             {"defaultRequest", {{"cpu", "10m"}, {"memory", "16Mi"}}}}})}};
  return limits;
}

Json MakeScratchAccount(const std::string& name_space) {
  Json account = Walls("v1", "ServiceAccount", name_space, "default");
  account["automountServiceAccountToken"] = false;
  return account;
}

std::string AddressOf(const std::string& host, int port) {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

std::vector<ProbeTarget> ForbiddenTargets(const std::vector<std::string>& others) {
  std::vector<ProbeTarget> targets = {
      {"the API server", "$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)"},
      {"its node", "$(NODE):10250"},
      {"the cloud's metadata", "169.254.169.254:80"},
      // Servers of names that the world knows: they answer wherever there is an Internet.
      {"the Internet", "1.1.1.1:443"},
      {"the Internet", "8.8.8.8:53"}};
  for (const std::string& other : others) targets.push_back({"a pod of another namespace", other});
  return targets;
}

Json MakeProbePeer(const std::string& name_space, const OwnPod& own) {
  return OwnPodObject(name_space, kProbePeer, own,
                      {{"command", HoldCommand()}, {"ports", Json::array({{{"containerPort", kPeerPort}}})}});
}

Json MakeProbe(const std::string& name_space, const OwnPod& own, const std::string& peer_address,
               const std::vector<ProbeTarget>& targets) {
  Json command = {"sh", "-c", "exec salvor-supervise --probe \"$@\" >/dev/termination-log", "probe"};
  for (const ProbeTarget& target : targets) {
    command.push_back("--tcp");
    command.push_back(target.address);
  }
  command.push_back("--tcp");
  command.push_back(peer_address);
  const Json node = {{"name", "NODE"}, {"valueFrom", {{"fieldRef", {{"fieldPath", "status.hostIP"}}}}}};
  return OwnPodObject(name_space, kProbePod, own,
                      {{"command", std::move(command)}, {"env", Json::array({node})}});
}

ProbeFinding ReadProbe(const Json& pod, const std::string& peer_address,
                       const std::vector<ProbeTarget>& targets) {
  ProbeFinding finding;
  finding.tried = static_cast<int>(targets.size());
  const Json& ended = At(FirstStatus(pod), {"state", "terminated"});
  if (!ended.is_object()) {
    finding.unclear = "the pod that was to try it did not come to its end";
    return finding;
  }
  const std::string said = TextAt(ended, {"message"});
  if (NumberAt(ended, {"exitCode"}) != 0) {
    finding.unclear =
        fmt::format("the pod that was to try it ended with {}: {}", NumberAt(ended, {"exitCode"}),
                    CleanText(said.empty() ? TextAt(ended, {"reason"}) : said));
    return finding;
  }
  std::set<std::string> reached;
  int tried = 0;
  constexpr std::string_view kTried = "tried ", kAddress = "address ";
  for (const std::string& line : LinesOf(said)) {
    if (line.rfind(kTried, 0) == 0)
      std::from_chars(line.data() + kTried.size(), line.data() + line.size(), tried);
    if (line.rfind(kAddress, 0) == 0) reached.insert(line.substr(kAddress.size()));
  }
  const bool reached_peer = reached.erase(peer_address) > 0;
  // The pod knows addresses that stand here by a variable's name, so they are told by what is not known here either.
  for (const std::string& address : reached) {
    const auto known = std::find_if(targets.begin(), targets.end(),
                                    [&](const ProbeTarget& target) { return target.address == address; });
    const bool is_node = address.size() > 6 && address.compare(address.size() - 6, 6, ":10250") == 0;
    const std::string name = known != targets.end() ? known->name : is_node ? "its node" : "the API server";
    finding.reached.push_back(fmt::format("{} ({})", name, CleanText(address)));
  }
  if (!finding.reached.empty()) return finding;
  if (tried != finding.tried + 1) {
    finding.unclear = fmt::format("the pod that was to try it tried {} of {} ways", tried, finding.tried + 1);
  } else if (!reached_peer) {
    finding.unclear =
        "the pod that tried it does not reach the pod beside it either, so that it reached nothing says nothing";
  }
  return finding;
}

std::string WhyNotStarted(const Json& pod) {
  static const std::set<std::string> kHopeless = {"ErrImagePull",         "ImagePullBackOff",
                                                  "InvalidImageName",     "ErrImageNeverPull",
                                                  "CreateContainerError", "CreateContainerConfigError"};
  const Json& waits = At(FirstStatus(pod), {"state", "waiting"});
  const std::string reason = TextAt(waits, {"reason"});
  if (kHopeless.count(reason) == 0) return "";
  return CleanText(reason + ": " + TextAt(waits, {"message"}));
}

std::string WhyNotIsolated(const ProbeFinding& finding) {
  if (!finding.unclear.empty()) return "whether it is isolated could not be told: " + finding.unclear;
  if (finding.reached.empty()) return "";
  std::vector<std::string> shown = finding.reached;
  const size_t more = shown.size() - std::min(shown.size(), kReachedShown);
  shown.resize(shown.size() - more);
  return fmt::format("not isolated: a pod in it reaches {}{}", Join(shown, ", "),
                     more == 0 ? "" : fmt::format(" and {} more", more));
}

v1::ActionResult JudgeIsolation(const std::string& name_space, const ProbeFinding& finding) {
  v1::ActionResult result;
  v1::Check* check = result.add_checks();
  check->set_kind("isolation");
  check->set_subject("namespace " + name_space);
  const std::string lack = WhyNotIsolated(finding);
  check->set_verdict(lack.empty() ? v1::Check::VERDICT_PASSED : v1::Check::VERDICT_UNVERIFIABLE);
  check->set_compared(
      lack.empty()
          ? fmt::format("a pod inside tried {} ways out – the API server, its node, other namespaces, the "
                        "Internet – and none led out, while it reached the pod beside it",
                        finding.tried)
          : lack);
  if (lack.empty()) return result;
  result.set_note(lack);
  result.add_warnings("the drill is not isolated: " + lack +
                      ". Does the cluster's network plugin enforce NetworkPolicies?");
  return result;
}

VolumeFate FateOf(const Json& volume, const Json& name_space, const std::vector<std::string>& restores) {
  const std::string restore = TextAt(volume, {"metadata", "labels", kRestoreNameLabel});
  if (IsOneOf(restores, restore) && TextAt(volume, {"spec", "storageClassName"}) == kParkedClass &&
      TextAt(volume, {"spec", "persistentVolumeReclaimPolicy"}) == "Retain" &&
      !At(volume, {"spec", "claimRef"}).is_object())
    return VolumeFate::kParked;
  const std::string of = TextAt(volume, {"spec", "claimRef", "namespace"});
  if (of.empty() || of != TextAt(name_space, {"metadata", "name"})) return VolumeFate::kNone;
  // A disk that Velero attached again has its object from before, or one that Velero made. What is moved is made for a
  // claim of Velero's first, so the name says nothing.
  const bool was_made_for_it =
      !IsOneOf(restores, restore) &&
      !TextAt(volume, {"metadata", "annotations", "pv.kubernetes.io/provisioned-by"}).empty();
  if (!was_made_for_it || TimeAt(volume, {"metadata", "creationTimestamp"}) <
                              TimeAt(name_space, {"metadata", "creationTimestamp"}))
    return VolumeFate::kNone;
  return TextAt(volume, {"spec", "persistentVolumeReclaimPolicy"}) == "Delete" ? VolumeFate::kGoes
                                                                               : VolumeFate::kMustGo;
}

bool IsContentOf(const Json& content, const std::string& name_space,
                 const std::vector<std::string>& restores) {
  return IsOneOf(restores, TextAt(content, {"metadata", "labels", kRestoreNameLabel})) &&
         TextAt(content, {"spec", "volumeSnapshotRef", "namespace"}) == name_space;
}

bool KeepsItsSnapshot(const Json& content) { return TextAt(content, {"spec", "deletionPolicy"}) == "Retain"; }

}  // namespace salvor::velero
