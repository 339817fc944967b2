#include "agent/host_actions.h"

#include "agent/engines/disk/actions/actions.h"
#include "agent/engines/disk/actions/leftovers.h"
#include "agent/engines/postgres/actions/actions.h"
#include "agent/location/location_actions.h"
#include "agent/location/manifest_actions.h"
#include "agent/probes/application_check_actions.h"
#include "agent/scratch/scratch_actions.h"
#include "agent/work/noop_action.h"

namespace salvor::agent {

ActionRegistry HostActions() {
  return {
      {"noop", {RunNoop, true}},
      {"location_open", {RunLocationOpen}},
      {"postgres_preflight", {RunPostgresPreflight}},
      {"postgres_globals", {RunPostgresGlobals}},
      {"postgres_dump", {RunPostgresDump}},
      {"disk_backup", {RunDiskBackup}},
      {"manifest_write", {RunManifestWrite}},
      {"manifest_part", {RunManifestPart, true}},
      {"manifest_check", {RunManifestCheck}},
      {"scratch_start", {RunScratchStart}},
      {"scratch_stop", {RunScratchStop}},
      {"postgres_target_check", {RunPostgresTargetCheck}},
      {"postgres_restore_roles", {RunPostgresRestoreRoles}},
      {"postgres_restore", {RunPostgresRestore}},
      {"postgres_verify", {RunPostgresVerify}},
      {"disk_target_check", {RunDiskTargetCheck}},
      {"disk_restore", {RunDiskRestore}},
      {"disk_verify", {RunDiskVerify}},
      {"disk_restore_undo", {RunDiskRestoreUndo}},
      {"application_checks", {RunApplicationChecks}},
  };
}

}  // namespace salvor::agent
