// Leftovers of restores of files that never came to their end: the agent was killed, and the run has no further
// attempt.
//
// The agent cannot know which of them somebody will go on with. It names them all to the control plane, as it names
// the scratch servers it holds, and is told to undo those whose run is over.
#pragma once

#include <vector>

#include "agent/work/action.h"
#include "base/status.h"
#include "salvor/v1/agent_service.pb.h"

namespace salvor::agent {

// Those whose record says that folders of theirs may be there. Not of drills, whose place goes as a whole.
StatusOr<std::vector<v1::HeldObligation>> UnfinishedDiskRestores(const AgentConfig& config);

// Removes the folders that the restore's record says it made, and nothing else; no attempt of the run may be at work.
// What is in place already stays. Where something else has the name of a folder, that is left alone, logged, and not
// looked at again. Nothing on record is fine.
StatusOr<v1::ActionResult> RunDiskRestoreUndo(const v1::DiskRestoreUndo& action, ActionContext& context);

// The undo of one that an agent of 0.1 named: by the name that it gave it.
StatusOr<v1::DiskRestoreUndo> DiskRestoreUndoOf0_1(const v1::HeldObligation& restore);

}  // namespace salvor::agent
