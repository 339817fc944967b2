// Throw-away PostgreSQL servers for drills: one directory each, a socket nobody else can reach, no network,
// no archiving, nothing that would act on the world. They are an agent's obligation: removed when the run
// says so, when their deadline has passed, or after a crash, from what stands in their directory.
//
//   <state_directory>/scratch/<name>/state.json   what it is, written before anything else
//                                    data/        the server's, owned by scratch_user when we are root
//                                    files/       where a drill lays restored files
//                                    ready        data/ is whole
#pragma once

#include <absl/time/time.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/io/mutex.h"
#include "base/status.h"
#include "salvor/v1/object.pb.h"

namespace salvor::agent {

struct ScratchOptions {
  std::string state_directory;
  std::string supervisor;     // path of salvor-supervise
  std::string bin_directory;  // of initdb and postgres
  std::string scratch_user;   // who runs servers when we are root
};

struct ScratchRequest {
  std::string name;      // an object name
  bool postgres = true;  // else only the folder
  int64_t expected_bytes = 0;
  int32_t server_version_num = 0;  // of the source; 0: any
  absl::Time deadline = absl::InfiniteFuture();
};

struct ScratchState {
  std::string name;
  std::string directory;
  bool postgres = false;
  std::string socket_directory;
  std::string not_isolated;  // why, when the server shares the host's network; empty: it has none
  absl::Time created_at;
  absl::Time deadline = absl::InfiniteFuture();
};

// The superuser of scratch servers. Not "postgres": so that role can be restored, and compared, like any
// other.
inline constexpr char kScratchSuperuser[] = "salvor_scratch";

// Owned by the agent. Thread-safe; work on one name is serial, on several parallel.
class ScratchServers {
 public:
  explicit ScratchServers(ScratchOptions options);
  // Stops the servers and leaves their directories: the next agent removes, or runs on, what it still needs.
  ~ScratchServers();

  // ResourceExhausted without the space; FailedPrecondition where the local PostgreSQL is older than the
  // source. One that is there already is adopted.
  StatusOr<ScratchState> Start(const ScratchRequest& request);

  // Starts it again from its directory if need be. NotFound when there is none of that name.
  StatusOr<ScratchState> EnsureRunning(const std::string& name);

  // Stops and deletes. Not existing is fine.
  Status Remove(const std::string& name);

  // All whose deadline has passed; the first error, having tried all.
  Status RemoveExpired(absl::Time now);

  // What stands on disk, running or not.
  StatusOr<std::vector<ScratchState>> List() const;

  // Of a running server, for its superuser.
  static v1::PostgresConnection ConnectionTo(const ScratchState& state);

  // The folder of restored files; exists after Start.
  static std::string FilesDirectory(const std::string& state_directory, const std::string& name);

 private:
  class Server;
  struct Slot {
    Mutex mutex;                     // held while this name is worked on
    std::unique_ptr<Server> server;  // guarded by mutex; null when it does not run
  };

  std::string DirectoryOf(const std::string& name) const;
  std::shared_ptr<Slot> SlotOf(const std::string& name);
  Status Prepare(const ScratchRequest& request, ScratchState& state) const;
  Status InitDatabase(const ScratchState& state) const;
  Status Launch(Slot& slot, ScratchState& state) const;
  Status LaunchOnce(Slot& slot, ScratchState& state) const;
  bool Runs(Slot& slot, const ScratchState& state) const;
  Status StopOrphan(const ScratchState& state) const;
  Status MakeReachable() const;
  StatusOr<std::string> MakeSocketDirectory(const std::string& directory) const;
  Status GiveToScratchUser(const std::string& path) const;
  std::string RunAs() const;

  ScratchOptions options_;
  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<Slot>> slots_ ABSL_GUARDED_BY(mutex_);
};

// The version of a PostgreSQL program in the server's own notation: 150018 for "pg_dump (PostgreSQL) 15.18".
StatusOr<int> ToolVersion(const std::string& supervisor, const std::string& program);

}  // namespace salvor::agent
