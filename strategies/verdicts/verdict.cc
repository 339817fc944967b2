#include "strategies/verdicts/verdict.h"

#include <fmt/core.h>

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "base/text.h"
#include "proto/artifact.h"
#include "proto/phase.h"
#include "proto/time.h"

namespace salvor::verdicts {
namespace {

// A run that did not get to its end, and found nothing that counts all the same.
Judgement Unfinished(const v1::Run& run) {
  return {run.phase() == v1::RUN_PHASE_CANCELLED ? v1::VERDICT_CANCELLED : v1::VERDICT_FAILED, run.reason(),
          run.hint()};
}

std::string AndMore(int64_t more) { return more > 0 ? fmt::format(" and {} more", more) : ""; }

// The steps in the order in which they were done, which is the same to whoever knows nothing but their results.
std::vector<const v1::StepStatus*> StepsOf(const v1::Run& run) {
  std::vector<const v1::StepStatus*> steps;
  for (const v1::StepStatus& step : run.steps()) steps.push_back(&step);
  const auto when = [](const v1::StepStatus* step) {
    return std::tuple(FromProto(step->result().started_at()), std::string_view(step->id()));
  };
  std::sort(steps.begin(), steps.end(), [&](const auto* a, const auto* b) { return when(a) < when(b); });
  return steps;
}

std::vector<const v1::Check*> ChecksOf(const v1::Run& run) {
  std::vector<const v1::Check*> checks;
  for (const v1::StepStatus* step : StepsOf(run)) {
    for (const v1::Check& check : step->result().checks()) checks.push_back(&check);
  }
  return checks;
}

// "db rows orders: 3 and 4", of what the check says of it.
std::string NameOf(const v1::Check& check) {
  std::vector<std::string> words;
  for (const std::string& word : {check.component(), check.kind(), check.subject()}) {
    if (!word.empty()) words.push_back(word);
  }
  const std::string name = words.empty() ? "a check" : Join(words, " ");
  return check.compared().empty() ? name : fmt::format("{}: {}", name, check.compared());
}

// "db.restore.shop: what went wrong", of what the step says of it.
std::string NameOf(const v1::StepStatus& step) {
  const std::string& why = step.reason().empty() ? step.result().error().message() : step.reason();
  const std::string name = step.id().empty() ? "a step" : step.id();
  return why.empty() ? name : fmt::format("{}: {}", name, why);
}

// Found positively by the step: a digest, a comparison, a state by which a server says that it can't take these bytes.
// Whatever else may have gone wrong around it says nothing about the backup.
bool Disproves(const v1::StepStatus& step) {
  return step.phase() == v1::STEP_PHASE_FAILED && step.purpose() != v1::PURPOSE_RECORD &&
         step.result().error().reason() == v1::Error::REASON_CORRUPT;
}

// The drill found all that was to be found: at most the writing down of it failed, was cancelled, or was never begun. Where
// the scratch place was gone before its time nobody knows what was looked at.
bool FoundAll(const v1::Run& drill) {
  if (drill.phase() == v1::RUN_PHASE_SUCCEEDED) return true;
  const bool relied_in_vain =
      std::any_of(drill.obligations().begin(), drill.obligations().end(),
                  [](const v1::ObligationStatus& obligation) { return obligation.released_early(); });
  if (relied_in_vain) return false;
  bool records = false;
  for (const v1::StepStatus& step : drill.steps()) {
    const bool is_record = step.purpose() == v1::PURPOSE_RECORD;
    if (!is_record && step.phase() != v1::STEP_PHASE_SUCCEEDED) return false;
    records = records || is_record;
  }
  return records;
}

// The manifest that the run wrote; null when it wrote none.
const v1::Manifest* ManifestOf(const v1::Run& run) {
  const v1::Manifest* manifest = nullptr;
  for (const v1::StepStatus& step : run.steps()) {
    if (step.phase() == v1::STEP_PHASE_SUCCEEDED && step.result().has_manifest())
      manifest = &step.result().manifest();
  }
  return manifest;
}

// Names what is not in an artifact that should be: its first name and how much more; empty when nothing is.
std::string GapOf(const v1::Manifest& manifest) {
  for (const v1::Artifact& artifact : manifest.artifacts()) {
    const int64_t gaps = ContentsOf(artifact).gaps();
    if (gaps <= 0) continue;
    if (artifact.coverage().not_covered().empty())
      return fmt::format("{} of {} not covered", gaps, artifact.name());
    return artifact.coverage().not_covered(0) + AndMore(gaps - 1);
  }
  return "";
}

// "db database audit: permission denied and 2 more".
std::string MissingIn(const v1::Manifest& manifest) {
  const v1::MissingArtifact& first = manifest.missing(0);
  const std::string of = first.component().empty() ? "" : first.component() + " ";  // or of them all
  return fmt::format("{}{}: {}{}", of, first.title(), first.why(), AndMore(manifest.missing_size() - 1));
}

// A manifest that only says what is missing is no backup: nothing can be restored from it.
bool KeptNothing(const v1::Manifest& manifest) {
  return manifest.artifacts().empty() && !manifest.missing().empty();
}

Judgement JudgeBackup(const v1::Run& run) {
  if (run.phase() == v1::RUN_PHASE_CANCELLED) return Unfinished(run);
  const v1::Manifest* manifest = ManifestOf(run);
  if (CoverageOf(run) == v1::Backup::COVERAGE_PARTIAL) {
    return {v1::VERDICT_PARTIAL, manifest->missing().empty() ? GapOf(*manifest) : MissingIn(*manifest),
            run.hint()};
  }
  if (run.phase() != v1::RUN_PHASE_SUCCEEDED) return Unfinished(run);
  if (manifest != nullptr && KeptNothing(*manifest))
    return {v1::VERDICT_FAILED, MissingIn(*manifest), run.hint()};
  if (manifest == nullptr) return {v1::VERDICT_FAILED, "no manifest was written, so nothing was kept", ""};
  return {v1::VERDICT_COMPLETE, "", ""};
}

Judgement JudgeDrill(const v1::Run& run, const v1::Backup* backup) {
  const std::optional<v1::Verification> finding = FindingOf(run, backup);
  if (!finding.has_value()) return Unfinished(run);
  return {finding->verdict(), finding->reason(), run.hint()};
}

// Names what a restore that keeps going left out; empty when it left nothing out.
std::string NotBuilt(const v1::Run& run) {
  constexpr size_t kMost = 5;
  std::vector<std::string> titles;
  int64_t total = 0;
  for (const v1::StepStatus& step : run.steps()) {
    total += step.result().not_built_size() + step.result().not_built_left_out();
    for (const v1::NotBuilt& one : step.result().not_built()) {
      if (titles.size() < kMost) titles.push_back(one.title());
    }
  }
  if (total == 0) return "";
  return "could not be built: " + Join(titles, ", ") + AndMore(total - static_cast<int64_t>(titles.size()));
}

// A restore is partial by what its databases could not build, else by a check that has a word of its own on it.
constexpr char kBuildByHand[] =
    "All the rest is restored and compared. Once the cause is mended, build what is named by hand: the operations manual "
    "says how.";
constexpr char kTheRestIsThere[] = "All the rest is restored and compared. See what is named, one by one.";

Judgement JudgeRestore(const v1::Run& run) {
  std::string unverifiable, not_built = NotBuilt(run);
  std::string hint = not_built.empty() ? kTheRestIsThere : kBuildByHand;
  for (const v1::Check* check : ChecksOf(run)) {
    if (check->verdict() == v1::Check::VERDICT_PASSED) continue;
    if (check->verdict() != v1::Check::VERDICT_FAILED) {
      if (unverifiable.empty()) unverifiable = NameOf(*check);
    } else if (!check->not_built()) {
      return {v1::VERDICT_FAILED, NameOf(*check), run.hint()};
    } else if (not_built.empty()) {
      not_built = NameOf(*check);
      if (!check->hint().empty()) hint = check->hint();
    }
  }
  if (run.phase() != v1::RUN_PHASE_SUCCEEDED) return Unfinished(run);
  if (!not_built.empty()) return {v1::VERDICT_PARTIAL, not_built, hint};
  if (!unverifiable.empty()) return {v1::VERDICT_UNVERIFIABLE, unverifiable, run.hint()};
  return {v1::VERDICT_RESTORED, "", ""};
}

// A look finds what would go wrong, which is no failure of its own; lists say it all the same.
Judgement JudgeLook(const v1::Run& run) {
  for (const v1::Check* check : ChecksOf(run)) {
    if (check->verdict() == v1::Check::VERDICT_FAILED)
      return {v1::VERDICT_FAILED, NameOf(*check), run.hint()};
  }
  if (run.phase() != v1::RUN_PHASE_SUCCEEDED) return Unfinished(run);
  return {v1::VERDICT_COMPLETE, "", ""};
}

// How the checks of a drill came out, counted and by the first of each.
struct Tally {
  v1::Verification counts;
  std::string failed, unverifiable;
  bool looked = false;  // some check passed that says more than that the drill was isolated
};

Tally TallyOf(const v1::Run& drill) {
  Tally tally;
  v1::Verification& counts = tally.counts;
  for (const v1::Check* check : ChecksOf(drill)) {
    const bool passed = check->verdict() == v1::Check::VERDICT_PASSED;
    const bool isolation = check->kind() == "isolation";
    if (isolation) {
      const bool held = passed && counts.isolation() != v1::Verification::ISOLATION_NOT_HELD;
      counts.set_isolation(held ? v1::Verification::ISOLATION_HELD : v1::Verification::ISOLATION_NOT_HELD);
    }
    if (passed) {
      counts.set_passed(counts.passed() + 1);
      tally.looked = tally.looked || !isolation;
    } else if (check->verdict() == v1::Check::VERDICT_FAILED) {
      counts.set_failed(counts.failed() + 1);
      if (tally.failed.empty()) tally.failed = NameOf(*check);
    } else {  // a verdict this version does not know is no pass
      counts.set_unverifiable(counts.unverifiable() + 1);
      if (tally.unverifiable.empty()) tally.unverifiable = NameOf(*check);
    }
  }
  for (const v1::StepStatus* step : StepsOf(drill)) {
    if (tally.failed.empty() && Disproves(*step)) tally.failed = NameOf(*step);
  }
  return tally;
}

// Warns where a drill should have kept its finding in the Location, and has not.
void WarnOfLostProof(v1::Run& drill) {
  for (v1::StepStatus& step : *drill.mutable_steps()) {
    if (step.purpose() != v1::PURPOSE_RECORD || step.phase() == v1::STEP_PHASE_SUCCEEDED) continue;
    step.mutable_result()->add_warnings(
        "the drill's finding is kept by the control plane only: it could not be written into the Location, beside the "
        "backup");
  }
}

}  // namespace

std::string WhyNotProvable(const v1::Backup* backup) {
  if (backup == nullptr) return "the record of the backup is not there";
  if (backup->coverage() != v1::Backup::COVERAGE_COMPLETE) return "the backup is not complete";
  if (backup->doubts().empty() || backup->has_acceptance()) return "";
  return fmt::format("{}; if that is as it should be: salvor backup accept {} --reason TEXT",
                     backup->doubts(0), backup->name());
}

v1::Backup::Coverage CoverageOf(const v1::Run& run) {
  const v1::Manifest* manifest = ManifestOf(run);
  if (manifest == nullptr || KeptNothing(*manifest)) return v1::Backup::COVERAGE_FAILED;
  const bool whole = manifest->missing().empty() && GapOf(*manifest).empty();
  return whole ? v1::Backup::COVERAGE_COMPLETE : v1::Backup::COVERAGE_PARTIAL;
}

std::optional<v1::Verification> FindingOf(const v1::Run& drill, const v1::Backup* backup) {
  return FindingOf(drill, WhyNotProvable(backup));
}

std::optional<v1::Verification> FindingOf(const v1::Run& drill, const std::string& not_provable) {
  Tally tally = TallyOf(drill);
  if (tally.failed.empty() && !FoundAll(drill)) return std::nullopt;
  v1::Verification finding = std::move(tally.counts);
  finding.set_backup(drill.header().backup());
  finding.set_run(drill.header().name());
  *finding.mutable_at() = drill.finished_at();
  if (!tally.failed.empty()) {
    finding.set_verdict(v1::VERDICT_DISPROVEN);
    finding.set_reason(tally.failed);
    return finding;
  }
  finding.set_reason(!tally.unverifiable.empty() ? tally.unverifiable
                     : !tally.looked             ? "the drill made no check"
                                                 : not_provable);
  finding.set_verdict(finding.reason().empty() ? v1::VERDICT_PROVEN : v1::VERDICT_UNVERIFIABLE);
  return finding;
}

v1::Run DrillSoFar(const std::string& run, const std::string& backup,
                   const std::map<std::string, v1::ActionResult>& results) {
  v1::Run drill;
  drill.mutable_header()->set_name(run);
  drill.mutable_header()->set_kind(v1::RUN_KIND_DRILL);
  drill.mutable_header()->set_backup(backup);
  drill.set_phase(v1::RUN_PHASE_SUCCEEDED);
  for (const auto& [id, result] : results) {
    v1::StepStatus* step = drill.add_steps();
    step->set_id(id);
    step->set_phase(result.has_error() ? v1::STEP_PHASE_FAILED : v1::STEP_PHASE_SUCCEEDED);
    step->set_reason(result.error().message());
    *step->mutable_result() = result;
    if (result.has_error()) drill.set_phase(v1::RUN_PHASE_FAILED);
  }
  return drill;
}

Judgement Judge(const v1::Run& run, const v1::Backup* backup) {
  if (!IsOver(run.phase())) return {};
  switch (run.header().kind()) {
    case v1::RUN_KIND_BACKUP:
      return JudgeBackup(run);
    case v1::RUN_KIND_DRILL:
      return JudgeDrill(run, backup);
    case v1::RUN_KIND_RESTORE:
      return JudgeRestore(run);
    case v1::RUN_KIND_INSPECT:
      return JudgeLook(run);
    default:
      return run.phase() == v1::RUN_PHASE_SUCCEEDED ? Judgement{v1::VERDICT_COMPLETE, "", ""}
                                                    : Unfinished(run);
  }
}

v1::Run Judged(v1::Run run, const v1::Backup* backup) {
  Judgement judgement = Judge(run, backup);
  const bool found = judgement.verdict == v1::VERDICT_PROVEN || judgement.verdict == v1::VERDICT_DISPROVEN ||
                     judgement.verdict == v1::VERDICT_UNVERIFIABLE;
  if (run.header().kind() == v1::RUN_KIND_DRILL && found) WarnOfLostProof(run);
  run.set_verdict(judgement.verdict);
  run.set_verdict_reason(std::move(judgement.reason));
  run.set_verdict_hint(std::move(judgement.hint));
  return run;
}

std::string_view WordOf(v1::Verdict verdict) {
  switch (verdict) {
    case v1::VERDICT_COMPLETE:
      return "complete";
    case v1::VERDICT_PARTIAL:
      return "partial";
    case v1::VERDICT_PROVEN:
      return "proven";
    case v1::VERDICT_DISPROVEN:
      return "disproven";
    case v1::VERDICT_UNVERIFIABLE:
      return "unverifiable";
    case v1::VERDICT_RESTORED:
      return "restored";
    case v1::VERDICT_FAILED:
      return "failed";
    case v1::VERDICT_CANCELLED:
      return "cancelled";
    default:
      return "";
  }
}

}  // namespace salvor::verdicts
