#include "agent/kubernetes/velero/preflight.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_join.h"
#include "agent/kubernetes/velero/quiesce.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/storage_address.h"
#include "agent/kubernetes/velero/volume_policy.h"
#include "base/text.h"

namespace salvor::velero {
namespace {

constexpr char kSnapshotClassLabel[] = "velero.io/csi-volumesnapshot-class";
constexpr char kDefaultClassAnnotation[] = "snapshot.storage.kubernetes.io/is-default-class";

// The class that Velero takes for a claim, by its own rules; nullptr where it would take none.
const SnapshotClass* ClassFor(const Claim& claim, const std::vector<SnapshotClass>& classes) {
  std::vector<const SnapshotClass*> of_driver;
  for (const SnapshotClass& one : classes) {
    if (one.driver == claim.driver) of_driver.push_back(&one);
  }
  const auto first = [&](auto&& fits) -> const SnapshotClass* {
    const auto found = std::find_if(of_driver.begin(), of_driver.end(), fits);
    return found == of_driver.end() ? nullptr : *found;
  };
  if (!claim.snapshot_class.empty())
    return first([&](const SnapshotClass* one) { return one->name == claim.snapshot_class; });
  if (const auto* one = first([](const SnapshotClass* each) { return each->labelled; })) return one;
  if (const auto* one = first([](const SnapshotClass* each) { return each->is_default; })) return one;
  return of_driver.size() == 1 ? of_driver.front() : nullptr;
}

const Claim* FindClaim(const v1::VeleroVolume& volume, const std::vector<Claim>& claims) {
  for (const Claim& claim : claims) {
    if (Key(claim) == Key(volume)) return &claim;
  }
  return nullptr;
}

class Preflight {
 public:
  Preflight(const v1::VeleroPreflight& action, const std::vector<v1::VeleroVolume>& volumes,
            const PreflightFacts& facts)
      : action_(action), volumes_(volumes), facts_(facts) {}

  std::vector<Finding> Look() {
    LookAtServer();
    LookAtLocation();
    for (const NamespaceFacts& one : facts_.namespaces) LookAtNamespace(one);
    bool files = false;
    for (const v1::VeleroVolume& volume : volumes_) {
      if (!volume.skip().empty()) continue;
      LookAtVolume(volume);
      files = files || volume.method() == v1::VOLUME_METHOD_FILE_SYSTEM;
    }
    if (AnySnapshot(volumes_)) LookAtSnapshots();
    LookAtStart();
    if ((files || AnyMoved(volumes_)) && facts_.agent_nodes.empty()) {
      Refuse("Velero's node-agent runs on no node, and copies the files of volumes",
             "Install it: velero install --use-node-agent, or wait until its pods run.");
    }
    if ((files || AnyMoved(volumes_)) && facts_.has_published_password) {
      Warn(
          "Velero's repositories have the password that stands in its source code",
          "Set another one in the Secret velero-repo-credentials before the first backup of a volume; later it makes "
          "the earlier backups unreadable.");
    }
    LookAtPolicy();
    LookAtHooks();
    LookAtQuiesces();
    LookAtQueue();
    return std::move(findings_);
  }

 private:
  void Refuse(std::string text, std::string next_step) {
    findings_.push_back({true, std::move(text), std::move(next_step)});
  }
  void Warn(std::string text, std::string next_step) {
    findings_.push_back({false, std::move(text), std::move(next_step)});
  }

  void LookAtServer() {
    if (!facts_.server_version.empty()) return;
    const std::string in = NamespaceOf(action_.cluster());
    Refuse(
        "Velero does not answer in namespace " + in,
        fmt::format("See whether its pod runs: kubectl -n {} get pods. Another namespace is declared in the "
                    "Environment.",
                    in));
  }

  void LookAtLocation() {
    const std::string& named = action_.cluster().storage_location();
    const StorageLocation* location = ChooseLocation(action_.cluster(), facts_.locations);
    if (location == nullptr) {
      return Refuse(
          named.empty() ? "Velero has no default storage location"
                        : "Velero has no storage location " + named,
          fmt::format(
              "Make one, or name in the Environment one of those that are there: velero -n {} backup-location get",
              NamespaceOf(action_.cluster())));
    }
    if (location->phase != "Available") {
      Refuse(fmt::format("Velero's storage location {} is {}{}", location->name,
                         location->phase.empty() ? "not validated yet" : location->phase,
                         location->message.empty() ? "" : ": " + CleanText(location->message)),
             "Mend its bucket or its credentials; Velero looks again once a minute.");
    }
    LookAtTrust(*location);
    if (location->read_only)
      Refuse(fmt::format("Velero's storage location {} is read-only", location->name),
             "Name another one in the Environment, or set its accessMode to ReadWrite.");
  }

  // The agent reads what a Backup holds from the location itself, and only after it was made.
  void LookAtTrust(const StorageLocation& location) {
    const std::string trust =
        "add the authority that signed it to /etc/ssl/certs/ca-certificates.crt of the agent's host "
        "(update-ca-certificates) or image: caCert of the storage location is for Velero alone.";
    if (facts_.location_trust == LocationTrust::kUntrusted) {
      return Refuse(
          fmt::format("this agent does not trust the certificate of Velero's storage location {}, from "
                      "which it reads what a backup holds: {}",
                      location.name, facts_.location_trust_why),
          "Where it has expired, renew it; else " + trust);
    }
    if (facts_.location_trust == LocationTrust::kSilent) {
      return Warn(
          fmt::format("Velero's storage location {} does not answer this agent, which reads there what a "
                      "backup holds: {}",
                      location.name, facts_.location_trust_why),
          "Let the agent reach publicUrl of the storage location if it is set, else s3Url.");
    }
    if (location.has_authority && facts_.location_trust == LocationTrust::kUnknown) {
      Warn(fmt::format(
               "Velero's storage location {} has a certificate authority of its own, which Velero alone uses",
               location.name),
           "Let the agent's host or image trust it, too: Velero's records are read from there.");
    }
  }

  void LookAtNamespace(const NamespaceFacts& one) {
    if (!one.exists)
      return Refuse("there is no namespace " + one.name, "See whether the Application names the right one.");
    if (one.terminating)
      Refuse("namespace " + one.name + " is being deleted", "Wait, or restore it from an older backup.");
    if (one.excluded) {
      Refuse(fmt::format("namespace {} is labelled {}, so Velero leaves it out", one.name, kExcludeLabel),
             fmt::format("Remove the label: kubectl label namespace {} {}-", one.name, kExcludeLabel));
    }
  }

  void LookAtVolume(const v1::VeleroVolume& volume) {
    const Claim* claim = FindClaim(volume, facts_.claims);
    const std::string key = Key(volume);
    if (claim == nullptr)
      return Refuse("there is no claim " + key, "Correct the claims that the component names.");
    if (claim->phase != "Bound" || claim->volume.empty()) {
      return Refuse(
          fmt::format("the claim {} is {} and has no data", key, claim->phase.empty() ? "new" : claim->phase),
          "See what it waits for: kubectl -n " + volume.namespace_() + " describe pvc " + volume.claim());
    }
    if (claim->excluded) {
      Refuse(fmt::format("the claim {} is labelled {}, so Velero leaves it out", key, kExcludeLabel),
             "Remove that label from it.");
    }
    if (claim->reclaim_policy == "Retain") {
      Warn(
          fmt::format(
              "the volume of {} has the reclaim policy Retain: after its claim is deleted the old disk stays, and "
              "is in the way of a restore to the same place",
              key),
          "Remove the released volume before such a restore.");
    }
    if (volume.method() == v1::VOLUME_METHOD_FILE_SYSTEM) LookAtFiles(*claim);
    if (volume.method() == v1::VOLUME_METHOD_SNAPSHOT || volume.method() == v1::VOLUME_METHOD_SNAPSHOT_MOVED)
      LookAtSnapshot(*claim, volume.method());
  }

  // Velero reads the files of a volume through a pod that runs and has it mounted, whichever of several it comes to
  // first. It skips the volume in silence where there is none, and leaves out a pod on a node without its node-agent.
  void LookAtFiles(const Claim& claim) {
    const std::string key = Key(claim);
    if (claim.block) {
      return Refuse(fmt::format("the volume of {} is a raw device, and has no files to copy", key),
                    "Keep it by Snapshot or SnapshotMoved.");
    }
    if (claim.source == "hostPath") {
      return Refuse(fmt::format("the volume of {} is a folder of its node, which Velero does not copy", key),
                    "Keep its data another way, or move them to a volume of another kind.");
    }
    if (facts_.agent_nodes.empty()) return;  // that is said already
    bool mounted = false;
    for (const Pod& pod : facts_.pods) {
      const bool mounts = pod.name_space == claim.name_space &&
                          std::find(pod.claims.begin(), pod.claims.end(), claim.name) != pod.claims.end();
      if (!mounts || !pod.running || pod.excluded) continue;
      mounted = true;
      if (facts_.agent_nodes.count(pod.node) > 0) continue;
      return Refuse(
          fmt::format("the volume of {} is mounted on node {}, where Velero's node-agent does not run", key,
                      pod.node),
          "Let the node-agent's DaemonSet run on that node, or keep the volume by SnapshotMoved.");
    }
    if (mounted) return;
    Refuse(fmt::format("the volume of {} is mounted by no running pod, and Velero would leave its files out",
                       key),
           "Start a pod that mounts it by its claim, or keep it by Snapshot or SnapshotMoved.");
  }

  void LookAtSnapshot(const Claim& claim, v1::VolumeMethod method) {
    const std::string key = Key(claim);
    if (claim.driver.empty()) {
      return Refuse(
          fmt::format("the volume of {} is of no CSI driver, and can't be kept by {}", key, Describe(method)),
          "Keep it by FileSystem.");
    }
    if (!facts_.snapshots_since.has_value()) return;  // that is said once for all
    if (ClassFor(claim, facts_.snapshot_classes) != nullptr) return;
    if (!claim.snapshot_class.empty()) {
      return Refuse(
          fmt::format("the claim {} asks for the VolumeSnapshotClass {}, which its driver {} has not", key,
                      claim.snapshot_class, claim.driver),
          "Correct the annotation of the claim.");
    }
    Refuse(fmt::format("Velero would find no VolumeSnapshotClass for {}, of driver {}", key, claim.driver),
           fmt::format("Make one for that driver, and label it {}=true.", kSnapshotClassLabel));
  }

  void LookAtSnapshots() {
    if (!facts_.has_csi) {
      Refuse("Velero runs without EnableCSI, and makes no CSI snapshots",
             "Add --features=EnableCSI to its arguments, or keep the volumes by FileSystem.");
    }
    if (!facts_.snapshots_since.has_value()) {
      Refuse("the cluster has no VolumeSnapshots: their CRDs are not installed",
             "Install them and the snapshot controller, then restart Velero.");
    } else if (facts_.server_since.has_value() && *facts_.snapshots_since > *facts_.server_since) {
      Refuse("Velero was started before the CRDs of snapshots were installed, and does not know them",
             fmt::format("Restart it: kubectl -n {} rollout restart deployment {}",
                         NamespaceOf(action_.cluster()), facts_.deployment));
    }
  }

  void LookAtStart() {
    const bool matters =
        AnySnapshot(volumes_) ||
        std::any_of(action_.volumes().begin(), action_.volumes().end(), [](const auto& volume) {
          return volume.skip().empty() && (volume.method() == v1::VOLUME_METHOD_AUTO ||
                                           volume.method() == v1::VOLUME_METHOD_UNSPECIFIED);
        });
    if (!matters || !facts_.has_csi || !facts_.snapshots_since.has_value() || facts_.server_since.has_value())
      return;
    Warn(fmt::format(
             "no running pod of Velero's server was found in namespace {}, so it is not known whether it was "
             "started after the CRDs of snapshots were installed, as snapshots need",
             NamespaceOf(action_.cluster())),
         "See whether the Deployment of Velero has the label component=velero and selects its pods.");
  }

  void LookAtPolicy() {
    for (const v1::VeleroVolume& volume : volumes_) {
      const Claim* claim = FindClaim(volume, facts_.claims);
      if (volume.skip().empty() && (claim == nullptr || claim->volume.empty())) return;  // refused already
    }
    // There is a Backup for each namespace, with a policy of its own.
    for (const NamespaceFacts& one : facts_.namespaces) {
      std::vector<v1::VeleroVolume> volumes;
      std::vector<Claim> claims;
      std::copy_if(volumes_.begin(), volumes_.end(), std::back_inserter(volumes),
                   [&](const v1::VeleroVolume& volume) { return volume.namespace_() == one.name; });
      std::copy_if(facts_.claims.begin(), facts_.claims.end(), std::back_inserter(claims),
                   [&](const Claim& claim) { return claim.name_space == one.name; });
      const auto policy = MakeVolumePolicy(volumes, claims);
      if (!policy.ok()) Refuse(MessageOf(policy.status()), HintOf(policy.status()));
    }
  }

  void LookAtQuiesces() {
    const auto chosen = ChooseContainers({action_.quiesces().begin(), action_.quiesces().end()}, facts_.pods);
    if (!chosen.ok()) Refuse(MessageOf(chosen.status()), HintOf(chosen.status()));
    for (const std::string& name : facts_.no_commands_in)
      Refuse(
          fmt::format("pods of namespace {} are to be held still, and it lets Salvor run no commands", name),
          HowToAllowCommands(name));
  }

  // Whether a pod that has a volume of the component mounted asks for hooks; Velero counts them for all together.
  bool AsksForHooks(const std::string& component) const {
    return std::any_of(facts_.pods.begin(), facts_.pods.end(), [&](const Pod& pod) {
      return pod.has_hooks &&
             std::any_of(action_.volumes().begin(), action_.volumes().end(),
                         [&](const v1::VeleroVolume& volume) {
                           return volume.component() == component && volume.namespace_() == pod.name_space &&
                                  std::count(pod.claims.begin(), pod.claims.end(), volume.claim()) > 0;
                         });
    });
  }

  void LookAtHooks() {
    for (const std::string& component : action_.hook_components()) {
      if (AsksForHooks(component)) continue;
      Refuse(fmt::format(
                 "component {} relies on hooks of Velero's, and no annotations of a pod with its volumes "
                 "ask for any",
                 component),
             "Annotate the pod with pre.hook.backup.velero.io/command, or remove hooks from the component.");
    }
    if (!action_.hook_components().empty()) return;
    for (const Pod& pod : facts_.pods) {
      if (!pod.has_hooks) continue;
      return Warn(fmt::format("annotations of pod {}/{} let Velero run commands in it during the backup",
                              pod.name_space, pod.name),
                  "Remove them if those commands were meant for other backups.");
    }
  }

  void LookAtQueue() {
    const int ahead = CountAhead({}, facts_.backups);
    if (ahead > 0)
      Warn(fmt::format("Velero has {} backup{} to make before this one", ahead, ahead == 1 ? "" : "s"),
           "It waits for them.");
  }

  const v1::VeleroPreflight& action_;
  const std::vector<v1::VeleroVolume>& volumes_;
  const PreflightFacts& facts_;
  std::vector<Finding> findings_;
};

}  // namespace

StorageLocation ReadStorageLocation(const Json& object) {
  StorageLocation location;
  location.name = TextAt(object, {"metadata", "name"});
  location.provider = TextAt(object, {"spec", "provider"});
  location.has_authority = !TextAt(object, {"spec", "objectStorage", "caCert"}).empty() ||
                           At(object, {"spec", "objectStorage", "caCertRef"}).is_object();
  location.bucket = TextAt(object, {"spec", "objectStorage", "bucket"});
  location.prefix = TextAt(object, {"spec", "objectStorage", "prefix"});
  location.phase = TextAt(object, {"status", "phase"});
  location.message = TextAt(object, {"status", "message"});
  location.read_only = TextAt(object, {"spec", "accessMode"}) == "ReadOnly";
  location.is_default = FlagAt(object, {"spec", "default"});
  location.address = RecordsAddress(object);
  return location;
}

SnapshotClass ReadSnapshotClass(const Json& object) {
  SnapshotClass read;
  read.name = TextAt(object, {"metadata", "name"});
  read.driver = TextAt(object, {"driver"});
  read.labelled = At(object, {"metadata", "labels", kSnapshotClassLabel}).is_string();
  read.is_default = At(object, {"metadata", "annotations", kDefaultClassAnnotation}).is_string();
  return read;
}

NamespaceFacts ReadNamespace(const Json& object) {
  NamespaceFacts facts;
  facts.name = TextAt(object, {"metadata", "name"});
  facts.terminating = TextAt(object, {"status", "phase"}) == "Terminating";
  facts.excluded = TextAt(object, {"metadata", "labels", kExcludeLabel}) == "true";
  return facts;
}

bool HasCsi(const Json& deployment) {
  const Json& containers = At(deployment, {"spec", "template", "spec", "containers"});
  if (!containers.is_array()) return false;
  for (const Json& container : containers) {
    std::vector<std::string> words = TextsAt(container, {"command"});
    for (const std::string& word : TextsAt(container, {"args"})) words.push_back(word);
    for (size_t i = 0; i < words.size(); ++i) {
      std::string features;
      if (words[i] == "--features" && i + 1 < words.size()) features = words[i + 1];
      if (words[i].rfind("--features=", 0) == 0) features = words[i].substr(words[i].find('=') + 1);
      for (const std::string& feature : Split(features, ',')) {
        if (Trim(feature) == "EnableCSI") return true;
      }
    }
  }
  return false;
}

std::string PodSelector(const Json& deployment) {
  return absl::StrJoin(TextMapAt(deployment, {"spec", "selector", "matchLabels"}), ",",
                       absl::PairFormatter("="));
}

const StorageLocation* ChooseLocation(const v1::KubernetesCluster& cluster,
                                      const std::vector<StorageLocation>& locations) {
  const std::string& named = cluster.storage_location();
  for (const StorageLocation& one : locations) {
    if (named.empty() ? one.is_default : one.name == named) return &one;
  }
  // Velero's own fallback, of a server that was not told otherwise.
  for (const StorageLocation& one : locations) {
    if (named.empty() && one.name == "default") return &one;
  }
  return nullptr;
}

std::vector<v1::VeleroVolume> DecideMethods(const std::vector<v1::VeleroVolume>& volumes,
                                            const PreflightFacts& facts) {
  std::vector<v1::VeleroVolume> decided = volumes;
  for (v1::VeleroVolume& volume : decided) {
    if (volume.method() != v1::VOLUME_METHOD_AUTO && volume.method() != v1::VOLUME_METHOD_UNSPECIFIED)
      continue;
    const Claim* claim = FindClaim(volume, facts.claims);
    const bool snapshots = claim != nullptr && !claim->driver.empty() && facts.has_csi &&
                           facts.snapshots_since.has_value() && facts.server_since.has_value() &&
                           *facts.snapshots_since <= *facts.server_since &&
                           ClassFor(*claim, facts.snapshot_classes) != nullptr;
    volume.set_method(snapshots ? v1::VOLUME_METHOD_SNAPSHOT_MOVED : v1::VOLUME_METHOD_FILE_SYSTEM);
  }
  return decided;
}

std::vector<Finding> FindProblems(const v1::VeleroPreflight& action,
                                  const std::vector<v1::VeleroVolume>& volumes, const PreflightFacts& facts) {
  return Preflight(action, volumes, facts).Look();
}

StatusOr<v1::ActionResult> JudgePreflight(const v1::VeleroPreflight& action, const PreflightFacts& facts) {
  const auto volumes = DecideMethods({action.volumes().begin(), action.volumes().end()}, facts);
  v1::ActionResult result;
  std::vector<std::string> refusals, next_steps;
  for (const Finding& finding : FindProblems(action, volumes, facts)) {
    if (!finding.refuses) {
      result.add_warnings(finding.text + ". " + finding.next_step);
      continue;
    }
    refusals.push_back(finding.text);
    next_steps.push_back(finding.next_step);
  }
  if (!refusals.empty())
    return WithHint(FailedPrecondition("{}", Join(refusals, "; ")), Join(next_steps, " "));
  v1::VeleroReport* report = result.mutable_velero();
  report->set_velero_namespace(NamespaceOf(action.cluster()));
  report->set_storage_location(ChooseLocation(action.cluster(), facts.locations)->name);
  report->set_velero_version(facts.server_version);
  *report->mutable_namespaces() = action.namespaces();
  for (const v1::VeleroVolume& volume : volumes) *report->add_volumes() = volume;
  return result;
}

}  // namespace salvor::velero
