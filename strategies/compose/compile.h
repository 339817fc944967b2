// The composer makes Flows of declarations. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "salvor/v1/run.pb.h"
#include "strategies/interface/strategy.h"

namespace salvor::strategies {

// The driver's components with the application's laid over them (see ApplicationSpec.components).
StatusOr<std::vector<v1::Component>> ResolveComponents(const StrategyRegistry& strategies,
                                                       const v1::ApplicationSpec& application,
                                                       const v1::DriverSpec* driver);

// Every problem of every object: names, grammar, references (to objects in `existing` or in `objects`
// itself), each component's strategy. `existing` maps "Kind/name". Problem.object is the index in `objects`;
// field is the path as written in YAML ("spec.components[0].postgres.databases").
std::vector<v1::Problem> ValidateObjects(const StrategyRegistry& strategies,
                                         const std::vector<v1::Object>& objects,
                                         const std::map<std::string, v1::Object>& existing);

struct BackupPlan {
  v1::Flow flow;
  std::vector<v1::PlannedEffect> effects;
};

// location.open → (on every other host) location.open.HOST → all components' preflights and captures → manifest.write
// (after all captures, whatever their outcome, unless the location could not be opened). What is too large for the step
// that writes the manifest reaches it by steps of its own, manifest.part-001 and so on. On a cluster (request.cluster) the
// volumes that components want are kept after all captures and before the manifest (strategies/volumes). The manifest's
// components are `components`, its other fields those of `header`. FailedPrecondition when a component's declaration is not valid.
StatusOr<BackupPlan> CompileBackup(const StrategyRegistry& strategies,
                                   const std::vector<v1::Component>& components, const v1::Manifest& header,
                                   const BackupRequest& request);

struct RestorePlan {
  v1::Flow flow;
  std::vector<v1::PlannedEffect> effects;
};

// Restore of these components (empty: all) of request.manifest; `to` holds the target application's components by
// name. It begins with manifest.check, as a drill does: what the Location holds is compared with request.manifest.
// Each component's steps are on the host that `to` names for it. All guardrails of all components come before
// anything is written. To a cluster the volumes that components want back come back by one Restore of Velero's for
// each of its Backups (strategies/volumes). FailedPrecondition when the backup lacks something of them, naming it, or
// when `to` has no place for a component that needs one. InvalidArgument, with all problems, when request.asked has
// options that cannot be meant (restore_options.h).
StatusOr<RestorePlan> CompileRestore(const StrategyRegistry& strategies, const RestoreRequest& request,
                                     const std::map<std::string, v1::Component>& to,
                                     const std::vector<std::string>& components);

// Drill: the components' scratch places (scratch.start, an obligation that scratch.stop releases; scratch.start.KEY for
// places that are not the host's folder), their restores and checks, and at the very end verification.write, which keeps in
// the Location what was found, whatever that is. What
// the backup lacks is left out, with an effect that says so; FailedPrecondition when nothing is left.
StatusOr<RestorePlan> CompileDrill(const StrategyRegistry& strategies, const RestoreRequest& request);

// Every flow passes it before a run starts: unique ids, edges and inputs to ancestors only, no cycle, sizes that can be
// stored and sent (sizes.h), graces that make sense, obligations that name existing steps, every step at a place of the
// flow. That of a run that only looks has steps that look (preflight, guard, check, verify) and leaves nothing to be undone.
Status ValidateFlow(const v1::Flow& flow, v1::RunKind kind = v1::RUN_KIND_UNSPECIFIED);

}  // namespace salvor::strategies
