#include "agent/engines/action/actions/actions.h"
#include "agent/engines/action/actions/room.h"
#include "agent/engines/action/judge.h"
#include "agent/work/check_list.h"

namespace salvor::agent {
namespace {

void AddChecks(const std::vector<JudgedCheck>& judged, const std::string& component,
               v1::ActionResult* result) {
  CheckList checks(component, *result);
  for (const JudgedCheck& one : judged) {
    switch (one.verdict) {
      case v1::Check::VERDICT_PASSED:
        checks.Passed(one.kind, one.subject, one.compared);
        break;
      case v1::Check::VERDICT_FAILED:
        checks.Failed(one.kind, one.subject, one.compared);
        break;
      default:
        checks.Unverifiable(one.kind, one.subject, one.compared);
    }
  }
}

}  // namespace

StatusOr<v1::ActionResult> RunProgramVerify(const v1::ProgramVerify& verify, ActionContext& context) {
  ASSIGN_OR_RETURN(const v1::ProgramRecord record, LoadRecord(verify.record(), verify.location(), context));
  const std::string& component = context.task.component();
  v1::ActionResult result;
  if (record.artifacts().empty()) {
    AddChecks({NothingKept(component, record)}, component, &result);
    return result;
  }
  ASSIGN_OR_RETURN(const ProgramRoom room,
                   verify.scratch().empty()
                       ? ProgramRoom::OnHost(verify.component(), context)
                       : ProgramRoom::InDrill(verify.component(), verify.scratch(), true, context));
  ASSIGN_OR_RETURN(ActionRequest request, room.Request(ActionVerb::kVerify, "restore", context));
  ASSIGN_OR_RETURN(const ActionOutcome outcome, room.Run(std::move(request), {}, context));
  AddChecks(JudgeCopy(component, record, outcome.events->observations(), outcome.events->checks()), component,
            &result);
  AddWarnings(room.Program(), &verify.record(), *outcome.events, &result);
  return result;
}

}  // namespace salvor::agent
