#include "agent/engines/postgres/scratch_server.h"

#include <absl/time/clock.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "agent/engines/postgres/connection.h"
#include "agent/engines/postgres/scratch_door.h"
#include "agent/engines/postgres/scratch_state.h"
#include "agent/process/tool_runner.h"
#include "base/io/files.h"
#include "base/io/log.h"
#include "base/io/steady_clock.h"
#include "base/names.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr char kSocket[] = ".s.PGSQL.5432";
constexpr size_t kLongestSocketDirectory = 90;  // the path with "/.s.PGSQL.5432" must fit into 107 bytes
constexpr int64_t kServerBytes = int64_t{256} << 20;  // an empty cluster, its WAL and room to breathe
constexpr int64_t kRoomToStart = int64_t{64} << 20;
constexpr absl::Duration kStartTimeout = absl::Seconds(90);
constexpr absl::Duration kInitTimeout = absl::Minutes(5);
constexpr absl::Duration kOrphanGrace = absl::Seconds(20);

bool IsRoot() { return geteuid() == 0; }

std::string DataIn(const ScratchState& state) { return state.directory + "/data"; }
std::string SocketIn(const ScratchState& state) { return state.directory + "/socket"; }
std::string DoorIn(const ScratchState& state) { return state.directory + "/door"; }

Status GiveTo(const std::string& path, int64_t uid) {
  if (!IsRoot() || uid < 0) return OkStatus();
  if (chown(path.c_str(), static_cast<uid_t>(uid), static_cast<gid_t>(-1)) != 0)
    return ErrnoStatus(errno, "chown " + path);
  return OkStatus();
}

bool IsFatal(std::string_view line) {
  return line.find("FATAL") != std::string_view::npos || line.find("PANIC") != std::string_view::npos;
}

}  // namespace

StatusOr<int> ToolVersion(ToolRunner& tools, const std::string& program) {
  ProcessSpec spec;
  spec.argv = {program, "--version"};
  ASSIGN_OR_RETURN(ExitStatus exit, tools.Run(std::move(spec), {}, SteadyNow() + absl::Seconds(30)));
  const size_t space = exit.output.find(") ");
  int major = 0, minor = 0;
  if (space != std::string::npos) {
    const char* const end = exit.output.data() + exit.output.size();
    const auto first = std::from_chars(exit.output.data() + space + 2, end, major);
    if (first.ptr != end && *first.ptr == '.')
      std::from_chars(first.ptr + 1, end, minor);  // "17beta1" has none
  }
  if (major <= 0) return Internal("{} --version says '{}'", program, Elide(Trim(exit.output), 80));
  return major * 10000 + minor;
}

ScratchPlaces::ScratchPlaces(ScratchOptions options) : options_(std::move(options)) {}
ScratchPlaces::~ScratchPlaces() = default;

std::string ScratchPlaces::PlaceOf(const std::string& state_directory, const std::string& name) {
  return state_directory + "/scratch/" + name;
}

std::string ScratchPlaces::DirectoryOf(const std::string& name) const {
  return PlaceOf(options_.state_directory, name);
}

std::string ScratchPlaces::FilesDirectory(const std::string& state_directory, const std::string& name) {
  return PlaceOf(state_directory, name) + "/files";
}

std::shared_ptr<ScratchPlaces::Slot> ScratchPlaces::SlotOf(const std::string& name) {
  MutexLock lock(mutex_);
  std::shared_ptr<Slot>& slot = slots_[name];
  if (!slot) slot = std::make_shared<Slot>();
  return slot;
}

v1::PostgresConnection ScratchPlaces::ConnectionTo(const ScratchState& state) {
  v1::PostgresConnection connection;
  connection.set_socket_directory(state.socket_directory);
  connection.set_user(kScratchSuperuser);
  return connection;
}

// A socket's path has little room, ours may be long: then it is reached by a descriptor of its folder.
Status ScratchPlaces::FindSocket(Slot& slot, ScratchState& state) const {
  state.socket_directory = DoorIn(state);
  if (!state.postgres || state.socket_directory.size() <= kLongestSocketDirectory) return OkStatus();
  if (!slot.socket_directory.Valid()) {
    slot.socket_directory = UniqueFd(open(state.socket_directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!slot.socket_directory.Valid()) return ErrnoStatus(errno, "open " + state.socket_directory);
  }
  // Not /proc/self: the programs that we start come this way too.
  state.socket_directory = fmt::format("/proc/{}/fd/{}", getpid(), slot.socket_directory.Get());
  return OkStatus();
}

Status ScratchPlaces::MakeRoom(const ScratchRequest& request) const {
  ASSIGN_OR_RETURN(const int64_t free, FreeBytes(options_.state_directory));
  const int64_t need =
      request.expected_bytes + request.expected_bytes / 10 * 3 + (request.postgres ? kServerBytes : 0);
  if (free >= need) return OkStatus();
  return WithHint(ResourceExhausted("a drill needs {} below {}, {} are free", HumanBytes(need),
                                    options_.state_directory, HumanBytes(free)),
                  "Free some space, or point the agent's state_directory to a larger disk.");
}

Status ScratchPlaces::Prepare(const ScratchRequest& request, ScratchState& state) const {
  RETURN_IF_ERROR(CheckObjectName(request.name));
  if (request.postgres && request.server_version_num > 0) {
    ASSIGN_OR_RETURN(const int local, ToolVersion(options_.tools, options_.bin_directory + "/postgres"));
    if (local / 10000 < request.server_version_num / 10000) {
      return WithHint(FailedPrecondition("the backup is of PostgreSQL {}, the agent's is {}",
                                         request.server_version_num / 10000, local / 10000),
                      "Install the newer PostgreSQL and set postgres_bin_directory to it.");
    }
  }
  RETURN_IF_ERROR(MakeDirectories(options_.state_directory, 0700));
  RETURN_IF_ERROR(MakeDirectories(options_.state_directory + "/scratch", 0700));
  RETURN_IF_ERROR(MakeRoom(request));
  state.name = request.name;
  state.directory = DirectoryOf(request.name);
  state.postgres = request.postgres;
  state.created_at = absl::Now();
  state.deadline = request.deadline;
  state.require_isolation = request.require_isolation;
  RETURN_IF_ERROR(ChooseUser(state));
  RETURN_IF_ERROR(MakeDirectories(state.directory, 0700));
  RETURN_IF_ERROR(WriteScratchState(state));
  RETURN_IF_ERROR(RemoveTree(state.directory + "/etc"));  // of an attempt that died half-way
  RETURN_IF_ERROR(MakePlace(state));
  JudgeIsolation(state);
  if (Status refused = RefuseUnlessIsolated(state); !refused.ok()) {
    RETURN_IF_ERROR(RemoveTree(state.directory));
    return refused;
  }
  RETURN_IF_ERROR(WriteScratchState(state));
  if (!request.postgres) return OkStatus();
  if (!state.sandboxed) RETURN_IF_ERROR(OpenToScratchUser(state));
  return InitDatabase(state);
}

// What is inside, but for the server's data. The folder above is private: modes here are for who is inside.
Status ScratchPlaces::MakePlace(const ScratchState& state) const {
  RETURN_IF_ERROR(MakeDirectories(DoorIn(state), 0700));
  if (access((state.directory + "/etc/group").c_str(), F_OK) == 0) return OkStatus();  // written last
  RETURN_IF_ERROR(MakeDirectories(state.directory + "/files", 0755));
  RETURN_IF_ERROR(MakeDirectories(SocketIn(state), 0700));
  RETURN_IF_ERROR(GiveTo(SocketIn(state), state.uid));
  return WriteIdentity(state.directory + "/etc", UserIn(state));
}

// Version 0.1 had less of it, and a folder without a server belonged to root.
Status ScratchPlaces::Complete(ScratchState& state) const {
  if (IsRoot() && state.uid < 0) {
    RETURN_IF_ERROR(ChooseUser(state));
    RETURN_IF_ERROR(WriteScratchState(state));
  }
  return MakePlace(state);
}

Status ScratchPlaces::InitDatabase(const ScratchState& state) const {
  const std::string data = DataIn(state);
  RETURN_IF_ERROR(RemoveTree(data));  // of an attempt that died half-way
  RETURN_IF_ERROR(MakeDirectories(data, 0700));
  RETURN_IF_ERROR(GiveTo(data, state.uid));
  ProcessSpec initdb;
  initdb.argv = {options_.bin_directory + "/initdb",
                 std::string("--pgdata=") + (state.sandboxed ? kScratchData : data),
                 std::string("--username=") + kScratchSuperuser,
                 "--auth=trust",
                 "--encoding=UTF8",
                 "--locale=C.UTF-8",
                 "--no-sync",
                 "--no-instructions"};
  ASSIGN_OR_RETURN(ProcessSpec spec, ServerProcess(state, std::move(initdb), {{data, kScratchData, true}}));
  RETURN_IF_ERROR_IN(options_.tools.Run(std::move(spec), {}, SteadyNow() + kInitTimeout).status(),
                     "making a scratch server");
  return WriteFileAtomically(state.directory + "/ready", "", 0600);
}

namespace {

// Nothing here may act on the world, and nothing needs to outlive the machine. It has to outlive the process,
// though: with synchronous_commit off, a restore that was reported as done could be gone after a restart.
//
// A server that lost a backend ends rather than starting itself anew: its unlogged tables would be empty then,
// and nobody would know. Each large object takes a lock, and a restore is one transaction.
std::vector<std::string> ServerSettings(const std::string& socket_directory) {
  return {"listen_addresses=",
          "unix_socket_directories=" + socket_directory,
          "unix_socket_permissions=0700",
          "port=5432",
          "archive_mode=off",
          "wal_level=minimal",
          "max_wal_senders=0",
          "fsync=off",
          "full_page_writes=off",
          "max_wal_size=4GB",
          "checkpoint_timeout=1h",
          "shared_preload_libraries=",
          "session_preload_libraries=",
          "local_preload_libraries=",
          "max_logical_replication_workers=0",
          "max_prepared_transactions=0",
          "logging_collector=off",
          "log_destination=stderr",
          "max_locks_per_transaction=8192",
          "max_connections=30",
          "restart_after_crash=off",
          "cluster_name=salvor-scratch",
          "jit=off"};
}

}  // namespace

Status ScratchPlaces::Launch(Slot& slot, ScratchState& state) const {
  // Children of a server that was killed hold its memory for a moment more: then the first try ends at once.
  const SteadyTime retry_until = SteadyNow() + kOrphanGrace;
  while (true) {
    RETURN_IF_ERROR(StopOrphan(state));
    Status launched = LaunchOnce(slot, state);
    if (launched.ok() || launched.code() != absl::StatusCode::kAborted || SteadyNow() > retry_until)
      return launched;
  }
}

Status ScratchPlaces::LaunchOnce(Slot& slot, ScratchState& state) const {
  const bool was_sandboxed = state.sandboxed && !state.start.empty();
  JudgeIsolation(state);
  // What was restored in a sandbox is hostile until proven otherwise, and is never let out of it.
  if (was_sandboxed && !state.sandboxed) {
    return WithHint(Unavailable("the sandbox of scratch server {} can't be had again: {}", state.name,
                                state.not_isolated),
                    "The machine may have been too busy. Drill again.");
  }
  RETURN_IF_ERROR(RefuseUnlessIsolated(state));
  if (!state.sandboxed) RETURN_IF_ERROR(OpenToScratchUser(state));
  state.shares_network = false;
  state.start = ToHex(RandomBytes(8));
  RETURN_IF_ERROR(WriteScratchState(state));
  RETURN_IF_ERROR_IN(StartServer(slot, state), "starting a scratch server");
  RETURN_IF_ERROR(WriteScratchState(state));
  return AwaitAnswer(slot, state);
}

Status ScratchPlaces::StartServer(Slot& slot, ScratchState& state) const {
  const bool sandboxed = state.sandboxed;
  const std::string data = DataIn(state);
  ProcessSpec server;
  server.argv = {options_.bin_directory + "/postgres", "-D", sandboxed ? kScratchData : data};
  // The server works in its data directory: seen from there the path is short, however long it is from here.
  for (const std::string& setting : ServerSettings(sandboxed ? kScratchSocket : "../socket")) {
    server.argv.push_back("-c");
    server.argv.push_back(setting);
  }
  // At once, for what is thrown away needs no shutdown checkpoint: with its PID namespace all of it ends.
  server.stop_signal = sandboxed ? SIGKILL : SIGQUIT;
  const std::vector<Sandbox::Mount> mounts = {{data, kScratchData, true},
                                              {SocketIn(state), kScratchSocket, true}};
  const auto start = [&](bool new_network) -> Status {
    ProcessSpec copy;
    copy.argv = server.argv;
    copy.stop_signal = server.stop_signal;
    ASSIGN_OR_RETURN(ProcessSpec spec, ServerProcess(state, std::move(copy), mounts));
    spec.new_network = new_network;
    slot.server = std::make_unique<KeptServer>(options_.tools, std::move(spec), IsFatal);
    return slot.server->Started();
  };
  if (sandboxed) return start(false);
  Status apart = start(true);
  if (apart.ok()) return apart;
  state.shares_network = true;
  NameLack(state, kSharesNetwork, ": " + MessageOf(apart));
  return start(false);
}

// A server without room for its log ends, and does so again at each start.
Status ScratchPlaces::CheckRoomLeft() const {
  const auto free = FreeBytes(options_.state_directory);
  if (!free.ok() || *free >= kRoomToStart) return OkStatus();
  return WithHint(ResourceExhausted("the disk of {} is full, {} are free: the scratch server cannot run",
                                    options_.state_directory, HumanBytes(*free)),
                  "The backup is not the cause. Free some space, and drill again.");
}

// Restored code is the superuser there, and may have put something in the server's place that never answers.
SessionOptions ScratchPlaces::Bounded() const {
  SessionOptions options;
  options.deadline = SteadyNow() + options_.session_bound;
  options.cancels_on_server = false;
  return options;
}

Status ScratchPlaces::CheckListener(const Connection& session, const ScratchState& state) const {
  return CheckPeer(session, UserIn(state).uid, FindServerProcesses(DataIn(state)));
}

Status ScratchPlaces::AwaitAnswer(Slot& slot, const ScratchState& state) const {
  const SteadyTime until = SteadyNow() + kStartTimeout;
  Status last;
  while (SteadyNow() < until) {
    last = OpenDoor(SocketIn(state), DoorIn(state), kSocket, UserIn(state).uid);
    if (!last.ok() && last.code() != absl::StatusCode::kNotFound) {
      slot.server.reset();
      return last;
    }
    if (last.ok()) {
      const auto connection = Connection::Open(ConnectionTo(state), Bounded());
      if (connection.ok()) {
        last = CheckListener(**connection, state);
        if (last.ok()) return last;
        if (!slot.server->AwaitEnd(absl::Seconds(2))) {  // else it is nobody any more
          slot.server.reset();
          return last;
        }
      } else {
        last = connection.status();
      }
    }
    if (slot.server->AwaitEnd(absl::Milliseconds(20))) {
      const std::string words = slot.server->LastWords();
      slot.server.reset();
      RETURN_IF_ERROR(CheckRoomLeft());
      return Aborted("the scratch server ended while it started: {}", words);
    }
  }
  slot.server.reset();
  return WithContext(last, "the scratch server does not answer");
}

// True while the server runs and answers; what has ended is let go.
bool ScratchPlaces::Runs(Slot& slot, const ScratchState& state) const {
  if (!slot.server) return false;
  const auto session = Connection::Open(ConnectionTo(state), Bounded());
  if (session.ok()) {
    if (CheckListener(**session, state).ok()) return true;
    slot.server.reset();
    return false;
  }
  // Dying, or only too busy for one more session.
  if (slot.server->AwaitEnd(absl::Seconds(2)) || FindServerProcess(DataIn(state)) == 0) slot.server.reset();
  return slot.server != nullptr;
}

// A server of an agent that died, which its supervisor is stopping: we end it ourselves, and take away what
// it left to say that it runs. The number in there is of a PID namespace that is gone, and may be anybody's.
Status ScratchPlaces::StopOrphan(const ScratchState& state) const {
  const SteadyTime until = SteadyNow() + kOrphanGrace;
  Mutex mutex;
  CondVar tick;
  while (true) {
    const std::vector<int> processes = FindServerProcesses(DataIn(state));
    if (processes.empty()) break;
    for (const int pid : processes) kill(pid, SIGKILL);
    if (SteadyNow() > until)
      return Unavailable("process {} of {} does not end", processes.front(), state.directory);
    MutexLock lock(mutex);
    tick.WaitFor(mutex, std::chrono::milliseconds(20));
  }
  const std::string socket = SocketIn(state) + "/" + kSocket;
  for (const std::string& left :
       {DataIn(state) + "/postmaster.pid", socket, socket + ".lock", DoorIn(state) + "/" + kSocket})
    unlink(left.c_str());
  return OkStatus();
}

StatusOr<ScratchState> ScratchPlaces::Start(const ScratchRequest& request) {
  RETURN_IF_ERROR(CheckObjectName(request.name));
  const std::shared_ptr<Slot> slot = SlotOf(request.name);
  MutexLock lock(slot->mutex);
  const auto known = ReadScratchState(DirectoryOf(request.name));
  const bool ready = known.ok() && known->postgres == request.postgres &&
                     (!request.postgres || ReadFile(known->directory + "/ready").ok());
  ScratchState state;
  if (ready) {
    state = *known;
    state.deadline = request.deadline;
    state.require_isolation = state.require_isolation || request.require_isolation;
    RETURN_IF_ERROR(WriteScratchState(state));
    RETURN_IF_ERROR(Complete(state));
  } else {
    slot->server.reset();
    if (known.ok()) RETURN_IF_ERROR(StopOrphan(*known));
    RETURN_IF_ERROR(Prepare(request, state));
  }
  RETURN_IF_ERROR(FindSocket(*slot, state));
  if (request.postgres && !Runs(*slot, state)) RETURN_IF_ERROR(Launch(*slot, state));
  if (!request.postgres) JudgeIsolation(state);
  RETURN_IF_ERROR(RefuseUnlessIsolated(state));
  return state;
}

StatusOr<ScratchState> ScratchPlaces::EnsureRunning(const std::string& name) {
  RETURN_IF_ERROR(CheckObjectName(name));
  const std::shared_ptr<Slot> slot = SlotOf(name);
  MutexLock lock(slot->mutex);
  StatusOr<ScratchState> known = ReadScratchState(DirectoryOf(name));
  if (!known.ok()) {
    return WithHint(WithContext(known.status(), fmt::format("there is no scratch server '{}'", name)),
                    "Its time was over, or somebody removed it. Drill again.");
  }
  ScratchState state = *std::move(known);
  RETURN_IF_ERROR(Complete(state));
  RETURN_IF_ERROR(FindSocket(*slot, state));
  if (state.postgres && !Runs(*slot, state)) {
    if (!ReadFile(state.directory + "/ready").ok())
      return NotFound("scratch server '{}' was never whole", name);
    RETURN_IF_ERROR(Launch(*slot, state));
    const Status isolated = ProbeAgain(state);
    if (!isolated.ok()) slot->server.reset();
    RETURN_IF_ERROR(isolated);
  }
  if (!state.postgres) JudgeIsolation(state);
  RETURN_IF_ERROR(RefuseUnlessIsolated(state));
  return state;
}

Status ScratchPlaces::Remove(const std::string& name) {
  RETURN_IF_ERROR(CheckObjectName(name));
  const std::shared_ptr<Slot> slot = SlotOf(name);
  MutexLock lock(slot->mutex);
  slot->server.reset();
  const std::string directory = DirectoryOf(name);
  ScratchState state;
  state.directory = directory;
  if (const auto known = ReadScratchState(directory); known.ok()) state = *known;
  RETURN_IF_ERROR(StopOrphan(state));
  slot->socket_directory.Reset();
  if (!state.old_socket_directory.empty()) RETURN_IF_ERROR(RemoveTree(state.old_socket_directory));
  // First of all it stops being a scratch place: who compares what is in it must not take a half for a whole.
  unlink((directory + "/state.json").c_str());
  return RemoveTree(directory);
}

}  // namespace salvor::agent
