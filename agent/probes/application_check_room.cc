#include "agent/probes/application_check_room.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "agent/scratch/scratch_places.h"
#include "base/io/files.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr char kPassfile[] = "/scratch/passfile";

std::string CheckRooms(const std::string& state_directory) { return state_directory + "/checks"; }

bool IsRoot() { return ::geteuid() == 0; }

bool IsPartOfName(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         c == '$' || (static_cast<unsigned char>(c) & 0x80) != 0;
}

// Whether it stands there as a word of its own, or behind an option's letter: "shop", "dbname=shop",
// "postgresql:///shop", "-dshop".
bool Names(std::string_view argument, const std::string& database) {
  for (size_t at = argument.find(database); at != std::string_view::npos;
       at = argument.find(database, at + 1)) {
    const size_t end = at + database.size();
    const bool starts = at == 0 || !IsPartOfName(argument[at - 1]) || (at == 2 && argument[0] == '-');
    if (starts && (end == argument.size() || !IsPartOfName(argument[end]))) return true;
  }
  return false;
}

// A symlink that was restored must not lead the sandbox to what is outside of the copy.
bool LeadsThroughSymlink(const std::string& prefix, const std::string& path) {
  for (size_t slash = 0; slash != std::string::npos;) {
    slash = path.find('/', slash + 1);
    struct stat facts {};
    if (::lstat((prefix + path.substr(0, slash)).c_str(), &facts) == 0 && S_ISLNK(facts.st_mode)) return true;
  }
  return false;
}

}  // namespace

bool IsBesideTheOriginal(const v1::ApplicationChecks& action, const CopyPlace& place) {
  if (place.has_files && place.scratch.empty() && place.root != "/") return true;
  return std::any_of(action.database_names().begin(), action.database_names().end(),
                     [](const auto& names) { return names.first != names.second; });
}

std::string WhyItMissesTheCopy(const v1::ApplicationChecks& action, const v1::CommandCheck& probe) {
  const auto& names = action.database_names();
  if (!probe.database().empty() && !names.empty() && names.count(probe.database()) == 0)
    return fmt::format("database {} is not among what was restored", CleanText(probe.database()));
  for (const auto& [source, name] : names) {
    if (source == name) continue;
    for (int i = 1; i < probe.argv_size(); ++i) {
      if (!Names(probe.argv(i), source)) continue;
      return fmt::format(
          "its argument '{}' names {}, and the copy is called {}: let it take the name from PGDATABASE",
          Elide(CleanText(probe.argv(i)), 80), CleanText(source), CleanText(name));
    }
  }
  return "";
}

StatusOr<std::unique_ptr<CheckRoom>> CheckRoom::Make(const v1::ApplicationChecks& action, CopyPlace place,
                                                     const CopyProbes* copy, const ActionContext& context) {
  std::unique_ptr<CheckRoom> room(new CheckRoom(action, std::move(place), copy, context));
  RETURN_IF_ERROR(room->place_.scratch.empty() ? room->EnterRestore() : room->EnterDrill());
  return room;
}

Status CheckRoom::RemoveLeftovers(const std::string& state_directory) {
  return RemoveTree(CheckRooms(state_directory));
}

CheckRoom::~CheckRoom() {
  if (!directory_.empty()) (void)RemoveTree(directory_);
}

Status CheckRoom::EnterDrill() {
  if (context_.scratch == nullptr) return FailedPrecondition("this agent has no place for drills");
  ASSIGN_OR_RETURN(const ScratchState state, context_.scratch->EnsureRunning(place_.scratch));
  not_isolated_ = state.not_isolated;
  user_ = IsRoot() ? SandboxUser{static_cast<uid_t>(state.uid), static_cast<gid_t>(state.uid)}
                   : SandboxUser{::getuid(), ::getgid()};
  if (copy_ != nullptr) socket_directory_ = ScratchPlaces::SocketDirectoryInside(state);
  const std::string files = ScratchPlaces::FilesDirectory(context_.config.state_directory, place_.scratch);
  if (!state.sandboxed) files_inside_ = files;
  return AddFiles(files);
}

Status CheckRoom::EnterRestore() {
  const v1::LeaseKey& lease = context_.task.lease();
  RETURN_IF_ERROR(ChooseUser());
  directory_ = CheckRooms(context_.config.state_directory) + "/" + ToHex(RandomBytes(8));
  RETURN_IF_ERROR(MakeDirectories(directory_, 0700));
  RETURN_IF_ERROR_IN(WriteIdentity(directory_ + "/etc", user_), "run " + lease.run());
  sandbox_.identity_directory = directory_ + "/etc";
  if (IsRoot()) sandbox_.user = user_;
  RETURN_IF_ERROR(TrySandbox(context_.tools, sandbox_));
  if (copy_ != nullptr) RETURN_IF_ERROR(AddServer());
  return AddFiles(place_.root == "/" ? "" : place_.root);
}

Status CheckRoom::ChooseUser() {
  const std::string& name = context_.config.policy.check_user;
  if (!IsRoot()) {
    user_ = {::getuid(), ::getgid()};
    return OkStatus();
  }
  if (name.empty()) {
    ASSIGN_OR_RETURN(user_, UnownedUser(context_.task.lease().run(), {}));
    return OkStatus();
  }
  const passwd* entry = ::getpwnam(name.c_str());
  if (entry == nullptr || entry->pw_uid == 0)
    return FailedPrecondition("--check-user {} is no user, or root", name);
  user_ = {entry->pw_uid, entry->pw_gid};
  return OkStatus();
}

// The declared server: its socket's folder at the same path, or the network. Its password file is the agent's;
// the check gets a copy of it that it can read.
Status CheckRoom::AddServer() {
  socket_directory_ = copy_->SocketDirectory();
  if (socket_directory_.empty()) {
    sandbox_.share_network = true;
  } else {
    sandbox_.mounts.push_back({socket_directory_, socket_directory_, false});
  }
  const std::string passwords_at = copy_->PasswordFile();
  if (passwords_at.empty()) return OkStatus();
  RETURN_IF_ERROR(CheckSecretFile(passwords_at));
  ASSIGN_OR_RETURN(const std::string passwords, ReadFile(passwords_at));
  const std::string own = directory_ + "/passfile";
  RETURN_IF_ERROR(WriteFileAtomically(own, passwords, 0600));
  if (IsRoot() && ::chown(own.c_str(), user_.uid, user_.gid) != 0) return ErrnoStatus(errno, "chown " + own);
  sandbox_.mounts.push_back({own, kPassfile, false});
  password_file_ = kPassfile;
  return OkStatus();
}

Status CheckRoom::AddFiles(const std::string& prefix) {
  if (!place_.has_files) return OkStatus();
  for (const std::string& path : action_.paths()) {
    if (!place_.scratch.empty() && LeadsThroughSymlink(prefix, path))
      return FailedPrecondition("{} is reached through a symlink that was restored", CleanText(path));
    if (::access((prefix + path).c_str(), F_OK) == 0)
      files_.push_back({prefix + path, "/scratch/files" + path, false});
  }
  return OkStatus();
}

StatusOr<ProcessSpec> CheckRoom::Spec(const v1::CommandCheck& probe) const {
  ProcessSpec spec;
  spec.argv.assign(probe.argv().begin(), probe.argv().end());
  if (copy_ != nullptr) {
    ASSIGN_OR_RETURN(spec.environment, copy_->EnvironmentOf(probe, socket_directory_, password_file_));
  }
  if (place_.has_files) spec.environment["SALVOR_PATH"] = files_inside_;
  std::vector<Sandbox::Mount> mounts = files_;
  // A program in /usr is there already.
  if (spec.argv[0].rfind("/usr/", 0) != 0 && spec.argv[0].rfind("/bin/", 0) != 0)
    mounts.push_back({spec.argv[0], spec.argv[0], false});
  if (!place_.scratch.empty()) {
    ASSIGN_OR_RETURN(const ScratchState state, context_.scratch->EnsureRunning(place_.scratch));
    return context_.scratch->Beside(state, std::move(spec), mounts);
  }
  Sandbox sandbox = sandbox_;
  sandbox.mounts.insert(sandbox.mounts.end(), mounts.begin(), mounts.end());
  return Enclose(std::move(spec), sandbox);
}

std::string CheckRoom::FirstClosedFile() const {
  for (const Sandbox::Mount& mount : files_) {
    std::string closed = FirstUnreadable(mount.outside, user_);
    if (!closed.empty()) return closed;
  }
  return "";
}

}  // namespace salvor::agent
