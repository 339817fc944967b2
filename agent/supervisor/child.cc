#include "agent/supervisor/child.h"

#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace salvor::supervisor {
namespace {

[[noreturn]] void Fail(int failure_fd, const char* stage) {
  char line[64];
  const int length = std::snprintf(line, sizeof line, "%s %d\n", stage, errno);
  if (::write(failure_fd, line, static_cast<size_t>(length)) < 0) ::_exit(126);
  ::_exit(127);
}

void ResetSignals() {
  for (int number = 1; number < NSIG; ++number)
    ::signal(number, SIG_DFL);  // refused ones are not ours to change
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// A network namespace of its own, with nothing in it but a loopback that works.
bool EnterEmptyNetwork() {
  if (::unshare(CLONE_NEWNET) != 0) return false;
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", IFNAMSIZ - 1);
  const bool up = ::ioctl(fd, SIOCGIFFLAGS, &request) == 0 &&
                  (request.ifr_flags |= IFF_UP | IFF_RUNNING, ::ioctl(fd, SIOCSIFFLAGS, &request) == 0);
  ::close(fd);
  return up;
}

bool BecomeUser(const std::string& name) {
  errno = 0;
  const passwd* user = ::getpwnam(name.c_str());
  if (user == nullptr) {
    if (errno == 0) errno = ENOENT;
    return false;
  }
  ::setenv("HOME", user->pw_dir, 0);
  ::setenv("USER", user->pw_name, 1);
  ::setenv("LOGNAME", user->pw_name, 1);
  return ::initgroups(user->pw_name, user->pw_gid) == 0 && ::setgid(user->pw_gid) == 0 &&
         ::setuid(user->pw_uid) == 0;
}

constexpr int kAbovePassed = 32;  // as in agent/process/process.cc

// Gives the program what is passed to it. The way to say why it failed moves out of the way first.
bool PassDescriptors(const Options& options, int* failure_fd) {
  if (options.passed.empty()) return true;
  const int moved = ::fcntl(*failure_fd, F_DUPFD_CLOEXEC, kAbovePassed);
  if (moved < 0) return false;
  *failure_fd = moved;
  for (const Passed& one : options.passed) {
    if (::dup2(one.fd, one.number) < 0) return false;
  }
  return true;
}

[[noreturn]] void RunChild(const Options& options, int failure_fd, pid_t supervisor) {
  ::setpgid(0, 0);
  ResetSignals();
  if (options.new_network && !EnterEmptyNetwork()) Fail(failure_fd, "network");
  if (!options.user.empty() && !BecomeUser(options.user)) Fail(failure_fd, "user");
  // The death signal is set after setuid, which clears it.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) Fail(failure_fd, "prctl");
  if (::getppid() != supervisor) ::_exit(127);
  if (!PassDescriptors(options, &failure_fd)) Fail(failure_fd, "descriptors");
  if (!options.directory.empty() && ::chdir(options.directory.c_str()) != 0) Fail(failure_fd, "directory");
  ::execvp(options.argv[0], options.argv.data());
  Fail(failure_fd, "exec");
}

}  // namespace

Child StartChild(const Options& options) {
  Child child;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return child;
  const pid_t supervisor = ::getpid();
  child.pid = ::fork();
  if (child.pid == 0) RunChild(options, ends[1], supervisor);
  const int error = errno;
  ::close(ends[1]);
  child.failure_fd = ends[0];
  if (child.pid > 0)
    ::setpgid(child.pid, child.pid);  // whoever comes first; afterwards it is refused, harmlessly
  errno = error;
  return child;
}

}  // namespace salvor::supervisor
