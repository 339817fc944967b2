// What a Backup of Velero's really holds of what was planned. Its phase is never trusted: volumes are skipped in
// silence under Completed, and whole ones are in a Backup that is PartiallyFailed. Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/kubernetes/velero/backup_object.h"
#include "agent/kubernetes/velero/claims.h"
#include "agent/kubernetes/velero/records.h"
#include "agent/kubernetes/velero/transfers.h"
#include "salvor/v1/action.pb.h"

namespace salvor::velero {

// All that is known of a Backup that is Completed or PartiallyFailed.
struct Evidence {
  BackupState backup;
  std::vector<VolumeRecord> volumes;
  Results results;
  ResourceList resources;
  std::vector<Transfer> transfers;
  std::vector<Claim> claims;  // of its namespaces
  std::string velero_version;
};

// The rules by which a planned volume counts as kept: its claim is among the objects; Velero has exactly one record of
// it, which says succeeded, by the method that was planned, and names what was kept; its transfer ended well. Where
// Velero has no record, as after the end of the pod that the files were read through, its one transfer is the record.
// Files come back only with the pod that they were read through, so that pod is among the objects, too.
// An artifact for each that is, and for each that is not the reason and what to do about it in `missing`. Objects that
// Velero had errors with are missing, too. `volumes` are the planned ones with their methods decided.
v1::ActionResult JudgeCoverage(const v1::VeleroBackup& action, const std::vector<v1::VeleroVolume>& volumes,
                               const Evidence& evidence);

}  // namespace salvor::velero
