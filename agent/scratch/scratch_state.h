// The state of a scratch place, as its state file has it, and what else is read from its folder.
#pragma once

#include <absl/time/time.h>
#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "base/status.h"

namespace salvor::agent {

struct ScratchState {
  std::string name;
  std::string directory;
  std::string engine;                // kind of its server; empty: it is only the folder
  std::string socket_directory;      // by which this process, and what it starts, reaches the server
  bool sandboxed = false;            // it runs inside one
  bool shares_network = false;       // it has not even a network namespace
  bool require_isolation = false;    // as it was asked for
  std::string not_isolated;          // what could not be had in any of its starts; empty: it is isolated
  int64_t uid = -1;                  // who runs it, when we are root
  std::string start;                 // another one after each start of the server
  std::string old_socket_directory;  // of version 0.1, below /tmp: only to remove it
  absl::Time created_at;
  absl::Time deadline = absl::InfiniteFuture();
};

// Parts of a restored database that were left empty, by the names that its engine gives them, and why.
using PartsLeftEmpty = std::map<std::string, std::string>;

// Inside a sandbox.
inline constexpr char kScratchData[] = "/scratch/data", kScratchSocket[] = "/scratch/socket";
// Stands in `not_isolated` where even a network namespace could not be had.
inline constexpr char kSharesNetwork[] = "it shares the host's network";

// Adds to `not_isolated`, from which nothing ever goes. A lack of this kind that is named already stays as it is.
void NameLack(ScratchState& state, const std::string& kind, const std::string& details = "");

uid_t ScratchUserOf(
    const ScratchState& state);  // who runs what is in there: the agent itself, unless it is root

StatusOr<ScratchState> ReadScratchState(const std::string& directory);
Status WriteScratchState(const ScratchState& state);

// The start of the server in which each database was loaded: see ScratchPlaces::MarkLoaded.
StatusOr<std::map<std::string, std::string>> ReadLoaded(const std::string& directory);
Status WriteLoaded(const std::string& directory, const std::map<std::string, std::string>& starts);

// See ScratchPlaces::MarkLeftEmpty.
StatusOr<std::map<std::string, PartsLeftEmpty>> ReadLeftEmpty(const std::string& directory);
Status WriteLeftEmpty(const std::string& directory, const std::map<std::string, PartsLeftEmpty>& left);

// The processes that work in this data directory, a server's first; ids as we see them, whatever namespaces
// they are in.
std::vector<int> FindServerProcesses(const std::string& data_directory);

// The server itself; 0 when there is none.
int FindServerProcess(const std::string& data_directory);

}  // namespace salvor::agent
