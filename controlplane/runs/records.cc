#include "controlplane/runs/records.h"

#include <fmt/core.h>

#include <map>
#include <string_view>
#include <vector>

#include "base/doubt_limit.h"

namespace salvor::controlplane {
namespace {

bool TreeHasGaps(const v1::Manifest& manifest) {
  for (const v1::Artifact& artifact : manifest.artifacts()) {
    if (artifact.kind() == v1::Artifact::KIND_TREE && artifact.coverage().not_covered_total() > 0)
      return true;
  }
  return false;
}

// Found positively by the step: a digest, a comparison, a state by which a server says that it can't take these bytes.
// Whatever else may have gone wrong around it says nothing about the backup.
bool Disproves(const v1::StepStatus& step) {
  return step.phase() == v1::STEP_PHASE_FAILED && step.result().error().reason() == v1::Error::REASON_CORRUPT;
}

struct Size {
  const char* of;
  int64_t then, now;
};

std::vector<Size> SizesOf(const v1::Artifact& then, const v1::Artifact& now) {
  return {{"rows", then.rows(), now.rows()},
          {"files", then.files(), now.files()},
          {"bytes", then.bytes(), now.bytes()}};
}

// The application's own data; what accompanies it (details, roles) counts nothing.
bool SaysWhatIsInside(const v1::Artifact& artifact) {
  return artifact.rows() > 0 || artifact.files() > 0 || artifact.tables() > 0;
}

// Below these a copy may shrink as it likes: one row of two is no alarm.
constexpr int64_t kFewEntries = 20, kFewBytes = 1 << 20;

// The limit of the component that made the artifact. One that cannot be read, as a newer version declared it, is the
// usual one.
int DoubtLimitOf_percent(const v1::Manifest& manifest, const v1::Artifact& artifact) {
  for (const v1::Component& component : manifest.components()) {
    if (component.name() != artifact.component()) continue;
    return ParseDoubtLimit(component.doubt_below()).value_or(kUsualDoubtLimit_percent);
  }
  return kUsualDoubtLimit_percent;
}

bool ShrankBelow(int limit_percent, const Size& size) {
  return static_cast<double>(size.now) * 100 < static_cast<double>(size.then) * limit_percent;
}

}  // namespace

std::vector<std::string> DoubtsAbout(const v1::Manifest& now, const v1::Manifest& last) {
  std::map<std::string, const v1::Artifact*> before;
  for (const v1::Artifact& artifact : last.artifacts()) before[artifact.name()] = &artifact;
  std::vector<std::string> doubts;
  for (const v1::Artifact& artifact : now.artifacts()) {
    const auto known = before.find(artifact.name());
    if (known == before.end() || !SaysWhatIsInside(*known->second)) continue;
    const int limit_percent = DoubtLimitOf_percent(now, artifact);
    for (const Size& size : SizesOf(*known->second, artifact)) {
      const int64_t few = size.of == std::string_view("bytes") ? kFewBytes : kFewEntries;
      if (size.then < few || !ShrankBelow(limit_percent, size)) continue;
      doubts.push_back(fmt::format("{} has {} {}, and had {} in backup {}", artifact.name(), size.now,
                                   size.of, size.then, last.backup()));
      break;
    }
  }
  return doubts;
}

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

v1::Backup FinishBackup(v1::Backup backup, const v1::Run& run, const v1::Backup* last) {
  *backup.mutable_finished_at() = run.finished_at();
  backup.set_reason(run.reason());
  backup.set_coverage(v1::Backup::COVERAGE_FAILED);
  for (const v1::StepStatus& step : run.steps()) {
    if (step.phase() != v1::STEP_PHASE_SUCCEEDED || !step.result().has_manifest()) continue;
    *backup.mutable_manifest() = step.result().manifest();
    const bool whole = step.result().manifest().missing().empty() && !TreeHasGaps(step.result().manifest());
    backup.set_coverage(whole ? v1::Backup::COVERAGE_COMPLETE : v1::Backup::COVERAGE_PARTIAL);
  }
  if (last == nullptr) return backup;
  for (std::string& doubt : DoubtsAbout(backup.manifest(), last->manifest()))
    backup.add_doubts(std::move(doubt));
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
    backup.set_verification_reason(failed);
    return backup;
  }
  if (unverifiable.empty() && passed == 0) unverifiable = "the drill made no check";
  if (unverifiable.empty() && backup.coverage() != v1::Backup::COVERAGE_COMPLETE)
    unverifiable = "the backup is not complete";
  if (unverifiable.empty() && backup.doubts_size() > 0 && !backup.has_acceptance()) {
    unverifiable = fmt::format("{}; if that is as it should be: salvor backup accept {} --reason TEXT",
                               backup.doubts(0), backup.name());
  }
  backup.set_verification(unverifiable.empty() ? v1::Backup::VERIFICATION_PROVEN
                                               : v1::Backup::VERIFICATION_UNVERIFIABLE);
  backup.set_verification_reason(unverifiable);
  return backup;
}

}  // namespace salvor::controlplane
