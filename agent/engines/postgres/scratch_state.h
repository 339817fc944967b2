// The state file of a scratch server, and what its parts share. Internal to the scratch_*.cc files.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/engines/postgres/scratch_server.h"
#include "base/status.h"

namespace salvor::agent {

// Inside a sandbox.
inline constexpr char kScratchData[] = "/scratch/data", kScratchSocket[] = "/scratch/socket";
// In `not_isolated`, where even a network namespace could not be had.
inline constexpr char kSharesNetwork[] = "it shares the host's network";

// Adds to `not_isolated`, from which nothing ever goes. A lack of this kind that is named already stays as it is.
void NameLack(ScratchState& state, const std::string& kind, const std::string& details = "");

StatusOr<ScratchState> ReadScratchState(const std::string& directory);
Status WriteScratchState(const ScratchState& state);

// Which database was loaded while the server had which start: see ScratchPlaces::MarkLoaded.
StatusOr<std::map<std::string, std::string>> ReadLoaded(const std::string& directory);
Status WriteLoaded(const std::string& directory, const std::map<std::string, std::string>& starts);

// See ScratchPlaces::MarkLeftEmpty.
StatusOr<std::map<std::string, ViewsLeftEmpty>> ReadLeftEmpty(const std::string& directory);
Status WriteLeftEmpty(const std::string& directory, const std::map<std::string, ViewsLeftEmpty>& left);

// The processes that work in this data directory, a server's first; ids as we see them, whatever namespaces
// they are in.
std::vector<int> FindServerProcesses(const std::string& data_directory);

// The server itself; 0 when there is none.
int FindServerProcess(const std::string& data_directory);

}  // namespace salvor::agent
