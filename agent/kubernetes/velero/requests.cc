#include "agent/kubernetes/velero/requests.h"

#include "agent/kubernetes/velero/resources.h"
#include "base/text.h"

namespace salvor::velero {

std::string FirstName(const std::string& name) {
  const size_t dash = name.rfind('-');
  if (dash == std::string::npos || dash == 0) return name;
  for (int number = 2; number <= kTriesAtMost; ++number) {
    if (NameOfTry(name.substr(0, dash), number) == name) return name.substr(0, dash);
  }
  return name;
}

Json MakeDeleteRequest(const BackupState& backup, const std::string& velero_namespace) {
  return {{"apiVersion", "velero.io/v1"},
          {"kind", "DeleteBackupRequest"},
          {"metadata",
           {{"generateName", backup.name + "-"},
            {"namespace", velero_namespace},
            {"labels", {{kBackupNameLabel, backup.name}, {kBackupUidLabel, backup.uid}}}}},
          {"spec", {{"backupName", backup.name}}}};
}

DeleteRequestState ReadDeleteRequest(const Json& object) {
  return {TextAt(object, {"metadata", "name"}), TextAt(object, {"status", "phase"}),
          TextsAt(object, {"status", "errors"})};
}

bool IsOpen(const DeleteRequestState& request) { return request.phase != "Processed"; }

Status JudgeDeletion(const BackupState& backup, const std::vector<DeleteRequestState>& requests) {
  for (const DeleteRequestState& request : requests) {
    if (IsOpen(request) || request.errors.empty()) continue;
    std::vector<std::string> errors;
    for (const std::string& error : request.errors) errors.push_back(CleanText(error));
    return WithHint(
        Unavailable("Velero could not delete its backup {}: {}", backup.name, Join(errors, "; ")),
        "Mend what it names; what it has not deleted is still there, and the next attempt goes on.");
  }
  return OkStatus();
}

std::vector<BackupState> FindTries(const std::string& name, const std::string& run,
                                   const std::vector<BackupState>& all) {
  std::vector<BackupState> found;
  for (const BackupState& backup : all) {
    const bool same = FirstName(backup.name) == FirstName(name) && IsDead(backup);
    if (IsOfRun(backup, run) && (backup.name == name || same)) found.push_back(backup);
  }
  return found;
}

}  // namespace salvor::velero
