// Throw-away places for drills, with a database server or without: one directory each, in a sandbox of their own
// (agent/process/sandbox.h): a user that owns nothing else, no network, no file or socket of anyone. They are an
// agent's obligation: removed when the run says so, when their deadline has passed, or after a crash, from what stands
// in their directory. Which server runs in one is an engine's affair (scratch_engine.h).
//
//   <state_directory>/scratch/<name>/state.json   what it is, written before anything else
//                                    data/        the server's, owned by the user it runs as
//                                    socket/      its unix socket, in a folder of its user's
//                                    door/        the same socket in a folder of ours, by which we reach it
//                                    etc/         passwd and group, as they are seen inside
//                                    files/       where a drill lays restored files
//                                    ready        data/ is whole
//                                    loaded.json  which database was loaded in which of its starts
//                                    left.json    which parts of which database a restore left empty
//
// Where the machine gives no sandbox, the server runs with as much of it as can be had, and `not_isolated`
// says what is missing.
#pragma once

#include <absl/time/time.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/process/sandbox.h"
#include "agent/scratch/kept_server.h"
#include "agent/scratch/scratch_engine.h"
#include "agent/scratch/scratch_probe.h"
#include "agent/scratch/scratch_state.h"
#include "base/io/files.h"
#include "base/io/mutex.h"
#include "base/status.h"

namespace salvor::agent {

struct ScratchOptions {
  std::string state_directory;
  ToolRunner& tools;  // borrowed
  std::string
      probe_program;  // path of salvor-supervise, which looks for ways out of a drill when asked with --probe
  ScratchEngines engines;    // kinds of servers that places can have
  std::string scratch_user;  // who runs servers when we are root; empty: a user id that nobody has
  std::string sandbox_program = "bwrap";
};

struct ScratchRequest {
  std::string name;    // an object name
  std::string engine;  // kind of server; empty: only the folder
  int64_t expected_bytes = 0;
  int32_t source_version = 0;  // of the server that was backed up, as its engine writes it; 0: any
  absl::Time deadline = absl::InfiniteFuture();
  // Refused, and nothing left, where it cannot be had; a server that starts again is held to it too.
  bool require_isolation = false;
};

// Owned by the agent. Thread-safe; work on one name is serial, on several parallel.
class ScratchPlaces {
 public:
  explicit ScratchPlaces(ScratchOptions options);
  // Stops the servers and leaves their directories: the next agent removes, or runs on, what it still needs.
  ~ScratchPlaces();

  // ResourceExhausted without the space; FailedPrecondition where this agent has no such engine, or an older one than
  // the source. One that is there already is adopted.
  StatusOr<ScratchState> Start(const ScratchRequest& request);

  // Starts it again from its directory if need be. NotFound when there is none of that name.
  StatusOr<ScratchState> EnsureRunning(const std::string& name);

  // The same program, to be started beside the server: with its isolation, as its user. Inside, the server's
  // socket is in SocketDirectoryInside(state); of the host it sees what `mounts` name.
  StatusOr<ProcessSpec> Beside(const ScratchState& state, ProcessSpec spec,
                               const std::vector<Sandbox::Mount>& mounts) const;
  static std::string SocketDirectoryInside(const ScratchState& state);

  // Tries to get out, from where the server is. Adds what it reached to `not_isolated`.
  StatusOr<ProbeReport> Probe(ScratchState& state) const;

  // A server that starts again empties its unlogged tables, and what was loaded is then not what it was. A
  // restore marks its end, and later work asks.
  Status MarkLoaded(const std::string& name, const std::string& database);
  StatusOr<bool> RestartedSinceLoaded(const std::string& name, const std::string& database);

  // A restore into a drill marks which parts of a database it left empty, in place of what an earlier attempt
  // marked; later work asks.
  Status MarkLeftEmpty(const std::string& name, const std::string& database, const PartsLeftEmpty& parts);
  StatusOr<std::map<std::string, PartsLeftEmpty>> LeftEmpty(const std::string& name);  // by database

  // Stops and deletes. Not existing is fine.
  Status Remove(const std::string& name);

  // The places that stand on disk, running or not.
  StatusOr<std::vector<ScratchState>> List() const;

  // Everything of one of them, of which the agent alone sees all.
  static std::string PlaceOf(const std::string& state_directory, const std::string& name);

  // The folder of restored files; exists after Start.
  static std::string FilesDirectory(const std::string& state_directory, const std::string& name);

 private:
  struct Slot {
    Mutex mutex;                         // held while this name is worked on
    std::unique_ptr<KeptServer> server;  // guarded by mutex; null when it does not run
    UniqueFd socket_directory;           // guarded by mutex; held where the path is too long for a socket
  };

  std::string DirectoryOf(const std::string& name) const;
  std::shared_ptr<Slot> SlotOf(const std::string& name);
  // Null for a place without a server. FailedPrecondition for a kind that this agent does not have.
  StatusOr<const ScratchEngine*> EngineOf(const std::string& kind) const;
  Status Prepare(const ScratchEngine* engine, const ScratchRequest& request, ScratchState& state) const;
  Status MakeRoom(const ScratchEngine* engine, const ScratchRequest& request) const;
  Status ChooseUser(ScratchState& state) const;
  Status MakePlace(const ScratchState& state) const;
  Status Complete(ScratchState& state) const;
  Status MakeData(const ScratchEngine& engine, const ScratchState& state) const;
  Status FindSocket(Slot& slot, ScratchState& state) const;
  Status Launch(const ScratchEngine& engine, Slot& slot, ScratchState& state) const;
  Status LaunchOnce(const ScratchEngine& engine, Slot& slot, ScratchState& state) const;
  Status StartServer(const ScratchEngine& engine, Slot& slot, ScratchState& state) const;
  Status AwaitAnswer(const ScratchEngine& engine, Slot& slot, const ScratchState& state) const;
  Status CheckRoomLeft() const;
  static bool Runs(const ScratchEngine& engine, Slot& slot, const ScratchState& state);
  Status StopOrphan(const ScratchState& state) const;
  void JudgeIsolation(ScratchState& state) const;
  SandboxUser UserIn(const ScratchState& state) const;
  Sandbox SandboxOf(const ScratchState& state) const;
  StatusOr<ProcessSpec> ServerProcess(const ScratchState& state, ProcessSpec spec,
                                      std::vector<Sandbox::Mount> mounts) const;
  Status RefuseUnlessIsolated(const ScratchState& state) const;
  Status ProbeAgain(ScratchState& state) const;
  Status OpenToScratchUser(const ScratchState& state) const;
  StatusOr<std::string> FallbackUser(const ScratchState& state) const;

  ScratchOptions options_;
  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<Slot>> slots_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace salvor::agent
