#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/kubernetes/client/wait.h"
#include "agent/kubernetes/velero/actions/velero_actions.h"
#include "agent/kubernetes/velero/requests.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/restore_object.h"
#include "base/text.h"

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

  // What is refused here is refused before anything is deleted. After that the answer says how far it came.
  StatusOr<v1::ActionResult> Run() {
    const std::set<std::string> expected = Expected();
    for (const std::string& name : expected) RETURN_IF_ERROR(CheckOwner(name));
    ASSIGN_OR_RETURN(const std::vector<BackupState> all,
                     ListAll(cluster_, Backups(), velero_, std::string(kRunLabel) + "=" + action_.run(),
                             ReadBackup, call_));
    const std::vector<BackupState> found =
        action_.name().empty() ? all : FindTries(action_.name(), action_.run(), all);
    for (const BackupState& backup : found) RETURN_IF_ERROR(CheckEnvironment(backup));
    RETURN_IF_ERROR(CheckRestores(found));
    if (action_.only_check()) return CheckRights(found);
    v1::ActionResult result;
    const Status status = RemoveAll(found, expected, all, result.mutable_deletion());
    if (!status.ok()) {
      *result.mutable_error() = agent::ToError(status);
    } else {
      result.set_note(NoteOf(found, expected));
    }
    return result;
  }

 private:
  // The names that are known beforehand.
  std::set<std::string> Expected() const {
    std::set<std::string> names(action_.expected().begin(), action_.expected().end());
    if (!action_.name().empty()) names.insert(action_.name());
    return names;
  }

  Status CheckOwner(const std::string& name) {
    const auto object = cluster_.Get({Backups(), velero_, name}, call_);
    if (kubernetes::IsNotFound(object.status())) return OkStatus();
    RETURN_IF_ERROR(object.status());
    if (IsOfRun(ReadBackup(*object), action_.run())) return OkStatus();
    return WithHint(
        FailedPrecondition("Velero's backup {} was not made by run {}", name, action_.run()),
        "Salvor deletes only what it made. See: velero -n " + velero_ + " backup describe " + name);
  }

  // Another cluster that sees the same bucket sees this Backup as its own.
  Status CheckEnvironment(const BackupState& backup) const {
    const auto label = backup.labels.find(kEnvironmentLabel);
    if (label == backup.labels.end() || action_.environment().empty() ||
        label->second == action_.environment())
      return OkStatus();
    return WithHint(FailedPrecondition("Velero's backup {} was made by environment {}, and this is {}",
                                       backup.name, label->second, action_.environment()),
                    "Whoever made a backup deletes it.");
  }

  // Velero would delete the Restores with the Backup, also one that it has not come to the end of.
  Status CheckRestores(const std::vector<BackupState>& found) {
    if (found.empty()) return OkStatus();
    ASSIGN_OR_RETURN(const std::vector<RestoreState> restores,
                     ListAll(cluster_, Restores(), velero_, "", ReadRestore, call_));
    for (const RestoreState& restore : restores) {
      const bool of_these = std::any_of(found.begin(), found.end(), [&](const BackupState& backup) {
        return backup.name == restore.backup;
      });
      if (!of_these || IsOver(restore.stage)) continue;
      return WithHint(
          FailedPrecondition("Velero still restores from its backup {}: {}", restore.backup, restore.name),
          "Wait until it is over. See: velero -n " + velero_ + " restore describe " + restore.name);
    }
    return OkStatus();
  }

  // Who may not ask Velero to delete is told so while nothing is gone.
  StatusOr<v1::ActionResult> CheckRights(const std::vector<BackupState>& found) {
    if (!found.empty())
      RETURN_IF_ERROR(ListAll(cluster_, DeleteRequests(), velero_, "", ReadDeleteRequest, call_).status());
    return v1::ActionResult();
  }

  Status RemoveAll(const std::vector<BackupState>& found, const std::set<std::string>& expected,
                   const std::vector<BackupState>& all, v1::DeletionReport* report) {
    std::set<std::string> gone = expected, others, first_names;
    for (const BackupState& backup : all) others.insert(backup.name);
    for (const BackupState& backup : found) gone.erase(backup.name);
    report->set_already_gone(static_cast<int64_t>(gone.size()));
    for (const std::string& name : expected) first_names.insert(FirstName(name));
    Status first = OkStatus();
    for (size_t i = 0; i < found.size(); ++i) {
      if (const Status status = Remove(found[i]); !status.ok()) {
        // One that Velero does not delete keeps no other.
        const bool is_over = context_.stop.stop_requested() || SteadyNow() >= context_.deadline;
        for (size_t left = i; left < (is_over ? found.size() : i + 1); ++left)
          report->add_left("Velero's backup " + found[left].name);
        if (is_over) return status;
        if (first.ok()) first = status;
        continue;
      }
      report->set_removed(report->removed() + 1);
      others.erase(found[i].name);
      first_names.insert(FirstName(found[i].name));
    }
    for (const std::string& name : first_names) {
      if (const Status status = RemovePolicies(name, others); !status.ok()) {
        report->add_left("a ConfigMap that begins with " + name + " in namespace " + velero_);
        return first.ok() ? status : first;
      }
    }
    return first;
  }

  std::string NoteOf(const std::vector<BackupState>& found, const std::set<std::string>& expected) const {
    std::vector<std::string> deleted, gone;
    for (const BackupState& backup : found) deleted.push_back(backup.name);
    for (const std::string& name : expected) {
      if (std::find(deleted.begin(), deleted.end(), name) == deleted.end()) gone.push_back(name);
    }
    std::string note;
    if (!deleted.empty()) note = "Velero deleted its backup " + Join(deleted, ", ");
    if (!gone.empty()) note += (note.empty() ? "" : "; ") + ("Velero has no backup " + Join(gone, ", "));
    return note.empty() ? "Velero has no backup of this run" : note;
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
  Status RemovePolicies(const std::string& first_name, const std::set<std::string>& others) {
    for (int number = 1; number <= kTriesAtMost; ++number) {
      const std::string name = NameOfTry(first_name, number);
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
