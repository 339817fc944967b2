#include "agent/engines/action/actions/actions.h"
#include "agent/engines/action/actions/room.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

// The artifacts of a restore as their program is told of them beforehand: no file of them is there yet.
void Announce(const v1::ProgramPlan& plan, const ActionContext& context, ActionRequest* request) {
  const std::string prefix = ArtifactName(context.task.component(), "");
  for (const v1::Artifact& artifact : plan.artifacts()) {
    ActionArtifact announced;
    announced.name = artifact.name().substr(std::min(prefix.size(), artifact.name().size()));
    announced.bytes = artifact.bytes();
    announced.sha256 = ToHex(artifact.sha256());
    request->artifacts.push_back(std::move(announced));
  }
}

}  // namespace

StatusOr<v1::ActionResult> RunProgramPlan(const v1::ProgramPlan& plan, ActionContext& context) {
  const bool restore = plan.has_record();
  ASSIGN_OR_RETURN(const ProgramRoom room, ProgramRoom::OnHost(plan.component(), context));
  ASSIGN_OR_RETURN(ActionRequest request,
                   room.Request(ActionVerb::kPlan, restore ? "restore" : "backup", context));
  Announce(plan, context, &request);
  ASSIGN_OR_RETURN(const ActionOutcome outcome, room.Run(std::move(request), {}, context));
  const std::vector<std::string>& conflicts = outcome.events->conflicts();
  if (!conflicts.empty()) {
    return WithHint(FailedPrecondition("program {}: {}", room.Program().Name(), Join(conflicts, "; ")),
                    restore ? "Nothing was written. Make room in the target, or restore to another one."
                            : "Nothing was read. Mend what it names, then back up again.");
  }
  v1::ActionResult result;
  AddWarnings(room.Program(), restore ? &plan.record() : nullptr, *outcome.events, &result);
  return result;
}

}  // namespace salvor::agent
