#include "tools/cli/commands/look.h"

#include <fmt/core.h>

#include "base/text.h"
#include "tools/cli/render/render_look.h"
#include "tools/cli/render/render_run.h"
#include "tools/cli/words/words.h"

namespace salvor::cli {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(11);  // the run itself gives up before

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
  const std::string name = CleanText(response.run());
  const StatusOr<WaitResult> looked = WaitForRun(context, response.run(), kPatience, true);
  if (!looked.ok()) return NotLooked(context, MessageOf(looked.status()));
  if (looked->end != WaitEnd::kOver)
    return NotLooked(context, fmt::format("no longer waited for; see `salvor run show {}`", name));
  context.out() << "\n" << RenderLook(looked->run, style) << std::flush;
  const Refusal refusal = FirstRefusal(looked->run);
  if (!refusal.what.empty())
    return context.Fail(ExitCode::kConflict, "this would be refused: " + refusal.what, "", refusal.hint);
  if (looked->run.phase() != v1::RUN_PHASE_SUCCEEDED)
    return NotLooked(context, CleanText(ReasonOf(looked->run)));
  context.err() << "dry run: nothing was written\n" << std::flush;
  return ExitCode::kOk;
}

}  // namespace salvor::cli
