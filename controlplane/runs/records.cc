#include "controlplane/runs/records.h"

#include <fmt/core.h>

#include <set>
#include <vector>

namespace salvor::controlplane {
namespace {

bool TreeHasGaps(const v1::Manifest& manifest) {
  for (const v1::Artifact& artifact : manifest.artifacts()) {
    if (artifact.kind() == v1::Artifact::KIND_TREE && artifact.coverage().not_covered_total() > 0)
      return true;
  }
  return false;
}

// A restore or comparison that failed by itself, not for want of something around it.
bool Disproves(const v1::StepStatus& step) {
  static const std::set<std::string> kJudges = {"postgres_restore_roles", "postgres_restore",
                                                "postgres_verify", "disk_restore", "disk_verify"};
  return step.phase() == v1::STEP_PHASE_FAILED && kJudges.count(step.action()) > 0 &&
         step.result().error().reason() == v1::Error::REASON_FAILED;
}

}  // namespace

v1::Backup BeginBackup(const v1::RunHeader& run, const std::string& location) {
  v1::Backup backup;
  backup.set_name(run.backup());
  backup.set_application(run.application());
  backup.set_environment(run.environment());
  backup.set_location(location);
  backup.set_run(run.name());
  backup.set_coverage(v1::Backup::COVERAGE_RUNNING);
  backup.set_verification(v1::Backup::VERIFICATION_UNPROVEN);
  *backup.mutable_created_at() = run.requested_at();
  return backup;
}

v1::Backup FinishBackup(v1::Backup backup, const v1::Run& run) {
  *backup.mutable_finished_at() = run.finished_at();
  backup.set_reason(run.reason());
  backup.set_coverage(v1::Backup::COVERAGE_FAILED);
  for (const v1::StepStatus& step : run.steps()) {
    if (step.phase() != v1::STEP_PHASE_SUCCEEDED || !step.result().has_manifest()) continue;
    *backup.mutable_manifest() = step.result().manifest();
    const bool whole = step.result().manifest().missing().empty() && !TreeHasGaps(step.result().manifest());
    backup.set_coverage(whole ? v1::Backup::COVERAGE_COMPLETE : v1::Backup::COVERAGE_PARTIAL);
  }
  return backup;
}

std::vector<v1::Check> ChecksOf(const v1::Run& run) {
  std::vector<v1::Check> checks;
  for (const v1::StepStatus& step : run.steps()) {
    for (const v1::Check& check : step.result().checks()) checks.push_back(check);
  }
  return checks;
}

std::optional<v1::Backup> AfterDrill(v1::Backup backup, const v1::Run& drill) {
  std::string failed, unverifiable;
  int passed = 0;
  for (const v1::Check& check : ChecksOf(drill)) {
    const std::string name =
        fmt::format("{} {} {}: {}", check.component(), check.kind(), check.subject(), check.compared());
    if (check.verdict() == v1::Check::VERDICT_FAILED && failed.empty()) failed = name;
    if (check.verdict() == v1::Check::VERDICT_UNVERIFIABLE && unverifiable.empty()) unverifiable = name;
    // That the drill was isolated is no word about the backup.
    if (check.verdict() == v1::Check::VERDICT_PASSED && check.kind() != "isolation") ++passed;
  }
  for (const v1::StepStatus& step : drill.steps()) {
    if (failed.empty() && Disproves(step)) failed = fmt::format("{}: {}", step.id(), step.reason());
  }
  if (failed.empty() && drill.phase() != v1::RUN_PHASE_SUCCEEDED) return std::nullopt;
  backup.set_proven_by(drill.header().name());
  *backup.mutable_verified_at() = drill.finished_at();
  if (!failed.empty()) {
    backup.set_verification(v1::Backup::VERIFICATION_DISPROVEN);
    backup.set_reason(failed);
  } else if (!unverifiable.empty() || passed == 0 || backup.coverage() != v1::Backup::COVERAGE_COMPLETE) {
    backup.set_verification(v1::Backup::VERIFICATION_UNVERIFIABLE);
    backup.set_reason(!unverifiable.empty() ? unverifiable
                      : passed == 0         ? "the drill made no check"
                                            : "the backup is not complete");
  } else {
    backup.set_verification(v1::Backup::VERIFICATION_PROVEN);
    backup.clear_reason();
  }
  return backup;
}

}  // namespace salvor::controlplane
