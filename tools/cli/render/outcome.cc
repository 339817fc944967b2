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
constexpr char kBuildByHand[] =
    "All the rest is restored and compared. Once the cause is mended, build what is named by hand: the operations "
    "manual says how.";

// "backup of shop: complete in 2m05s".
std::string Headline(const v1::Run& run, const v1::Backup* backup, const Style& style) {
  const Worded verdict = VerdictWord(run, backup);
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

// A restore that was refused because of what stands in its place, not because the Location could not be read.
bool RefusedByGuardrail(const v1::Run& run, const v1::StepStatus& step) {
  return run.header().kind() == v1::RUN_KIND_RESTORE && step.purpose() != v1::PURPOSE_PREPARE &&
         step.result().error().reason() == v1::Error::REASON_REFUSED;
}

void FillFailure(const v1::Run& run, Outcome& outcome) {
  const v1::StepStatus* first = FirstFailed(run);
  if (run.phase() == v1::RUN_PHASE_CANCELLED && outcome.error.empty()) {
    outcome.code = ExitCode::kCancelled;
  } else if (first != nullptr && outcome.error.empty() && RefusedByGuardrail(run, *first)) {
    outcome.code = ExitCode::kConflict;
  }
  if (outcome.error.empty()) {
    outcome.error = fmt::format("{} {}", SubjectOf(run.header()), Word(run.phase()).text);
  }
  if (outcome.cause.empty()) {
    outcome.cause = CleanText(run.reason());
    if (outcome.cause.empty() && first != nullptr) outcome.cause = FailureOf(*first);
    if (first != nullptr) outcome.cause += OtherFailures(run, *first);
  }
  outcome.hint = CleanText(first == nullptr ? run.hint() : first->result().error().hint());
  const std::string name = CleanText(run.header().name());
  outcome.next = {"salvor run show " + name, "salvor run logs " + name};
}

void AddUnconfirmed(const v1::Run& run, const Style& style, Outcome& outcome) {
  for (const v1::ObligationStatus& obligation : run.obligations()) {
    if (obligation.phase() != v1::ObligationStatus::PHASE_UNCONFIRMED) continue;
    outcome.text += Paint(style, Tone::kBad, ObligationText(obligation, run.header())) +
                    "; the agent is asked until it confirms that this is undone\n";
  }
}

bool InDoubt(const v1::Backup& backup) { return backup.doubts_size() > 0 && !backup.has_acceptance(); }

// What nobody has to look up before it matters: why it may not be whole, and what the backup itself warns of.
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
  const bool partial = backup != nullptr && backup->coverage() == v1::Backup::COVERAGE_PARTIAL &&
                       run.phase() != v1::RUN_PHASE_CANCELLED;
  const bool complete = backup != nullptr && backup->coverage() == v1::Backup::COVERAGE_COMPLETE &&
                        run.phase() == v1::RUN_PHASE_SUCCEEDED;
  outcome.text = Headline(run, backup, style);
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
  if (complete) {
    outcome.code = ExitCode::kOk;
    outcome.next = {InDoubt(*backup)
                        ? fmt::format("salvor backup accept {} --reason TEXT", CleanText(backup->name()))
                        : fmt::format("salvor drill create --backup {} --wait", CleanText(backup->name()))};
    return outcome;
  }
  if (partial) {
    outcome.code = ExitCode::kPartial;
    outcome.error = fmt::format("the {} is incomplete", SubjectOf(run.header()));
  } else if (run.phase() == v1::RUN_PHASE_SUCCEEDED) {
    outcome.error =
        backup != nullptr && backup->coverage() == v1::Backup::COVERAGE_FAILED
            ? fmt::format("the {} kept nothing", SubjectOf(run.header()))
            : fmt::format("the {} finished, but its coverage is not known", SubjectOf(run.header()));
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
    std::string name = CleanText(check->component()) + " " + CleanText(check->kind());
    if (!check->subject().empty()) name += " " + CleanText(check->subject());
    names.push_back(name);
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

Outcome DrillOutcome(const v1::Run& run, const v1::Backup* backup, const Style& style) {
  const std::vector<const v1::Check*> checks = ChecksOf(run);
  const CheckCounts counts = CountChecks(checks);
  const bool finished = run.phase() == v1::RUN_PHASE_SUCCEEDED;
  Outcome outcome;
  outcome.text = Headline(run, backup, style);
  const std::string isolation = NotIsolated(checks) ? ", " + Paint(style, Tone::kBad, "not isolated") : "";
  outcome.text.insert(outcome.text.size() - 1, isolation);
  const std::string table = RenderChecks(checks, kMostChecksNamed, style);
  if (!table.empty()) outcome.text += "\n" + table;
  const v1::Backup::Verification verification = VerdictOf(run, backup);
  // A drill that did not get to its end says nothing but what it found wrong.
  const Worded verdict = finished || verification == v1::Backup::VERIFICATION_DISPROVEN
                             ? Word(verification)
                             : Worded{"none, the drill did not finish", Tone::kBad};
  outcome.text += fmt::format("\nverdict: {}{} ({})\n", Paint(style, verdict.tone, verdict.text), isolation,
                              SummarizeChecks(counts));
  AddUnconfirmed(run, style, outcome);
  const std::string name = CleanText(run.header().backup());
  if (counts.failed > 0) {
    outcome.error = fmt::format("{}: {} failed", SubjectOf(run.header()), Count(counts.failed, "check"));
    outcome.cause = NamesOfFailed(checks);
  } else if (verification == v1::Backup::VERIFICATION_DISPROVEN) {
    outcome.error = fmt::format("{}: the backup is disproven", SubjectOf(run.header()));
  } else if (finished && verification == v1::Backup::VERIFICATION_PROVEN) {
    outcome.code = ExitCode::kOk;
    outcome.next = {"salvor backup show " + name};
    return outcome;
  } else if (finished) {
    outcome.code = ExitCode::kPartial;
    outcome.error = fmt::format("{} is unverifiable", SubjectOf(run.header()));
    outcome.cause = counts.Total() == 0 ? "no check was made"
                    : counts.unverifiable > 0
                        ? fmt::format("{} could not be made", Count(counts.unverifiable, "check"))
                    : backup != nullptr && backup->proven_by() == run.header().name()
                        ? CleanText(backup->verification_reason())
                        : "the control plane could not account for everything";
  }
  FillFailure(run, outcome);
  return outcome;
}

// What a restore brought back, by step: each restoring step says it in its note or title.
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
  outcome.text = Headline(run, nullptr, style) + RestoredBy(run, style);
  outcome.text += RenderNotBuilt(run, kMostChecksNamed, style);
  const std::string table = RenderChecks(checks, kMostChecksNamed, style);
  if (!table.empty()) outcome.text += "\n" + table;
  outcome.text += "\n" + SummarizeChecks(counts) + "\n";
  AddUnconfirmed(run, style, outcome);
  if (const int wrong = counts.failed - counts.not_built; wrong > 0) {
    outcome.error = fmt::format("{}: {} failed", SubjectOf(run.header()), Count(wrong, "check"));
    outcome.cause = NamesOfFailed(checks);
  } else if (run.phase() == v1::RUN_PHASE_SUCCEEDED && CountNotBuilt(run) > 0) {
    outcome.code = ExitCode::kPartial;
    outcome.error = fmt::format("the {} is partial", SubjectOf(run.header()));
    outcome.cause = "could not be built: " + TitlesOfNotBuilt(run);
    FillFailure(run, outcome);
    outcome.hint = kBuildByHand;
    return outcome;
  } else if (run.phase() == v1::RUN_PHASE_SUCCEEDED && counts.unverifiable > 0) {
    outcome.code = ExitCode::kPartial;
    outcome.error = fmt::format("{} is unverifiable", SubjectOf(run.header()));
    outcome.cause = fmt::format("{} could not be made", Count(counts.unverifiable, "check"));
  } else if (run.phase() == v1::RUN_PHASE_SUCCEEDED) {
    outcome.code = ExitCode::kOk;
    outcome.next = {"salvor run show " + CleanText(run.header().name())};
    return outcome;
  }
  FillFailure(run, outcome);
  return outcome;
}

Worded BackupVerdict(const v1::Run& run, const v1::Backup* backup) {
  if (backup == nullptr) {
    return run.phase() == v1::RUN_PHASE_SUCCEEDED ? Worded{"finished", Tone::kPlain} : Word(run.phase());
  }
  const bool complete = backup->coverage() == v1::Backup::COVERAGE_COMPLETE;
  if (complete && run.phase() != v1::RUN_PHASE_SUCCEEDED) return {"failed", Tone::kBad};
  if (backup->coverage() == v1::Backup::COVERAGE_FAILED) return {"failed", Tone::kBad};
  return Word(backup->coverage());
}

// A drill that did not get to its end says nothing but what it found wrong.
Worded DrillVerdict(const v1::Run& run, const v1::Backup* backup) {
  const bool finished = run.phase() == v1::RUN_PHASE_SUCCEEDED;
  const bool recorded = backup != nullptr && backup->proven_by() == run.header().name();
  if (run.steps().empty() && !recorded)
    return finished ? Worded{"finished", Tone::kPlain} : Word(run.phase());
  const v1::Backup::Verification verification =
      run.steps().empty() ? backup->verification() : VerdictOf(run, backup);
  if (finished || verification == v1::Backup::VERIFICATION_DISPROVEN) return Word(verification);
  return {"failed", Tone::kBad};
}

Worded RestoreVerdict(const v1::Run& run) {
  const CheckCounts counts = CountChecks(ChecksOf(run));
  if (counts.failed > counts.not_built || run.phase() != v1::RUN_PHASE_SUCCEEDED)
    return {"failed", Tone::kBad};
  if (run.steps().empty()) return {"finished", Tone::kPlain};
  if (CountNotBuilt(run) > 0) return {"partial", Tone::kWarning};
  return counts.unverifiable > 0 ? Worded{"unverifiable", Tone::kWarning} : Worded{"restored", Tone::kGood};
}

int Badness(v1::Backup::Verification verification) {
  switch (verification) {
    case v1::Backup::VERIFICATION_PROVEN:
      return 0;
    case v1::Backup::VERIFICATION_DISPROVEN:
      return 2;
    default:
      return 1;
  }
}

}  // namespace

Worded VerdictWord(const v1::Run& run, const v1::Backup* backup) {
  const v1::RunKind kind = run.header().kind();
  if (!IsOver(run.phase())) return Word(run.phase());
  const bool disproven =
      kind == v1::RUN_KIND_DRILL && VerdictOf(run, backup) == v1::Backup::VERIFICATION_DISPROVEN;
  if (run.phase() == v1::RUN_PHASE_CANCELLED && !disproven) return Word(run.phase());
  if (kind == v1::RUN_KIND_BACKUP) return BackupVerdict(run, backup);
  if (kind == v1::RUN_KIND_DRILL) return DrillVerdict(run, backup);
  if (kind == v1::RUN_KIND_RESTORE) return RestoreVerdict(run);
  return Word(run.phase());
}

v1::Backup::Verification VerdictOf(const v1::Run& run, const v1::Backup* backup) {
  const std::vector<const v1::Check*> checks = ChecksOf(run);
  const CheckCounts counts = CountChecks(checks);
  // That the drill was isolated is no word about the backup.
  const bool looked = std::any_of(checks.begin(), checks.end(),
                                  [](const v1::Check* check) { return check->kind() != "isolation"; });
  const v1::Backup::Verification ours = counts.failed > 0 ? v1::Backup::VERIFICATION_DISPROVEN
                                        : counts.unverifiable > 0 || !looked
                                            ? v1::Backup::VERIFICATION_UNVERIFIABLE
                                            : v1::Backup::VERIFICATION_PROVEN;
  if (backup == nullptr || backup->proven_by() != run.header().name()) return ours;
  return Badness(backup->verification()) > Badness(ours) ? backup->verification() : ours;
}

Outcome OutcomeOf(const v1::Run& run, const v1::Backup* backup, const Style& style) {
  switch (run.header().kind()) {
    case v1::RUN_KIND_BACKUP:
      return BackupOutcome(run, backup, style);
    case v1::RUN_KIND_DRILL:
      return DrillOutcome(run, backup, style);
    case v1::RUN_KIND_RESTORE:
      return RestoreOutcome(run, style);
    default:
      break;
  }
  Outcome outcome;
  outcome.text = Headline(run, nullptr, style);
  AddUnconfirmed(run, style, outcome);
  if (run.phase() == v1::RUN_PHASE_SUCCEEDED) {
    outcome.code = ExitCode::kOk;
  } else {
    FillFailure(run, outcome);
  }
  return outcome;
}

}  // namespace salvor::cli
