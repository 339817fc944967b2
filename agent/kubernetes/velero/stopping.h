// What is said of a Backup or a Restore of Velero's whose step was stopped: whether Velero goes on with it, and the exact
// command that takes it back or removes it. Pure.
#pragma once

#include <optional>
#include <string>

#include "agent/kubernetes/velero/backup_object.h"
#include "agent/kubernetes/velero/restore_object.h"
#include "base/status.h"

namespace salvor::velero {

// Always Cancelled, with a hint. `seen` is the Backup when the step was stopped; nothing: nobody knows, so it is said as of
// one that has begun. `in` is the namespace where it lies, `run` the run that made it. Salvor deletes no Backup object, for
// that would leave in the storage location what Velero has begun to write: one that waits is for a person to take back.
Status StoppedBackup(const std::string& name, const std::optional<BackupState>& seen, const std::string& in,
                     const std::string& run);

// The same of a Restore that could not be taken back; `target` is the namespace that it restores into.
Status StoppedRestore(const std::string& name, const std::optional<RestoreState>& seen, const std::string& in,
                      const std::string& target);

}  // namespace salvor::velero
