#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/kubernetes/client/wait.h"
#include "agent/kubernetes/velero/actions/velero_actions.h"
#include "agent/kubernetes/velero/requests.h"
#include "agent/kubernetes/velero/resources.h"

namespace salvor::velero {
namespace {

class VeleroDeleteRun {
 public:
  VeleroDeleteRun(const v1::VeleroDelete& action, agent::ActionContext& context, const VeleroOptions& options,
                  kubernetes::Kubernetes& cluster)
      : action_(action),
        context_(context),
        options_(options),
        cluster_(cluster),
        velero_(NamespaceOf(action.cluster())),
        call_{context.stop, context.deadline} {}

  StatusOr<v1::ActionResult> Run() {
    RETURN_IF_ERROR(CheckOwner());
    ASSIGN_OR_RETURN(const std::vector<BackupState> all,
                     ListAll(cluster_, Backups(), velero_, std::string(kRunLabel) + "=" + action_.run(),
                             ReadBackup, call_));
    const std::vector<BackupState> found = FindTries(action_.name(), action_.run(), all);
    std::set<std::string> others;
    for (const BackupState& backup : all) others.insert(backup.name);
    for (const BackupState& backup : found) {
      RETURN_IF_ERROR(Remove(backup));
      others.erase(backup.name);
    }
    RETURN_IF_ERROR(RemovePolicies(others));
    v1::ActionResult result;
    result.set_note(found.empty() ? "Velero has no backup " + action_.name()
                                  : "Velero deleted its backup " + action_.name());
    return result;
  }

 private:
  Status CheckOwner() {
    const auto object = cluster_.Get({Backups(), velero_, action_.name()}, call_);
    if (kubernetes::IsNotFound(object.status())) return OkStatus();
    RETURN_IF_ERROR(object.status());
    if (IsOfRun(ReadBackup(*object), action_.run())) return OkStatus();
    return WithHint(
        FailedPrecondition("Velero's backup {} was not made by run {}", action_.name(), action_.run()),
        "Salvor deletes only what it made. See: velero -n " + velero_ + " backup describe " + action_.name());
  }

  Status Remove(const BackupState& backup) {
    const kubernetes::ObjectKey key{Backups(), velero_, backup.name};
    // One that Velero has not begun holds nothing, and a request would be refused.
    if (backup.stage == Stage::kWaiting) {
      const Status removed = cluster_.Delete(key, {backup.uid, backup.resource_version}, call_);
      if (kubernetes::IsNotFound(removed)) return OkStatus();
      return removed;
    }
    while (true) {
      RETURN_IF_ERROR(Ask(backup));
      const Status gone =
          kubernetes::WaitUntilGone(cluster_, key, backup.uid, CallWithin(context_, options_.look_every));
      if (gone.ok()) return gone;
      if (context_.stop.stop_requested())
        return Cancelled("stopped waiting for Velero to delete its backup {}, which it goes on with",
                         backup.name);
      if (!IsPassing(gone)) return gone;
      if (SteadyNow() >= context_.deadline) {
        return WithHint(DeadlineExceeded("Velero did not delete its backup {} in time", backup.name),
                        "See whether Velero's pod runs. The next attempt goes on.");
      }
    }
  }

  // Makes a request where none is open. A server that dies over one never takes it up again, so after a while there is
  // another one, which replaces it.
  Status Ask(const BackupState& backup) {
    const auto requests =
        ListAll(cluster_, DeleteRequests(), velero_, std::string(kBackupNameLabel) + "=" + backup.name,
                ReadDeleteRequest, call_);
    if (!requests.ok()) return IsPassing(requests.status()) ? OkStatus() : requests.status();
    const SteadyTime now = options_.now();
    if (asked_ != backup.name) {
      asked_ = backup.name;
      asked_at_.reset();
    }
    const bool open = std::any_of(requests->begin(), requests->end(), IsOpen);
    // What an earlier attempt's request ended with is no word on this one.
    if (asked_at_.has_value() && !open) RETURN_IF_ERROR(JudgeDeletion(backup, *requests));
    if (!asked_at_.has_value() && open) asked_at_ = now;
    if (asked_at_.has_value() && now - *asked_at_ < options_.deletion_patience) return OkStatus();
    asked_at_ = now;
    return WithContext(
        cluster_.Create(DeleteRequests(), velero_, MakeDeleteRequest(backup, velero_), {}, call_).status(),
        "ask Velero to delete its backup " + backup.name);
  }

  // Those of all attempts: one that was stopped may have left a policy and no Backup. `others` are Backups that stay.
  Status RemovePolicies(const std::set<std::string>& others) {
    for (int number = 1; number <= kTriesAtMost; ++number) {
      const std::string name = NameOfTry(FirstName(action_.name()), number);
      if (others.count(name) == 0) RETURN_IF_ERROR(RemovePolicy(name));
    }
    return OkStatus();
  }

  Status RemovePolicy(const std::string& name) {
    const kubernetes::ObjectKey key{ConfigMaps(), velero_, name};
    const auto policy = cluster_.Get(key, call_);
    if (kubernetes::IsNotFound(policy.status())) return OkStatus();
    RETURN_IF_ERROR(policy.status());
    if (TextAt(*policy, {"metadata", "labels", kRunLabel}) != action_.run()) return OkStatus();
    const Status removed = cluster_.Delete(key, {TextAt(*policy, {"metadata", "uid"})}, call_);
    return kubernetes::IsNotFound(removed) ? OkStatus() : removed;
  }

  const v1::VeleroDelete& action_;
  agent::ActionContext& context_;
  const VeleroOptions& options_;
  kubernetes::Kubernetes& cluster_;
  const std::string velero_;
  const kubernetes::Call call_;
  std::string asked_;  // the Backup that was asked for last
  std::optional<SteadyTime> asked_at_;
};

}  // namespace

StatusOr<v1::ActionResult> RunVeleroDelete(const v1::VeleroDelete& action, agent::ActionContext& context,
                                           const VeleroOptions& options) {
  ASSIGN_OR_RETURN(const std::shared_ptr<kubernetes::Kubernetes> cluster, options.clusters(action.cluster()));
  return VeleroDeleteRun(action, context, options, *cluster).Run();
}

}  // namespace salvor::velero
