// The flow of a run that deletes a backup. Pure.
#pragma once

#include <optional>
#include <string>

#include "base/status.h"
#include "salvor/v1/run.pb.h"
#include "strategies/compose/compile.h"

namespace salvor::strategies {

struct DeletionRequest {
  const v1::Backup* backup = nullptr;  // borrowed; its record, with the manifest if it has one
  v1::ResticLocation location;         // where it is kept
  std::optional<v1::KubernetesCluster>
      cluster;  // that the backup's environment is; nothing: it is a set of hosts
};

// location.forget (the manifest goes first, so that what is left when the run is cut short is a backup to nobody), then, on
// a cluster, volumes.delete: all Backups of Velero's that its run made. On the host, or the cluster, of the environment that
// made the backup: nobody else deletes it. The effects say what goes, and what stays. Whether it may be deleted at all is
// for whoever has the runs and records (strategies/verdicts/deletion.h).
StatusOr<BackupPlan> CompileDeletion(const DeletionRequest& request);

}  // namespace salvor::strategies
