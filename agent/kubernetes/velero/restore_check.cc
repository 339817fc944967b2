#include "agent/kubernetes/velero/restore_check.h"

#include <algorithm>

#include "agent/kubernetes/velero/resources.h"
#include "base/text.h"

namespace salvor::velero {
namespace {

bool IsOf(const v1::Artifact& volume, v1::VolumeMethod method) { return volume.velero().method() == method; }

// Whether what was applied names the node port, by Velero's own rule.
bool IsApplied(const std::string& applied, const Json& port) {
  const Json service = Json::parse(applied, nullptr, false);
  const Json& ports = At(service, {"spec", "ports"});
  if (!ports.is_array()) return false;
  const std::string name = TextAt(port, {"name"});
  return std::any_of(ports.begin(), ports.end(), [&](const Json& one) {
    const int64_t number = NumberAt(one, {"nodePort"});
    return number > 0 && TextAt(one, {"name"}) == name &&
           (!name.empty() || number == NumberAt(port, {"nodePort"}));
  });
}

// Whether somebody set the node port by other means.
bool IsManaged(const Json& managed, const Json& port) {
  if (!managed.is_array()) return false;
  const std::string protocol = TextAt(port, {"protocol"});
  const std::string key = fmt::format("k:{{\"port\":{},\"protocol\":\"{}\"}}", NumberAt(port, {"port"}),
                                      protocol.empty() ? "TCP" : protocol);
  return std::any_of(managed.begin(), managed.end(), [&](const Json& entry) {
    const Json& set = At(entry, {"fieldsV1", "f:spec", "f:ports", key});
    return set.is_object() && set.contains("f:nodePort");
  });
}

// Why nothing can be restored from it: "is being deleted".
std::string WhyNone(const BackupState& backup) {
  if (backup.being_deleted) return "is being deleted";
  if (!backup.given_up.empty()) return "was given up: " + CleanText(backup.given_up);
  return "is " + (backup.phase.empty() ? "new" : CleanText(backup.phase));
}

class RestoreCheck {
 public:
  RestoreCheck(const v1::VeleroRestore& action, const RestoreFacts& facts)
      : action_(action), facts_(facts), velero_(NamespaceOf(action.cluster())) {}

  std::vector<Finding> Look() {
    LookAtServer();
    LookAtBackup();
    LookAtTarget();
    LookAtPorts();
    LookAtClasses();
    LookAtWays();
    LookAtQueue();
    for (Finding& finding : FindObjectProblems(action_, facts_.objects))
      findings_.push_back(std::move(finding));
    return std::move(findings_);
  }

 private:
  void Refuse(std::string text, std::string next_step) {
    findings_.push_back({true, std::move(text), std::move(next_step)});
  }
  void Warn(std::string text, std::string next_step) {
    findings_.push_back({false, std::move(text), std::move(next_step)});
  }

  bool Any(v1::VolumeMethod method) const {
    return std::any_of(action_.volumes().begin(), action_.volumes().end(),
                       [&](const v1::Artifact& volume) { return IsOf(volume, method); });
  }

  void LookAtServer() {
    if (!facts_.velero.server_version.empty()) return;
    Refuse(
        "Velero does not answer in namespace " + velero_,
        fmt::format("See whether its pod runs: kubectl -n {} get pods. Another namespace is declared in the "
                    "Environment.",
                    velero_));
  }

  void LookAtBackup() {
    const auto& backups = facts_.velero.backups;
    const auto found = std::find_if(backups.begin(), backups.end(), [&](const BackupState& one) {
      return one.name == action_.velero_backup();
    });
    if (found == backups.end()) {
      return Refuse(
          fmt::format("Velero has no backup {} in namespace {}", action_.velero_backup(), velero_),
          "See whether its storage location is there and Available: Velero takes up once a minute what lies in "
          "it. A backup that was deleted can't be restored.");
    }
    const auto label = found->labels.find(kBackupLabel);
    if (label == found->labels.end() || label->second != action_.backup()) {
      return Refuse(fmt::format("Velero's backup {} is not the one that backup '{}' names", found->name,
                                action_.backup()),
                    "Somebody made another one of that name. Restore another backup.");
    }
    const bool is_whole = found->stage == Stage::kCompleted || found->stage == Stage::kPartiallyFailed;
    if (!is_whole || IsDead(*found)) {
      return Refuse(fmt::format("Velero's backup {} {}", found->name, WhyNone(*found)),
                    "Restore another backup.");
    }
    LookAtLocation(found->location);
  }

  void LookAtLocation(const std::string& name) {
    const auto& locations = facts_.velero.locations;
    const auto found = std::find_if(locations.begin(), locations.end(),
                                    [&](const StorageLocation& one) { return one.name == name; });
    if (found == locations.end())
      return Refuse("Velero's storage location " + name + ", which has the backup, is not there",
                    "Make it again.");
    if (found->phase == "Available") return;
    Refuse(fmt::format("Velero's storage location {} is {}{}", name,
                       found->phase.empty() ? "not validated yet" : found->phase,
                       found->message.empty() ? "" : ": " + CleanText(found->message)),
           "Mend its bucket or its credentials; Velero looks again once a minute.");
  }

  void LookAtTarget() {
    if (facts_.target.terminating)
      Refuse("namespace " + action_.target_namespace() + " is being deleted", "Wait until it is gone.");
    if (const Status refused = RefuseExistingClaims(action_, facts_.claims); !refused.ok())
      Refuse(MessageOf(refused), HintOf(refused));
  }

  void LookAtPorts() {
    if (facts_.fixed_ports.empty() || action_.transform().free_node_ports()) return;
    Warn(fmt::format("Services of namespace {} hold node ports that their copies would want, too: {}",
                     action_.namespace_(), Join(facts_.fixed_ports, ", ")),
         "Velero makes no such copy, and the restore names each.");
  }

  // Without its class a claim waits for ever, and the restore for it.
  void LookAtClasses() {
    if (!facts_.storage_classes.has_value()) return;
    std::set<std::string> named;
    for (const v1::Artifact& volume : action_.volumes()) {
      const auto& renamed = action_.transform().storage_classes();
      const auto to = renamed.find(volume.velero().storage_class());
      const std::string& name = to == renamed.end() ? volume.velero().storage_class() : to->second;
      if (name.empty() || facts_.storage_classes->count(name) > 0 || !named.insert(name).second) continue;
      Refuse(fmt::format("the cluster has no StorageClass {}, which the volume of {} wants", name,
                         volume.velero().claim()),
             "Make a class of that name, or name another one: --storage-class OLD=NEW.");
    }
  }

  void LookAtWays() {
    const bool moved = Any(v1::VOLUME_METHOD_SNAPSHOT_MOVED), snapshots = Any(v1::VOLUME_METHOD_SNAPSHOT);
    if ((moved || Any(v1::VOLUME_METHOD_FILE_SYSTEM)) && facts_.velero.agent_nodes.empty()) {
      Refuse("Velero's node-agent runs on no node, and brings back the data of volumes",
             "Install it: velero install --use-node-agent, or wait until its pods run.");
    }
    if (!moved && !snapshots) return;
    if (!facts_.velero.has_csi) {
      Refuse("Velero runs without EnableCSI, and brings back no CSI snapshots: the volumes would be empty",
             "Add --features=EnableCSI to its arguments.");
    }
    if (!snapshots) return;
    if (!facts_.velero.snapshots_since.has_value()) {
      Refuse("the cluster has no VolumeSnapshots: their CRDs are not installed",
             "Install them and the snapshot controller, then restart Velero.");
    } else if (facts_.velero.server_since.has_value() &&
               *facts_.velero.snapshots_since > *facts_.velero.server_since) {
      Refuse("Velero was started before the CRDs of snapshots were installed, and does not know them",
             fmt::format("Restart it: kubectl -n {} rollout restart deployment {}", velero_,
                         facts_.velero.deployment));
    }
  }

  void LookAtQueue() {
    const int ahead = CountAhead(RestoreState(), facts_.restores);
    if (ahead > 0) {
      Warn(fmt::format("Velero has {} restore{} to make before this one", ahead, ahead == 1 ? "" : "s"),
           "It waits for them.");
    }
  }

  const v1::VeleroRestore& action_;
  const RestoreFacts& facts_;
  const std::string velero_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<std::string> FixedNodePorts(const Json& service) {
  std::vector<std::string> fixed;
  const Json& ports = At(service, {"spec", "ports"});
  if (!ports.is_array()) return fixed;
  const std::string applied =
      TextAt(service, {"metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"});
  for (const Json& port : ports) {
    const int64_t number = NumberAt(port, {"nodePort"});
    if (number == 0) continue;
    const bool is_fixed = applied.empty() ? IsManaged(At(service, {"metadata", "managedFields"}), port)
                                          : IsApplied(applied, port);
    if (is_fixed) fixed.push_back(fmt::format("{} {}", TextAt(service, {"metadata", "name"}), number));
  }
  return fixed;
}

std::vector<Finding> FindRestoreProblems(const v1::VeleroRestore& action, const RestoreFacts& facts) {
  return RestoreCheck(action, facts).Look();
}

StatusOr<v1::ActionResult> JudgeRestoreCheck(const v1::VeleroRestore& action, const RestoreFacts& facts) {
  v1::ActionResult result;
  *result.mutable_velero_restore_preview() = MakePreview(action, facts.objects);
  result.set_note(Summarize(result.velero_restore_preview()));
  std::vector<std::string> refusals, next_steps;
  for (const Finding& finding : FindRestoreProblems(action, facts)) {
    if (!finding.refuses) {
      result.add_warnings(finding.text + ". " + finding.next_step);
      continue;
    }
    refusals.push_back(finding.text);
    next_steps.push_back(finding.next_step);
  }
  if (!refusals.empty())
    return WithHint(FailedPrecondition("{}", Join(refusals, "; ")), Join(next_steps, " "));
  return result;
}

Status RefuseExistingClaims(const v1::VeleroRestore& action, const std::vector<Claim>& claims) {
  std::vector<std::string> there;
  for (const v1::Artifact& volume : action.volumes()) {
    const std::string key = Key(action.target_namespace(), volume.velero().claim());
    if (std::any_of(claims.begin(), claims.end(), [&](const Claim& claim) { return Key(claim) == key; }))
      there.push_back(key);
  }
  if (there.empty()) return OkStatus();
  return WithHint(
      there.size() == 1
          ? FailedPrecondition("the claim {} is there already, and would stay as it is", there.front())
          : FailedPrecondition("the claims {} are there already, and would stay as they are",
                               Join(there, ", ")),
      "What exists is never overwritten. Restore into another namespace with --namespace, or remove what is there "
      "first.");
}

}  // namespace salvor::velero
