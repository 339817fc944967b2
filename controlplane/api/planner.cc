#include "controlplane/api/planner.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/io/files.h"
#include "base/io/sha256.h"
#include "base/names.h"
#include "base/text.h"
#include "controlplane/api/cluster_choice.h"
#include "controlplane/runs/waiting_calls.h"
#include "proto/time.h"
#include "strategies/compose/compile.h"
#include "strategies/compose/deletion.h"
#include "strategies/compose/discovery.h"
#include "strategies/compose/inspection.h"
#include "strategies/interface/steps.h"
#include "strategies/verdicts/verdict.h"

namespace salvor::controlplane {
namespace {

uint64_t Entropy() {
  uint64_t entropy = 0;
  std::memcpy(&entropy, RandomBytes(sizeof entropy).data(), sizeof entropy);
  return entropy;
}

void ReplaceAll(std::string& text, const std::string& what, const std::string& by) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
}

// The part of a backup's plan that says what it will do, without what each run has for itself: its name, and when it
// was asked for. Two that are equal do the same; one of before a declaration was changed does not.
std::string Essence(const v1::RunHeader& header, v1::Flow flow) {
  for (v1::Step& step : *flow.mutable_steps()) {
    if (step.action().has_manifest_write())
      step.mutable_action()->mutable_manifest_write()->mutable_manifest()->clear_created_at();
    if (step.action().has_location_open())
      step.mutable_action()->mutable_location_open()->clear_forget_runs();
  }
  flow.clear_start_within();
  std::string text = flow.DebugString();
  ReplaceAll(text, header.backup(), "BACKUP");  // the run's name holds it
  return text;
}

// How long the run may wait for its beginning, if the request says so.
template <typename Request>
Status LimitStart(const Request& request, v1::Flow& flow) {
  if (!request.has_start_within()) return OkStatus();
  if (FromProto(request.start_within()) <= absl::ZeroDuration())
    return InvalidArgument("the time within which the run must start is not positive");
  *flow.mutable_start_within() = request.start_within();
  return OkStatus();
}

// The time at which a run that nobody has begun ends by itself.
absl::Time StartDeadline(const v1::RunHeader& header, const v1::Flow& flow) {
  if (!flow.has_start_within()) return absl::InfiniteFuture();
  return FromProto(header.requested_at()) + FromProto(flow.start_within());
}

}  // namespace

Planner::Planner(Catalog& catalog, Engine& engine, const strategies::StrategyRegistry& strategies,
                 const Clock& clock, std::string version)
    : catalog_(catalog),
      engine_(engine),
      strategies_(strategies),
      clock_(clock),
      version_(std::move(version)) {}

v1::RunHeader Planner::Header(v1::RunKind kind, const std::string& word, const std::string& application,
                              const std::string& environment, const std::string& by) {
  v1::RunHeader header;
  const absl::Time now = clock_.Now();
  do {
    header.set_name(MakeRunName(word, application, now, Entropy()));
  } while (engine_.GetRun(header.name()).ok());
  header.set_kind(kind);
  header.set_application(application);
  header.set_environment(environment);
  header.set_requested_by(by);
  *header.mutable_requested_at() = ToProto(now);
  return header;
}

StatusOr<Planner::Plan> Planner::PlanBackup(const v1::CreateBackupRequest& request, const std::string& by) {
  ASSIGN_OR_RETURN(const ResolvedApplication application, catalog_.Resolve(request.application()));
  Plan plan;
  plan.header = Header(v1::RUN_KIND_BACKUP, "backup", application.name, application.environment, by);
  plan.header.set_backup(plan.header.name().substr(std::strlen("backup-")));
  plan.backup_location = application.location;
  v1::Manifest manifest;
  manifest.set_format(1);
  manifest.set_backup(plan.header.backup());
  manifest.set_run(plan.header.name());
  manifest.set_application(application.name);
  manifest.set_environment(application.environment);
  manifest.set_salvor_version(version_);
  *manifest.mutable_created_at() = plan.header.requested_at();
  for (const v1::Component& component : application.components) *manifest.add_components() = component;
  strategies::BackupRequest wanted;
  wanted.run = plan.header.name();
  wanted.backup = plan.header.backup();
  wanted.location = application.location_spec.restic();
  wanted.forget_runs = RunsWithoutBackup(application.name, application.location);
  wanted.cluster = application.cluster;
  ASSIGN_OR_RETURN(strategies::BackupPlan compiled,
                   strategies::CompileBackup(strategies_, application.components, manifest, wanted));
  plan.flow = std::move(compiled.flow);
  plan.effects = std::move(compiled.effects);
  RETURN_IF_ERROR(LimitStart(request, plan.flow));
  return plan;
}

// Only the newest ones are looked at: what older ones left was forgotten by the backups since.
std::vector<std::string> Planner::RunsWithoutBackup(const std::string& application,
                                                    const std::string& location) {
  constexpr size_t kMostLooked = 50;
  std::vector<std::string> runs;
  size_t looked = 0;
  for (const v1::Backup& backup : engine_.ListBackups(application)) {
    if (++looked > kMostLooked) break;
    if (backup.coverage() == v1::Backup::COVERAGE_FAILED && !backup.has_manifest() &&
        backup.location() == location) {
      runs.push_back(backup.run());
    }
  }
  return runs;
}

StatusOr<v1::Backup> Planner::UsableBackup(const std::string& reference) {
  ASSIGN_OR_RETURN(v1::Backup backup, engine_.FindBackup(reference));
  RETURN_IF_ERROR(verdicts::CheckNotDeleted(backup));
  if (backup.has_manifest()) return backup;
  return WithHint(
      FailedPrecondition(
          "backup {} has no manifest, so nothing can be restored from it: {}", backup.name(),
          backup.coverage() == v1::Backup::COVERAGE_RUNNING ? "it is still running" : backup.reason()),
      fmt::format("Look at it with: salvor run show {}", backup.run()));
}

Status Planner::RefuseDisproven(const v1::Backup& backup) {
  if (backup.verification() != v1::Backup::VERIFICATION_DISPROVEN) return OkStatus();
  const auto proven = engine_.FindBackup("proven:" + backup.application());
  const std::string& why =
      backup.verification_reason().empty() ? backup.reason() : backup.verification_reason();
  return WithHint(
      FailedPrecondition("backup {} is disproven by {}: {}", backup.name(), backup.proven_by(), why),
      proven.ok()
          ? fmt::format("The newest proven one is {}: restore that, or add --accept-disproven.",
                        proven->name())
          : "No backup of this application is proven. Add --accept-disproven to restore this one all the same.");
}

StatusOr<Planner::Plan> Planner::PlanRestore(const v1::CreateRestoreRequest& request, const std::string& by) {
  if (request.to().empty()) {
    return WithHint(InvalidArgument("a restore needs a clear target"),
                    "Name the application to restore to with --to.");
  }
  ASSIGN_OR_RETURN(const v1::Backup backup, UsableBackup(request.backup()));
  if (!request.accept_disproven()) RETURN_IF_ERROR(RefuseDisproven(backup));
  ASSIGN_OR_RETURN(const ResolvedApplication target, catalog_.Resolve(request.to()));
  ASSIGN_OR_RETURN(const v1::LocationSpec location, catalog_.Location(backup.location()));
  Plan plan;
  plan.header = Header(v1::RUN_KIND_RESTORE, "restore", target.name, target.environment, by);
  plan.header.set_backup(backup.name());
  strategies::RestoreRequest wanted;
  wanted.run = plan.header.name();
  wanted.environment = target.environment;
  wanted.to_cluster = target.cluster.has_value();
  wanted.cluster = target.cluster;
  wanted.location = location.restic();
  wanted.manifest = &backup.manifest();
  wanted.asked = request;
  std::map<std::string, v1::Component> to;
  for (const v1::Component& component : target.components) to[component.name()] = component;
  const std::vector<std::string> components(request.components().begin(), request.components().end());
  ASSIGN_OR_RETURN(strategies::RestorePlan compiled,
                   strategies::CompileRestore(strategies_, wanted, to, components));
  plan.flow = std::move(compiled.flow);
  plan.effects = std::move(compiled.effects);
  RETURN_IF_ERROR(LimitStart(request, plan.flow));
  return plan;
}

// The checks of a manifest are those of its day. What they say for good may be a slip of the pen.
Status Planner::UseCurrentChecks(v1::Backup& backup) {
  ASSIGN_OR_RETURN(const ResolvedApplication application, catalog_.Resolve(backup.application()));
  for (v1::Component& component : *backup.mutable_manifest()->mutable_components()) {
    for (const v1::Component& current : application.components) {
      if (current.name() == component.name()) *component.mutable_checks() = current.checks();
    }
  }
  return OkStatus();
}

StatusOr<Planner::Plan> Planner::PlanDrill(const v1::CreateDrillRequest& request, const std::string& by) {
  ASSIGN_OR_RETURN(v1::Backup backup, UsableBackup(request.backup()));
  const v1::Manifest recorded = backup.manifest();
  if (request.current_checks()) RETURN_IF_ERROR(UseCurrentChecks(backup));
  ASSIGN_OR_RETURN(const v1::LocationSpec location, catalog_.Location(backup.location()));
  Plan plan;
  plan.header = Header(v1::RUN_KIND_DRILL, "drill", backup.application(), backup.environment(), by);
  plan.header.set_backup(backup.name());
  strategies::RestoreRequest wanted;
  wanted.run = plan.header.name();
  wanted.environment = backup.environment();
  wanted.cluster = catalog_.ClusterOf(backup.environment());
  wanted.to_cluster = wanted.cluster.has_value();
  wanted.drill = true;
  wanted.require_isolation = catalog_.RequiresIsolation(backup.environment());
  wanted.location = location.restic();
  wanted.manifest = &backup.manifest();
  wanted.recorded = &recorded;
  wanted.not_provable = verdicts::WhyNotProvable(&backup);
  ASSIGN_OR_RETURN(strategies::RestorePlan compiled, strategies::CompileDrill(strategies_, wanted));
  plan.flow = std::move(compiled.flow);
  plan.effects = std::move(compiled.effects);
  RETURN_IF_ERROR(LimitStart(request, plan.flow));
  return plan;
}

StatusOr<Planner::Plan> Planner::PlanDelete(const v1::DeleteBackupRequest& request, const std::string& by) {
  if (request.name().find(':') != std::string::npos) {
    return WithHint(InvalidArgument("'{}' may be another backup by the time it is deleted", request.name()),
                    "Name the backup itself. List them with: salvor backup list.");
  }
  ASSIGN_OR_RETURN(const v1::Backup backup, engine_.FindBackup(request.name()));
  ASSIGN_OR_RETURN(const v1::LocationSpec location, catalog_.Location(backup.location()));
  const std::vector<v1::Object> environments = catalog_.List("Environment", backup.environment());
  if (environments.size() != 1 || backup.environment().empty()) {
    return WithHint(FailedPrecondition("environment {} is not declared, and whoever made a backup deletes it",
                                       backup.environment()),
                    "Declare it again, with an agent, until the backup is deleted.");
  }
  const v1::EnvironmentSpec& environment = environments.front().environment();
  Plan plan;
  plan.header = Header(v1::RUN_KIND_DELETE, "delete", backup.application(), backup.environment(), by);
  plan.header.set_backup(backup.name());
  plan.terms = {request.last_proven(), request.last_usable()};
  strategies::DeletionRequest wanted;
  wanted.backup = &backup;
  wanted.location = location.restic();
  if (environment.runtime() == v1::RUNTIME_KUBERNETES) wanted.cluster = environment.cluster();
  ASSIGN_OR_RETURN(strategies::BackupPlan compiled, strategies::CompileDeletion(wanted));
  plan.flow = std::move(compiled.flow);
  plan.effects = std::move(compiled.effects);
  ASSIGN_OR_RETURN(const std::vector<verdicts::Objection> objections,
                   engine_.ObjectionsToDeletion(backup.name(), plan.terms));
  for (const verdicts::Objection& objection : objections)
    plan.effects.push_back(strategies::MakeEffect("refuse", objection.why, objection.next));
  RETURN_IF_ERROR(LimitStart(request, plan.flow));
  return plan;
}

namespace {

// A run that gives up earlier than this one may is no answer to it; nor is one that waits on when whoever asked for a
// limit wants to know.
bool AnswersInTime(const WaitingRun& waiting, const Planner::Plan& wanted) {
  const absl::Time then = StartDeadline(waiting.header, waiting.flow),
                   now = StartDeadline(wanted.header, wanted.flow);
  return then >= now && (then <= now || !wanted.flow.has_start_within());
}

}  // namespace

StatusOr<Planner::Plan> Planner::PlanInspection(const Plan& plan, const std::string& by) {
  Plan inspection;
  inspection.header =
      Header(v1::RUN_KIND_INSPECT, "inspect", plan.header.application(), plan.header.environment(), by);
  inspection.header.set_backup(plan.header.backup());
  ASSIGN_OR_RETURN(inspection.flow, strategies::WhatOnlyLooks(plan.flow));
  return inspection;
}

StatusOr<Planner::Plan> Planner::PlanDiscovery(const v1::CreateDiscoveryRequest& request,
                                               const std::string& by) {
  RETURN_IF_ERROR_IN(CheckObjectName(request.namespace_()), "namespace");
  ASSIGN_OR_RETURN(const v1::Object environment,
                   ChooseCluster(catalog_.List("Environment", ""), request.environment()));
  Plan plan;
  const std::string& name = environment.metadata().name();
  plan.header = Header(v1::RUN_KIND_INSPECT, "inspect", request.namespace_(), name, by);
  plan.header.clear_application();
  ASSIGN_OR_RETURN(plan.flow, strategies::CompileDiscovery(name, environment.environment().cluster(),
                                                           request.namespace_()));
  return plan;
}

StatusOr<v1::CreateRunResponse> Planner::Execute(StatusOr<Plan> plan, bool dry_run) {
  RETURN_IF_ERROR(plan.status());
  if (!dry_run && plan->header.kind() == v1::RUN_KIND_BACKUP) {
    for (const WaitingRun& waiting : engine_.FindWaiting(v1::RUN_KIND_BACKUP, plan->header.application())) {
      if (!AnswersInTime(waiting, *plan)) continue;
      if (Essence(waiting.header, waiting.flow) != Essence(plan->header, plan->flow)) continue;
      RETURN_IF_ERROR(WaitUntilDurable(engine_));  // who is told of it may rely on it
      v1::CreateRunResponse existing;
      existing.set_run(waiting.header.name());
      existing.set_backup(waiting.header.backup());
      existing.set_existing(true);
      return existing;
    }
  }
  RETURN_IF_ERROR(strategies::ValidateFlow(plan->flow, plan->header.kind()));
  v1::CreateRunResponse response;
  for (const v1::PlannedEffect& effect : plan->effects) *response.add_effects() = effect;
  response.set_backup(plan->header.backup());
  if (dry_run) {
    *response.mutable_flow() = std::move(plan->flow);
    return response;
  }
  response.set_run(plan->header.name());
  plan->header.set_flow_sha256(Sha256::Of(plan->flow.SerializeAsString()));
  RETURN_IF_ERROR(
      StartRunAndWait(engine_, plan->header, std::move(plan->flow), plan->backup_location, plan->terms));
  return response;
}

}  // namespace salvor::controlplane
