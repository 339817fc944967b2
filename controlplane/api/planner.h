// A person's request becomes a run: resolve, compile, name. No gRPC.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "controlplane/objects/catalog.h"
#include "controlplane/runs/engine.h"
#include "salvor/v1/control_service.pb.h"
#include "strategies/interface/strategy.h"
#include "strategies/verdicts/deletion.h"

namespace salvor::controlplane {

// Thread-safe; everything given must outlive it.
class Planner {
 public:
  Planner(Catalog& catalog, Engine& engine, const strategies::StrategyRegistry& strategies,
          const Clock& clock, std::string version);

  // A run that could be started: Start it, or show it.
  struct Plan {
    v1::RunHeader header;
    v1::Flow flow;
    std::vector<v1::PlannedEffect> effects;
    std::string backup_location;         // of a backup run: name of its Location
    verdicts::DeletionTerms terms = {};  // of a run that deletes
  };
  StatusOr<Plan> PlanBackup(const v1::CreateBackupRequest& request, const std::string& by);
  StatusOr<Plan> PlanRestore(const v1::CreateRestoreRequest& request, const std::string& by);
  StatusOr<Plan> PlanDrill(const v1::CreateDrillRequest& request, const std::string& by);

  // A run that deletes a backup. Every reason why it would be refused is among the effects, as "refuse".
  StatusOr<Plan> PlanDelete(const v1::DeleteBackupRequest& request, const std::string& by);

  // A run that looks what there is in a namespace of a cluster. It is of no application.
  StatusOr<Plan> PlanDiscovery(const v1::CreateDiscoveryRequest& request, const std::string& by);

  // The part of the plan that only looks, as a run of its own.
  StatusOr<Plan> PlanInspection(const Plan& plan, const std::string& by);

  // Starts it, unless it is only to be shown.
  StatusOr<v1::CreateRunResponse> Execute(StatusOr<Plan> plan, bool dry_run);

 private:
  v1::RunHeader Header(v1::RunKind kind, const std::string& word, const std::string& application,
                       const std::string& environment, const std::string& by);
  // Backups of this application to this Location that are over and kept nothing.
  std::vector<std::string> RunsWithoutBackup(const std::string& application, const std::string& location);
  StatusOr<v1::Backup> UsableBackup(const std::string& reference);
  // FailedPrecondition with the newest proven one named, when a drill has disproven it.
  Status RefuseDisproven(const v1::Backup& backup);
  // Lays the checks that its application declares today over those of its manifest.
  Status UseCurrentChecks(v1::Backup& backup);

  Catalog& catalog_;
  Engine& engine_;
  const strategies::StrategyRegistry& strategies_;
  const Clock& clock_;
  const std::string version_;
};

}  // namespace salvor::controlplane
