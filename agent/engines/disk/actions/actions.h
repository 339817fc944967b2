// The actions of the disk strategy. One file each; where restored files go is in target.h.
#pragma once

#include "agent/work/action.h"

namespace salvor::agent {

// All paths of a component as one snapshot, and what a restored copy must equal as another. The tree is read
// before restic reads it and looked at again afterwards: what was not the same all the while is named as not
// covered. FailedPrecondition, with nothing kept, when a path is missing or holds a database's files.
StatusOr<v1::ActionResult> RunDiskBackup(const v1::DiskBackup& action, ActionContext& context);

// Whether the paths can be restored: each is absent or an empty directory and can be made, and no symlink that
// somebody else made is on the way. Writes nothing.
StatusOr<v1::ActionResult> RunDiskTargetCheck(const v1::DiskTargetCheck& action, ActionContext& context);

// Writes the paths, by way of fresh folders beside them (staging.h). Never into what is there already. What an
// earlier attempt of this same run made is known by a record in the agent's state directory: half a copy of it is
// removed, a whole one moved into place.
StatusOr<v1::ActionResult> RunDiskRestore(const v1::DiskRestore& action, ActionContext& context);

// Three checks a path: files, content, metadata. A check that fails is a verdict, not an error of the action.
StatusOr<v1::ActionResult> RunDiskVerify(const v1::DiskVerify& action, ActionContext& context);

// All of them.
void RegisterDiskActions(ActionRegistry& registry);

}  // namespace salvor::agent
