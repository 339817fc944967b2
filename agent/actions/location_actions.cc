#include "agent/actions/location_actions.h"

#include "agent/restic/restic_errors.h"

namespace salvor::agent {

StatusOr<v1::ActionResult> RunLocationOpen(const v1::Action& action, ActionContext& context) {
  const v1::LocationOpen& open = action.location_open();
  const Restic restic = context.Repository(open.location());
  const std::string shown = WithoutCredentials(open.location().repository());
  v1::ActionResult result;
  Status answer = restic.Check();
  if (Restic::IsLocked(answer)) {
    RETURN_IF_ERROR(restic.Unlock());
    answer = restic.Check();
    if (answer.ok()) result.add_warnings("removed stale locks of the repository " + shown);
  }
  if (answer.code() == absl::StatusCode::kNotFound && open.create()) {
    const Status made = restic.Init();
    answer =
        made.ok() ? made : restic.Check();  // someone else may have been quicker: then it is there as well
    if (!answer.ok()) return WithContext(made, "create repository " + shown);
    if (made.ok()) result.set_note("created repository " + shown);
  }
  RETURN_IF_ERROR(answer);
  return result;
}

}  // namespace salvor::agent
