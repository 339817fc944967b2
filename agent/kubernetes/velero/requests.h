// Velero's request to delete a Backup: the object that we make, and what is to be done by those that there are. Pure.
#pragma once

#include <absl/time/time.h>

#include <string>
#include <vector>

#include "agent/kubernetes/velero/backup_object.h"

namespace salvor::velero {

// NAME of NAME-2: what the first attempt at a Backup was called.
std::string FirstName(const std::string& name);

Json MakeDeleteRequest(const BackupState& backup, const std::string& velero_namespace);

struct DeleteRequestState {
  std::string name, phase;
  std::vector<std::string> errors;
};

DeleteRequestState ReadDeleteRequest(const Json& object);

// Whether Velero may yet act on it.
bool IsOpen(const DeleteRequestState& request);

// Why Velero did not delete the Backup, by a request that is over; OK where none says so.
Status JudgeDeletion(const BackupState& backup, const std::vector<DeleteRequestState>& requests);

// All Backups that go with this one: it, and those of the same run and name that Velero gave up before or after it.
std::vector<BackupState> FindTries(const std::string& name, const std::string& run,
                                   const std::vector<BackupState>& all);

}  // namespace salvor::velero
