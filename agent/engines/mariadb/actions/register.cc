#include "agent/engines/mariadb/actions/actions.h"
#include "agent/work/registry.h"

namespace salvor::agent {

void RegisterMariadbActions(ActionRegistry& registry) {
  Register(registry, RunMariadbPreflight);
  Register(registry, RunMariadbDump);
  Register(registry, RunMariadbTargetCheck);
  RegisterWithCleanUp(registry, RunMariadbRestore, CleanUpMariadbRestore);
  Register(registry, RunMariadbVerify);
}

}  // namespace salvor::agent
