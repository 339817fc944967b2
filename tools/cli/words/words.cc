#include "tools/cli/words/words.h"

#include <fmt/core.h>

#include <map>

#include "base/text.h"
#include "proto/artifact.h"
#include "proto/kind.h"
#include "proto/phase.h"
#include "strategies/registry.h"
#include "strategies/verdicts/verdict.h"
#include "tools/cli/terminal/text_layout.h"

namespace salvor::cli {

// Values of a newer control plane are "unknown", never one of those we know.
Worded Word(v1::RunPhase phase) {
  switch (phase) {
    case v1::RUN_PHASE_RUNNING:
      return {"running", Tone::kActive};
    case v1::RUN_PHASE_CANCELLING:
      return {"cancelling", Tone::kWarning};
    case v1::RUN_PHASE_SUCCEEDED:
      return {"succeeded", Tone::kGood};
    case v1::RUN_PHASE_FAILED:
      return {"failed", Tone::kBad};
    case v1::RUN_PHASE_CANCELLED:
      return {"cancelled", Tone::kWarning};
    case v1::RUN_PHASE_QUARANTINED:
      return {"quarantined", Tone::kBad};
    default:
      return {"unknown", Tone::kPlain};
  }
}

Worded Word(v1::Verdict verdict) {
  const std::string word(verdicts::WordOf(verdict));
  switch (verdict) {
    case v1::VERDICT_COMPLETE:
    case v1::VERDICT_PROVEN:
    case v1::VERDICT_RESTORED:
      return {word, Tone::kGood};
    case v1::VERDICT_DISPROVEN:
    case v1::VERDICT_FAILED:
      return {word, Tone::kBad};
    case v1::VERDICT_PARTIAL:
    case v1::VERDICT_UNVERIFIABLE:
    case v1::VERDICT_CANCELLED:
      return {word, Tone::kWarning};
    default:
      return {"unknown", Tone::kPlain};
  }
}

Worded Word(v1::StepPhase phase) {
  switch (phase) {
    case v1::STEP_PHASE_PENDING:
      return {"pending", Tone::kDim};
    case v1::STEP_PHASE_READY:
      return {"waiting", Tone::kPlain};
    case v1::STEP_PHASE_RUNNING:
      return {"running", Tone::kActive};
    case v1::STEP_PHASE_BACKOFF:
      return {"retrying", Tone::kWarning};
    case v1::STEP_PHASE_PAUSED:
      return {"paused", Tone::kWarning};
    case v1::STEP_PHASE_SUCCEEDED:
      return {"succeeded", Tone::kGood};
    case v1::STEP_PHASE_FAILED:
      return {"failed", Tone::kBad};
    case v1::STEP_PHASE_SKIPPED:
      return {"skipped", Tone::kDim};
    case v1::STEP_PHASE_CANCELLED:
      return {"cancelled", Tone::kWarning};
    default:
      return {"unknown", Tone::kPlain};
  }
}

Worded Word(v1::Check::Verdict verdict) {
  switch (verdict) {
    case v1::Check::VERDICT_PASSED:
      return {"passed", Tone::kGood};
    case v1::Check::VERDICT_FAILED:
      return {"failed", Tone::kBad};
    default:
      return {"unverifiable", Tone::kWarning};  // a verdict we do not know is none
  }
}

Worded Word(v1::Backup::Coverage coverage) {
  switch (coverage) {
    case v1::Backup::COVERAGE_COMPLETE:
      return {"complete", Tone::kGood};
    case v1::Backup::COVERAGE_PARTIAL:
      return {"partial", Tone::kWarning};
    case v1::Backup::COVERAGE_FAILED:
      return {"nothing kept", Tone::kBad};
    case v1::Backup::COVERAGE_RUNNING:
      return {"running", Tone::kActive};
    default:
      return {"unknown", Tone::kPlain};
  }
}

Worded Word(v1::Backup::Verification verification) {
  switch (verification) {
    case v1::Backup::VERIFICATION_PROVEN:
      return {"proven", Tone::kGood};
    case v1::Backup::VERIFICATION_DISPROVEN:
      return {"disproven", Tone::kBad};
    case v1::Backup::VERIFICATION_UNVERIFIABLE:
      return {"unverifiable", Tone::kWarning};
    default:
      return {"unproven", Tone::kPlain};
  }
}

Worded Word(v1::ObligationStatus::Phase phase) {
  switch (phase) {
    case v1::ObligationStatus::PHASE_PENDING:
      return {"pending", Tone::kDim};
    case v1::ObligationStatus::PHASE_OPEN:
      return {"open", Tone::kActive};
    case v1::ObligationStatus::PHASE_RELEASED:
      return {"released", Tone::kGood};
    case v1::ObligationStatus::PHASE_UNCONFIRMED:
      return {"release unconfirmed", Tone::kBad};
    case v1::ObligationStatus::PHASE_NOT_NEEDED:
      return {"not needed", Tone::kDim};
    default:
      return {"unknown", Tone::kPlain};
  }
}

std::string Word(v1::RunKind kind) {
  switch (kind) {
    case v1::RUN_KIND_BACKUP:
      return "backup";
    case v1::RUN_KIND_RESTORE:
      return "restore";
    case v1::RUN_KIND_DRILL:
      return "drill";
    case v1::RUN_KIND_DELETE:
      return "delete";
    case v1::RUN_KIND_COPY:
      return "copy";
    case v1::RUN_KIND_INSPECT:
      return "inspect";
    default:
      return "run";
  }
}

std::string Word(v1::TokenClass token_class) {
  switch (token_class) {
    case v1::TOKEN_CLASS_VIEW:
      return "view";
    case v1::TOKEN_CLASS_OPERATE:
      return "operate";
    case v1::TOKEN_CLASS_APPROVE:
      return "approve";
    case v1::TOKEN_CLASS_ADMINISTER:
      return "administer";
    default:
      return "";
  }
}

std::string Word(v1::Runtime runtime) {
  switch (runtime) {
    case v1::RUNTIME_HOST:
      return "host";
    case v1::RUNTIME_KUBERNETES:
      return "kubernetes";
    default:
      return "unknown";
  }
}

std::string StrategyWord(const v1::Component& component) {
  const strategies::Strategy* strategy = strategies::BuiltInStrategies().Find(component);
  return strategy == nullptr ? CleanText(KindOf(component)) : std::string(strategy->Name());
}

std::string SubjectOf(const v1::RunHeader& header) {
  const bool from_backup =
      header.kind() == v1::RUN_KIND_DRILL || (header.application().empty() && !header.backup().empty());
  const std::string of = CleanText(from_backup ? header.backup() : header.application());
  if (header.kind() == v1::RUN_KIND_RESTORE) {
    return fmt::format("restore of {} to {}", CleanText(header.backup()), CleanText(header.application()));
  }
  return of.empty() ? Word(header.kind()) : Word(header.kind()) + " of " + of;
}

std::string ObligationText(const v1::ObligationStatus& obligation, const v1::RunHeader& run) {
  struct Texts {
    std::string open, released, unconfirmed, none;
  };
  const std::string name = CleanText(obligation.name()), application = CleanText(run.application());
  const Texts texts = obligation.name() == "scratch"
                          ? Texts{"scratch server running", "scratch server removed",
                                  "scratch server may still be running", "no scratch server"}
                      : obligation.name() == "quiesce"
                          ? Texts{application + " is paused", application + " goes on again",
                                  application + " may still be paused", application + " was not paused"}
                          : Texts{name + " is to be undone", name + " is undone",
                                  name + " may not be undone yet", name + " was not begun"};
  switch (obligation.phase()) {
    case v1::ObligationStatus::PHASE_OPEN:
      return texts.open;
    case v1::ObligationStatus::PHASE_RELEASED:
      return texts.released;
    case v1::ObligationStatus::PHASE_UNCONFIRMED:
      return texts.unconfirmed;
    default:
      return texts.none;
  }
}

bool IsOver(v1::RunPhase phase) { return IsAtRest(phase); }

bool IsOver(v1::StepPhase phase) {
  return phase == v1::STEP_PHASE_SUCCEEDED || phase == v1::STEP_PHASE_FAILED ||
         phase == v1::STEP_PHASE_SKIPPED || phase == v1::STEP_PHASE_CANCELLED;
}

Worded VerdictWord(const v1::Run& run) {
  if (run.verdict() != v1::VERDICT_UNSPECIFIED) return Word(run.verdict());
  return run.phase() == v1::RUN_PHASE_SUCCEEDED ? Worded{"finished", Tone::kPlain} : Word(run.phase());
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
