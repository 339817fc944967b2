#include "agent/kubernetes/fake/local_exec_testing.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "agent/kubernetes/client/call.h"
#include "base/io/files.h"

extern char** environ;

namespace salvor::kubernetes {
namespace {

// A child in a process group of its own.
struct Child {
  pid_t pid = -1;
  UniqueFd output;
  UniqueFd errors;
};

StatusOr<Child> Start(const ExecCommand& command) {
  int output[2];
  int errors[2];
  if (::pipe2(output, O_CLOEXEC) != 0 || ::pipe2(errors, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  Child child{-1, UniqueFd(output[0]), UniqueFd(errors[0])};
  const UniqueFd output_end(output[1]);
  const UniqueFd errors_end(errors[1]);
  const UniqueFd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, command.stdin_fd >= 0 ? command.stdin_fd : nothing.Get(), 0);
  posix_spawn_file_actions_adddup2(&actions, output_end.Get(), 1);
  posix_spawn_file_actions_adddup2(&actions, errors_end.Get(), 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::vector<char*> argv;
  for (const std::string& argument : command.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const int error = ::posix_spawnp(&child.pid, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return FailedPrecondition("{}: executable file not found in $PATH", command.argv[0]);
  return child;
}

// Passes one piece on; closes the pipe at its end.
Status PassOn(UniqueFd& pipe, const std::function<Status(std::string_view)>& sink) {
  std::array<char, 16384> piece;
  const ssize_t count = ::read(pipe.Get(), piece.data(), piece.size());
  if (count <= 0) {
    pipe.Reset();
    return OkStatus();
  }
  return sink ? sink(std::string_view(piece.data(), count)) : OkStatus();
}

Status PassOutput(Child& child, const ExecCommand& command, const Call& call) {
  while (child.output.Valid() || child.errors.Valid()) {
    RETURN_IF_ERROR(CheckCall(call, "exec"));
    std::array<pollfd, 2> fds = {pollfd{child.output.Get(), POLLIN, 0},
                                 pollfd{child.errors.Get(), POLLIN, 0}};
    ::poll(fds.data(), fds.size(), 50);
    if (fds[0].revents != 0) RETURN_IF_ERROR(PassOn(child.output, command.on_stdout));
    if (fds[1].revents != 0) RETURN_IF_ERROR(PassOn(child.errors, command.on_stderr));
  }
  return OkStatus();
}

}  // namespace

StatusOr<int> RunLocally(const ExecCommand& command, const Call& call) {
  ASSIGN_OR_RETURN(Child child, Start(command));
  const Status passed = PassOutput(child, command, call);
  if (!passed.ok()) ::kill(-child.pid, SIGKILL);
  int status = 0;
  while (::waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
  }
  RETURN_IF_ERROR(passed);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace salvor::kubernetes
