// Removes what earlier attempts may have left in the Location.
#pragma once

#include <string>
#include <vector>

#include "agent/work/action.h"

namespace salvor::agent {

// Forgets these snapshots of an earlier attempt; none is fine. A restore goes by the manifest, so one that
// stays does no harm: while the repository is locked by a living restic (0.14 forgets under an exclusive
// lock) they are left to the manifest's step, which forgets all that the manifest does not name.
Status ForgetIfPossible(const Restic& restic, const std::vector<std::string>& snapshots);

// Forgets what runs that are over and made no backup left in the repository. A run whose manifest is there after all is
// a backup, and stays whole. The answer is how many snapshots went; locks are as for ForgetIfPossible.
StatusOr<int> ForgetRuns(const Restic& restic, const std::vector<std::string>& runs);

// Forgets what this run kept under these names before this attempt. Nothing to do in a first attempt.
Status ForgetEarlierAttempts(const ActionContext& context, const std::vector<v1::ArtifactTarget>& targets);

// Removes the stale locks of the Location that the task works with: restic leaves its own when it is stopped. Nothing for
// actions without a Location. DeadlineExceeded past the patience.
Status RemoveOwnLocks(const v1::Task& task, const AgentConfig& config, ToolRunner& tools,
                      absl::Duration patience);

// Cleans up after an attempt that was cut short: removes stale locks of the Location it worked with, and forgets the
// snapshots of its own artifacts (a whole one whose acknowledgement was lost is made again). DeadlineExceeded
// past the patience.
Status CleanUpAfter(const v1::Task& task, const AgentConfig& config, ToolRunner& tools,
                    absl::Duration patience);

// The target itself, and that of its details.
std::vector<v1::ArtifactTarget> WithDetails(const v1::ArtifactTarget& target);

}  // namespace salvor::agent
