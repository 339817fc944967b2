#include "agent/engines/postgres/actions/actions.h"
#include "agent/work/registry.h"

namespace salvor::agent {

void RegisterPostgresActions(ActionRegistry& registry) {
  Register(registry, RunPostgresPreflight);
  Register(registry, RunPostgresGlobals);
  RegisterWithCleanUp(registry, RunPostgresDump, CleanUpPostgresDump);
  Register(registry, RunPostgresTargetCheck);
  Register(registry, RunPostgresRestoreRoles);
  RegisterWithCleanUp(registry, RunPostgresRestore, CleanUpPostgresRestore);
  Register(registry, RunPostgresVerify);
}

}  // namespace salvor::agent
