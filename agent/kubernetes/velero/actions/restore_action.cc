#include <algorithm>
#include <optional>

#include "agent/kubernetes/velero/actions/artefacts.h"
#include "agent/kubernetes/velero/actions/object_wait.h"
#include "agent/kubernetes/velero/actions/restore_rules.h"
#include "agent/kubernetes/velero/actions/scratch_restore.h"
#include "agent/kubernetes/velero/actions/velero_actions.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/restore_check.h"
#include "agent/kubernetes/velero/restore_coverage.h"
#include "agent/kubernetes/velero/stopping.h"
#include "base/text.h"

namespace salvor::velero {
namespace {

constexpr absl::Duration kAside = absl::Seconds(5);  // for what the restore does not depend on

class VeleroRestoreRun {
 public:
  VeleroRestoreRun(const v1::VeleroRestore& action, agent::ActionContext& context,
                   const VeleroOptions& options, kubernetes::Kubernetes& cluster)
      : action_(action),
        context_(context),
        options_(options),
        cluster_(cluster),
        velero_(NamespaceOf(action.cluster())),
        call_{context.stop, context.deadline},
        stall_(options.stalled_after),
        wait_("Velero's restore", context, options, cluster) {}

  StatusOr<v1::ActionResult> Run() {
    ASSIGN_OR_RETURN(evidence_.transform, FetchTransform(cluster_, action_, options_, call_));
    StatusOr<v1::ActionResult> result = Restore();
    if (ruled_.empty()) return result;
    const Status removed = RemoveRules(cluster_, action_, ruled_, {{}, SteadyNow() + kAside});
    if (!removed.ok()) Log(MessageOf(removed));
    if (!removed.ok() && result.ok()) result->add_warnings(MessageOf(removed));
    return result;
  }

 private:
  StatusOr<v1::ActionResult> Restore() {
    ASSIGN_OR_RETURN(const std::string name, FindOrMake());
    ASSIGN_OR_RETURN(evidence_.restore, Await(name));
    RETURN_IF_ERROR(JudgeEnd(evidence_.restore, action_, velero_));
    RETURN_IF_ERROR(Collect(name));
    v1::ActionResult result = JudgeRestoreCoverage(action_, evidence_);
    if (action_.scratch()) RETURN_IF_ERROR(JudgeScratchWalls(action_, cluster_, call_, result));
    return result;
  }

  kubernetes::ObjectKey KeyOf(const std::string& name) const { return {Restores(), velero_, name}; }

  void Log(const std::string& line) const {
    if (context_.log) context_.log("salvor-agent", line);
  }

  StatusOr<std::string> FindOrMake() {
    ASSIGN_OR_RETURN(const std::vector<RestoreState> existing,
                     ListAll(cluster_, Restores(), velero_, std::string(kRunLabel) + "=" + action_.run(),
                             ReadRestore, call_));
    ASSIGN_OR_RETURN(const Choice choice, ChooseRestore(action_, existing));
    const Json& rules = evidence_.transform.rules;
    if (choice.exists) {
      if (!rules.empty()) ruled_ = choice.name;
      Log("going on with Velero's restore " + choice.name);
      return choice.name;
    }
    // It was looked at before the run began to write, and may have come since.
    ASSIGN_OR_RETURN(const std::vector<Claim> claims,
                     ListClaims(cluster_, action_.target_namespace(), call_));
    RETURN_IF_ERROR(RefuseExistingClaims(action_, claims));
    if (action_.scratch())
      RETURN_IF_ERROR(PrepareScratchRestore(action_, choice.name, options_, cluster_, call_));
    if (!rules.empty()) ruled_ = choice.name;  // they may be made although nobody hears of it
    RETURN_IF_ERROR(StoreRules(cluster_, action_, choice.name, rules, call_));
    const auto made =
        cluster_.Create(Restores(), velero_, MakeRestore(action_, choice.name, !rules.empty()), {}, call_);
    if (made.ok()) {
      Log("made Velero's restore " + choice.name);
      return choice.name;
    }
    if (context_.stop.stop_requested()) return Stop(choice.name);  // it may have been made all the same
    if (!kubernetes::IsAlreadyExists(made.status()))
      return WithContext(made.status(), "make Velero's restore");
    // An earlier attempt whose call was answered by nobody made it; or it is another's.
    ASSIGN_OR_RETURN(const Json taken, cluster_.Get(KeyOf(choice.name), call_));
    if (IsOfAction(ReadRestore(taken), action_)) return choice.name;
    return WithHint(
        AlreadyExists("Velero has a restore {} already, and this run did not make it", choice.name),
        "Start the restore once more, which takes another name; or see who made it: velero -n " + velero_ +
            " restore describe " + choice.name);
  }

  // Until the Restore is over. It is looked at after each change, and its transfers and the queue now and then.
  StatusOr<RestoreState> Await(const std::string& name) {
    RestoreState restore;
    const ObjectEyes eyes{[&](const Json& object) {
                            restore = ReadRestore(object);
                            return IsOver(restore.stage) || restore.being_deleted;
                          },
                          [&] { return DescribeProgress(restore, evidence_.transfers, ahead_.value_or(0)); },
                          [&] { return Look(restore); }};
    ASSIGN_OR_RETURN(const WaitEnd end, wait_.Until(KeyOf(name), eyes));
    switch (end) {
      case WaitEnd::kOver:
        return restore;
      case WaitEnd::kStopped:
        return Stop(name);
      case WaitEnd::kLate:
        return LateAt(name);
      case WaitEnd::kGone:
        break;
    }
    return WithHint(
        FailedPrecondition("somebody removed Velero's restore {} while it was made", name),
        fmt::format("See what came back: it carries the label {}={}. Remove it, then restore once more.",
                    kRestoreNameLabel, name));
  }

  // One that waits in the queue is taken back, by the very state in which it waits; Velero can't be stopped in one
  // that it has begun.
  Status Stop(const std::string& name) {
    const kubernetes::Call call{{}, SteadyNow() + kAside};  // the attempt's own is stopped
    const auto object = cluster_.Get(KeyOf(name), call);
    if (kubernetes::IsNotFound(object.status())) return Cancelled("stopped before Velero began the restore");
    if (!object.ok()) return StoppedRestore(name, std::nullopt, velero_, action_.target_namespace());
    const RestoreState restore = ReadRestore(*object);
    if (!IsOfAction(restore, action_)) return Cancelled("stopped before Velero began the restore");
    if (restore.stage != RestoreStage::kWaiting)
      return StoppedRestore(name, restore, velero_, action_.target_namespace());
    kubernetes::DeleteOptions only_this;
    only_this.uid = restore.uid;
    only_this.resource_version = restore.resource_version;
    const Status taken_back = cluster_.Delete(KeyOf(name), only_this, call);
    if (taken_back.ok())
      return Cancelled("Velero's restore {} was taken back before Velero began it: nothing was written",
                       name);
    // It has begun meanwhile, or nobody knows; only where the right is missing it waits on.
    const bool waits = kubernetes::IsForbidden(taken_back);
    return StoppedRestore(name, waits ? std::optional(restore) : std::nullopt, velero_,
                          action_.target_namespace());
  }

  // Another attempt would adopt the same Restore and wait for it as long again, so none is made.
  Status LateAt(const std::string& name) const {
    return WithHint(
        FailedPrecondition("Velero's restore {} was not over in time{}", name, wait_.LastTold()),
        fmt::format(
            "See what it waits for: velero -n {} restore describe {} --details. A pod that is not "
            "scheduled keeps its volume waiting; a transfer whose pod died ends when Velero, and then "
            "its node-agent, are restarted.",
            velero_, name));
  }

  // What a change of the Restore itself does not show. An API server that is away is waited for.
  std::optional<std::string> Look(const RestoreState& restore) {
    const Status looked = ListTransfers(restore.name, CallWithin(context_, kAside));
    if (!looked.ok()) return CannotLook(looked);
    if (restore.stage == RestoreStage::kWaiting) {
      ahead_.reset();
      const auto all = ListAll(cluster_, Restores(), velero_, "", ReadRestore, CallWithin(context_, kAside));
      if (all.ok()) ahead_ = CountAhead(restore, *all);
    }
    return stall_.Look(restore, evidence_.transfers, ahead_, options_.now());
  }

  Status ListTransfers(const std::string& name, const kubernetes::Call& call) {
    const std::string of = std::string(kRestoreNameLabel) + "=" + name;
    ASSIGN_OR_RETURN(std::vector<Transfer> transfers,
                     ListAll(cluster_, PodVolumeRestores(), velero_, of, ReadPodVolumeRestore, call));
    if (Any(v1::VOLUME_METHOD_SNAPSHOT_MOVED)) {
      ASSIGN_OR_RETURN(const std::vector<Transfer> downloads,
                       ListAll(cluster_, DataDownloads(), velero_, of, ReadDataDownload, call));
      transfers.insert(transfers.end(), downloads.begin(), downloads.end());
    }
    evidence_.transfers = std::move(transfers);
    return OkStatus();
  }

  bool Any(v1::VolumeMethod method) const {
    return std::any_of(action_.volumes().begin(), action_.volumes().end(),
                       [&](const v1::Artifact& volume) { return volume.velero().method() == method; });
  }

  Status Collect(const std::string& name) {
    const auto fetch = [&](const std::string& of, const char* kind) {
      return FetchRecord(cluster_, velero_, of, kind, options_, call_);
    };
    ASSIGN_OR_RETURN(const std::string kept, fetch(action_.velero_backup(), "BackupResourceList"));
    ASSIGN_OR_RETURN(evidence_.kept, ReadResourceList(kept));
    ASSIGN_OR_RETURN(const std::string objects, fetch(name, "RestoreResourceList"));
    ASSIGN_OR_RETURN(evidence_.objects, ReadRestoredList(objects));
    ASSIGN_OR_RETURN(const std::string results, fetch(name, "RestoreResults"));
    ASSIGN_OR_RETURN(evidence_.results, ReadResults(results));
    // Transfers say more of the other ways, and are there as long as the Restore is.
    if (Any(v1::VOLUME_METHOD_SNAPSHOT)) {
      ASSIGN_OR_RETURN(const std::string returned, fetch(name, "RestoreVolumeInfo"));
      ASSIGN_OR_RETURN(evidence_.returned, ReadReturnedVolumes(returned));
    }
    RETURN_IF_ERROR(ListTransfers(name, call_));
    auto claims = ListClaims(cluster_, action_.target_namespace(), call_);
    // The right to look went with its namespace: the restore says what it knows, and of no volume that it is back.
    if (kubernetes::IsForbidden(claims.status()) || kubernetes::IsNotFound(claims.status())) {
      evidence_.claims_unseen = evidence_.now_unseen = MessageOf(claims.status());
      return OkStatus();
    }
    ASSIGN_OR_RETURN(evidence_.claims, std::move(claims));
    if (!action_.has_transform()) return OkStatus();
    auto now = ListWhatActs(cluster_, action_.target_namespace(), call_);
    if (kubernetes::IsForbidden(now.status()) || kubernetes::IsNotFound(now.status())) {
      evidence_.now_unseen = MessageOf(now.status());
      return OkStatus();
    }
    ASSIGN_OR_RETURN(evidence_.now, std::move(now));
    return OkStatus();
  }

  const v1::VeleroRestore& action_;
  agent::ActionContext& context_;
  const VeleroOptions& options_;
  kubernetes::Kubernetes& cluster_;
  const std::string velero_;
  const kubernetes::Call call_;
  RestoreEvidence evidence_;
  StallWatch stall_;
  ObjectWait wait_;
  std::optional<int> ahead_;  // in Velero's queue; nullopt: not known
  std::string ruled_;         // the Restore whose rules lie in a ConfigMap
};

}  // namespace

StatusOr<v1::ActionResult> RunVeleroRestore(const v1::VeleroRestore& action, agent::ActionContext& context,
                                            const VeleroOptions& options) {
  ASSIGN_OR_RETURN(const std::shared_ptr<kubernetes::Kubernetes> cluster, options.clusters(action.cluster()));
  return VeleroRestoreRun(action, context, options, *cluster).Run();
}

}  // namespace salvor::velero
