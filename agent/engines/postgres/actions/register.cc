#include "agent/engines/postgres/actions/actions.h"
#include "agent/work/registry.h"

namespace salvor::agent {

void RegisterPostgresActions(ActionRegistry& registry) {
  Register(registry, RunPostgresPreflight);
  Register(registry, RunPostgresGlobals);
  Register(registry, RunPostgresDump);
  Register(registry, RunPostgresTargetCheck);
  Register(registry, RunPostgresRestoreRoles);
  Register(registry, RunPostgresRestore);
  Register(registry, RunPostgresVerify);
}

}  // namespace salvor::agent
