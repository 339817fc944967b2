#include "tools/cli/words/words.h"

#include <algorithm>
#include <map>

#include "base/text.h"
#include "proto/artifact.h"
#include "tools/cli/terminal/text_layout.h"

namespace salvor::cli {

namespace {

// Values of a newer control plane look like nothing in particular.
Tone ToneOf(v1::RunPhase phase) {
  switch (phase) {
    case v1::RUN_PHASE_RUNNING:
      return Tone::kActive;
    case v1::RUN_PHASE_SUCCEEDED:
      return Tone::kGood;
    case v1::RUN_PHASE_FAILED:
    case v1::RUN_PHASE_QUARANTINED:
      return Tone::kBad;
    case v1::RUN_PHASE_CANCELLING:
    case v1::RUN_PHASE_CANCELLED:
      return Tone::kWarning;
    default:
      return Tone::kPlain;
  }
}

Tone ToneOf(v1::Verdict verdict) {
  switch (verdict) {
    case v1::VERDICT_COMPLETE:
    case v1::VERDICT_PROVEN:
    case v1::VERDICT_RESTORED:
      return Tone::kGood;
    case v1::VERDICT_DISPROVEN:
    case v1::VERDICT_FAILED:
      return Tone::kBad;
    case v1::VERDICT_PARTIAL:
    case v1::VERDICT_UNVERIFIABLE:
    case v1::VERDICT_CANCELLED:
      return Tone::kWarning;
    default:
      return Tone::kPlain;
  }
}

Tone ToneOf(v1::StepPhase phase) {
  switch (phase) {
    case v1::STEP_PHASE_RUNNING:
      return Tone::kActive;
    case v1::STEP_PHASE_SUCCEEDED:
      return Tone::kGood;
    case v1::STEP_PHASE_FAILED:
      return Tone::kBad;
    case v1::STEP_PHASE_BACKOFF:
    case v1::STEP_PHASE_PAUSED:
    case v1::STEP_PHASE_CANCELLED:
      return Tone::kWarning;
    case v1::STEP_PHASE_PENDING:
    case v1::STEP_PHASE_SKIPPED:
      return Tone::kDim;
    default:
      return Tone::kPlain;
  }
}

Tone ToneOf(v1::Check::Verdict verdict) {
  switch (verdict) {
    case v1::Check::VERDICT_PASSED:
      return Tone::kGood;
    case v1::Check::VERDICT_FAILED:
      return Tone::kBad;
    default:
      return Tone::kWarning;  // a verdict we do not know is none
  }
}

Tone ToneOf(v1::Backup::Coverage coverage) {
  switch (coverage) {
    case v1::Backup::COVERAGE_COMPLETE:
      return Tone::kGood;
    case v1::Backup::COVERAGE_PARTIAL:
      return Tone::kWarning;
    case v1::Backup::COVERAGE_FAILED:
      return Tone::kBad;
    case v1::Backup::COVERAGE_RUNNING:
      return Tone::kActive;
    default:
      return Tone::kPlain;
  }
}

Tone ToneOf(v1::Backup::Verification verification) {
  switch (verification) {
    case v1::Backup::VERIFICATION_PROVEN:
      return Tone::kGood;
    case v1::Backup::VERIFICATION_DISPROVEN:
      return Tone::kBad;
    case v1::Backup::VERIFICATION_UNVERIFIABLE:
      return Tone::kWarning;
    default:
      return Tone::kPlain;
  }
}

Tone ToneOf(v1::Deletion::State state) {
  switch (state) {
    case v1::Deletion::STATE_DELETING:
      return Tone::kActive;
    case v1::Deletion::STATE_FAILED:
      return Tone::kBad;
    case v1::Deletion::STATE_DELETED:
      return Tone::kDim;
    default:
      return Tone::kPlain;
  }
}

Tone ToneOf(v1::ObligationStatus::Phase phase) {
  switch (phase) {
    case v1::ObligationStatus::PHASE_OPEN:
      return Tone::kActive;
    case v1::ObligationStatus::PHASE_RELEASED:
      return Tone::kGood;
    case v1::ObligationStatus::PHASE_UNCONFIRMED:
      return Tone::kBad;
    case v1::ObligationStatus::PHASE_PENDING:
    case v1::ObligationStatus::PHASE_NOT_NEEDED:
      return Tone::kDim;
    default:
      return Tone::kPlain;
  }
}

}  // namespace

Worded Word(v1::RunPhase phase) { return {words::Word(phase), ToneOf(phase)}; }
Worded Word(v1::Verdict verdict) { return {words::Word(verdict), ToneOf(verdict)}; }
Worded Word(v1::StepPhase phase) { return {words::Word(phase), ToneOf(phase)}; }
Worded Word(v1::Check::Verdict verdict) { return {words::Word(verdict), ToneOf(verdict)}; }
Worded Word(v1::Backup::Coverage coverage) { return {words::Word(coverage), ToneOf(coverage)}; }
Worded Word(v1::Backup::Verification verification) {
  return {words::Word(verification), ToneOf(verification)};
}
Worded Word(v1::Deletion::State state) { return {words::Word(state), ToneOf(state)}; }
Worded Word(v1::ObligationStatus::Phase phase) { return {words::Word(phase), ToneOf(phase)}; }

Worded StandingOf(const v1::Backup& backup) {
  return backup.has_deletion() ? Word(backup.deletion().state()) : Word(backup.coverage());
}

bool IsOver(v1::StepPhase phase) {
  return phase == v1::STEP_PHASE_SUCCEEDED || phase == v1::STEP_PHASE_FAILED ||
         phase == v1::STEP_PHASE_SKIPPED || phase == v1::STEP_PHASE_CANCELLED;
}

Worded VerdictWord(const v1::Run& run) {
  const bool is_judged = run.verdict() != v1::VERDICT_UNSPECIFIED;
  const bool is_lost = !is_judged && run.phase() == v1::RUN_PHASE_SUCCEEDED;
  return {words::VerdictWord(run), is_judged ? ToneOf(run.verdict())
                                   : is_lost ? Tone::kPlain
                                             : ToneOf(run.phase())};
}

const std::string& ReasonOf(const v1::Run& run) {
  return run.reason().empty() ? run.verdict_reason() : run.reason();
}

absl::Duration DurationOf(const v1::Run& run, absl::Time now) {
  if (!run.header().has_requested_at()) return absl::ZeroDuration();
  const absl::Time end = run.has_finished_at() ? FromProto(run.finished_at()) : now;
  return std::max(absl::ZeroDuration(), end - FromProto(run.header().requested_at()));
}

absl::Duration DurationOf(const v1::StepStatus& step, absl::Time now) {
  if (!step.has_started_at()) return absl::ZeroDuration();
  const absl::Time end = step.has_finished_at() ? FromProto(step.finished_at()) : now;
  return std::max(absl::ZeroDuration(), end - FromProto(step.started_at()));
}

int StepsOver(const v1::Run& run) {
  int over = 0;
  for (const v1::StepStatus& step : run.steps()) over += IsOver(step.phase()) ? 1 : 0;
  return over;
}

std::string WaitsForText(const v1::StepStatus& step, const Style& style) {
  const bool may_wait = step.phase() == v1::STEP_PHASE_READY || step.phase() == v1::STEP_PHASE_RUNNING;
  std::string text = may_wait ? CleanText(step.reason()) : "";
  if (text.empty() || !step.has_waits_since()) return text;
  const absl::Time since = FromProto(step.waits_since());
  const bool today = absl::ToCivilDay(since, style.zone) == absl::ToCivilDay(style.now, style.zone);
  return text + " since " + absl::FormatTime(today ? "%H:%M" : "%Y-%m-%d %H:%M", since, style.zone);
}

std::string KeptBy(const v1::StepStatus& step) {
  int64_t bytes = 0;
  std::map<std::string, int64_t> numbers;  // by noun
  for (const v1::Artifact& artifact : step.result().artifacts()) {
    const v1::Artifact::Contents contents = ContentsOf(artifact);
    if (!HoldsData(contents)) continue;
    bytes += artifact.bytes();
    if (!contents.counts().empty()) numbers[contents.counts(0).noun()] += contents.counts(0).number();
  }
  std::vector<std::string> parts;
  if (bytes > 0) parts.push_back(HumanBytes(bytes));
  for (const auto& [noun, number] : numbers) {
    if (number > 0) parts.push_back(Count(number, CleanText(noun)));
  }
  return Join(parts, ", ");
}

std::vector<const v1::Check*> ChecksOf(const v1::Run& run) {
  std::vector<const v1::Check*> checks;
  for (const v1::StepStatus& step : run.steps()) {
    for (const v1::Check& check : step.result().checks()) checks.push_back(&check);
  }
  return checks;
}

int64_t DataBytes(const v1::Manifest& manifest) {
  int64_t bytes = 0;
  for (const v1::Artifact& artifact : manifest.artifacts())
    bytes += HoldsData(ContentsOf(artifact)) ? artifact.bytes() : 0;
  return bytes;
}

}  // namespace salvor::cli
