#include "agent/process/orphaned_tools.h"

#include <absl/time/clock.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <vector>

#include "agent/process/tool_runner.h"
#include "base/io/log.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr absl::Duration kLookEvery = absl::Milliseconds(20);

// The names of its descriptors alone are read: to look at what they are of may block for ever, where a file system is
// dead.
bool HasOpen(const std::filesystem::path& process, const std::filesystem::path& file) {
  std::error_code error;
  std::filesystem::directory_iterator fd(process / "fd", error);
  for (; !error && fd != std::filesystem::directory_iterator(); fd.increment(error)) {
    std::error_code of_this;
    if (std::filesystem::read_symlink(fd->path(), of_this) == file) return true;
  }
  return false;
}

// "restic (of supervisor 12)": the program that the supervisor was started for.
std::string Describe(const std::filesystem::path& supervisor) {
  const std::string command = ReadFile(supervisor / "cmdline").value_or("");
  const std::vector<std::string> arguments = Split(command, '\0');
  const auto separator = std::find(arguments.begin(), arguments.end(), "--");
  const std::string program = separator == arguments.end() || separator + 1 == arguments.end()
                                  ? "a tool"
                                  : ProgramName({*(separator + 1)});
  return fmt::format("{} (of supervisor {})", program, supervisor.filename().string());
}

std::string NameHolders(int lock) {
  std::error_code error;
  const std::filesystem::path file =
      std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(lock), error);
  std::vector<std::string> names;
  std::filesystem::directory_iterator process("/proc", error);
  for (; !error && process != std::filesystem::directory_iterator(); process.increment(error)) {
    const std::string pid = process->path().filename();
    if (pid[0] < '1' || pid[0] > '9' || pid == std::to_string(::getpid())) continue;
    if (HasOpen(process->path(), file)) names.push_back(Describe(process->path()));
  }
  return names.empty() ? "a tool" : Join(names, ", ");
}

// False when somebody else has it.
StatusOr<bool> TryToLock(int fd, int how, const std::string& path) {
  while (::flock(fd, how | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) return ErrnoStatus(errno, "lock " + path);
  }
  return true;
}

}  // namespace

StatusOr<UniqueFd> AwaitOrphanedTools(const std::string& state_directory, absl::Duration patience) {
  const std::string path = state_directory + "/tools.lock";
  // Above the standard streams, as everything is that a supervisor inherits by number.
  const UniqueFd opened(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!opened.Valid()) return ErrnoStatus(errno, "open " + path);
  UniqueFd lock(::fcntl(opened.Get(), F_DUPFD_CLOEXEC, 3));
  if (!lock.Valid()) return ErrnoStatus(errno, "duplicate a descriptor");
  const SteadyTime until = SteadyNow() + patience;
  bool is_told = false;
  while (true) {
    ASSIGN_OR_RETURN(const bool alone, TryToLock(lock.Get(), LOCK_EX, path));
    if (alone) break;
    if (SteadyNow() >= until) {
      LogWarning(
          "tools of an earlier agent are still at work after {}: {}; going on without waiting any longer",
          HumanDuration(patience), NameHolders(lock.Get()));
      break;
    }
    if (!is_told) {
      LogInfo("tools of an earlier agent are being stopped: {}; waiting for their end",
              NameHolders(lock.Get()));
    }
    is_told = true;
    absl::SleepFor(kLookEvery);
  }
  // A shared lock takes the place of the exclusive one: every supervisor that inherits it keeps it.
  ASSIGN_OR_RETURN(const bool shared, TryToLock(lock.Get(), LOCK_SH, path));
  if (!shared) return FailedPrecondition("{} is locked by another agent", path);
  return lock;
}

}  // namespace salvor::agent
