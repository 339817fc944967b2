// A scratch place is kept apart from the host by its user, its sandbox, and the probe that looks for ways out.
#include <dirent.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "agent/process/tool_runner.h"
#include "agent/scratch/scratch_places.h"
#include "agent/scratch/scratch_state.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr absl::Duration kProbeTimeout = absl::Seconds(30);
constexpr char kProbe[] = "/scratch/probe";  // inside a sandbox

bool IsRoot() { return geteuid() == 0; }

StatusOr<SandboxUser> UserOf(const std::string& name) {
  const passwd* entry = getpwnam(name.c_str());
  if (entry == nullptr) {
    return WithHint(FailedPrecondition("there is no user '{}' to run scratch servers", name),
                    "Name an existing user with --scratch-user, or leave it out.");
  }
  if (entry->pw_uid == 0) {
    return WithHint(FailedPrecondition("scratch servers do not run as root"),
                    "Leave --scratch-user out: they get a user id that nobody has.");
  }
  return SandboxUser{entry->pw_uid, entry->pw_gid};
}

// A process of that user outside of all sandboxes, as "postgres (1234)"; empty when there is none.
std::string ProcessOf(uid_t uid) {
  std::array<char, 64> ours{}, theirs{};
  if (readlink("/proc/self/ns/pid", ours.data(), ours.size() - 1) <= 0) return "";
  DIR* directory = opendir("/proc");
  if (directory == nullptr) return "";
  std::string found;
  while (const dirent* entry = readdir(directory)) {
    const std::string path = std::string("/proc/") + entry->d_name;
    struct stat facts {};
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || stat(path.c_str(), &facts) != 0) continue;
    if (facts.st_uid != uid) continue;
    theirs.fill('\0');
    if (readlink((path + "/ns/pid").c_str(), theirs.data(), theirs.size() - 1) <= 0 || ours != theirs)
      continue;
    const auto name = ReadFile(path + "/comm");
    found = fmt::format("{} ({})", name.ok() ? Trim(*name) : "?", entry->d_name);
  }
  closedir(directory);
  return found;
}

// A thing that a probe before this one reached is not named twice.
void NameReached(const std::vector<std::string>& reached, ScratchState& state) {
  constexpr size_t kMostShown = 8;
  std::vector<std::string> others;
  for (const std::string& one : reached) {
    if (state.not_isolated.find(one) == std::string::npos) others.push_back(one);
  }
  if (others.empty()) return;
  const size_t more = others.size() - std::min(kMostShown, others.size());
  others.resize(others.size() - more);
  NameLack(state, "reaches " + Join(others, ", "), more == 0 ? "" : fmt::format(" and {} more", more));
}

}  // namespace

// Chooses who runs the server. A declared user that runs other programs too is named for it: inside the sandbox it
// reaches none of them, but it is no user that owns nothing else.
Status ScratchPlaces::ChooseUser(ScratchState& state) const {
  if (!IsRoot()) return OkStatus();
  if (!options_.scratch_user.empty()) {
    ASSIGN_OR_RETURN(const SandboxUser user, UserOf(options_.scratch_user));
    state.uid = user.uid;
    return OkStatus();
  }
  std::vector<uid_t> taken;
  ASSIGN_OR_RETURN(const std::vector<ScratchState> others, List());
  for (const ScratchState& other : others) {
    if (other.uid > 0 && other.name != state.name) taken.push_back(static_cast<uid_t>(other.uid));
  }
  ASSIGN_OR_RETURN(const SandboxUser user, UnownedUser(state.name, taken));
  state.uid = user.uid;
  return OkStatus();
}

SandboxUser ScratchPlaces::UserIn(const ScratchState& state) const {
  if (!IsRoot()) return {getuid(), getgid()};
  if (!options_.scratch_user.empty()) {
    const auto declared = UserOf(options_.scratch_user);
    if (declared.ok() && declared->uid == state.uid) return *declared;
  }
  return {static_cast<uid_t>(state.uid), static_cast<gid_t>(state.uid)};
}

Sandbox ScratchPlaces::SandboxOf(const ScratchState& state) const {
  Sandbox sandbox;
  sandbox.program = options_.sandbox_program;
  sandbox.identity_directory = state.directory + "/etc";
  if (IsRoot()) sandbox.user = UserIn(state);
  const auto engine = EngineOf(state.engine);  // a kind that is not here starts nothing
  const std::string programs = engine.ok() && *engine != nullptr ? (*engine)->ProgramFolder() : "";
  if (!programs.empty()) sandbox.mounts.push_back({programs, programs, false});
  return sandbox;
}

// Tries what this machine lets us have.
void ScratchPlaces::JudgeIsolation(ScratchState& state) const {
  state.sandboxed = false;
  if (IsRoot() && state.uid <= 0) return NameLack(state, "there is no user for it that owns nothing else");
  const Status tried = TrySandbox(options_.tools, SandboxOf(state));
  state.sandboxed = tried.ok();
  if (!tried.ok()) {
    NameLack(state, "bubblewrap gives it no mount, PID, IPC and network namespaces of its own",
             ": " + MessageOf(tried));
  }
  if (!IsRoot() || options_.scratch_user.empty()) return;
  const std::string process = ProcessOf(static_cast<uid_t>(state.uid));
  if (process.empty()) return;
  NameLack(state, fmt::format("its user {} also runs ", options_.scratch_user), process);
}

Status ScratchPlaces::RefuseUnlessIsolated(const ScratchState& state) const {
  if (!state.require_isolation || state.not_isolated.empty()) return OkStatus();
  return WithHint(
      FailedPrecondition("the environment demands isolation, and a drill here is not isolated: {}",
                         state.not_isolated),
      "Install bubblewrap on the agent's host and let the agent make namespaces, or drop "
      "requireIsolation from the Environment.");
}

std::string ScratchPlaces::SocketDirectoryInside(const ScratchState& state) {
  if (state.sandboxed) return kScratchSocket;
  return IsRoot() ? state.directory + "/socket" : state.socket_directory;  // our door is closed to its user
}

// Only a user with a name can run it without a sandbox: the programs look it up.
StatusOr<std::string> ScratchPlaces::FallbackUser(const ScratchState& state) const {
  if (!IsRoot()) return std::string();
  const std::string hint =
      "Install bubblewrap and let the agent make namespaces; or name a user with --scratch-user, and drills "
      "run without isolation and say so.";
  if (options_.scratch_user.empty())
    return WithHint(FailedPrecondition("a drill cannot be isolated: {}", state.not_isolated), hint);
  ASSIGN_OR_RETURN(const SandboxUser user, UserOf(options_.scratch_user));
  if (user.uid != state.uid) {
    return WithHint(FailedPrecondition("scratch '{}' belongs to user id {}, and cannot be isolated: {}",
                                       state.name, state.uid, state.not_isolated),
                    hint);
  }
  return options_.scratch_user;
}

// Root's state directory is private, but a server without a sandbox has to pass through it. Passing through
// is all it gets: its group may enter a name it knows, and list nothing.
Status ScratchPlaces::OpenToScratchUser(const ScratchState& state) const {
  ASSIGN_OR_RETURN(const std::string name, FallbackUser(state));
  if (name.empty()) return OkStatus();
  ASSIGN_OR_RETURN(const SandboxUser user, UserOf(name));
  for (const std::string& path : {options_.state_directory, options_.state_directory + "/scratch",
                                  state.directory, state.directory + "/files"}) {
    struct stat facts {};
    if (stat(path.c_str(), &facts) != 0) return ErrnoStatus(errno, path);
    if ((facts.st_mode & S_IXOTH) != 0 && path != state.directory + "/files") continue;
    const mode_t group = path == state.directory + "/files" ? S_IXGRP | S_IRGRP : S_IXGRP;
    if (facts.st_gid == user.gid && (facts.st_mode & group) == group) continue;
    if (chown(path.c_str(), static_cast<uid_t>(-1), user.gid) != 0)
      return ErrnoStatus(errno, "chgrp " + path);
    if (chmod(path.c_str(), (facts.st_mode & S_IRWXU) | group) != 0)
      return ErrnoStatus(errno, "chmod " + path);
  }
  return OkStatus();
}

StatusOr<ProcessSpec> ScratchPlaces::ServerProcess(const ScratchState& state, ProcessSpec spec,
                                                   std::vector<Sandbox::Mount> mounts) const {
  if (state.sandboxed) {
    Sandbox sandbox = SandboxOf(state);
    sandbox.mounts.insert(sandbox.mounts.end(), mounts.begin(), mounts.end());
    return Enclose(std::move(spec), sandbox);
  }
  ASSIGN_OR_RETURN(spec.user, FallbackUser(state));
  return spec;
}

StatusOr<ProcessSpec> ScratchPlaces::Beside(const ScratchState& state, ProcessSpec spec,
                                            const std::vector<Sandbox::Mount>& mounts) const {
  std::vector<Sandbox::Mount> all = mounts;
  if (!state.engine.empty()) all.push_back({state.directory + "/socket", kScratchSocket, false});
  spec.new_network = !state.sandboxed && !state.shares_network;
  return ServerProcess(state, std::move(spec), std::move(all));
}

StatusOr<ProbeReport> ScratchPlaces::Probe(ScratchState& state) const {
  ProcessSpec probe;
  const bool sandboxed = state.sandboxed;
  probe.argv = {sandboxed ? kProbe : options_.probe_program, "--probe"};
  const std::vector<std::string> arguments = ProbeArguments(options_.state_directory, state.directory);
  probe.argv.insert(probe.argv.end(), arguments.begin(), arguments.end());
  ASSIGN_OR_RETURN(ProcessSpec spec,
                   Beside(state, std::move(probe), {{options_.probe_program, kProbe, false}}));
  ASSIGN_OR_RETURN_IN(const ExitStatus exit,
                      options_.tools.Run(std::move(spec), {}, SteadyNow() + kProbeTimeout),
                      "probing the isolation of a drill");
  ASSIGN_OR_RETURN(ProbeReport report, ParseProbe(exit.output));
  if (!report.reached.empty()) {
    NameReached(report.reached, state);
    RETURN_IF_ERROR(WriteScratchState(state));
  }
  return report;
}

// A drill that starts again must not reach what it was isolated from when it began.
Status ScratchPlaces::ProbeAgain(ScratchState& state) const {
  if (!state.require_isolation) return OkStatus();
  RETURN_IF_ERROR(Probe(state).status());
  return RefuseUnlessIsolated(state);
}

}  // namespace salvor::agent
