#include "strategies/verdicts/records.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/doubt_limit.h"
#include "proto/artifact.h"
#include "proto/time.h"
#include "strategies/verdicts/deletion.h"
#include "strategies/verdicts/verdict.h"

namespace salvor::verdicts {
namespace {

// Below these a copy may shrink as it likes: one row of two is no alarm.
constexpr int64_t kFewEntries = 20, kFewBytes = 1 << 20;

struct Size {
  std::string of;
  int64_t few, then, now;
};

// The sizes by which an artifact is weighed: the first thing that it counts, and its bytes.
std::vector<Size> SizesOf(const v1::Artifact& then, const v1::Artifact& now) {
  std::vector<Size> sizes;
  if (const v1::Artifact::Contents contents = ContentsOf(then); !contents.counts().empty()) {
    const v1::Artifact::Count& first = contents.counts(0);
    sizes.push_back(
        {first.noun() + "s", kFewEntries, first.number(), CountIn(ContentsOf(now), first.noun())});
  }
  sizes.push_back({"bytes", kFewBytes, then.bytes(), now.bytes()});
  return sizes;
}

// The application's own data; what accompanies it (details, roles) counts nothing.
bool SaysWhatIsInside(const v1::Artifact& artifact) {
  const v1::Artifact::Contents contents = ContentsOf(artifact);
  return std::any_of(contents.counts().begin(), contents.counts().end(),
                     [](const v1::Artifact::Count& count) { return count.number() > 0; });
}

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

v1::Backup FinishBackup(v1::Backup backup, const v1::Run& run, const v1::Backup* last) {
  *backup.mutable_finished_at() = run.finished_at();
  backup.set_reason(run.reason());
  backup.set_coverage(CoverageOf(run));
  for (const v1::StepStatus& step : run.steps()) {
    if (step.phase() == v1::STEP_PHASE_SUCCEEDED && step.result().has_manifest())
      *backup.mutable_manifest() = step.result().manifest();
  }
  if (last == nullptr) return backup;
  for (std::string& doubt : DoubtsAbout(backup.manifest(), last->manifest()))
    backup.add_doubts(std::move(doubt));
  return backup;
}

v1::Backup::Verification VerificationOf(v1::Verdict verdict) {
  switch (verdict) {
    case v1::VERDICT_PROVEN:
      return v1::Backup::VERIFICATION_PROVEN;
    case v1::VERDICT_DISPROVEN:
      return v1::Backup::VERIFICATION_DISPROVEN;
    default:
      return v1::Backup::VERIFICATION_UNVERIFIABLE;
  }
}

v1::Verdict VerdictOf(v1::Backup::Verification verification) {
  switch (verification) {
    case v1::Backup::VERIFICATION_PROVEN:
      return v1::VERDICT_PROVEN;
    case v1::Backup::VERIFICATION_DISPROVEN:
      return v1::VERDICT_DISPROVEN;
    default:
      return v1::VERDICT_UNVERIFIABLE;
  }
}

// The record says what the newest verification found.
v1::Backup Verified(v1::Backup backup, const v1::Verification& newest) {
  backup.set_verification(VerificationOf(newest.verdict()));
  backup.set_verification_reason(newest.reason());
  backup.set_proven_by(newest.run());
  *backup.mutable_verified_at() = newest.at();
  return backup;
}

// The verification that the record itself says; nothing when it was never verified.
std::optional<v1::Verification> NewestIn(const v1::Backup& backup) {
  if (backup.proven_by().empty()) return std::nullopt;
  v1::Verification newest;
  newest.set_backup(backup.name());
  newest.set_run(backup.proven_by());
  newest.set_verdict(VerdictOf(backup.verification()));
  newest.set_reason(backup.verification_reason());
  *newest.mutable_at() = backup.verified_at();
  return newest;
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
      if (size.then < size.few || !ShrankBelow(limit_percent, size)) continue;
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

std::vector<v1::Verification> VerificationsOf(const v1::Backup& backup,
                                              std::vector<v1::Verification> stored) {
  std::optional<v1::Verification> newest = NewestIn(backup);
  const bool there = newest.has_value() &&
                     std::any_of(stored.begin(), stored.end(),
                                 [&](const v1::Verification& one) { return one.run() == newest->run(); });
  if (newest.has_value() && !there) stored.insert(stored.begin(), *std::move(newest));
  // The newest one's own record may be the one that can't be read.
  std::stable_sort(stored.begin(), stored.end(),
                   [](const v1::Verification& one, const v1::Verification& other) {
                     return FromProto(one.at()) < FromProto(other.at());
                   });
  return stored;
}

Records RecordsOf(v1::Run finished, const Known& known) {
  Records records;
  records.run = Judged(std::move(finished), known.backup);
  if (known.backup == nullptr) return records;
  if (known.backup->run() == records.run.header().name()) {
    records.backup = FinishBackup(*known.backup, records.run, known.last_believed);
  } else if (records.run.header().kind() == v1::RUN_KIND_DELETE) {
    records.backup = EndDeletion(*known.backup, records.run);
  } else if (records.run.header().kind() == v1::RUN_KIND_DRILL) {
    std::optional<v1::Verification> finding = FindingOf(records.run, known.backup);
    if (!finding.has_value()) return records;
    records.backup = Verified(*known.backup, *finding);
    if (std::optional<v1::Verification> before = NewestIn(*known.backup))
      records.verifications.push_back(*std::move(before));
    records.verifications.push_back(*std::move(finding));
  }
  return records;
}

}  // namespace salvor::verdicts
