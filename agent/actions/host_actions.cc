#include "agent/actions/host_actions.h"

#include "agent/actions/application_check_actions.h"
#include "agent/actions/disk_actions.h"
#include "agent/actions/location_actions.h"
#include "agent/actions/manifest_actions.h"
#include "agent/actions/noop_action.h"
#include "agent/actions/postgres_actions.h"
#include "agent/actions/scratch_actions.h"

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
      {"application_checks", {RunApplicationChecks}},
  };
}

}  // namespace salvor::agent
