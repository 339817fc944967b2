#include "agent/kubernetes/velero/restore_coverage.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/scratch_transform.h"
#include "base/text.h"
#include "proto/time.h"

namespace salvor::velero {
namespace {

constexpr char kClaimKind[] = "v1/PersistentVolumeClaim";
constexpr char kUnfilled[] = "Velero made its claim and brought no data into it";
constexpr size_t kShown = 5;
constexpr int kWarnings = 50, kNames = 200;

std::string FirstOf(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kShown);
  return Join({names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown)}, ", ") +
         (names.size() > shown ? fmt::format(" and {} more", names.size() - shown) : "");
}

std::string_view NameIn(std::string_view key) {
  const size_t slash = key.rfind('/');
  return slash == std::string_view::npos ? key : key.substr(slash + 1);
}

// "apps/v1/Deployment" -> "Deployment".
std::string_view KindIn(std::string_view kind) { return NameIn(kind); }

// Velero leaves out pods and jobs that have ended, and says so nowhere but in its log.
bool MayHaveEnded(std::string_view kind) { return kind == "v1/Pod" || kind == "batch/v1/Job"; }

// The cluster itself makes these in every namespace: what is there is what shall be there.
bool IsMadeByTheCluster(std::string_view kind, std::string_view name) {
  return kind == "v1/Namespace" || (kind == "v1/ConfigMap" && name == "kube-root-ca.crt") ||
         (kind == "v1/ConfigMap" && name == "openshift-service-ca.crt") ||
         (kind == "v1/ServiceAccount" && name == "default");
}

// The state of what runs, which writes it anew as soon as it runs: one that is there and differs is the newer one.
bool IsWrittenAnew(std::string_view kind) {
  const std::string_view name = KindIn(kind);
  return name == "Lease" || name == "Endpoints" || name == "EndpointSlice";
}

// Objects by which volumes are kept and come back: each Restore makes its own, under other names. What counts is the
// data.
bool CarriesVolumes(std::string_view kind) {
  return kind == "v1/PersistentVolume" || kind.rfind("snapshot.storage.k8s.io/", 0) == 0 ||
         kind.rfind("velero.io/", 0) == 0;
}

class RestoreJudge {
 public:
  RestoreJudge(const v1::VeleroRestore& action, const RestoreEvidence& evidence)
      : action_(action), evidence_(evidence) {
    for (const auto& [kind, objects] : evidence.objects) {
      for (const RestoredObject& object : objects) actions_[kind + " " + object.name] = object.action;
    }
  }

  v1::ActionResult Judge() {
    for (const v1::Artifact& volume : action_.volumes()) JudgeVolume(volume);
    JudgeObjects();
    JudgeChanges();
    WarnOfClaimsWithoutData();
    FillReport();
    for (const std::string& warning : evidence_.results.warnings) AddWarning("Velero warns: " + warning);
    if (left_out_ > 0)
      result_.add_warnings(fmt::format("{} more of Velero's warnings are in its log", left_out_));
    const v1::VeleroRestoreReport& report = result_.velero_restore();
    result_.set_note(fmt::format("Velero's restore {} into {}: {} objects, {} of {} volumes, {}",
                                 evidence_.restore.name, action_.target_namespace(), report.objects(),
                                 report.volumes(), action_.volumes_size(), HumanBytes(report.bytes())));
    return std::move(result_);
  }

 private:
  std::string TargetKey(const v1::Artifact& volume) const {
    return Key(action_.target_namespace(), volume.velero().claim());
  }

  // Where an object of the Backup goes to.
  std::string TargetOf(const std::string& key) const {
    const std::string from = action_.namespace_() + "/";
    return key.rfind(from, 0) == 0 ? action_.target_namespace() + "/" + key.substr(from.size()) : key;
  }

  // What Velero says became of it; nothing where its list has it not.
  std::optional<std::string> ActionOn(const std::string& kind, const std::string& target) const {
    const auto found = actions_.find(kind + " " + target);
    if (found == actions_.end()) return std::nullopt;
    return found->second;
  }

  const Claim* ClaimOf(const v1::Artifact& volume) const {
    for (const Claim& claim : evidence_.claims) {
      if (Key(claim) == TargetKey(volume)) return &claim;
    }
    return nullptr;
  }

  // The first of Velero's own sentences that has the words; nullptr where none has.
  const std::string* Find(std::string_view words) const {
    for (const auto* texts : {&evidence_.results.errors, &evidence_.results.warnings}) {
      for (const std::string& text : *texts) {
        if (text.find(words) != std::string::npos) return &text;
      }
    }
    return nullptr;
  }

  std::string SaidOf(std::string_view name) const {
    const std::string* said = Find(name);
    return said == nullptr ? "" : "; Velero says: " + *said;
  }

  bool DiffersFromTheOneThatIsThere(std::string_view kind, std::string_view name) const {
    return Find(fmt::format("{} \"{}\" already exists", kind, name)) != nullptr ||
           Find(fmt::format("{}:{} already exists", kind, name)) != nullptr;
  }

  void AddCheck(const std::string& component, const char* kind, const std::string& subject,
                v1::Check::Verdict verdict, const std::string& compared) {
    v1::Check* check = result_.add_checks();
    check->set_component(component);
    check->set_kind(kind);
    check->set_subject(subject);
    check->set_verdict(verdict);
    check->set_compared(compared);
  }

  void JudgeVolume(const v1::Artifact& volume) {
    if (!evidence_.claims_unseen.empty() && ActionOn(kClaimKind, TargetKey(volume)) == "created") {
      return AddCheck(volume.component(), "volume", TargetKey(volume), v1::Check::VERDICT_UNVERIFIABLE,
                      "its claim was made, and could not be looked at when the restore was over: " +
                          evidence_.claims_unseen);
    }
    int64_t bytes = 0;
    const std::string why = WhyNotBack(volume, &bytes);
    const std::string unclear =
        why.empty() ? WhyNotBoundInScratch(volume) : WhyUnfilledInScratch(volume, why);
    if (!unclear.empty()) {
      AddCheck(volume.component(), "volume", TargetKey(volume), v1::Check::VERDICT_UNVERIFIABLE, unclear);
      return;
    }
    const bool is_back = why.empty();
    if (is_back) {
      ++back_;
      bytes_ += bytes;
    }
    AddCheck(
        volume.component(), "volume", TargetKey(volume),
        is_back ? v1::Check::VERDICT_PASSED : v1::Check::VERDICT_FAILED,
        is_back ? fmt::format("{} of {} came back", HumanBytes(bytes), HumanBytes(volume.bytes())) : why);
  }

  // A snapshot comes back when the claim gets its volume, and Velero does not wait for that for ever.
  std::string WhyNotBoundInScratch(const v1::Artifact& volume) const {
    const Claim* claim = ClaimOf(volume);
    if (!action_.scratch() || claim == nullptr || claim->phase.empty() || claim->phase == "Bound") return "";
    return fmt::format("its claim is {}: the cluster has not made a volume of it, so its data were not seen",
                       CleanText(claim->phase));
  }

  // A pod that the drill's own walls refused leaves its volumes unfilled.
  std::string WhyUnfilledInScratch(const v1::Artifact& volume, const std::string& why) const {
    const bool needs_pod = volume.velero().method() == v1::VOLUME_METHOD_FILE_SYSTEM;
    if (!action_.scratch() || !needs_pod || why.find(kUnfilled) == std::string::npos) return "";
    for (const std::string& error : evidence_.results.errors) {
      if (IsRefusalOfScratch(error))
        return "the drill's namespace refused what would have filled it: " + error;
    }
    return "";
  }

  // Why the data of the volume are not back; "" where they are, with how many bytes.
  std::string WhyNotBack(const v1::Artifact& volume, int64_t* bytes) const {
    const v1::VeleroFacts& facts = volume.velero();
    const auto action = ActionOn(kClaimKind, TargetKey(volume));
    if (!action.has_value())
      return "its claim is not among the objects that Velero restored" + SaidOf(facts.claim());
    if (*action != "created") {
      return "its claim was not made by this restore, so its data are not those of the backup" +
             SaidOf(facts.claim());
    }
    const Claim* claim = ClaimOf(volume);
    if (claim == nullptr) return "its claim was made, and is not there any more";
    if (facts.method() == v1::VOLUME_METHOD_SNAPSHOT) return WhyNotOfSnapshot(volume, bytes);
    return WhyNotMoved(volume, *claim, bytes);
  }

  std::string WhyNotMoved(const v1::Artifact& volume, const Claim& claim, int64_t* bytes) const {
    const v1::VeleroFacts& facts = volume.velero();
    const bool by_files = facts.method() == v1::VOLUME_METHOD_FILE_SYSTEM;
    // An empty volume leaves no snapshot of its files, and nothing to bring back.
    if (by_files && facts.snapshot_handle().empty() && volume.bytes() == 0) return "";
    std::vector<const Transfer*> into;
    for (const Transfer& one : evidence_.transfers) {
      const bool its = by_files ? !one.is_upload && one.claim_uid == claim.uid && !claim.uid.empty()
                                : one.is_upload && Key(one.name_space, one.source) == Key(claim);
      if (its) into.push_back(&one);
    }
    if (into.empty()) {
      return std::string(kUnfilled) + ": the volume is new and empty" + SaidOf(facts.claim());
    }
    if (into.size() > 1)
      return fmt::format("Velero filled it {} times, so it is not certain with what", into.size());
    const Transfer& one = *into.front();
    if (!Succeeded(one)) {
      const std::string said = one.message.empty() ? SaidOf(facts.claim()) : ": " + CleanText(one.message);
      return fmt::format("the transfer of its data is {}, {} of {} done{}",
                         one.phase.empty() ? "New" : CleanText(one.phase), HumanBytes(one.bytes_done),
                         HumanBytes(volume.bytes()), said);
    }
    if (!facts.snapshot_handle().empty() && one.handle != facts.snapshot_handle()) {
      return fmt::format("Velero brought back the snapshot {}, and the backup is {}", CleanText(one.handle),
                         CleanText(facts.snapshot_handle()));
    }
    if (one.bytes_done < volume.bytes()) {
      return fmt::format("Velero says Completed, and brought back {} of the {} bytes that were kept",
                         one.bytes_done, volume.bytes());
    }
    *bytes = one.bytes_done;
    return "";
  }

  std::string WhyNotOfSnapshot(const v1::Artifact& volume, int64_t* bytes) const {
    const v1::VeleroFacts& facts = volume.velero();
    for (const ReturnedVolume& one : evidence_.returned) {
      if (Key(one.name_space, one.claim) != TargetKey(volume)) continue;
      if (one.method != "CSISnapshot" || one.moved)
        return "Velero did not make it from a snapshot, but by " + CleanText(one.method);
      if (!one.handle.empty() && !facts.snapshot_handle().empty() && one.handle != facts.snapshot_handle()) {
        return fmt::format("Velero made it from the snapshot {}, and the backup is {}", CleanText(one.handle),
                           CleanText(facts.snapshot_handle()));
      }
      // The size of the snapshot, which its driver need not say.
      *bytes = one.bytes > 0 ? one.bytes : volume.bytes();
      return "";
    }
    return "Velero made its claim without a snapshot: the volume is new and empty" + SaidOf(facts.claim());
  }

  struct Objects {
    std::vector<std::string> lost, differ, ended, of_the_cluster;
    std::vector<std::string> left_out;           // of a copy
    std::vector<std::string> not_made, refused;  // of a drill
  };

  void JudgeObjects() {
    Objects objects;
    for (const auto& [kind, keys] : evidence_.kept) {
      if (NeverComesBack(kind) || CarriesVolumes(kind)) continue;
      if (action_.scratch() && kind != "v1/Namespace" && IsLeftOutOfScratch(kind)) {
        if (!IsWrittenAnew(kind)) objects.not_made.push_back(fmt::format("{} {}", keys.size(), KindIn(kind)));
        continue;
      }
      for (const std::string& key : keys) JudgeObject(kind, TargetOf(key), &objects);
    }
    if (!objects.not_made.empty())
      AddWarning("a drill does not make these, so they are not proven: " + Join(objects.not_made, ", "));
    if (!objects.ended.empty())
      AddWarning("not restored, as Velero leaves out what has ended: " + FirstOf(objects.ended));
    if (!objects.of_the_cluster.empty()) {
      AddWarning("not restored, as they are of the cluster and in no namespace: " +
                 FirstOf(objects.of_the_cluster));
    }
    if (!objects.refused.empty()) {
      AddCheck("", "objects", "namespace " + action_.target_namespace(), v1::Check::VERDICT_UNVERIFIABLE,
               "refused by the drill's own namespace: " + FirstOf(objects.refused));
    }
    if (!objects.left_out.empty()) AddWarning("left out of the copy: " + FirstOf(objects.left_out));
    CheckObjects(objects.lost, objects.differ, !objects.refused.empty());
    for (const std::string& one : objects.left_out) {
      if (result_.velero_restore().left_out_size() < kNames)
        result_.mutable_velero_restore()->add_left_out(one);
    }
  }

  // The planned changes of objects that this restore made: what was there before is as it was.
  std::vector<v1::ObjectChange> ChangesMade() const {
    std::vector<v1::ObjectChange> made;
    for (const v1::ObjectChange& change : evidence_.transform.changes) {
      const std::string ending =
          fmt::format("/{} {}", change.kind(), Key(action_.target_namespace(), change.name()));
      if (std::any_of(actions_.begin(), actions_.end(), [&](const auto& one) {
            return one.second == "created" && one.first.ends_with(ending);
          }))
        made.push_back(change);
    }
    return made;
  }

  // By what is there now, and not by the rules: objects that this restore made and that would still have to be changed.
  void JudgeChanges() {
    if (!action_.has_transform()) return;
    const std::string subject = "namespace " + action_.target_namespace();
    if (!evidence_.now_unseen.empty()) {
      for (const std::string& warning : evidence_.transform.warnings) AddWarning(warning);
      if (!evidence_.transform.changes.empty()) {
        AddCheck("", "changes", subject, v1::Check::VERDICT_UNVERIFIABLE,
                 "whether objects were changed could not be looked at when the restore was over: " +
                     evidence_.now_unseen);
      }
      return;
    }
    const std::vector<v1::ObjectChange> changes = ChangesMade();
    v1::RestoreTransform to_rest;
    to_rest.set_suspend_schedules(action_.transform().suspend_schedules());
    to_rest.set_close_load_balancers(action_.transform().close_load_balancers());
    std::vector<KeptObject> made;
    for (const KeptObject& one : evidence_.now) {
      const std::string kind = TextAt(one.object, {"apiVersion"}) + "/" + TextAt(one.object, {"kind"});
      if (ActionOn(kind, Key(action_.target_namespace(), one.name)).value_or("") == "created")
        made.push_back(one);
    }
    std::vector<std::string> acting, at_rest;
    for (const v1::ObjectChange& change : PlanTransform(to_rest, made, {}).changes)
      acting.push_back(Describe(change));
    for (const v1::ObjectChange& change : changes) {
      if (KeepsFromActing(change)) at_rest.push_back(Describe(change));
    }
    if (!acting.empty()) {
      AddCheck("", "changes", subject, v1::Check::VERDICT_FAILED,
               "Velero did not change what would act as the original does: " + FirstOf(acting));
    } else if (!changes.empty()) {
      AddCheck("", "changes", subject, v1::Check::VERDICT_PASSED, fmt::format("{} made", changes.size()));
    }
    if (!at_rest.empty() && acting.empty())
      AddWarning("kept from acting as the original does: " + FirstOf(at_rest));
    for (const std::string& warning : evidence_.transform.warnings) AddWarning(warning);
  }

  void JudgeObject(const std::string& kind, const std::string& target, Objects* objects) const {
    const auto action = ActionOn(kind, target);
    const std::string_view name = NameIn(target);
    if (action.has_value() && !action->empty() && *action != "failed") return;
    if (IsMadeByTheCluster(kind, name)) return;
    if (!action.has_value() && IsLeftOut(action_.transform(), kind)) {
      objects->left_out.push_back(fmt::format("{} {}", KindIn(kind), target));
      return;
    }
    const std::string shown = fmt::format("{} {}", KindIn(kind), target);
    const std::string* said = Find(target) != nullptr ? Find(target) : Find(name);
    if (action.has_value() && DiffersFromTheOneThatIsThere(KindIn(kind), name)) {
      if (!IsWrittenAnew(kind)) objects->differ.push_back(shown);
    } else if (!action.has_value() && target.find('/') == std::string::npos) {
      objects->of_the_cluster.push_back(shown);
    } else if (!action.has_value() && MayHaveEnded(kind) && said == nullptr) {
      objects->ended.push_back(shown);
    } else if (action_.scratch() && said != nullptr && IsRefusalOfScratch(*said)) {
      objects->refused.push_back(shown + "; Velero says: " + *said);
    } else {
      objects->lost.push_back(said == nullptr ? shown : shown + "; Velero says: " + *said);
    }
  }

  void CheckObjects(const std::vector<std::string>& lost, const std::vector<std::string>& differ,
                    bool has_refused) {
    const std::string subject = "namespace " + action_.target_namespace();
    if (!lost.empty())
      AddCheck("", "objects", subject, v1::Check::VERDICT_FAILED, "not restored: " + FirstOf(lost));
    if (!differ.empty()) {
      AddCheck("", "objects", subject, v1::Check::VERDICT_FAILED,
               "there already, different from the backup, and left as they are: " + FirstOf(differ));
      v1::Check& check = *result_.mutable_checks(result_.checks_size() - 1);
      check.set_not_built(true);
      check.set_hint(fmt::format(
          "All the rest is restored. What is named was in namespace {} before: compare it with the backup, and "
          "change or remove it by hand.",
          action_.target_namespace()));
    }
    // Errors that nothing of this explains.
    std::vector<std::string> errors;
    for (const std::string& error : evidence_.results.errors) {
      const bool said = std::any_of(
          result_.checks().begin(), result_.checks().end(),
          [&](const v1::Check& check) { return check.compared().find(error) != std::string::npos; });
      if (!said && !(has_refused && IsRefusalOfScratch(error))) errors.push_back(error);
    }
    if (errors.empty() && !has_refused && IsUnexplained())
      errors.emplace_back("its errors are not in its results");
    if (!errors.empty()) {
      AddCheck("", "objects", subject, v1::Check::VERDICT_FAILED,
               fmt::format("Velero says {}: {}. See: velero restore logs {}",
                           CleanText(evidence_.restore.phase), FirstOf(errors), evidence_.restore.name));
    } else if (lost.empty() && differ.empty() && !has_refused) {
      AddCheck("", "objects", subject, v1::Check::VERDICT_PASSED,
               fmt::format("{} created, and none of the backup is missing", Created()));
    }
  }

  bool IsUnexplained() const {
    const bool has_failed =
        std::any_of(result_.checks().begin(), result_.checks().end(),
                    [](const auto& check) { return check.verdict() == v1::Check::VERDICT_FAILED; });
    const bool has_errors =
        evidence_.restore.errors > 0 || evidence_.restore.stage != RestoreStage::kCompleted;
    return has_errors && !has_failed;
  }

  // Their claims come back, too, with a new and empty volume, or with the old disk where that was retained.
  void WarnOfClaimsWithoutData() {
    std::set<std::string> asked;
    for (const v1::Artifact& volume : action_.volumes()) asked.insert(TargetKey(volume));
    std::vector<std::string> others;
    const auto claims = evidence_.objects.find(kClaimKind);
    if (claims == evidence_.objects.end()) return;
    for (const RestoredObject& claim : claims->second) {
      if (asked.count(claim.name) == 0 && claim.action == "created") others.push_back(claim.name);
    }
    if (!others.empty()) {
      AddWarning(
          "claims whose data no component keeps came back without them, empty or with their old disk: " +
          FirstOf(others));
    }
  }

  void AddWarning(const std::string& text) {
    if (result_.warnings_size() < kWarnings) {
      result_.add_warnings(text);
    } else {
      ++left_out_;
    }
  }

  int64_t Created() const {
    int64_t created = 0;
    for (const auto& [kind, objects] : evidence_.objects) {
      created += std::count_if(objects.begin(), objects.end(),
                               [](const RestoredObject& object) { return object.action == "created"; });
    }
    return created;
  }

  void FillReport() {
    const RestoreState& restore = evidence_.restore;
    v1::VeleroRestoreReport* report = result_.mutable_velero_restore();
    report->set_restore(restore.name);
    report->set_backup(action_.velero_backup());
    report->set_velero_namespace(NamespaceOf(action_.cluster()));
    report->set_namespace_(action_.namespace_());
    report->set_target_namespace(action_.target_namespace());
    report->set_phase(restore.phase);
    report->set_objects(Created());
    report->set_volumes(back_);
    report->set_bytes(bytes_);
    report->set_warnings(restore.warnings);
    report->set_errors(restore.errors);
    report->set_changes_left_out(AddChanges(ChangesMade(), report->mutable_changes()));
    if (restore.started != absl::InfinitePast()) *report->mutable_started_at() = ToProto(restore.started);
    if (restore.completed != absl::InfinitePast())
      *report->mutable_completed_at() = ToProto(restore.completed);
  }

  const v1::VeleroRestore& action_;
  const RestoreEvidence& evidence_;
  std::map<std::string, std::string> actions_;  // "v1/Pod shop-copy/web" -> "created"
  v1::ActionResult result_;
  int64_t back_ = 0, bytes_ = 0;
  int left_out_ = 0;
};

}  // namespace

v1::ActionResult JudgeRestoreCoverage(const v1::VeleroRestore& action, const RestoreEvidence& evidence) {
  return RestoreJudge(action, evidence).Judge();
}

}  // namespace salvor::velero
