// The actions of drivers' own programs. Each is one run of the program: agent/engines/action/run_program.h.
#pragma once

#include "agent/work/registry.h"

namespace salvor::agent {

StatusOr<v1::ActionResult> RunProgramPlan(const v1::ProgramPlan& plan, ActionContext& context);
StatusOr<v1::ActionResult> RunProgramBackup(const v1::ProgramBackup& backup, ActionContext& context);
StatusOr<v1::ActionResult> RunProgramRestore(const v1::ProgramRestore& restore, ActionContext& context);
StatusOr<v1::ActionResult> RunProgramVerify(const v1::ProgramVerify& verify, ActionContext& context);

// Forgets what an attempt that was cut short kept in the Location: nobody but the program knew the artifacts' names.
Status CleanUpProgramBackup(const v1::ProgramBackup& backup, ActionContext& context);

// Adds them to what an agent can do.
void RegisterProgramActions(ActionRegistry& registry);

}  // namespace salvor::agent
