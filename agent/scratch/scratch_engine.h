// The interface by which a scratch place knows one kind of server. The place owns the folders, the user, the sandbox,
// the state file and the process; an engine says what to run in there, and knows how to talk to it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/process/tool_runner.h"
#include "agent/scratch/scratch_state.h"
#include "base/status.h"

namespace salvor::agent {

struct ScratchAnswer {
  Status session;   // OK when the server answers
  Status listener;  // of one that answers: PermissionDenied unless it is the server of this place
};

// One for each kind of server, for the life of the agent. Thread-safe: it is asked for several places at once.
//
// In a sandbox its programs see the place's data/ as kScratchData and its socket/ as kScratchSocket; without one, both
// as they stand on the host. A server has to work in its data directory: by that its processes are found after a crash.
class ScratchEngine {
 public:
  virtual ~ScratchEngine() = default;

  virtual std::string Kind() const = 0;  // "postgres"; stands in the state file of each of its places

  // A folder outside of /usr that its programs are in, to be seen in the sandboxes of its places; empty for none.
  virtual std::string ProgramFolder() const = 0;

  virtual int64_t EmptyServerBytes() const = 0;  // on the disk, with room to breathe

  // FailedPrecondition when a server here is too old for what was backed up from one of this version, which is written
  // as the engine does. Asked before anything is made.
  virtual Status CheckVersion(int32_t source_version) const = 0;

  // The program that makes an empty server's data in data/, an empty folder of its user's.
  virtual ProcessSpec Initializer(const ScratchState& state) const = 0;

  // The server, with the signal that stops it at once. It listens in socket/ alone, and does nothing that acts on the
  // world. It ends when it lost something that was loaded, rather than to go on without.
  virtual ProcessSpec Server(const ScratchState& state) const = 0;

  // Whether this line of the server's output says why it ends.
  virtual bool IsFatal(std::string_view line) const = 0;

  // Gives the server's socket a second name in door/, which nobody in the place can change. NotFound while it has none;
  // after any other error the server is stopped.
  virtual Status OpenDoor(const ScratchState& state) const = 0;

  // Asks the server behind the open door, in bounded time: what was restored may have put anything in its place.
  virtual ScratchAnswer Ask(const ScratchState& state) const = 0;

  // Files by which a server that was killed still says that it runs, as paths below the place's folder.
  virtual std::vector<std::string> LeftByDeadServer() const = 0;
};

using ScratchEngines = std::vector<std::shared_ptr<const ScratchEngine>>;

}  // namespace salvor::agent
