#include "tools/cli/render/render_look.h"

#include <fmt/core.h>

#include "base/text.h"
#include "tools/cli/render/outcome.h"
#include "tools/cli/render/render_preview.h"
#include "tools/cli/terminal/text_layout.h"
#include "tools/cli/words/words.h"

namespace salvor::cli {
namespace {

const v1::Check* FirstFailed(const v1::StepStatus& step) {
  for (const v1::Check& check : step.result().checks()) {
    if (check.verdict() == v1::Check::VERDICT_FAILED) return &check;
  }
  return nullptr;
}

// Whether the step saw what it was to look at, and found that it cannot be: another try would find the same.
bool Objects(const v1::StepStatus& step) {
  if (FirstFailed(step) != nullptr) return true;
  const v1::Error::Reason reason = step.result().error().reason();
  return step.phase() == v1::STEP_PHASE_FAILED &&
         (reason == v1::Error::REASON_REFUSED || reason == v1::Error::REASON_FAILED ||
          reason == v1::Error::REASON_INVALID || reason == v1::Error::REASON_CORRUPT);
}

Worded WordOf(const v1::Run& run, const v1::StepStatus& step) {
  if (RefusedByGuardrail(run, step)) return {"refuses", Tone::kBad};
  if (Objects(step)) return {"fails", Tone::kBad};
  if (step.phase() == v1::STEP_PHASE_SUCCEEDED) return {"agrees", Tone::kGood};
  return {"did not look", Tone::kWarning};
}

std::string FindingOf(const v1::StepStatus& step) {
  if (const v1::Check* failed = FirstFailed(step)) return CleanText(failed->compared());
  if (step.phase() == v1::STEP_PHASE_SUCCEEDED) return CleanText(step.result().note());
  const std::string& error = step.result().error().message();
  return CleanText(error.empty() ? step.reason() : error);
}

}  // namespace

std::string RenderLook(const v1::Run& run, const Style& style) {
  std::string text = Paint(style, Tone::kStrong, "looked at beforehand") + "\n";
  for (const v1::StepStatus& step : run.steps()) {
    const Worded word = WordOf(run, step);
    const std::string finding = FindingOf(step);
    const std::string who = step.component().empty() ? "" : CleanText(step.component()) + " ";
    text += Indented(fmt::format("{}: {}{}{}", Paint(style, word.tone, word.text), who,
                                 CleanText(step.title()), finding.empty() ? "" : ": " + finding),
                     2, style.width);
    for (const std::string& warning : step.result().warnings())
      text += Indented(Paint(style, Tone::kWarning, "warning: ") + CleanText(warning), 4, style.width);
    if (step.result().has_velero_restore_preview())
      text += RenderPreview(step.result().velero_restore_preview(), style);
  }
  return text;
}

std::optional<Objection> FirstObjection(const v1::Run& run) {
  for (const v1::StepStatus& step : run.steps()) {
    if (!Objects(step)) continue;
    return Objection{RefusedByGuardrail(run, step), FindingOf(step), CleanText(step.result().error().hint())};
  }
  return std::nullopt;
}

}  // namespace salvor::cli
