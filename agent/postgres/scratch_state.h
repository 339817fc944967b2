// The state file of a scratch server. Internal to scratch_server.cc.
#pragma once

#include <string>

#include "agent/postgres/scratch_server.h"
#include "base/status.h"

namespace salvor::agent {

StatusOr<ScratchState> ReadScratchState(const std::string& directory);
Status WriteScratchState(const ScratchState& state);

// The process that runs on this data directory, by its pid file and /proc; 0 when there is none. A pid file
// whose number is meanwhile somebody else's is deleted.
int FindServerProcess(const std::string& data_directory);

}  // namespace salvor::agent
