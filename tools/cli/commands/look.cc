#include "tools/cli/commands/look.h"

#include <fmt/core.h>

#include "base/text.h"
#include "tools/cli/render/render_look.h"
#include "tools/cli/render/render_run.h"
#include "tools/cli/words/words.h"

namespace salvor::cli {
namespace {

ExitCode NotLooked(Context& context, const std::string& why) {
  context.err() << "dry run: nothing was written\n"
                << "the target was not looked at: " << why << "\n"
                << std::flush;
  return ExitCode::kOk;
}

}  // namespace

ExitCode AfterLook(Context& context, const v1::CreateRunResponse& response, const StartOptions& options) {
  const Style style = context.OutStyle(options.output == "wide");
  context.out() << RenderPlan(response, style) << std::flush;
  const absl::Duration patience = DurationValue(options.timeout);
  const StatusOr<WaitResult> looked = WaitForRun(context, response.run(), patience, false);
  if (!looked.ok()) return context.Fail("look at the target", looked.status());
  context.out() << "\n" << RenderLook(looked->run, style) << std::flush;
  if (looked->end != WaitEnd::kOver) return StoppedWaiting(context, response.run(), looked->end, patience);
  if (const std::optional<Objection> objection = FirstObjection(looked->run)) {
    return context.Fail(
        objection->by_guardrail ? ExitCode::kConflict : ExitCode::kFailed,
        (objection->by_guardrail ? "this would be refused: " : "this would fail: ") + objection->what, "",
        objection->hint);
  }
  if (looked->run.phase() != v1::RUN_PHASE_SUCCEEDED)
    return NotLooked(context, CleanText(ReasonOf(looked->run)));
  context.err() << "dry run: nothing was written\n" << std::flush;
  return ExitCode::kOk;
}

}  // namespace salvor::cli
