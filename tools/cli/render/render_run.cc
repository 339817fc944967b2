#include "tools/cli/render/render_run.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "proto/phase.h"
#include "tools/cli/render/graph.h"
#include "tools/cli/render/outcome.h"
#include "tools/cli/render/progress.h"
#include "tools/cli/render/render_checks.h"
#include "tools/cli/terminal/table.h"
#include "tools/cli/terminal/text_layout.h"
#include "tools/cli/words/words.h"

namespace salvor::cli {
namespace {

// "wave 2 of the graph" as a gutter: its number before the first step, a bracket around the rest.
std::string Gutter(size_t wave, size_t at, size_t of) {
  const std::string number = at == 0 ? std::to_string(wave + 1) : "";
  const char* bracket = of == 1 ? "──" : at == 0 ? "┬─" : at + 1 == of ? "└─" : "├─";
  return PadLeft(number, 3) + " " + bracket + " ";
}

struct StepColumns {
  int phase = 0, id = 0, duration = 0;
};

std::string DurationText(const v1::StepStatus& step, const Style& style) {
  if (!step.has_started_at()) return "";
  return IsOver(step.phase()) ? HumanDuration(DurationOf(step, style.now))
                              : WholeSeconds(DurationOf(step, style.now));
}

StepColumns Measure(const v1::Run& run, const Style& style) {
  StepColumns columns;
  for (const v1::StepStatus& step : run.steps()) {
    if (step.phase() != v1::STEP_PHASE_UNSPECIFIED) {
      columns.phase = std::max(columns.phase, DisplayWidth(Word(step.phase()).text));
    }
    columns.id = std::max(columns.id, DisplayWidth(CleanText(step.id())));
    columns.duration = std::max(columns.duration, DisplayWidth(DurationText(step, style)));
  }
  return columns;
}

// The notes under a step: why, how far, what it kept, what it waits for.
std::vector<Worded> NotesOf(const v1::StepStatus& step, const Style& style) {
  std::vector<Worded> notes;
  if (step.phase() == v1::STEP_PHASE_RUNNING) {
    const std::string progress = RenderProgress(step.progress(), std::nullopt);
    if (!progress.empty()) notes.push_back({progress, Tone::kActive});
  }
  if (!step.reason().empty()) {
    const bool bad = step.phase() == v1::STEP_PHASE_FAILED;
    const std::string waits = WaitsForText(step, style);
    notes.push_back({waits.empty() ? CleanText(step.reason()) : waits, bad ? Tone::kBad : Tone::kPlain});
  }
  const v1::ActionResult& result = step.result();
  if (result.has_error()) {
    const std::string message = CleanText(result.error().message());
    if (message != CleanText(step.reason())) notes.push_back({message, Tone::kBad});
    if (!result.error().hint().empty()) notes.push_back({"hint: " + CleanText(result.error().hint())});
  }
  if (step.attempt() > 1) notes.push_back({fmt::format("attempt {}", step.attempt())});
  if (const std::string kept = KeptBy(step); !kept.empty()) notes.push_back({"kept " + kept});
  if (!result.note().empty()) notes.push_back({CleanText(result.note())});
  if (result.checks_size() > 0) notes.push_back({SummarizeChecks(result.checks())});
  if (style.wide && !step.agent().empty()) notes.push_back({"agent " + CleanText(step.agent()), Tone::kDim});
  if (const std::string after = WaitsFor(step); style.wide && !after.empty()) {
    notes.push_back({after, Tone::kDim});
  }
  return notes;
}

std::string RenderStep(const v1::StepStatus& step, const std::string& gutter, const StepColumns& columns,
                       const Style& style) {
  std::string line = gutter;
  if (columns.phase > 0) {
    const Worded word = Word(step.phase());
    line += Paint(style, word.tone, word.text) + PadRight("", columns.phase - DisplayWidth(word.text)) + "  ";
  }
  line += PadRight(CleanText(step.id()), columns.id);
  if (columns.duration > 0) line += "  " + PadLeft(DurationText(step, style), columns.duration);
  const int used = DisplayWidth(gutter) + (columns.phase > 0 ? columns.phase + 2 : 0) + columns.id +
                   (columns.duration > 0 ? columns.duration + 2 : 0);
  std::string title = CleanText(step.title());
  if (style.width > 0) title = ElideEnd(title, style.width - used - 2);
  if (!title.empty()) line += "  " + Paint(style, Tone::kDim, title);
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line + "\n";
}

std::string RenderSteps(const v1::Run& run, const Style& style) {
  const StepColumns columns = Measure(run, style);
  const std::vector<std::vector<int>> waves = Waves(run.steps());
  std::string text;
  for (size_t wave = 0; wave < waves.size(); ++wave) {
    const size_t steps = waves[wave].size();
    for (size_t at = 0; at < steps; ++at) {
      const v1::StepStatus& step = run.steps(waves[wave][at]);
      text += RenderStep(step, Gutter(wave, at, steps), columns, style);
      const std::string margin = at + 1 < steps ? "    │    " : "         ";
      for (const Worded& note : NotesOf(step, style)) {
        const int room = style.width == 0 ? 0 : std::max(20, style.width - DisplayWidth(margin));
        for (const std::string& line : Wrap(note.text, room)) {
          text += margin + Paint(style, note.tone, line) + "\n";
        }
      }
    }
  }
  return text;
}

std::string RenderHead(const v1::Run& run, const Style& style) {
  const v1::RunHeader& header = run.header();
  const Worded verdict = VerdictWord(run);
  std::string text = Paint(style, Tone::kStrong, CleanText(header.name())) + "\n";
  const auto field = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) text += "  " + PadRight(name, 13) + value + "\n";
  };
  field("what", SubjectOf(header));
  const char* preposition = run.phase() == v1::RUN_PHASE_SUCCEEDED ? " in "
                            : IsAtRest(run.phase())                ? " after "
                                                                   : " for ";
  field("verdict",
        Paint(style, verdict.tone, verdict.text) + preposition + HumanDuration(DurationOf(run, style.now)));
  if (!ReasonOf(run).empty()) {
    const std::string reason = Indented(CleanText(ReasonOf(run)), 15, style.width);
    text += "  " + PadRight("reason", 13) + reason.substr(15);
  }
  std::string requested = Exact(style, header.has_requested_at(), header.requested_at());
  if (!header.requested_by().empty()) requested += " by " + CleanText(header.requested_by());
  field("requested", requested);
  field("environment", CleanText(header.environment()));
  field("backup", CleanText(header.backup()));
  const std::string& hint = run.hint().empty() ? run.verdict_hint() : run.hint();
  if (!hint.empty()) text += "  hint: " + CleanText(hint) + "\n";
  return text;
}

std::string RenderObligations(const v1::Run& run, const Style& style) {
  if (run.obligations().empty()) return "";
  std::string text = "\n" + Paint(style, Tone::kStrong, "to be undone") + "\n";
  for (const v1::ObligationStatus& obligation : run.obligations()) {
    const Tone tone = Word(obligation.phase()).tone;
    text += "  " + Paint(style, tone, ObligationText(obligation, run.header()));
    if (obligation.phase() == v1::ObligationStatus::PHASE_OPEN ||
        obligation.phase() == v1::ObligationStatus::PHASE_UNCONFIRMED) {
      text += ", since " + When(style, obligation.has_opened_at(), obligation.opened_at());
    }
    text += "\n";
  }
  return text;
}

std::string RenderWarnings(const v1::Run& run, const Style& style) {
  std::string lines;
  for (const v1::StepStatus& step : run.steps()) {
    for (const std::string& warning : step.result().warnings()) {
      lines += Indented(CleanText(step.id()) + ": " + CleanText(warning), 2, style.width);
    }
  }
  return lines.empty() ? "" : "\n" + Paint(style, Tone::kWarning, "warnings") + "\n" + lines;
}

}  // namespace

std::string RenderRunTable(const v1::ListRunsResponse& runs, const Style& style) {
  std::vector<Table::Column> columns = {{.title = "NAME"},
                                        {.title = "KIND"},
                                        {.title = "VERDICT"},
                                        {.title = style.wide ? "REQUESTED" : "AGE"},
                                        {.title = "DURATION", .align = Align::kRight}};
  if (style.wide) {
    for (const char* title : {"APPLICATION", "BACKUP", "BY"}) columns.push_back({.title = title});
  }
  columns.push_back({.title = "REASON", .shrinks = true});
  Table table(columns);
  for (const v1::Run& run : runs.runs()) {
    const v1::RunHeader& header = run.header();
    const Worded verdict = VerdictWord(run);
    std::vector<Table::Cell> row = {header.name(),
                                    Word(header.kind()),
                                    {verdict.text, verdict.tone},
                                    When(style, header.has_requested_at(), header.requested_at()),
                                    HumanDuration(DurationOf(run, style.now))};
    if (style.wide) {
      row.emplace_back(header.application());
      row.emplace_back(header.backup());
      row.emplace_back(header.requested_by());
    }
    row.emplace_back(ReasonOf(run));
    table.Add(std::move(row));
  }
  return table.Render(style);
}

std::string RenderRun(const v1::Run& run, const Style& style) {
  std::string text = RenderHead(run, style);
  if (run.steps_size() > 0) {
    text += "\n" + Paint(style, Tone::kStrong, "steps") +
            fmt::format("  {} of {} finished\n", StepsOver(run), run.steps_size()) + RenderSteps(run, style);
  }
  text += RenderObligations(run, style);
  text += RenderNotBuilt(run, 0, style);
  if (const std::string checks = RenderChecks(ChecksOf(run), 0, style); !checks.empty()) {
    text += "\n" + Paint(style, Tone::kStrong, "checks") + "\n" + checks;
  }
  return text + RenderWarnings(run, style);
}

std::string RenderPlan(const v1::CreateRunResponse& plan, const Style& style) {
  std::string text;
  if (plan.effects_size() > 0) {
    Table table({{.title = "EFFECT"}, {.title = "ON"}, {.title = "DETAIL", .shrinks = true}});
    for (const v1::PlannedEffect& effect : plan.effects()) {
      const bool refused = effect.verb() == "refuse";
      table.Add({{effect.verb(), refused ? Tone::kBad : Tone::kPlain}, effect.subject(), effect.detail()});
    }
    text += table.Render(style) + "\n";
  }
  const v1::Run run = AsRun(plan.flow());
  text += Paint(style, Tone::kStrong, "steps") + fmt::format("  {}\n", run.steps_size());
  return text + RenderSteps(run, style);
}

std::string RenderLogLine(const v1::LogLines& lines, const v1::LogLine& line, bool one_step,
                          const Style& style) {
  std::string text = Iso(style, line.has_at(), line.at()) + " ";
  if (!one_step) text += Paint(style, Tone::kActive, CleanText(lines.step())) + " ";
  if (lines.attempt() > 1) text += fmt::format("#{} ", lines.attempt());
  return text + Paint(style, Tone::kDim, CleanText(line.source())) + " " + CleanText(line.text()) + "\n";
}

}  // namespace salvor::cli
