// Where restored files go, and what stands there.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/actions/action.h"
#include "base/status.h"

namespace salvor::agent {

// What is put before a declared path: "" for the same place as before, else an absolute directory.
StatusOr<std::string> DiskPrefix(const v1::DiskTarget& target, const AgentConfig& config);

// Checks each path and puts the prefix before it. Normalised: no doubled slashes, none inside another.
StatusOr<std::vector<std::string>> DiskDestinations(const std::vector<std::string>& paths,
                                                    const std::string& prefix);

// FailedPrecondition naming everything that stands at the destinations: only nothing and empty directories
// pass.
Status RefuseOccupied(const std::vector<std::string>& destinations);

// FailedPrecondition naming each destination whose parent neither is nor can be made.
Status CheckParents(const std::vector<std::string>& destinations);

// Removes what is at the path; of a directory its content only, since it may be a mount point.
Status ClearDestination(const std::string& path);

// "4,312".
std::string WithCommas(int64_t number);

}  // namespace salvor::agent
