#include "agent/process/sandbox.h"

#include <dirent.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <set>

#include "base/io/files.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr uid_t kFirstUnowned = 61184, kLastUnowned = 65519;  // systemd's range of dynamic users
constexpr char kPath[] = "/usr/local/bin:/usr/bin:/bin";
constexpr absl::Duration kTryTimeout = absl::Seconds(20);

bool IsRoot() { return ::geteuid() == 0; }

// bubblewrap makes missing parents with mode 0700, which our user could not enter: they are made by name.
class Directories {
 public:
  explicit Directories(std::vector<std::string>& arguments) : arguments_(arguments) {}

  void AddParentsOf(const std::string& path) {
    for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1))
      Add(path.substr(0, slash));
  }
  void Add(const std::string& path) {
    if (!made_.insert(path).second) return;
    arguments_.insert(arguments_.end(), {"--perms", "0755", "--dir", path});
  }
  // A path that a mount covers need not be made.
  void Cover(const std::string& path) { made_.insert(path); }

 private:
  std::vector<std::string>& arguments_;
  std::set<std::string> made_;
};

// Either /lib is a folder, or a symlink into /usr as on all newer systems.
void AddSystemFolder(const std::string& path, std::vector<std::string>& arguments) {
  std::error_code error;
  if (std::filesystem::is_symlink(path, error)) {
    const std::string target = std::filesystem::read_symlink(path, error).string();
    arguments.insert(arguments.end(), {"--symlink", target, path});
  } else {
    arguments.insert(arguments.end(), {"--ro-bind-try", path, path});
  }
}

std::vector<std::string> Namespaces(const Sandbox& sandbox) {
  std::vector<std::string> arguments = {"--unshare-pid",
                                        "--unshare-ipc",
                                        "--unshare-uts",
                                        "--unshare-cgroup-try",
                                        "--die-with-parent",
                                        "--hostname",
                                        "scratch",
                                        "--chdir",
                                        "/"};
  if (!sandbox.share_network) arguments.push_back("--unshare-net");
  if (!IsRoot()) arguments.push_back("--unshare-user");
  return arguments;
}

void AddSystem(const Sandbox& sandbox, Directories& directories, std::vector<std::string>& arguments) {
  arguments.insert(arguments.end(), {"--ro-bind", "/usr", "/usr"});
  directories.Cover("/usr");
  for (const char* folder : {"/bin", "/sbin", "/lib", "/lib32", "/lib64"}) {
    struct stat facts {};
    if (::lstat(folder, &facts) == 0) AddSystemFolder(folder, arguments);
    directories.Cover(folder);
  }
  directories.Add("/etc");
  std::vector<std::string> files = {"/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"};
  if (sandbox.share_network) files.insert(files.end(), {"/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs"});
  for (const std::string& file : files) {
    directories.AddParentsOf(file);
    arguments.insert(arguments.end(), {"--ro-bind-try", file, file});
  }
  if (!sandbox.identity_directory.empty()) {
    for (const char* file : {"/passwd", "/group"})
      arguments.insert(arguments.end(),
                       {"--ro-bind", sandbox.identity_directory + file, std::string("/etc") + file});
  }
  arguments.insert(arguments.end(),
                   {"--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp"});
  for (const char* folder : {"/proc", "/dev", "/tmp"}) directories.Cover(folder);
  directories.Add(kSandboxHome);
}

}  // namespace

StatusOr<ProcessSpec> Enclose(ProcessSpec spec, const Sandbox& sandbox) {
  if (IsRoot() && !sandbox.user.has_value()) return Internal("a sandbox of root's needs a user");
  if (sandbox.user.has_value() && sandbox.user->uid == 0)
    return FailedPrecondition("a sandbox does not run anything as root");
  std::vector<std::string> arguments = {sandbox.program};
  const std::vector<std::string> namespaces = Namespaces(sandbox);
  arguments.insert(arguments.end(), namespaces.begin(), namespaces.end());
  Directories directories(arguments);
  AddSystem(sandbox, directories, arguments);
  for (const Sandbox::Mount& mount : sandbox.mounts) {
    directories.AddParentsOf(mount.inside);
    arguments.insert(arguments.end(), {mount.writable ? "--bind" : "--ro-bind", mount.outside, mount.inside});
    directories.Cover(mount.inside);
  }
  // Its root is a file system of its own in memory, which belongs to an agent that is not root.
  arguments.insert(arguments.end(), {"--remount-ro", "/", "--"});
  // Root makes the namespaces, and only then becomes the user: the folders need not be open to it outside.
  if (IsRoot()) {
    arguments.insert(arguments.end(), {"/usr/bin/setpriv", fmt::format("--reuid={}", sandbox.user->uid),
                                       fmt::format("--regid={}", sandbox.user->gid), "--clear-groups",
                                       "--inh-caps=-all", "--bounding-set=-all", "--"});
  }
  arguments.insert(arguments.end(), spec.argv.begin(), spec.argv.end());
  spec.argv = std::move(arguments);
  spec.user.clear();
  spec.new_network = false;
  spec.working_directory = "/";
  spec.environment.emplace("PATH", kPath);
  spec.environment.emplace("HOME", kSandboxHome);
  return spec;
}

Status TrySandbox(ToolRunner& tools, const Sandbox& sandbox) {
  ProcessSpec nothing;
  nothing.argv = {"/bin/true"};
  ASSIGN_OR_RETURN(ProcessSpec spec, Enclose(std::move(nothing), sandbox));
  return tools.Run(std::move(spec), {}, SteadyNow() + kTryTimeout).status();
}

std::string SandboxFailure(const ExitStatus& status) {
  if (status.Ok()) return "";
  const std::string cause = RootCause(status.error_tail);
  for (const std::string_view own : {"bwrap: ", "setpriv: "}) {
    if (cause.rfind(own, 0) == 0) return cause.substr(own.size());
  }
  return "";
}

Status WriteIdentity(const std::string& directory, const SandboxUser& user) {
  RETURN_IF_ERROR(MakeDirectories(directory, 0755));
  RETURN_IF_ERROR(WriteFileAtomically(
      directory + "/passwd",
      fmt::format("scratch:x:{}:{}::{}:/usr/sbin/nologin\n", user.uid, user.gid, kSandboxHome), 0644));
  return WriteFileAtomically(directory + "/group", fmt::format("scratch:x:{}:\n", user.gid), 0644);
}

namespace {

std::set<uid_t> UsersWithProcesses() {
  std::set<uid_t> users;
  DIR* directory = ::opendir("/proc");
  if (directory == nullptr) return users;
  while (const dirent* entry = ::readdir(directory)) {
    struct stat facts {};
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    if (::stat((std::string("/proc/") + entry->d_name).c_str(), &facts) == 0) users.insert(facts.st_uid);
  }
  ::closedir(directory);
  return users;
}

bool IsKnown(uid_t uid) {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> room(16 << 10);
  const int error = ::getpwuid_r(uid, &entry, room.data(), room.size(), &found);
  // Too little room is an entry all the same.
  return found != nullptr || error == ERANGE;
}

}  // namespace

StatusOr<SandboxUser> UnownedUser(const std::string& seed, const std::vector<uid_t>& taken) {
  constexpr uid_t kCount = kLastUnowned - kFirstUnowned + 1;
  const std::set<uid_t> busy = UsersWithProcesses();
  const auto start = static_cast<uid_t>(std::hash<std::string>{}(seed) % kCount);
  for (uid_t i = 0; i < kCount; ++i) {
    const uid_t uid = kFirstUnowned + (start + i) % kCount;
    if (busy.count(uid) > 0 || std::count(taken.begin(), taken.end(), uid) > 0 || IsKnown(uid)) continue;
    return SandboxUser{uid, static_cast<gid_t>(uid)};
  }
  return ResourceExhausted("no user id between {} and {} is free", kFirstUnowned, kLastUnowned);
}

std::string FirstUnreadable(const std::string& path, const SandboxUser& user) {
  namespace fs = std::filesystem;
  const auto readable = [&user](const std::string& name) {
    struct stat facts {};
    if (::lstat(name.c_str(), &facts) != 0 || S_ISLNK(facts.st_mode)) return true;
    const mode_t read = facts.st_uid == user.uid ? S_IRUSR : facts.st_gid == user.gid ? S_IRGRP : S_IROTH;
    const mode_t enter = facts.st_uid == user.uid ? S_IXUSR : facts.st_gid == user.gid ? S_IXGRP : S_IXOTH;
    return (facts.st_mode & read) != 0 && (!S_ISDIR(facts.st_mode) || (facts.st_mode & enter) != 0);
  };
  if (!readable(path)) return path;
  std::error_code error;
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    if (!readable(it->path().string())) return it->path().string();
  }
  return "";
}

}  // namespace salvor::agent
