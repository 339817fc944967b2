#include "tools/cli/render/outcome.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"
#include "tools/cli/render/render_backup.h"
#include "tools/cli/render/render_checks.h"
#include "tools/cli/terminal/text_layout.h"
#include "tools/cli/words/words.h"

namespace salvor::cli {
namespace {

constexpr int kMostChecksNamed = 20;

// "backup of shop: complete in 2m05s".
std::string Headline(const v1::Run& run, const Style& style) {
  const Worded verdict = VerdictWord(run);
  return fmt::format("{}: {} {} {}\n", SubjectOf(run.header()), Paint(style, verdict.tone, verdict.text),
                     run.phase() == v1::RUN_PHASE_SUCCEEDED ? "in" : "after",
                     HumanDuration(DurationOf(run, style.now)));
}

// The failed step that ended first, which is the one the control plane's reason names; null when none failed.
const v1::StepStatus* FirstFailed(const v1::Run& run) {
  const v1::StepStatus* first = nullptr;
  for (const v1::StepStatus& step : run.steps()) {
    if (step.phase() != v1::STEP_PHASE_FAILED) continue;
    if (first == nullptr || FromProto(step.finished_at()) < FromProto(first->finished_at())) first = &step;
  }
  return first;
}

std::string FailureOf(const v1::StepStatus& step) {
  std::string why = CleanText(step.result().error().message());
  if (why.empty()) why = CleanText(step.reason());
  return CleanText(step.id()) + (why.empty() ? "" : ": " + why);
}

// Cause and hint are of one step; the others that failed are named, each of them has its own in `run show`.
std::string OtherFailures(const v1::Run& run, const v1::StepStatus& first) {
  std::vector<std::string> ids;
  for (const v1::StepStatus& step : run.steps()) {
    if (step.phase() == v1::STEP_PHASE_FAILED && &step != &first) ids.push_back(CleanText(step.id()));
  }
  return ids.empty() ? "" : fmt::format(" (also failed: {})", Join(ids, ", "));
}

ExitCode CodeOf(const v1::Run& run) {
  switch (run.verdict()) {
    case v1::VERDICT_COMPLETE:
    case v1::VERDICT_PROVEN:
    case v1::VERDICT_RESTORED:
      return ExitCode::kOk;
    case v1::VERDICT_PARTIAL:
    case v1::VERDICT_UNVERIFIABLE:
      return ExitCode::kPartial;
    case v1::VERDICT_CANCELLED:
      return ExitCode::kCancelled;
    default:  // what is not known is no success
      return ExitCode::kFailed;
  }
}

bool IsNotKnown(const v1::Run& run) {
  return run.phase() == v1::RUN_PHASE_SUCCEEDED && run.verdict() == v1::VERDICT_UNSPECIFIED;
}

void FillFailure(const v1::Run& run, Outcome& outcome) {
  const v1::StepStatus* first = FirstFailed(run);
  if (run.verdict() == v1::VERDICT_FAILED && outcome.error.empty() && first != nullptr &&
      RefusedByGuardrail(run, *first)) {
    outcome.code = ExitCode::kConflict;
  }
  if (outcome.error.empty() && IsNotKnown(run)) {
    outcome.error = fmt::format("the {} finished, but its verdict is not known", SubjectOf(run.header()));
  } else if (outcome.error.empty()) {
    outcome.error = fmt::format("{} {}", SubjectOf(run.header()), VerdictWord(run).text);
  }
  if (outcome.cause.empty()) {
    outcome.cause = CleanText(ReasonOf(run));
    if (outcome.cause.empty() && first != nullptr) outcome.cause = FailureOf(*first);
    if (first != nullptr) outcome.cause += OtherFailures(run, *first);
  }
  outcome.hint = CleanText(first != nullptr     ? first->result().error().hint()
                           : run.hint().empty() ? run.verdict_hint()
                                                : run.hint());
  const std::string name = CleanText(run.header().name());
  outcome.next = {"salvor run show " + name, "salvor run logs " + name};
}

void AddUnconfirmed(const v1::Run& run, const Style& style, Outcome& outcome) {
  for (const v1::ObligationStatus& obligation : run.obligations()) {
    if (obligation.phase() != v1::ObligationStatus::PHASE_UNCONFIRMED) continue;
    const std::string line = Paint(style, Tone::kBad, ObligationText(obligation, run.header())) +
                             "; the agent is asked until it confirms that this is undone\n";
    outcome.text = words::IsPause(obligation) ? line + outcome.text : outcome.text + line;
  }
}

bool InDoubt(const v1::Backup& backup) { return backup.doubts_size() > 0 && !backup.has_acceptance(); }

// Doubts that nobody has to look up before they matter: why it may not be whole, and what the backup itself warns of.
std::string RenderDoubts(const v1::Backup& backup, const Style& style) {
  std::string lines;
  const auto add = [&](const std::string& word, const std::string& text) {
    lines += Indented(Paint(style, Tone::kWarning, word) + CleanText(text), 0, style.width);
  };
  for (const std::string& doubt : backup.doubts()) {
    if (InDoubt(backup)) add("in doubt: ", doubt);
  }
  for (const std::string& warning : backup.manifest().warnings()) add("warning: ", warning);
  return lines;
}

Outcome BackupOutcome(const v1::Run& run, const v1::Backup* backup, const Style& style) {
  Outcome outcome;
  outcome.code = CodeOf(run);
  outcome.text = Headline(run, style);
  if (backup != nullptr) {
    const std::string components = RenderComponents(backup->manifest(), style);
    if (!components.empty()) outcome.text += "\n" + components;
    outcome.text += RenderMissing(backup->manifest(), style);
    const Worded coverage = Word(backup->coverage());
    const bool nothing = backup->coverage() == v1::Backup::COVERAGE_FAILED;
    outcome.text += nothing ? "\n" + Paint(style, Tone::kBad, "nothing was kept") + "\n"
                            : fmt::format("\ncoverage: {}\n", Paint(style, coverage.tone, coverage.text));
    outcome.text += RenderDoubts(*backup, style);
  }
  AddUnconfirmed(run, style, outcome);
  if (outcome.code == ExitCode::kOk) {
    const std::string name = CleanText(run.header().backup());
    outcome.next = {backup != nullptr && InDoubt(*backup)
                        ? fmt::format("salvor backup accept {} --reason TEXT", name)
                    : backup != nullptr && !backup->manifest().velero().empty()  // no drill of it yet
                        ? "salvor backup show " + name
                        : fmt::format("salvor drill create --backup {} --wait", name)};
    return outcome;
  }
  if (run.verdict() == v1::VERDICT_PARTIAL) {
    outcome.error = fmt::format("the {} is incomplete", SubjectOf(run.header()));
  } else if (run.verdict() == v1::VERDICT_FAILED && run.phase() == v1::RUN_PHASE_SUCCEEDED) {
    outcome.error = fmt::format("the {} kept nothing", SubjectOf(run.header()));
  }
  FillFailure(run, outcome);
  return outcome;
}

std::string NamesOfFailed(const std::vector<const v1::Check*>& checks) {
  std::vector<std::string> names;
  int more = 0;
  for (const v1::Check* check : checks) {
    if (check->verdict() != v1::Check::VERDICT_FAILED || check->not_built()) continue;
    if (names.size() == 5) {
      ++more;
      continue;
    }
    std::vector<std::string> words;
    for (const std::string& word : {check->component(), check->kind(), check->subject()}) {
      if (!word.empty()) words.push_back(CleanText(word));
    }
    names.push_back(words.empty() ? "a check" : Join(words, " "));
  }
  return Join(names, ", ") + (more > 0 ? fmt::format(" and {} more", more) : "");
}

// A drill that could reach the host says so wherever its verdict stands.
bool NotIsolated(const std::vector<const v1::Check*>& checks) {
  for (const v1::Check* check : checks) {
    if (check->kind() == "isolation" && check->verdict() != v1::Check::VERDICT_PASSED) return true;
  }
  return false;
}

// Whether what the drill found is in the Location as well; its step that writes it there says so where it is not.
std::string RenderRecordWarnings(const v1::Run& run, const Style& style) {
  std::string lines;
  for (const v1::StepStatus& step : run.steps()) {
    if (step.purpose() != v1::PURPOSE_RECORD) continue;
    for (const std::string& warning : step.result().warnings())
      lines += Indented(Paint(style, Tone::kWarning, "warning: ") + CleanText(warning), 0, style.width);
  }
  return lines;
}

// Why a drill could not prove its backup.
std::string WhyUnverifiable(const v1::Run& run, const CheckCounts& counts) {
  if (counts.Total() == 0) return "no check was made";
  if (counts.unverifiable > 0)
    return fmt::format("{} could not be made", Count(counts.unverifiable, "check"));
  return CleanText(run.verdict_reason());
}

Outcome DrillOutcome(const v1::Run& run, const Style& style) {
  const std::vector<const v1::Check*> checks = ChecksOf(run);
  const CheckCounts counts = CountChecks(checks);
  Outcome outcome;
  outcome.code = CodeOf(run);
  outcome.text = Headline(run, style);
  const std::string isolation = NotIsolated(checks) ? ", " + Paint(style, Tone::kBad, "not isolated") : "";
  outcome.text.insert(outcome.text.size() - 1, isolation);
  const std::string table = RenderChecks(checks, kMostChecksNamed, style);
  if (!table.empty()) outcome.text += "\n" + table;
  const bool unfinished = run.verdict() == v1::VERDICT_FAILED || run.verdict() == v1::VERDICT_CANCELLED;
  const Worded verdict = unfinished ? Worded{"none, the drill did not finish", Tone::kBad} : VerdictWord(run);
  outcome.text += fmt::format("\nverdict: {}{} ({})\n", Paint(style, verdict.tone, verdict.text), isolation,
                              SummarizeChecks(counts));
  outcome.text += RenderRecordWarnings(run, style);
  AddUnconfirmed(run, style, outcome);
  if (outcome.code == ExitCode::kOk) {
    outcome.next = {"salvor backup show " + CleanText(run.header().backup())};
    return outcome;
  }
  if (run.verdict() == v1::VERDICT_DISPROVEN && counts.failed > 0) {
    outcome.error = fmt::format("{}: {} failed", SubjectOf(run.header()), Count(counts.failed, "check"));
    outcome.cause = NamesOfFailed(checks);
  } else if (run.verdict() == v1::VERDICT_DISPROVEN) {
    outcome.error = fmt::format("{}: the backup is disproven", SubjectOf(run.header()));
  } else if (run.verdict() == v1::VERDICT_UNVERIFIABLE) {
    outcome.error = fmt::format("{} is unverifiable", SubjectOf(run.header()));
    outcome.cause = WhyUnverifiable(run, counts);
  }
  FillFailure(run, outcome);
  return outcome;
}

// Says what a restore brought back, by step: each restoring step says it in its note or title.
std::string RestoredBy(const v1::Run& run, const Style& style) {
  std::string lines;
  for (const v1::StepStatus& step : run.steps()) {
    if (step.purpose() != v1::PURPOSE_RESTORE || step.phase() != v1::STEP_PHASE_SUCCEEDED) continue;
    const std::string note = CleanText(step.result().note());
    std::string line = CleanText(step.title().empty() ? step.id() : step.title());
    if (!note.empty()) line.append(": ").append(note);
    lines += Indented(line, 2, style.width);
  }
  return lines.empty() ? "" : "\nrestored\n" + lines;
}

Outcome RestoreOutcome(const v1::Run& run, const Style& style) {
  const std::vector<const v1::Check*> checks = ChecksOf(run);
  const CheckCounts counts = CountChecks(checks);
  Outcome outcome;
  outcome.code = CodeOf(run);
  outcome.text = Headline(run, style) + RestoredBy(run, style);
  outcome.text += RenderNotBuilt(run, kMostChecksNamed, style);
  const std::string table = RenderChecks(checks, kMostChecksNamed, style);
  if (!table.empty()) outcome.text += "\n" + table;
  outcome.text += "\n" + SummarizeChecks(counts) + "\n";
  AddUnconfirmed(run, style, outcome);
  if (outcome.code == ExitCode::kOk) {
    outcome.next = {"salvor run show " + CleanText(run.header().name())};
    return outcome;
  }
  const int wrong = counts.failed - counts.not_built;
  if (run.verdict() == v1::VERDICT_FAILED && wrong > 0) {
    outcome.error = fmt::format("{}: {} failed", SubjectOf(run.header()), Count(wrong, "check"));
    outcome.cause = NamesOfFailed(checks);
  } else if (run.verdict() == v1::VERDICT_PARTIAL) {
    outcome.error = fmt::format("the {} is partial", SubjectOf(run.header()));
    outcome.cause = CleanText(run.verdict_reason());
  } else if (run.verdict() == v1::VERDICT_UNVERIFIABLE) {
    outcome.error = fmt::format("{} is unverifiable", SubjectOf(run.header()));
    outcome.cause = fmt::format("{} could not be made", Count(counts.unverifiable, "check"));
  }
  FillFailure(run, outcome);
  if (run.verdict() == v1::VERDICT_PARTIAL) outcome.hint = CleanText(run.verdict_hint());
  return outcome;
}

// What each step removed, and what it did not.
Outcome DeleteOutcome(const v1::Run& run, const Style& style) {
  Outcome outcome;
  outcome.code = CodeOf(run);
  outcome.text = Headline(run, style);
  for (const v1::StepStatus& step : run.steps()) {
    if (!step.result().note().empty())
      outcome.text += Indented(CleanText(step.result().note()), 2, style.width);
    for (const std::string& left : step.result().deletion().left())
      outcome.text += Indented(Paint(style, Tone::kBad, "left: ") + CleanText(left), 2, style.width);
  }
  const std::string backup = CleanText(run.header().backup());
  if (outcome.code == ExitCode::kOk) {
    outcome.next = {"salvor backup show " + backup};
    return outcome;
  }
  FillFailure(run, outcome);
  outcome.next.insert(outcome.next.begin(), "salvor backup delete " + backup + " --wait");
  return outcome;
}

}  // namespace

bool RefusedByGuardrail(const v1::Run& run, const v1::StepStatus& step) {
  if (step.phase() != v1::STEP_PHASE_FAILED || step.result().error().reason() != v1::Error::REASON_REFUSED)
    return false;
  // A look leaves out the steps that prepare, where a restore would have failed before.
  if (run.header().kind() == v1::RUN_KIND_INSPECT) return step.purpose() == v1::PURPOSE_GUARD;
  return run.header().kind() == v1::RUN_KIND_RESTORE && step.purpose() != v1::PURPOSE_PREPARE;
}

Outcome OutcomeOf(const v1::Run& run, const v1::Backup* backup, const Style& style) {
  switch (run.header().kind()) {
    case v1::RUN_KIND_BACKUP:
      return BackupOutcome(run, backup, style);
    case v1::RUN_KIND_DRILL:
      return DrillOutcome(run, style);
    case v1::RUN_KIND_RESTORE:
      return RestoreOutcome(run, style);
    case v1::RUN_KIND_DELETE:
      return DeleteOutcome(run, style);
    default:
      break;
  }
  Outcome outcome;
  outcome.text = Headline(run, style);
  AddUnconfirmed(run, style, outcome);
  outcome.code = CodeOf(run);
  if (outcome.code != ExitCode::kOk) FillFailure(run, outcome);
  return outcome;
}

}  // namespace salvor::cli
