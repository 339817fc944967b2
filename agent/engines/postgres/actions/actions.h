// The actions of the postgres strategy. One file each; what they share is in common.h.
#pragma once

#include "agent/work/action.h"

namespace salvor::agent {

// Whether a backup can work at all: reachable, databases there, tools new enough, everything readable. All
// problems at once. FailedPrecondition, and nothing was written.
StatusOr<v1::ActionResult> RunPostgresPreflight(const v1::PostgresPreflight& action, ActionContext& context);

// Roles of the server, as an artifact.
StatusOr<v1::ActionResult> RunPostgresGlobals(const v1::PostgresGlobals& action, ActionContext& context);

// One database: the dump, and its details from the same snapshot, as two artifacts. The dump is kept only
// when pg_dump, the archive itself, and counts by SQL agree that it is whole.
StatusOr<v1::ActionResult> RunPostgresDump(const v1::PostgresDump& action, ActionContext& context);

// Whether a restore can work, writing nothing. FailedPrecondition with all problems at once.
StatusOr<v1::ActionResult> RunPostgresTargetCheck(const v1::PostgresTargetCheck& action,
                                                  ActionContext& context);

// Missing roles, in one transaction. Existing ones stay as they are.
StatusOr<v1::ActionResult> RunPostgresRestoreRoles(const v1::PostgresRestoreRoles& action,
                                                   ActionContext& context);

// One database. Until it is whole it carries a marker of its run, by which a retry, and nobody else, replaces
// it.
StatusOr<v1::ActionResult> RunPostgresRestore(const v1::PostgresRestore& action, ActionContext& context);

// The checks of one restored database. A check that fails is a verdict, not an error of the action.
StatusOr<v1::ActionResult> RunPostgresVerify(const v1::PostgresVerify& action, ActionContext& context);

// Removes what an attempt that was cut short left: the file of a dump that goes through a volume.
Status CleanUpPostgresDump(const v1::PostgresDump& action, ActionContext& context);

// Removes what an attempt that was cut short made on a declared server: the database under its temporary name, or with
// the marker. One that is finished, or somebody else's, stays. A drill's server goes as a whole.
Status CleanUpPostgresRestore(const v1::PostgresRestore& action, ActionContext& context);

// The folder of PostgreSQL's programs where the agent's command line names no other.
inline constexpr char kPostgresPrograms[] = "/usr/lib/postgresql/15/bin";

// Empty: the programs are found by PATH.
std::string PostgresProgramFolder(const AgentConfig& config);

// All of them.
void RegisterPostgresActions(ActionRegistry& registry);

}  // namespace salvor::agent
