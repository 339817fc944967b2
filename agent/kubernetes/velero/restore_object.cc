#include "agent/kubernetes/velero/restore_object.h"

#include <algorithm>
#include <array>

#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/scratch_transform.h"
#include "agent/kubernetes/velero/transform.h"
#include "base/text.h"

namespace salvor::velero {
namespace {

constexpr std::string_view kRestarted = "during the server starting";

// A kind that never comes back, as filters name it and as lists do.
struct Excluded {
  const char* resource;
  const char* kind;  // without its version
};

// Velero 1.18 leaves all of these out by itself; later versions need not. All else comes back as Velero does it: what
// other objects own, too, which their owners then take over.
constexpr std::array kExcluded = {
    Excluded{"nodes", "v1/Node"},
    Excluded{"events", "v1/Event"},
    Excluded{"events.events.k8s.io", "events.k8s.io/Event"},
    Excluded{"backups.velero.io", "velero.io/Backup"},
    Excluded{"restores.velero.io", "velero.io/Restore"},
    Excluded{"resticrepositories.velero.io", "velero.io/ResticRepository"},
    Excluded{"backuprepositories.velero.io", "velero.io/BackupRepository"},
    Excluded{"csinodes.storage.k8s.io", "storage.k8s.io/CSINode"},
    Excluded{"volumeattachments.storage.k8s.io", "storage.k8s.io/VolumeAttachment"},
};

Json Labels(const v1::VeleroRestore& action) {
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

std::string HowToClear(const RestoreState& restore, const v1::VeleroRestore& action, const std::string& in) {
  return fmt::format(
      "What came back until then carries the label {}={}. Remove it from namespace {}, then restore once more. Its log "
      "says more: velero -n {} restore logs {}",
      kRestoreNameLabel, restore.name, action.target_namespace(), in, restore.name);
}

}  // namespace

Json MakeRestore(const v1::VeleroRestore& action, const std::string& name, bool has_rules) {
  Json excluded = Json::array();
  for (const Excluded& one : kExcluded) excluded.push_back(one.resource);
  for (const std::string& resource : LeftOutResources(action.transform())) excluded.push_back(resource);
  Json spec = {{"backupName", action.velero_backup()},
               {"includedNamespaces", {action.namespace_()}},
               {"excludedResources", excluded},
               {"namespaceMapping", {{action.namespace_(), action.target_namespace()}}},
               {"restorePVs", true},
               {"preserveNodePorts", false},
               {"existingResourcePolicy", "none"}};
  if (action.scratch()) {
    spec["includedResources"] = ScratchResources();
    spec["resourceModifier"] = {{"kind", "ConfigMap"}, {"name", name}};
  } else if (has_rules) {
    spec["resourceModifier"] = {{"kind", "ConfigMap"}, {"name", ModifierName(name)}};
  }
  return {{"apiVersion", "velero.io/v1"},
          {"kind", "Restore"},
          {"metadata",
           {{"name", name}, {"namespace", NamespaceOf(action.cluster())}, {"labels", Labels(action)}}},
          {"spec", std::move(spec)}};
}

std::string ModifierName(const std::string& restore) { return restore + "-changes"; }

Json MakeModifierConfigMap(const v1::VeleroRestore& action, const std::string& restore,
                           const std::string& rules) {
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata",
           {{"name", ModifierName(restore)},
            {"namespace", NamespaceOf(action.cluster())},
            {"labels", Labels(action)}}},
          {"immutable", true},
          {"data", {{"rules.yaml", rules}}}};
}

std::string WithoutVersion(std::string_view kind) {
  const size_t last = kind.rfind('/');
  if (last == std::string_view::npos || last == 0) return std::string(kind);
  const size_t first = kind.rfind('/', last - 1);
  if (first == std::string_view::npos) return std::string(kind);
  return std::string(kind.substr(0, first)) + std::string(kind.substr(last));
}

bool NeverComesBack(std::string_view kind) {
  const std::string name = WithoutVersion(kind);
  return std::any_of(kExcluded.begin(), kExcluded.end(),
                     [&](const Excluded& one) { return name == one.kind; });
}

RestoreStage RestoreStageOf(std::string_view phase) {
  if (phase.empty() || phase == "New") return RestoreStage::kWaiting;
  if (phase == "Completed") return RestoreStage::kCompleted;
  if (phase == "PartiallyFailed") return RestoreStage::kPartiallyFailed;
  if (phase == "Failed") return RestoreStage::kFailed;
  if (phase == "FailedValidation") return RestoreStage::kInvalid;
  return RestoreStage::kRunning;
}

bool IsOver(RestoreStage stage) { return stage != RestoreStage::kWaiting && stage != RestoreStage::kRunning; }

RestoreState ReadRestore(const Json& restore) {
  RestoreState state;
  state.name = TextAt(restore, {"metadata", "name"});
  state.uid = TextAt(restore, {"metadata", "uid"});
  state.resource_version = TextAt(restore, {"metadata", "resourceVersion"});
  state.labels = TextMapAt(restore, {"metadata", "labels"});
  state.created = TimeAt(restore, {"metadata", "creationTimestamp"});
  state.being_deleted = !TextAt(restore, {"metadata", "deletionTimestamp"}).empty();
  state.phase = TextAt(restore, {"status", "phase"});
  state.stage = RestoreStageOf(state.phase);
  state.failure_reason = TextAt(restore, {"status", "failureReason"});
  state.validation_errors = TextsAt(restore, {"status", "validationErrors"});
  state.backup = TextAt(restore, {"spec", "backupName"});
  state.mapping = TextMapAt(restore, {"spec", "namespaceMapping"});
  state.items_done = NumberAt(restore, {"status", "progress", "itemsRestored"});
  state.items_total = NumberAt(restore, {"status", "progress", "totalItems"});
  state.warnings = NumberAt(restore, {"status", "warnings"});
  state.errors = NumberAt(restore, {"status", "errors"});
  state.started = TimeAt(restore, {"status", "startTimestamp"});
  state.completed = TimeAt(restore, {"status", "completionTimestamp"});
  return state;
}

bool IsOfAction(const RestoreState& restore, const v1::VeleroRestore& action) {
  const auto run = restore.labels.find(kRunLabel);
  const auto target = restore.mapping.find(action.namespace_());
  return run != restore.labels.end() && run->second == action.run() &&
         restore.backup == action.velero_backup() && target != restore.mapping.end() &&
         target->second == action.target_namespace();
}

StatusOr<Choice> ChooseRestore(const v1::VeleroRestore& action, const std::vector<RestoreState>& existing) {
  int last = 0;
  const RestoreState* newest = nullptr;
  for (const RestoreState& restore : existing) {
    const int number = TryOf(action.name(), restore.name);
    if (number == 0 || !IsOfAction(restore, action)) continue;
    // An earlier one that may have written something goes before a later one: there is never a second beside it.
    if (restore.stage != RestoreStage::kInvalid) return Choice{restore.name, true};
    if (number <= last) continue;
    last = number;
    newest = &restore;
  }
  if (last == kTriesAtMost) {
    return WithHint(ResourceExhausted("Velero refused {} restores of this run, the last one {}: {}", last,
                                      newest->name, CleanText(Join(newest->validation_errors, "; "))),
                    "Mend what it names, then restore once more.");
  }
  return Choice{NameOfTry(action.name(), last + 1), false};
}

int CountAhead(const RestoreState& ours, const std::vector<RestoreState>& all) {
  return static_cast<int>(std::count_if(all.begin(), all.end(), [&](const RestoreState& other) {
    if (other.name == ours.name || IsOver(other.stage)) return false;
    return other.stage == RestoreStage::kRunning || ours.name.empty() || other.created < ours.created;
  }));
}

Status JudgeEnd(const RestoreState& restore, const v1::VeleroRestore& action, const std::string& in) {
  if (restore.stage == RestoreStage::kInvalid) {
    std::vector<std::string> reasons;
    for (const std::string& one : restore.validation_errors) reasons.push_back(CleanText(one));
    return WithHint(Unavailable("Velero refused the restore {}: {}", restore.name,
                                reasons.empty() ? "without a reason" : Join(reasons, "; ")),
                    "Mend what it names; the next attempt makes another one.");
  }
  if (restore.being_deleted) {
    return WithHint(FailedPrecondition("somebody deletes Velero's restore {} while it is made", restore.name),
                    HowToClear(restore, action, in));
  }
  if (restore.failure_reason.find(kRestarted) != std::string::npos) {
    return WithHint(
        FailedPrecondition("Velero was restarted while it made the restore {}, and does not go on with it",
                           restore.name),
        HowToClear(restore, action, in));
  }
  if (restore.stage == RestoreStage::kFailed || !restore.failure_reason.empty()) {
    const std::string why =
        restore.failure_reason.empty() ? "without a reason" : CleanText(restore.failure_reason);
    return WithHint(FailedPrecondition("Velero's restore {} failed: {}", restore.name, why),
                    HowToClear(restore, action, in));
  }
  return OkStatus();
}

}  // namespace salvor::velero
