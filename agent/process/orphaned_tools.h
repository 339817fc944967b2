// Tools of an agent that was killed, which their supervisors are still stopping while the next agent starts. What
// that one would clean up they may yet write: a lock of restic, a file half removed.
//
// Every supervisor holds the file <state directory>/tools.lock locked (shared) for as long as it lives. So who
// gets the lock for itself alone knows that nobody is left.
#pragma once

#include <absl/time/time.h>

#include <string>

#include "base/io/files.h"
#include "base/status.h"

namespace salvor::agent {

// The longest stop_grace of any tool (restic's, 20 s), what SIGKILL takes, and some more.
inline constexpr absl::Duration kOrphansPatience = absl::Seconds(30);

// Blocks until no tool of an earlier agent with this state directory is left, for at most `patience`; says in the log
// whom it waits for, and when it went on in spite of them. The answer is for SupervisedTools. Only for the agent that
// has the state directory for itself (Journal::Open).
StatusOr<UniqueFd> AwaitOrphanedTools(const std::string& state_directory,
                                      absl::Duration patience = kOrphansPatience);

}  // namespace salvor::agent
