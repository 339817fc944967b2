#include "agent/engines/action/actions/actions.h"
#include "agent/engines/action/actions/room.h"

namespace salvor::agent {
namespace {

// The artifacts of the manifest are those that the program declared, or something was left out on the way.
Status CheckComplete(const v1::ProgramRestore& restore, const v1::ProgramRecord& record,
                     const std::string& component) {
  std::map<std::string, bool> there;
  for (const v1::Artifact& artifact : restore.artifacts()) there[artifact.name()] = true;
  for (const std::string& name : record.artifacts()) {
    if (there.count(ArtifactName(component, name)) == 0)
      return DataLoss("artifact {} is in the record, and not in the backup", name);
  }
  return OkStatus();
}

}  // namespace

StatusOr<v1::ActionResult> RunProgramRestore(const v1::ProgramRestore& restore, ActionContext& context) {
  ASSIGN_OR_RETURN(const v1::ProgramRecord record, LoadRecord(restore.record(), restore.location(), context));
  RETURN_IF_ERROR(CheckComplete(restore, record, context.task.component()));
  v1::ActionResult result;
  if (restore.artifacts().empty()) {
    result.add_warnings("nothing was restored: its program declared no artifact at the backup");
    return result;
  }
  ASSIGN_OR_RETURN(const ProgramRoom room,
                   restore.scratch().empty()
                       ? ProgramRoom::OnHost(restore.component(), context)
                       : ProgramRoom::InDrill(restore.component(), restore.scratch(), false, context));
  ASSIGN_OR_RETURN(ActionRequest request, room.Request(ActionVerb::kRestore, "restore", context));
  RETURN_IF_ERROR(room.Lay(restore.artifacts(), restore.location(), context, &request));
  ASSIGN_OR_RETURN(const ActionOutcome outcome, room.Run(std::move(request), {}, context));
  AddWarnings(room.Program(), &restore.record(), *outcome.events, &result);
  return result;
}

}  // namespace salvor::agent
