#include "agent/kubernetes/velero/backup_object.h"

#include <algorithm>

#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/volume_policy.h"
#include "base/text.h"

namespace salvor::velero {
namespace {

constexpr char kLongestTtl[] = "876000h0m0s";  // a hundred years
constexpr std::string_view kRestarted = "during the server starting";

Json Labels(const v1::VeleroBackup& action) {
  Json labels = Json::object();
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) labels[key] = value;
  };
  add(kRunLabel, action.run());
  add(kBackupLabel, action.backup());
  add(kApplicationLabel, action.application());
  add(kEnvironmentLabel, action.environment());
  return labels;
}

int TryOf(const std::string& base, const std::string& name) {
  for (int number = 1; number <= kTriesAtMost; ++number) {
    if (name == NameOfTry(base, number)) return number;
  }
  return 0;
}

}  // namespace

std::string NamespaceOf(const v1::KubernetesCluster& cluster) {
  return cluster.velero_namespace().empty() ? "velero" : cluster.velero_namespace();
}

Json MakeBackup(const v1::VeleroBackup& action, const std::string& name, const std::string& location) {
  const std::vector<v1::VeleroVolume> volumes(action.volumes().begin(), action.volumes().end());
  Json namespaces = Json::array();
  for (const std::string& one : action.namespaces()) namespaces.push_back(one);
  return {
      {"apiVersion", "velero.io/v1"},
      {"kind", "Backup"},
      {"metadata",
       {{"name", name}, {"namespace", NamespaceOf(action.cluster())}, {"labels", Labels(action)}}},
      {"spec",
       {{"includedNamespaces", namespaces},
        // The newer of the two kinds of filters, which alone goes with a policy; of what is in no namespace, Velero
        // then takes what belongs to what it takes: the volumes of claims.
        {"includedNamespaceScopedResources", {"*"}},
        {"storageLocation", location},
        {"ttl", kLongestTtl},
        {"snapshotVolumes", AnySnapshot(volumes)},
        {"snapshotMoveData", AnyMoved(volumes)},
        {"defaultVolumesToFsBackup", false},
        {"resourcePolicy", {{"kind", "configmap"}, {"name", name}}}}}};
}

Json MakePolicyConfigMap(const v1::VeleroBackup& action, const std::string& name, const std::string& policy) {
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata",
           {{"name", name}, {"namespace", NamespaceOf(action.cluster())}, {"labels", Labels(action)}}},
          {"immutable", true},
          {"data", {{"policy.yaml", policy}}}};
}

Stage StageOf(std::string_view phase) {
  if (phase.empty() || phase == "New" || phase == "Queued") return Stage::kWaiting;
  if (phase == "ReadyToStart") return Stage::kReady;
  if (phase == "Completed") return Stage::kCompleted;
  if (phase == "PartiallyFailed") return Stage::kPartiallyFailed;
  if (phase == "Failed") return Stage::kFailed;
  if (phase == "FailedValidation") return Stage::kInvalid;
  if (phase == "Deleting") return Stage::kDeleting;
  return Stage::kRunning;
}

bool IsOver(Stage stage) {
  return stage != Stage::kWaiting && stage != Stage::kReady && stage != Stage::kRunning;
}

BackupState ReadBackup(const Json& backup) {
  BackupState state;
  state.name = TextAt(backup, {"metadata", "name"});
  state.uid = TextAt(backup, {"metadata", "uid"});
  state.resource_version = TextAt(backup, {"metadata", "resourceVersion"});
  state.labels = TextMapAt(backup, {"metadata", "labels"});
  state.given_up = TextAt(backup, {"metadata", "annotations", kGivenUpAnnotation});
  state.being_deleted = !TextAt(backup, {"metadata", "deletionTimestamp"}).empty();
  state.phase = TextAt(backup, {"status", "phase"});
  state.stage = StageOf(state.phase);
  state.failure_reason = TextAt(backup, {"status", "failureReason"});
  state.validation_errors = TextsAt(backup, {"status", "validationErrors"});
  state.location = TextAt(backup, {"spec", "storageLocation"});
  state.namespaces = TextsAt(backup, {"spec", "includedNamespaces"});
  state.queue_position = NumberAt(backup, {"status", "queuePosition"});
  state.items_done = NumberAt(backup, {"status", "progress", "itemsBackedUp"});
  state.items_total = NumberAt(backup, {"status", "progress", "totalItems"});
  state.warnings = NumberAt(backup, {"status", "warnings"});
  state.errors = NumberAt(backup, {"status", "errors"});
  state.hooks_attempted = NumberAt(backup, {"status", "hookStatus", "hooksAttempted"});
  state.hooks_failed = NumberAt(backup, {"status", "hookStatus", "hooksFailed"});
  state.started = TimeAt(backup, {"status", "startTimestamp"});
  state.completed = TimeAt(backup, {"status", "completionTimestamp"});
  return state;
}

bool IsOfRun(const BackupState& backup, const std::string& run) {
  const auto label = backup.labels.find(kRunLabel);
  return label != backup.labels.end() && label->second == run;
}

bool IsOfAction(const BackupState& backup, const v1::VeleroBackup& action) {
  const auto& namespaces = action.namespaces();
  return IsOfRun(backup, action.run()) &&
         backup.namespaces.size() == static_cast<size_t>(namespaces.size()) &&
         std::is_permutation(namespaces.begin(), namespaces.end(), backup.namespaces.begin());
}

bool IsDead(const BackupState& backup) {
  if (!backup.given_up.empty() || !backup.failure_reason.empty() || backup.being_deleted) return true;
  return backup.stage == Stage::kFailed || backup.stage == Stage::kInvalid ||
         backup.stage == Stage::kDeleting;
}

std::string NameOfTry(const std::string& name, int number) {
  return number == 1 ? name : name + "-" + std::to_string(number);
}

StatusOr<Choice> ChooseBackup(const v1::VeleroBackup& action, const std::vector<BackupState>& existing) {
  int last = 0;
  const BackupState* newest = nullptr;
  for (const BackupState& backup : existing) {
    const int number = TryOf(action.name(), backup.name);
    if (number <= last || !IsOfAction(backup, action)) continue;
    last = number;
    newest = &backup;
  }
  if (newest != nullptr && !IsDead(*newest)) return Choice{newest->name, true};
  if (last == kTriesAtMost) {
    return WithHint(
        ResourceExhausted("Velero gave up {} backups of this run, the last one {}", last, newest->name),
        fmt::format("Its log says why: velero -n {} backup logs {}", NamespaceOf(action.cluster()),
                    newest->name));
  }
  return Choice{NameOfTry(action.name(), last + 1), false};
}

int CountAhead(const BackupState& ours, const std::vector<BackupState>& all) {
  return static_cast<int>(std::count_if(all.begin(), all.end(), [&](const BackupState& other) {
    if (other.name == ours.name) return false;
    if (other.stage == Stage::kReady || other.phase == "InProgress") return true;
    return other.phase == "Queued" && (ours.phase != "Queued" || other.queue_position < ours.queue_position);
  }));
}

Status JudgeEnd(const BackupState& backup, const std::string& in) {
  const std::string log = fmt::format("Its log says more: velero -n {} backup logs {}", in, backup.name);
  if (backup.being_deleted || backup.stage == Stage::kDeleting) {
    return WithHint(Unavailable("somebody deletes Velero's backup {} while it is made", backup.name),
                    "The next attempt makes another one; see who deletes backups that Salvor makes.");
  }
  if (!backup.given_up.empty())
    return Unavailable("Velero's backup {} was given up: {}", backup.name, backup.given_up);
  if (backup.failure_reason.find(kRestarted) != std::string::npos) {
    return WithHint(
        Unavailable("Velero was restarted while it made the backup {}, and does not go on with it",
                    backup.name),
        "The next attempt makes another one. If this comes again, see why Velero's pod restarts.");
  }
  if (backup.stage == Stage::kFailed || !backup.failure_reason.empty()) {
    const std::string why =
        backup.failure_reason.empty() ? "without a reason" : CleanText(backup.failure_reason);
    return WithHint(Unavailable("Velero's backup {} failed: {}", backup.name, why), log);
  }
  if (backup.stage == Stage::kInvalid) {
    std::vector<std::string> reasons;
    for (const std::string& one : backup.validation_errors) reasons.push_back(CleanText(one));
    return WithHint(Unavailable("Velero refused the backup {}: {}", backup.name, Join(reasons, "; ")),
                    "Mend what it names; the next attempt makes another one.");
  }
  return OkStatus();
}

}  // namespace salvor::velero
