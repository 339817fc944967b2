#include "agent/kubernetes/velero/coverage.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "proto/artifact.h"
#include "proto/time.h"

namespace salvor::velero {
namespace {

constexpr char kClaimKind[] = "v1/PersistentVolumeClaim", kPodKind[] = "v1/Pod";
constexpr size_t kShown = 5;

std::string FirstOf(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kShown);
  return Join({names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown)}, ", ") +
         (names.size() > shown ? fmt::format(" and {} more", names.size() - shown) : "");
}

class CoverageJudge {
 public:
  CoverageJudge(const v1::VeleroBackup& action, const std::vector<v1::VeleroVolume>& volumes,
                const Evidence& evidence)
      : action_(action), volumes_(volumes), evidence_(evidence) {}

  v1::ActionResult Judge() {
    for (const v1::VeleroVolume& volume : volumes_) {
      if (volume.skip().empty()) {
        JudgeVolume(volume);
      } else {
        WarnOfUnwanted(volume);
      }
    }
    NameUnplannedClaims();
    NameErrors();
    FillReport();
    for (const std::string& warning : evidence_.results.warnings) AddWarning("Velero warns: " + warning);
    if (left_out_ > 0)
      result_.add_warnings(fmt::format("{} more of Velero's warnings are in its log", left_out_));
    result_.set_note(fmt::format("Velero's backup {}: {} objects, {} of {} volumes, {}",
                                 evidence_.backup.name, result_.velero().objects(), result_.artifacts_size(),
                                 Wanted(), HumanBytes(kept_bytes_)));
    return std::move(result_);
  }

 private:
  std::string LogCommand() const {
    return fmt::format("velero -n {} backup logs {}", NamespaceOf(action_.cluster()), evidence_.backup.name);
  }

  int Wanted() const {
    return static_cast<int>(
        std::count_if(volumes_.begin(), volumes_.end(),
                      [](const v1::VeleroVolume& volume) { return volume.skip().empty(); }));
  }

  std::vector<const VolumeRecord*> RecordsOf(const v1::VeleroVolume& volume, bool skipped) const {
    std::vector<const VolumeRecord*> found;
    for (const VolumeRecord& record : evidence_.volumes) {
      if (record.skipped == skipped && record.name_space == volume.namespace_() &&
          record.claim == volume.claim())
        found.push_back(&record);
    }
    return found;
  }

  const Claim* ClaimOf(const v1::VeleroVolume& volume) const {
    for (const Claim& claim : evidence_.claims) {
      if (Key(claim) == Key(volume)) return &claim;
    }
    return nullptr;
  }

  bool IsAmongObjects(const char* kind, const std::string& key) const {
    const auto objects = evidence_.resources.find(kind);
    return objects != evidence_.resources.end() &&
           std::find(objects->second.begin(), objects->second.end(), key) != objects->second.end();
  }

  // What Velero itself says of it in its errors, else in its warnings: the first that names it.
  std::string SaidOf(const v1::VeleroVolume& volume, const std::string& pod) const {
    const Claim* claim = ClaimOf(volume);
    for (const auto* texts : {&evidence_.results.errors, &evidence_.results.warnings}) {
      for (const std::string& text : *texts) {
        for (const std::string& name : {volume.claim(), pod, claim == nullptr ? "" : claim->volume}) {
          if (!name.empty() && text.find(name) != std::string::npos) return "; Velero says: " + text;
        }
      }
    }
    return "";
  }

  void AddMissing(const v1::VeleroVolume& volume, const std::string& why) {
    v1::MissingArtifact* missing = result_.add_missing();
    missing->set_component(volume.component());
    missing->set_title(fmt::format("volume {} of {}", volume.claim(), volume.namespace_()));
    missing->set_why(why);
    missing->set_artifact(volume.artifact());
  }

  // The copies of its files. Velero has no record of one where the pod that it was read through is gone at the end, and
  // restores it all the same.
  std::vector<const Transfer*> CopiesOf(const v1::VeleroVolume& volume) const {
    std::vector<const Transfer*> found;
    const Claim* claim = ClaimOf(volume);
    if (claim == nullptr || claim->uid.empty()) return found;
    for (const Transfer& transfer : evidence_.transfers) {
      if (!transfer.is_upload && transfer.claim_uid == claim->uid) found.push_back(&transfer);
    }
    return found;
  }

  VolumeRecord RecordOf(const v1::VeleroVolume& volume, const Transfer& copy) const {
    VolumeRecord record;
    record.name_space = volume.namespace_();
    record.claim = volume.claim();
    record.volume = ClaimOf(volume)->volume;
    record.method = "PodVolumeBackup";
    record.result = Succeeded(copy) ? "succeeded" : "failed";
    record.handle = copy.handle;
    record.bytes = copy.bytes_total;
    record.pod = copy.pod;
    record.phase = copy.phase;
    record.started = copy.started;
    record.completed = copy.completed;
    return record;
  }

  // Why the volume is not kept, with what to do next; "" when it is, by that record.
  std::string WhyNotKept(const v1::VeleroVolume& volume, VolumeRecord* kept) const {
    if (!IsAmongObjects(kClaimKind, Key(volume))) {
      return "the claim itself is not among the objects of the backup" + SaidOf(volume, "") +
             ". See whether it exists, and has no label velero.io/exclude-from-backup";
    }
    const auto records = RecordsOf(volume, false);
    if (records.size() > 1)
      return fmt::format("Velero has {} records of it, so it is not certain what a restore would take",
                         records.size());
    if (!records.empty()) return WhyNotKeptBy(volume, *records.front(), kept);
    const auto copies = CopiesOf(volume);
    if (copies.empty() || volume.method() != v1::VOLUME_METHOD_FILE_SYSTEM ||
        !RecordsOf(volume, true).empty())
      return WhyWithoutData(volume);
    if (copies.size() > 1) {
      return fmt::format(
          "Velero copied it {} times and has no record of it, so it is not certain what a restore would take",
          copies.size());
    }
    return WhyNotKeptBy(volume, RecordOf(volume, *copies.front()), kept);
  }

  std::string WhyNotKeptBy(const v1::VeleroVolume& volume, const VolumeRecord& record,
                           VolumeRecord* kept) const {
    const bool ended_well = record.phase.empty() || record.phase == "Completed";
    if (record.result != "succeeded" || !ended_well) return WhyNotSucceeded(volume, record);
    if (MethodOf(record) != volume.method()) {
      return fmt::format(
          "Velero kept it by {}, and {} was planned. See the annotations backup.velero.io/… of the pods "
          "that mount it",
          MethodOf(record) == v1::VOLUME_METHOD_UNSPECIFIED ? CleanText(record.method)
                                                            : Describe(MethodOf(record)),
          Describe(volume.method()));
    }
    // An empty volume leaves no snapshot of its files, and that is right.
    const bool may_be_empty = volume.method() != v1::VOLUME_METHOD_SNAPSHOT && record.bytes == 0;
    if (record.handle.empty() && !may_be_empty)
      return "Velero says that it succeeded, and does not name the snapshot: there is nothing to restore from";
    if (volume.method() == v1::VOLUME_METHOD_FILE_SYSTEM && !record.handle.empty()) {
      if (std::string why = WhyWithoutPod(volume, record); !why.empty()) return why;
    }
    *kept = record;
    return "";
  }

  // Velero brings files back into the very pod that they were read through, and leaves the volume empty, under Completed,
  // where its backup does not have that pod; another pod that mounts the claim does not help.
  std::string WhyWithoutPod(const v1::VeleroVolume& volume, const VolumeRecord& record) const {
    if (IsAmongObjects(kPodKind, Key(volume.namespace_(), record.pod))) return "";
    const std::string where =
        record.pod.empty()
            ? "Velero does not name the pod that its files were read through"
            : fmt::format("its files were read through pod {}, which is not among the objects of the backup",
                          Key(volume.namespace_(), record.pod));
    return fmt::format(
        "{}, and Velero brings files back only with their pod{}. Make the backup again while a pod that stays "
        "mounts it, or keep it by Snapshot or SnapshotMoved",
        where, record.pod.empty() ? "" : SaidOf(volume, record.pod));
  }

  std::string WhyWithoutData(const v1::VeleroVolume& volume) const {
    const auto skipped = RecordsOf(volume, true);
    const std::string advice =
        volume.method() == v1::VOLUME_METHOD_FILE_SYSTEM
            ? ". A file-system backup needs a running pod that mounts the volume, and Velero's "
              "node-agent on that node; a volume that no pod uses needs Snapshot or "
              "SnapshotMoved"
            : ". A snapshot needs a CSI driver with a VolumeSnapshotClass, and a Velero that was "
              "started after the snapshot CRDs were installed";
    if (skipped.empty()) return "Velero has no record of its data" + SaidOf(volume, "") + advice;
    const std::string& reason = skipped.front()->skipped_reason;
    return "Velero skipped its data: " + (reason.empty() ? "without a reason" : CleanText(reason)) +
           SaidOf(volume, "") + advice;
  }

  std::string WhyNotSucceeded(const v1::VeleroVolume& volume, const VolumeRecord& record) const {
    std::string why = record.result.empty() ? "Velero does not say whether its data were kept"
                      : record.result == "succeeded"
                          ? "Velero says that it kept its data, which is not certain"
                          : "Velero failed to keep its data";
    if (!record.phase.empty()) why += ": its transfer is " + CleanText(record.phase);
    for (const Transfer& transfer : evidence_.transfers) {
      const bool its = transfer.is_upload
                           ? transfer.name_space == volume.namespace_() && transfer.source == volume.claim()
                           : transfer.name_space == volume.namespace_() && transfer.pod == record.pod;
      if (its && !Succeeded(transfer) && !transfer.message.empty())
        return why + ": " + CleanText(transfer.message) + ". Mend that, and make the backup again";
    }
    return why + SaidOf(volume, record.pod) + ". See: " + LogCommand();
  }

  void JudgeVolume(const v1::VeleroVolume& volume) {
    VolumeRecord record;
    const std::string why = WhyNotKept(volume, &record);
    if (!why.empty()) return AddMissing(volume, why);
    v1::Artifact* artifact = result_.add_artifacts();
    artifact->set_component(volume.component());
    artifact->set_name(volume.artifact());
    artifact->set_keeper(v1::Artifact::KEEPER_VELERO);
    artifact->set_bytes(record.bytes);
    if (record.started != absl::InfinitePast()) *artifact->mutable_consistent_at() = ToProto(record.started);
    // Files that are read one after the other are of no one moment.
    if (volume.method() == v1::VOLUME_METHOD_FILE_SYSTEM && record.completed != absl::InfinitePast())
      *artifact->mutable_consistent_until() = ToProto(record.completed);
    *artifact->mutable_contents() = MakeContents("volume", v1::Artifact::ROLE_DATA);
    AddCount("volume", 1, artifact->mutable_contents());
    v1::VeleroFacts* facts = artifact->mutable_velero();
    facts->set_backup(evidence_.backup.name);
    facts->set_namespace_(volume.namespace_());
    facts->set_claim(volume.claim());
    facts->set_method(volume.method());
    facts->set_snapshot_handle(record.handle);
    facts->set_volume(record.volume);
    if (const Claim* claim = ClaimOf(volume)) facts->set_storage_class(claim->storage_class);
    kept_bytes_ += record.bytes;
  }

  void WarnOfUnwanted(const v1::VeleroVolume& volume) {
    if (!RecordsOf(volume, false).empty())
      AddWarning(
          fmt::format("the data of volume {} are in the backup, and were to be left out", Key(volume)));
  }

  bool HasRecord(const Claim& claim) const {
    return std::any_of(evidence_.volumes.begin(), evidence_.volumes.end(), [&](const VolumeRecord& record) {
      return !record.skipped && record.name_space == claim.name_space && record.claim == claim.name;
    });
  }

  void NameUnplannedClaims() {
    std::set<std::string> planned;
    for (const v1::VeleroVolume& volume : volumes_) planned.insert(Key(volume));
    std::vector<std::string> others, also_kept;
    for (const Claim& claim : evidence_.claims) {
      if (planned.count(Key(claim)) == 0) (HasRecord(claim) ? also_kept : others).push_back(Key(claim));
    }
    if (!others.empty())
      AddWarning("the data of claims that no component names are not in the backup: " + FirstOf(others));
    if (!also_kept.empty()) {
      AddWarning(
          "the data of claims that no component names are in the backup too, for Velero can't tell them from "
          "those that are kept: " +
          FirstOf(also_kept));
    }
  }

  // Errors of Velero's that no missing volume explains already are of objects.
  void NameErrors() {
    std::vector<std::string> texts;
    for (const std::string& error : evidence_.results.errors) {
      const bool explained =
          std::any_of(result_.missing().begin(), result_.missing().end(),
                      [&](const auto& one) { return one.why().find(error) != std::string::npos; });
      if (!explained) texts.push_back(error);
    }
    const bool unexplained = !texts.empty() || evidence_.backup.errors > 0 || !IsClean();
    if (!unexplained || (texts.empty() && result_.missing_size() > 0)) return;
    const size_t more = texts.size() > kShown ? texts.size() - kShown : 0;
    texts.resize(texts.size() - more);
    v1::MissingArtifact* missing = result_.add_missing();
    missing->set_title("objects of namespace " +
                       Join({action_.namespaces().begin(), action_.namespaces().end()}, ", "));
    missing->set_why(fmt::format("Velero says {}: {}{}. See: {}", CleanText(evidence_.backup.phase),
                                 texts.empty() ? "its errors are not in its results" : Join(texts, "; "),
                                 more > 0 ? fmt::format("; and {} more", more) : "", LogCommand()));
  }

  bool IsClean() const { return evidence_.backup.stage == Stage::kCompleted; }

  void AddWarning(const std::string& text) {
    constexpr int kWarnings = 50;
    if (result_.warnings_size() < kWarnings) {
      result_.add_warnings(text);
    } else {
      ++left_out_;
    }
  }

  void FillReport() {
    const BackupState& backup = evidence_.backup;
    v1::VeleroReport* report = result_.mutable_velero();
    report->set_backup(backup.name);
    report->set_velero_namespace(NamespaceOf(action_.cluster()));
    report->set_storage_location(backup.location);
    report->set_velero_version(evidence_.velero_version);
    *report->mutable_namespaces() = action_.namespaces();
    report->set_phase(backup.phase);
    report->set_warnings(backup.warnings);
    report->set_errors(backup.errors);
    if (backup.started != absl::InfinitePast()) *report->mutable_started_at() = ToProto(backup.started);
    if (backup.completed != absl::InfinitePast()) *report->mutable_completed_at() = ToProto(backup.completed);
    int64_t objects = 0;
    for (const auto& [kind, names] : evidence_.resources) {
      v1::VeleroReport::KindCount* count = report->add_kinds();
      count->set_kind(kind);
      count->set_objects(static_cast<int64_t>(names.size()));
      objects += count->objects();
    }
    report->set_objects(objects);
    for (const v1::VeleroVolume& volume : volumes_) *report->add_volumes() = volume;
    if (!action_.hook_components().empty()) return JudgeHooks();
    if (backup.hooks_attempted > 0) {
      AddWarning(fmt::format("Velero ran {} hooks that pods' annotations ask for, {} of them in vain",
                             backup.hooks_attempted, backup.hooks_failed));
    }
  }

  // Velero counts them in all pods together, so each component that relies on any has the doubt.
  void JudgeHooks() {
    const BackupState& backup = evidence_.backup;
    if (backup.hooks_attempted > 0 && backup.hooks_failed == 0) return;
    for (const std::string& component : action_.hook_components()) {
      v1::MissingArtifact* missing = result_.add_missing();
      missing->set_component(component);
      missing->set_title("hooks of Velero's");
      missing->set_why(backup.hooks_attempted == 0
                           ? "Velero ran none, so its volumes are those of an application at work"
                           : fmt::format("Velero ran {} hooks, {} of them in vain; see: {}",
                                         backup.hooks_attempted, backup.hooks_failed, LogCommand()));
    }
  }

  const v1::VeleroBackup& action_;
  const std::vector<v1::VeleroVolume>& volumes_;
  const Evidence& evidence_;
  v1::ActionResult result_;
  int64_t kept_bytes_ = 0;
  int left_out_ = 0;
};

}  // namespace

v1::ActionResult JudgeCoverage(const v1::VeleroBackup& action, const std::vector<v1::VeleroVolume>& volumes,
                               const Evidence& evidence) {
  return CoverageJudge(action, volumes, evidence).Judge();
}

}  // namespace salvor::velero
