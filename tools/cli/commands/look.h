// A dry run that looked at its target: what it would do, and what each guardrail said.
#pragma once

#include "tools/cli/commands/wait.h"

namespace salvor::cli {

// Shows the plan, waits for the run that looks, and shows its answer. A guardrail that refuses is a conflict; where nobody
// could look, the plan stands as it is, and why is said.
ExitCode AfterLook(Context& context, const v1::CreateRunResponse& response, const StartOptions& options);

}  // namespace salvor::cli
