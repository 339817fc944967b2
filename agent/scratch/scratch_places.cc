#include "agent/scratch/scratch_places.h"

#include <absl/time/clock.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "agent/process/tool_runner.h"
#include "agent/scratch/scratch_state.h"
#include "base/io/files.h"
#include "base/io/steady_clock.h"
#include "base/names.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr size_t kLongestSocketDirectory =
    90;  // the path with "/" and a socket's name must fit into 107 bytes
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

}  // namespace

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

StatusOr<const ScratchEngine*> ScratchPlaces::EngineOf(const std::string& kind) const {
  if (kind.empty()) return nullptr;
  for (const auto& engine : options_.engines) {
    if (engine->Kind() == kind) return engine.get();
  }
  return WithHint(FailedPrecondition("this agent has no scratch servers of kind '{}'", kind),
                  "Update the agent, or drill where one has them.");
}

// A socket's path has little room, ours may be long: then it is reached by a descriptor of its folder.
Status ScratchPlaces::FindSocket(Slot& slot, ScratchState& state) const {
  state.socket_directory = DoorIn(state);
  if (state.engine.empty() || state.socket_directory.size() <= kLongestSocketDirectory) return OkStatus();
  if (!slot.socket_directory.Valid()) {
    slot.socket_directory = UniqueFd(open(state.socket_directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!slot.socket_directory.Valid()) return ErrnoStatus(errno, "open " + state.socket_directory);
  }
  // The path is not /proc/self: the programs that we start come this way too.
  state.socket_directory = fmt::format("/proc/{}/fd/{}", getpid(), slot.socket_directory.Get());
  return OkStatus();
}

Status ScratchPlaces::MakeRoom(const ScratchEngine* engine, const ScratchRequest& request) const {
  ASSIGN_OR_RETURN(const int64_t free, FreeBytes(options_.state_directory));
  const int64_t need = request.expected_bytes + request.expected_bytes / 10 * 3 +
                       (engine != nullptr ? engine->EmptyServerBytes() : 0);
  if (free >= need) return OkStatus();
  return WithHint(ResourceExhausted("a drill needs {} below {}, {} are free", HumanBytes(need),
                                    options_.state_directory, HumanBytes(free)),
                  "Free some space, or point the agent's state_directory to a larger disk.");
}

Status ScratchPlaces::Prepare(const ScratchEngine* engine, const ScratchRequest& request,
                              ScratchState& state) const {
  RETURN_IF_ERROR(CheckObjectName(request.name));
  if (engine != nullptr && request.source_version > 0)
    RETURN_IF_ERROR(engine->CheckVersion(request.source_version));
  RETURN_IF_ERROR(MakeDirectories(options_.state_directory, 0700));
  RETURN_IF_ERROR(MakeDirectories(options_.state_directory + "/scratch", 0700));
  RETURN_IF_ERROR(MakeRoom(engine, request));
  state.name = request.name;
  state.directory = DirectoryOf(request.name);
  state.engine = request.engine;
  state.created_at = absl::Now();
  state.deadline = request.deadline;
  state.require_isolation = request.require_isolation;
  RETURN_IF_ERROR(ChooseUser(state));
  RETURN_IF_ERROR(MakeDirectories(state.directory, 0700));
  // The records of an earlier server of this name are not true of this one.
  for (const char* left : {"/ready", "/loaded.json", "/left.json"}) unlink((state.directory + left).c_str());
  RETURN_IF_ERROR(WriteScratchState(state));
  RETURN_IF_ERROR(RemoveTree(state.directory + "/etc"));  // of an attempt that died half-way
  RETURN_IF_ERROR(MakePlace(state));
  JudgeIsolation(state);
  if (Status refused = RefuseUnlessIsolated(state); !refused.ok()) {
    RETURN_IF_ERROR(RemoveTree(state.directory));
    return refused;
  }
  RETURN_IF_ERROR(WriteScratchState(state));
  if (engine == nullptr) return OkStatus();
  if (!state.sandboxed) RETURN_IF_ERROR(OpenToScratchUser(state));
  return MakeData(*engine, state);
}

// Makes what is inside, but for the server's data. The folder above is private: modes here are for who is inside.
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

Status ScratchPlaces::MakeData(const ScratchEngine& engine, const ScratchState& state) const {
  const std::string data = DataIn(state);
  RETURN_IF_ERROR(RemoveTree(data));  // of an attempt that died half-way
  RETURN_IF_ERROR(MakeDirectories(data, 0700));
  RETURN_IF_ERROR(GiveTo(data, state.uid));
  ASSIGN_OR_RETURN(ProcessSpec spec,
                   ServerProcess(state, engine.Initializer(state), {{data, kScratchData, true}}));
  RETURN_IF_ERROR_IN(options_.tools.Run(std::move(spec), {}, SteadyNow() + kInitTimeout).status(),
                     "making a scratch server");
  return WriteFileAtomically(state.directory + "/ready", "", 0600);
}

Status ScratchPlaces::Launch(const ScratchEngine& engine, Slot& slot, ScratchState& state) const {
  // Children of a server that was killed hold its memory for a moment more: then the first try ends at once.
  const SteadyTime retry_until = SteadyNow() + kOrphanGrace;
  while (true) {
    RETURN_IF_ERROR(StopOrphan(state));
    Status launched = LaunchOnce(engine, slot, state);
    if (launched.ok() || launched.code() != absl::StatusCode::kAborted || SteadyNow() > retry_until)
      return launched;
  }
}

Status ScratchPlaces::LaunchOnce(const ScratchEngine& engine, Slot& slot, ScratchState& state) const {
  const bool was_sandboxed = state.sandboxed && !state.start.empty();
  JudgeIsolation(state);
  // Data that was restored in a sandbox is hostile until proven otherwise, and is never let out of it.
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
  RETURN_IF_ERROR_IN(StartServer(engine, slot, state), "starting a scratch server");
  RETURN_IF_ERROR(WriteScratchState(state));
  return AwaitAnswer(engine, slot, state);
}

Status ScratchPlaces::StartServer(const ScratchEngine& engine, Slot& slot, ScratchState& state) const {
  const std::vector<Sandbox::Mount> mounts = {{DataIn(state), kScratchData, true},
                                              {SocketIn(state), kScratchSocket, true}};
  const auto start = [&](bool new_network) -> Status {
    ASSIGN_OR_RETURN(ProcessSpec spec, ServerProcess(state, engine.Server(state), mounts));
    spec.new_network = new_network;
    slot.server = std::make_unique<KeptServer>(
        options_.tools, std::move(spec), [&engine](std::string_view line) { return engine.IsFatal(line); });
    return slot.server->Started();
  };
  if (state.sandboxed) return start(false);
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

Status ScratchPlaces::AwaitAnswer(const ScratchEngine& engine, Slot& slot, const ScratchState& state) const {
  const SteadyTime until = SteadyNow() + kStartTimeout;
  Status last;
  while (SteadyNow() < until) {
    last = engine.OpenDoor(state);
    if (!last.ok() && last.code() != absl::StatusCode::kNotFound) {
      slot.server.reset();
      return last;
    }
    if (last.ok()) {
      const ScratchAnswer answer = engine.Ask(state);
      last = answer.session.ok() ? answer.listener : answer.session;
      if (last.ok()) return last;
      if (answer.session.ok() && !slot.server->AwaitEnd(absl::Seconds(2))) {  // else it is nobody any more
        slot.server.reset();
        return last;
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
bool ScratchPlaces::Runs(const ScratchEngine& engine, Slot& slot, const ScratchState& state) {
  if (!slot.server) return false;
  const ScratchAnswer answer = engine.Ask(state);
  if (answer.session.ok()) {
    if (answer.listener.ok()) return true;
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
  const auto engine = EngineOf(state.engine);  // else nothing starts there, and it can only be removed
  if (!engine.ok() || *engine == nullptr) return OkStatus();
  for (const std::string& left : (*engine)->LeftByDeadServer())
    unlink(fmt::format("{}/{}", state.directory, left).c_str());
  return OkStatus();
}

StatusOr<ScratchState> ScratchPlaces::Start(const ScratchRequest& request) {
  RETURN_IF_ERROR(CheckObjectName(request.name));
  ASSIGN_OR_RETURN(const ScratchEngine* const engine, EngineOf(request.engine));
  const std::shared_ptr<Slot> slot = SlotOf(request.name);
  MutexLock lock(slot->mutex);
  const auto known = ReadScratchState(DirectoryOf(request.name));
  const bool ready = known.ok() && known->engine == request.engine &&
                     (engine == nullptr || ReadFile(known->directory + "/ready").ok());
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
    RETURN_IF_ERROR(Prepare(engine, request, state));
  }
  RETURN_IF_ERROR(FindSocket(*slot, state));
  if (engine != nullptr && !Runs(*engine, *slot, state)) RETURN_IF_ERROR(Launch(*engine, *slot, state));
  if (engine == nullptr) JudgeIsolation(state);
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
  ASSIGN_OR_RETURN(const ScratchEngine* const engine, EngineOf(state.engine));
  RETURN_IF_ERROR(Complete(state));
  RETURN_IF_ERROR(FindSocket(*slot, state));
  if (engine != nullptr && !Runs(*engine, *slot, state)) {
    if (!ReadFile(state.directory + "/ready").ok())
      return NotFound("scratch server '{}' was never whole", name);
    RETURN_IF_ERROR(Launch(*engine, *slot, state));
    const Status isolated = ProbeAgain(state);
    if (!isolated.ok()) slot->server.reset();
    RETURN_IF_ERROR(isolated);
  }
  if (engine == nullptr) JudgeIsolation(state);
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
