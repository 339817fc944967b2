#include "agent/actions/scratch_actions.h"

#include <absl/time/clock.h>

#include "agent/postgres/scratch_server.h"
#include "proto/time.h"

namespace salvor::agent {

StatusOr<v1::ActionResult> RunScratchStart(const v1::Action& action, ActionContext& context) {
  if (context.scratch == nullptr) return FailedPrecondition("this agent has no place for drills");
  const v1::ScratchStart& start = action.scratch_start();
  ScratchRequest request;
  request.name = start.name();
  request.postgres = start.postgres();
  request.expected_bytes = start.expected_bytes();
  request.server_version_num = start.server_version_num();
  if (context.task.has_obligation_deadline()) {
    request.deadline = absl::Now() + FromProto(context.task.obligation_deadline());
  }
  ASSIGN_OR_RETURN(const ScratchState state, context.scratch->Start(request));
  v1::ActionResult result;
  if (!state.not_isolated.empty()) {
    result.set_note("not isolated: " + state.not_isolated);
    result.add_warnings("the drill's server is not isolated from the network: " + state.not_isolated);
  }
  return result;
}

StatusOr<v1::ActionResult> RunScratchStop(const v1::Action& action, ActionContext& context) {
  if (context.scratch == nullptr) return FailedPrecondition("this agent has no place for drills");
  RETURN_IF_ERROR(context.scratch->Remove(action.scratch_stop().name()));
  return v1::ActionResult();
}

}  // namespace salvor::agent
