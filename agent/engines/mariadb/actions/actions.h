// The actions of MariaDB's strategy. One file each; what they share is in common.h.
#pragma once

#include "agent/work/action.h"

namespace salvor::agent {

// Whether a backup can work at all: reachable, databases there, tools new enough, everything visible. All problems at
// once. FailedPrecondition, and nothing was written.
StatusOr<v1::ActionResult> RunMariadbPreflight(const v1::MariadbPreflight& action, ActionContext& context);

// All databases in one transaction, and their details of that same instant, as two artifacts. The dump is kept only when
// mariadb-dump, its own last line, counts by SQL and the definitions after it agree that it is whole.
StatusOr<v1::ActionResult> RunMariadbDump(const v1::MariadbDump& action, ActionContext& context);

// Whether a restore can work, writing nothing. FailedPrecondition with all problems at once.
StatusOr<v1::ActionResult> RunMariadbTargetCheck(const v1::MariadbTargetCheck& action,
                                                 ActionContext& context);

// Accounts that are missing, the databases, and their events, disabled. Until it is whole each database carries a marker
// of its run, by which a retry, and nobody else, replaces it.
StatusOr<v1::ActionResult> RunMariadbRestore(const v1::MariadbRestore& action, ActionContext& context);

// The checks of the restored databases, and then the state of events. A check that fails is a verdict, not an error.
StatusOr<v1::ActionResult> RunMariadbVerify(const v1::MariadbVerify& action, ActionContext& context);

// Drops what an attempt that was cut short made on a declared server. A drill's server goes as a whole.
Status CleanUpMariadbRestore(const v1::MariadbRestore& action, ActionContext& context);

// All of them.
void RegisterMariadbActions(ActionRegistry& registry);

}  // namespace salvor::agent
