// The snapshots of a backup that is deleted go, and no other.
#pragma once

#include "agent/work/action.h"

namespace salvor::agent {

// Forgets, each by its id, the backup's manifests, and after them all else that carries its tags: what its run kept, and the
// verifications of its drills. What the record names and is not there counts as done. The answer is OK only when the
// repository, asked once more, has none of them; else it has an error and, in its report, what is left.
//
// FailedPrecondition, and nothing was forgotten: a manifest of it was written by another environment, or a snapshot that the
// record names carries another backup's tags, or the repository can only be read. Unavailable while another restic holds
// the repository. Space comes back when the repository is pruned, which this does not do.
StatusOr<v1::ActionResult> RunLocationForget(const v1::LocationForget& action, ActionContext& context);

}  // namespace salvor::agent
