#include "agent/engines/disk/actions/actions.h"
#include "agent/engines/disk/actions/leftovers.h"
#include "agent/work/registry.h"

namespace salvor::agent {

void RegisterDiskActions(ActionRegistry& registry) {
  Register(registry, RunDiskBackup);
  Register(registry, RunDiskTargetCheck);
  Register(registry, RunDiskRestore);
  Register(registry, RunDiskVerify);
  Register(registry, RunDiskRestoreUndo);
}

}  // namespace salvor::agent
