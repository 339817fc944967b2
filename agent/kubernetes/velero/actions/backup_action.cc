#include <algorithm>
#include <optional>

#include "agent/kubernetes/velero/actions/artefacts.h"
#include "agent/kubernetes/velero/actions/object_wait.h"
#include "agent/kubernetes/velero/actions/velero_actions.h"
#include "agent/kubernetes/velero/coverage.h"
#include "agent/kubernetes/velero/preflight.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/stopping.h"
#include "agent/kubernetes/velero/volume_policy.h"
#include "base/text.h"

namespace salvor::velero {
namespace {

constexpr absl::Duration kAside = absl::Seconds(5);  // for what the backup does not depend on
constexpr char kNudgeAnnotation[] = "salvor.dev/nudge";

class VeleroBackupRun {
 public:
  VeleroBackupRun(const v1::VeleroBackup& action, agent::ActionContext& context, const VeleroOptions& options,
                  kubernetes::Kubernetes& cluster)
      : action_(action),
        context_(context),
        options_(options),
        cluster_(cluster),
        velero_(NamespaceOf(action.cluster())),
        call_{context.stop, context.deadline},
        stall_(options.stalled_after),
        wait_("Velero's backup", context, options, cluster) {}

  StatusOr<v1::ActionResult> Run() {
    TakeFromPreflight();
    ASSIGN_OR_RETURN(const std::string name, FindOrMake());
    StatusOr<BackupState> ended = Await(name);
    if (options_.observer != nullptr) options_.observer->OnStall(velero_, name, false);
    ASSIGN_OR_RETURN(evidence_.backup, std::move(ended));
    if (Status end = JudgeEnd(evidence_.backup, velero_); !end.ok()) {
      GiveUp(MessageOf(end));
      return end;
    }
    RETURN_IF_ERROR(WithWhatStays(Collect(name), name));
    v1::ActionResult result =
        JudgeCoverage(action_, {action_.volumes().begin(), action_.volumes().end()}, evidence_);
    if (options_.observer != nullptr)
      options_.observer->OnVolumes(action_.application(), CountVolumes(result));
    for (const std::string& warning : warnings_) result.add_warnings(warning);
    *result.mutable_velero()->mutable_held_pods() = held_pods_;
    return result;
  }

  // Makes it, or goes on with it, until it is over or `is_enough`; nothing is judged but a bad end.
  StatusOr<BackupState> MakeUntil(const BackupTest& is_enough) {
    is_enough_ = is_enough;
    TakeFromPreflight();
    ASSIGN_OR_RETURN(const std::string name, FindOrMake());
    ASSIGN_OR_RETURN(evidence_.backup, Await(name));
    RETURN_IF_ERROR(JudgeEnd(evidence_.backup, velero_));
    return evidence_.backup;
  }

 private:
  kubernetes::ObjectKey KeyOf(const std::string& name) const { return {Backups(), velero_, name}; }

  void Log(const std::string& line) const {
    if (context_.log) context_.log("salvor-agent", line);
  }

  // The methods and skips that the preflight decided on, the place that it looked at, and what it warns of: the
  // manifest is written from what captures say, and not from preflights.
  void TakeFromPreflight() {
    for (const auto& [step, result] : context_.task.inputs()) {
      if (result.velero().held_pods_size() > 0) held_pods_ = result.velero().held_pods();
      if (!result.has_velero() || !result.velero().backup().empty()) continue;
      location_ = result.velero().storage_location();
      evidence_.velero_version = result.velero().velero_version();
      warnings_.assign(result.warnings().begin(), result.warnings().end());
      for (v1::VeleroVolume& volume : *action_.mutable_volumes()) {
        for (const v1::VeleroVolume& decided : result.velero().volumes()) {
          if (Key(decided) == Key(volume)) volume = decided;
        }
      }
    }
  }

  StatusOr<std::string> FindOrMake() {
    ASSIGN_OR_RETURN(const std::vector<BackupState> existing,
                     ListAll(cluster_, Backups(), velero_, std::string(kRunLabel) + "=" + action_.run(),
                             ReadBackup, call_));
    ASSIGN_OR_RETURN(const Choice choice, ChooseBackup(action_, existing));
    if (choice.exists) {
      Log("going on with Velero's backup " + choice.name);
      return choice.name;
    }
    if (action_.must_exist()) {
      return WithHint(
          FailedPrecondition("Velero gave up the backup that it began while the application was held still"),
          "Start the backup once more, which holds it still again.");
    }
    RETURN_IF_ERROR(FindLocation());
    RETURN_IF_ERROR(ListClaimsOfAll());
    ASSIGN_OR_RETURN(
        const std::string policy,
        MakeVolumePolicy({action_.volumes().begin(), action_.volumes().end()}, evidence_.claims));
    RETURN_IF_ERROR(StorePolicy(choice.name, policy));
    const auto made =
        cluster_.Create(Backups(), velero_, MakeBackup(action_, choice.name, location_), {}, call_);
    if (made.ok()) {
      Log("made Velero's backup " + choice.name);
      return choice.name;
    }
    if (context_.stop.stop_requested()) return StoppedAt(choice.name);  // it may have been made all the same
    if (!kubernetes::IsAlreadyExists(made.status()))
      return WithContext(made.status(), "make Velero's backup");
    // An earlier attempt whose call was answered by nobody made it; or it is another's.
    ASSIGN_OR_RETURN(const Json taken, cluster_.Get(KeyOf(choice.name), call_));
    if (IsOfAction(ReadBackup(taken), action_)) return choice.name;
    return WithHint(
        AlreadyExists("Velero has a backup {} already, and this run did not make it for these namespaces",
                      choice.name),
        "Start the backup once more, which takes another name; or see who made it: velero -n " + velero_ +
            " backup describe " + choice.name);
  }

  Status FindLocation() {
    if (!location_.empty()) return OkStatus();
    location_ = action_.cluster().storage_location();
    if (!location_.empty()) return OkStatus();
    ASSIGN_OR_RETURN(const std::vector<StorageLocation> locations,
                     ListAll(cluster_, StorageLocations(), velero_, "", ReadStorageLocation, call_));
    const StorageLocation* location = ChooseLocation(action_.cluster(), locations);
    if (location == nullptr)
      return WithHint(FailedPrecondition("Velero has no default storage location"),
                      "Name one in the Environment.");
    location_ = location->name;
    return OkStatus();
  }

  Status ListClaimsOfAll() {
    evidence_.claims.clear();
    for (const std::string& name : action_.namespaces()) {
      ASSIGN_OR_RETURN(const std::vector<Claim> claims, ListClaims(cluster_, name, call_));
      evidence_.claims.insert(evidence_.claims.end(), claims.begin(), claims.end());
    }
    return OkStatus();
  }

  // A policy that an earlier attempt left without a Backup may be of another state of the claims, and can't be changed.
  Status StorePolicy(const std::string& name, const std::string& policy) {
    const Json object = MakePolicyConfigMap(action_, name, policy);
    const kubernetes::ObjectKey key{ConfigMaps(), velero_, name};
    auto made = cluster_.Create(ConfigMaps(), velero_, object, {}, call_);
    if (kubernetes::IsAlreadyExists(made.status())) {
      ASSIGN_OR_RETURN(const Json left, cluster_.Get(key, call_));
      if (TextAt(left, {"metadata", "labels", kRunLabel}) != action_.run()) {
        return WithHint(AlreadyExists("namespace {} has a ConfigMap {} already, and this run did not make it",
                                      velero_, name),
                        "Start the backup once more, which takes another name.");
      }
      if (TextAt(left, {"data", "policy.yaml"}) == policy) return OkStatus();
      kubernetes::DeleteOptions only_this;
      only_this.uid = TextAt(left, {"metadata", "uid"});
      RETURN_IF_ERROR(cluster_.Delete(key, only_this, call_));
      made = cluster_.Create(ConfigMaps(), velero_, object, {}, call_);
    }
    return WithContext(made.status(), "store the policy of the volumes");
  }

  // Until the Backup is over. It is looked at after each change, and its transfers and the queue now and then.
  StatusOr<BackupState> Await(const std::string& name) {
    BackupState backup;
    const ObjectEyes eyes{[&](const Json& object) {
                            backup = ReadBackup(object);
                            return IsOver(backup.stage) || IsDead(backup) ||
                                   (is_enough_ && is_enough_(backup));
                          },
                          [&] { return DescribeProgress(backup, evidence_.transfers, ahead_.value_or(0)); },
                          [&] { return Look(backup); }};
    ASSIGN_OR_RETURN(const WaitEnd end, wait_.Until(KeyOf(name), eyes));
    switch (end) {
      case WaitEnd::kOver:
        return backup;
      case WaitEnd::kStopped:
        return StoppedAt(name);
      case WaitEnd::kLate:
        return LateAt(name);
      case WaitEnd::kGone:
        break;
    }
    return WithHint(Unavailable("somebody removed Velero's backup {} while it was made", name),
                    "The next attempt makes it again; see who removes backups that Salvor makes.");
  }

  Status StoppedAt(const std::string& name) const {
    const auto object =
        cluster_.Get(KeyOf(name), {{}, SteadyNow() + kAside});  // the attempt's own call is stopped
    std::optional<BackupState> seen;
    if (object.ok()) seen = ReadBackup(*object);
    const bool is_anothers = seen.has_value() && !IsOfAction(*seen, action_);
    if (kubernetes::IsNotFound(object.status()) || is_anothers) {
      return WithHint(Cancelled("stopped before there was a backup of Velero's"),
                      fmt::format("Its policy may be there: kubectl -n {} delete configmap -l {}={}", velero_,
                                  kRunLabel, action_.run()));
    }
    return StoppedBackup(name, seen, velero_, action_.run());
  }

  // Another attempt would adopt the same Backup and wait for it as long again, so none is made.
  Status LateAt(const std::string& name) const {
    return WithHint(
        FailedPrecondition("Velero's backup {} was not over in time{}", name, wait_.LastTold()),
        fmt::format("See what it waits for: velero -n {} backup describe {} --details. A transfer whose pod "
                    "died ends when Velero, and then its node-agent, are restarted.",
                    velero_, name));
  }

  // What a change of the Backup itself does not show. An API server that is away is waited for.
  std::optional<std::string> Look(const BackupState& backup) {
    if (const Status looked = ListTransfers(backup.name); !looked.ok()) return CannotLook(looked);
    if (backup.stage == Stage::kWaiting) {
      ahead_.reset();
      const auto all = ListAll(cluster_, Backups(), velero_, "", ReadBackup, CallWithin(context_, kAside));
      if (all.ok()) {
        ahead_ = CountAhead(backup, *all);
        if (options_.observer != nullptr) options_.observer->OnQueue(velero_, CountQueue(*all));
      }
    }
    std::optional<std::string> stalled = stall_.Look(backup, evidence_.transfers, ahead_, options_.now());
    if (options_.observer != nullptr) options_.observer->OnStall(velero_, backup.name, stalled.has_value());
    Nudge(backup);
    return stalled;
  }

  Status ListTransfers(const std::string& name) {
    const std::string of = std::string(kBackupNameLabel) + "=" + name;
    const kubernetes::Call call = CallWithin(context_, kAside);
    ASSIGN_OR_RETURN(std::vector<Transfer> transfers,
                     ListAll(cluster_, PodVolumeBackups(), velero_, of, ReadPodVolumeBackup, call));
    if (AnyMoved({action_.volumes().begin(), action_.volumes().end()})) {
      ASSIGN_OR_RETURN(const std::vector<Transfer> uploads,
                       ListAll(cluster_, DataUploads(), velero_, of, ReadDataUpload, call));
      transfers.insert(transfers.end(), uploads.begin(), uploads.end());
    }
    evidence_.transfers = std::move(transfers);
    return OkStatus();
  }

  // A server that was restarted forgets a Backup that was to begin at once, and takes it up on any change of the
  // object.
  void Nudge(const BackupState& backup) {
    if (backup.stage != Stage::kReady) {
      ready_since_.reset();
      return;
    }
    const SteadyTime now = options_.now();
    if (!ready_since_.has_value()) ready_since_ = now;
    if (now - *ready_since_ < options_.nudge_after) return;
    ready_since_ = now;
    Log("Velero does not begin: touching its backup " + backup.name);
    const Json patch = {{"metadata", {{"annotations", {{kNudgeAnnotation, backup.resource_version}}}}}};
    const auto patched = cluster_.Patch(KeyOf(backup.name), kubernetes::PatchKind::kMerge, patch, {},
                                        CallWithin(context_, kAside));
    if (!patched.ok()) Log(MessageOf(patched.status()));
  }

  // So that a later attempt does not take it for a backup, whatever becomes of it.
  void GiveUp(const std::string& why) {
    const BackupState& backup = evidence_.backup;
    if (backup.being_deleted || !backup.given_up.empty()) return;
    const Json patch = {{"metadata", {{"annotations", {{kGivenUpAnnotation, Elide(CleanText(why), 1024)}}}}}};
    const auto patched = cluster_.Patch(KeyOf(backup.name), kubernetes::PatchKind::kMerge, patch, {},
                                        CallWithin(context_, kAside));
    if (!patched.ok()) Log(MessageOf(patched.status()));
  }

  Status Collect(const std::string& name) {
    const auto fetch = [&](const char* kind) {
      return FetchRecord(cluster_, velero_, name, kind, options_, call_);
    };
    ASSIGN_OR_RETURN(const std::string volumes, fetch("BackupVolumeInfos"));
    ASSIGN_OR_RETURN(evidence_.volumes, ReadVolumeInfos(volumes));
    ASSIGN_OR_RETURN(const std::string results, fetch("BackupResults"));
    ASSIGN_OR_RETURN(evidence_.results, ReadResults(results));
    ASSIGN_OR_RETURN(const std::string resources, fetch("BackupResourceList"));
    ASSIGN_OR_RETURN(evidence_.resources, ReadResourceList(resources));
    RETURN_IF_ERROR(ListTransfers(name));
    const std::vector<Claim> before = evidence_.claims;
    Status listed = ListClaimsOfAll();
    if (!kubernetes::IsForbidden(listed) && !kubernetes::IsNotFound(listed)) return listed;
    // This may be the last good backup of a namespace that is gone, and of its owner's word with it.
    evidence_.claims = before;
    warnings_.push_back("the namespace's claims could not be looked at once more when the backup was over: " +
                        MessageOf(listed));
    return OkStatus();
  }

  Status WithWhatStays(Status error, const std::string& name) const {
    if (error.ok() || !HintOf(error).empty()) return error;
    return WithHint(
        error,
        fmt::format("Velero's backup {0} stays: velero -n {1} backup describe {0} --details", name, velero_));
  }

  v1::VeleroBackup action_;
  agent::ActionContext& context_;
  const VeleroOptions& options_;
  kubernetes::Kubernetes& cluster_;
  const std::string velero_;
  const kubernetes::Call call_;
  std::string location_;
  std::vector<std::string> warnings_;
  google::protobuf::RepeatedPtrField<v1::VeleroReport::HeldPod> held_pods_;
  BackupTest is_enough_;  // null: only its end is
  Evidence evidence_;
  StallWatch stall_;
  ObjectWait wait_;
  std::optional<int> ahead_;  // in Velero's queue; nullopt: not known
  std::optional<SteadyTime> ready_since_;
};

}  // namespace

StatusOr<v1::ActionResult> RunVeleroBackup(const v1::VeleroBackup& action, agent::ActionContext& context,
                                           const VeleroOptions& options) {
  ASSIGN_OR_RETURN(const std::shared_ptr<kubernetes::Kubernetes> cluster, options.clusters(action.cluster()));
  return VeleroBackupRun(action, context, options, *cluster).Run();
}

StatusOr<BackupState> MakeVeleroBackup(const v1::VeleroBackup& action, agent::ActionContext& context,
                                       const VeleroOptions& options, kubernetes::Kubernetes& cluster,
                                       const BackupTest& is_enough) {
  return VeleroBackupRun(action, context, options, cluster).MakeUntil(is_enough);
}

}  // namespace salvor::velero
