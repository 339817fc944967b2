#include "agent/engines/action/actions/actions.h"

namespace salvor::agent {

void RegisterProgramActions(ActionRegistry& registry) {
  Register(registry, RunProgramPlan);
  RegisterWithCleanUp(registry, RunProgramBackup, CleanUpProgramBackup);
  Register(registry, RunProgramRestore);
  Register(registry, RunProgramVerify);
}

}  // namespace salvor::agent
