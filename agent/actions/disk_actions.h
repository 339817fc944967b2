// The actions of the disk strategy. One file each; where restored files go is in disk_target.h.
#pragma once

#include "agent/actions/action.h"

namespace salvor::agent {

// All paths of a component as one snapshot, and what a restored copy must equal as another. The tree is read
// before restic reads it and looked at again afterwards: what was not the same all the while is named as not
// covered. FailedPrecondition, with nothing kept, when a path is missing or holds a database's files.
StatusOr<v1::ActionResult> RunDiskBackup(const v1::Action& action, ActionContext& context);

// Whether the paths can be restored: each is absent or an empty directory and can be made. Writes nothing.
StatusOr<v1::ActionResult> RunDiskTargetCheck(const v1::Action& action, ActionContext& context);

// Writes the paths. Never into what is there already, but for what an earlier attempt of this same run left,
// known by a marker in the agent's state directory; that is cleared first.
StatusOr<v1::ActionResult> RunDiskRestore(const v1::Action& action, ActionContext& context);

// Three checks a path: files, content, metadata. A check that fails is a verdict, not an error of the action.
StatusOr<v1::ActionResult> RunDiskVerify(const v1::Action& action, ActionContext& context);

}  // namespace salvor::agent
