#include "agent/scratch/actions/scratch_actions.h"

#include <absl/time/clock.h>

#include "agent/scratch/scratch_places.h"
#include "agent/work/check_list.h"
#include "agent/work/registry.h"
#include "proto/scratch_engine.h"
#include "proto/time.h"

namespace salvor::agent {
namespace {

// The evidence: what was tried from inside, and what came of it.
void AddIsolation(const ScratchState& state, int tried, v1::ActionResult& result) {
  CheckList checks("", result);
  if (state.not_isolated.empty()) {
    checks.Passed("isolation", state.name,
                  fmt::format("{} ways out were tried from inside – listening sockets, addresses, folders, "
                              "places to write, the host's namespaces – and none led out",
                              tried));
    return;
  }
  const std::string text = "not isolated: " + state.not_isolated;
  checks.Unverifiable("isolation", state.name, text);
  result.set_note(text);
  result.add_warnings("the drill is not isolated: " + state.not_isolated);
}

}  // namespace

StatusOr<v1::ActionResult> RunScratchStart(const v1::ScratchStart& start, ActionContext& context) {
  if (context.scratch == nullptr) return FailedPrecondition("this agent has no place for drills");
  ScratchRequest request;
  request.name = start.name();
  request.engine = EngineOf(start);
  request.expected_bytes = start.expected_bytes();
  request.source_version = start.server_version_num();
  if (context.task.has_obligation_deadline()) {
    request.deadline = absl::Now() + FromProto(context.task.obligation_deadline());
  }
  request.require_isolation = start.require_isolation();
  ASSIGN_OR_RETURN(ScratchState state, context.scratch->Start(request));
  const StatusOr<ProbeReport> probe = context.scratch->Probe(state);
  if (!probe.ok()) {
    state.not_isolated += (state.not_isolated.empty() ? "" : "; ") +
                          ("nothing could try to get out: " + MessageOf(probe.status()));
  }
  v1::ActionResult result;
  AddIsolation(state, probe.ok() ? probe->tried : 0, result);
  if (start.require_isolation() && !state.not_isolated.empty()) {
    RETURN_IF_ERROR(context.scratch->Remove(start.name()));
    return WithHint(
        FailedPrecondition("the environment demands isolation, and a drill here is not isolated: {}",
                           state.not_isolated),
        "Take away what the drill can reach, or drop requireIsolation from the Environment.");
  }
  return result;
}

StatusOr<v1::ActionResult> RunScratchStop(const v1::ScratchStop& action, ActionContext& context) {
  if (context.scratch == nullptr) return FailedPrecondition("this agent has no place for drills");
  RETURN_IF_ERROR(context.scratch->Remove(action.name()));
  return v1::ActionResult();
}

bool HoldsPlace(const v1::HeldObligation& held, const std::string& place) {
  return held.run() == place || held.undo().scratch_stop().name() == place;
}

void RegisterScratchActions(ActionRegistry& registry) {
  Register(registry, RunScratchStart);
  Register(registry, RunScratchStop);
}

}  // namespace salvor::agent
