#include <algorithm>

#include "agent/kubernetes/client/wait.h"
#include "agent/kubernetes/velero/actions/artefacts.h"
#include "agent/kubernetes/velero/actions/restore_rules.h"
#include "agent/kubernetes/velero/actions/velero_actions.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/restore_check.h"
#include "agent/kubernetes/velero/restore_coverage.h"
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
        stall_(options.stalled_after) {}

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
    return JudgeRestoreCoverage(action_, evidence_);
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
    RETURN_IF_ERROR(StoreRules(cluster_, action_, choice.name, rules, call_));
    if (!rules.empty()) ruled_ = choice.name;
    const auto made =
        cluster_.Create(Restores(), velero_, MakeRestore(action_, choice.name, !rules.empty()), {}, call_);
    if (made.ok()) {
      Log("made Velero's restore " + choice.name);
      return choice.name;
    }
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
    const auto is_over = [&](const Json* object) -> StatusOr<bool> {
      if (object == nullptr) return true;
      restore = ReadRestore(*object);
      Tell(restore);
      return IsOver(restore.stage) || restore.being_deleted;
    };
    while (true) {
      const auto seen =
          kubernetes::WaitUntil(cluster_, KeyOf(name), is_over, CallWithin(context_, options_.look_every));
      if (context_.stop.stop_requested()) return Stop(name);
      if (seen.ok() && seen->is_null()) {
        return WithHint(
            FailedPrecondition("somebody removed Velero's restore {} while it was made", name),
            fmt::format("See what came back: it carries the label {}={}. Remove it, then restore once more.",
                        kRestoreNameLabel, name));
      }
      if (seen.ok()) return restore;
      if (!IsPassing(seen.status())) return seen.status();
      if (SteadyNow() >= context_.deadline) return LateAt(name);
      if (!restore.name.empty()) Look(restore);
    }
  }

  // One that waits in the queue is taken back, by the very state in which it waits; Velero can't be stopped in one
  // that it has begun.
  Status Stop(const std::string& name) {
    const kubernetes::Call call{{}, SteadyNow() + kAside};  // the attempt's own is stopped
    const auto object = cluster_.Get(KeyOf(name), call);
    if (kubernetes::IsNotFound(object.status())) return Cancelled("stopped before Velero began the restore");
    if (object.ok()) {
      const RestoreState restore = ReadRestore(*object);
      if (restore.stage == RestoreStage::kWaiting) {
        kubernetes::DeleteOptions only_this;
        only_this.uid = restore.uid;
        only_this.resource_version = restore.resource_version;
        if (cluster_.Delete(KeyOf(name), only_this, call).ok())
          return Cancelled("Velero's restore {} was taken back before Velero began it: nothing was written",
                           name);
      }
    }
    return WithHint(
        Cancelled("stopped waiting for Velero's restore {}, which Velero goes on with: it can't be stopped",
                  name),
        fmt::format(
            "When it is over, remove what is not wanted from namespace {}: it carries the label {}={}.",
            action_.target_namespace(), kRestoreNameLabel, name));
  }

  // Another attempt would adopt the same Restore and wait for it as long again, so none is made.
  Status LateAt(const std::string& name) const {
    const std::string last = stalled_.empty() ? told_ : stalled_;
    return WithHint(
        FailedPrecondition("Velero's restore {} was not over in time{}", name,
                           last.empty() ? "" : "; " + last),
        fmt::format(
            "See what it waits for: velero -n {} restore describe {} --details. A pod that is not "
            "scheduled keeps its volume waiting; a transfer whose pod died ends when Velero, and then "
            "its node-agent, are restarted.",
            velero_, name));
  }

  void Tell(const RestoreState& restore) {
    const v1::Progress progress = DescribeProgress(restore, evidence_.transfers, ahead_);
    told_ = progress.message();
    if (context_.progress) context_.progress(progress);
  }

  // What a change of the Restore itself does not show. An API server that is away is waited for.
  void Look(const RestoreState& restore) {
    if (Status looked = ListTransfers(restore.name, CallWithin(context_, kAside)); !looked.ok())
      Log(MessageOf(looked));
    if (restore.stage == RestoreStage::kWaiting) {
      const auto all = ListAll(cluster_, Restores(), velero_, "", ReadRestore, CallWithin(context_, kAside));
      if (all.ok()) ahead_ = CountAhead(restore, *all);
    }
    Tell(restore);
    const auto stalled = stall_.Look(restore, evidence_.transfers, options_.now());
    if (stalled.has_value() && stalled_.empty()) Log(*stalled);
    stalled_ = stalled.value_or("");
    if (!stalled.has_value() || !context_.progress) return;
    v1::Progress progress = DescribeProgress(restore, evidence_.transfers, ahead_);
    progress.set_message(*stalled);
    context_.progress(progress);
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
    ASSIGN_OR_RETURN(evidence_.claims, ListClaims(cluster_, action_.target_namespace(), call_));
    if (!action_.has_transform()) return OkStatus();
    ASSIGN_OR_RETURN(evidence_.now, ListWhatActs(cluster_, action_.target_namespace(), call_));
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
  std::string stalled_, told_;
  std::string ruled_;  // the Restore whose rules lie in a ConfigMap
  int ahead_ = 0;
};

}  // namespace

StatusOr<v1::ActionResult> RunVeleroRestore(const v1::VeleroRestore& action, agent::ActionContext& context,
                                            const VeleroOptions& options) {
  ASSIGN_OR_RETURN(const std::shared_ptr<kubernetes::Kubernetes> cluster, options.clusters(action.cluster()));
  return VeleroRestoreRun(action, context, options, *cluster).Run();
}

}  // namespace salvor::velero
