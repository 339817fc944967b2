// salvor-supervise: the parent of exactly one program, which must not outlive the agent and must not mistake
// the agent's death for the end of its input.
//
//   salvor-supervise --control FD --report FD [--spare FD] [--lock FD] [--signal N] [--grace-ms N] [--user NAME]
//                    [--drain FD]… [--pass FD:NUMBER]… [--directory DIR] [--new-network] -- argv…
//
// control  Read end, other end at the agent. 'R' lets go of the spare end, 'S' stops the program, and the end
//          of the file means that the agent is gone, which stops it likewise. Stopping sends the stop signal
//          to the process group, and SIGKILL after the grace.
// spare    The write end of the pipe that the program reads as its stdin. restic commits what it has at the
//          end of its input, so as long as this is open it cannot; it stays open until a stopped program is
//          dead.
// lock     A file that is locked, shared, for as long as anybody has it open: so long the next agent waits for what
//          this one's tools still do. Nothing is done with it, and the program does not get it.
// drain    Read ends of the program's stderr and collected stdout. They are read (to nowhere) only once the
//          agent is gone: a program told to stop says so, and restic dies of SIGPIPE on that line and leaves
//          its lock behind.
// pass     A descriptor that the program gets under this number, 3 to 31; ours is above those, and closed once the
//          program has its own.
// report   Lines of text: "pid N", then "started" or "failed STAGE ERRNO", in the end "exit CODE" or
//          "signal N".
//
// It has a session of its own, so that no Ctrl-C in the agent's terminal reaches the program behind the
// agent's back, and ignores the signals that ask a program to end: its work is not done before the program
// is. It is the reaper of everything the program started; what is left of that when the program has ended is
// ended too, SIGTERM first. It exits with the program's code, or 128 + signal.
//
// With --probe it is something else: see agent/supervisor/probe.h; with --hold, see agent/supervisor/hold.h.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "agent/supervisor/child.h"
#include "agent/supervisor/hold.h"
#include "agent/supervisor/probe.h"

namespace salvor::supervisor {
namespace {

constexpr int kStragglerGraceMs = 2'000;

int64_t NowMs() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

bool ParseNumber(const char* text, int* value) {
  char* end = nullptr;
  const long number = std::strtol(text, &end, 10);
  if (*text == '\0' || *end != '\0' || number < 0 || number > INT32_MAX) return false;
  *value = static_cast<int>(number);
  return true;
}

// "40:3"
bool ParsePassed(const std::string& text, Passed* passed) {
  const size_t colon = text.find(':');
  return colon != std::string::npos && ParseNumber(text.substr(0, colon).c_str(), &passed->fd) &&
         ParseNumber(text.c_str() + colon + 1, &passed->number) && passed->number >= 3 &&
         passed->number < 32 && passed->fd >= 32;
}

bool ParseOptions(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--") {
      options->argv.assign(argv + i + 1, argv + argc);
      break;
    }
    if (name == "--new-network") {
      options->new_network = true;
      continue;
    }
    if (++i >= argc) return false;
    bool good = true;
    if (name == "--control")
      good = ParseNumber(argv[i], &options->control_fd);
    else if (name == "--report")
      good = ParseNumber(argv[i], &options->report_fd);
    else if (name == "--spare")
      good = ParseNumber(argv[i], &options->spare_fd);
    else if (name == "--lock")
      good = ParseNumber(argv[i], &options->lock_fd);
    else if (name == "--signal")
      good = ParseNumber(argv[i], &options->stop_signal) && options->stop_signal < NSIG;
    else if (name == "--drain")
      good = ParseNumber(argv[i], &options->drain_fds.emplace_back(-1));
    else if (name == "--pass")
      good = ParsePassed(argv[i], &options->passed.emplace_back());
    else if (name == "--grace-ms")
      good = ParseNumber(argv[i], &options->grace_ms);
    else if (name == "--user")
      options->user = argv[i];
    else if (name == "--directory")
      options->directory = argv[i];
    else
      good = false;
    if (!good) return false;
  }
  if (options->argv.empty() || options->control_fd < 3 || options->report_fd < 3) return false;
  options->argv.push_back(nullptr);
  return true;
}

bool IsOurs(const Options& options, int fd) {
  return fd == options.control_fd || fd == options.report_fd || fd == options.spare_fd ||
         fd == options.lock_fd || std::count(options.drain_fds.begin(), options.drain_fds.end(), fd) > 0 ||
         std::any_of(options.passed.begin(), options.passed.end(),
                     [fd](const Passed& one) { return one.fd == fd; });
}

// Everything but 0, 1, 2 and those named to us goes; the named ones are not for the child.
void KeepOnlyOurDescriptors(const Options& options) {
  DIR* directory = ::opendir("/proc/self/fd");
  if (directory == nullptr) return;
  const int own = ::dirfd(directory);
  while (const dirent* entry = ::readdir(directory)) {
    int fd = -1;
    if (!ParseNumber(entry->d_name, &fd) || fd < 3 || fd == own) continue;
    if (IsOurs(options, fd)) {
      ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    } else {
      ::close(fd);
    }
  }
  ::closedir(directory);
}

// Its streams are the program's alone: a copy of ours would keep its pipes open after it has ended.
void LetGoOfStandardStreams() {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; ++fd) {
    if (null >= 0)
      ::dup2(null, fd);
    else
      ::close(fd);
  }
  if (null > 2) ::close(null);
}

pid_t ParentOf(const char* pid) {
  char path[64], text[512];
  std::snprintf(path, sizeof path, "/proc/%s/stat", pid);
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  const ssize_t length = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  if (length <= 0) return -1;
  text[length] = '\0';
  const char* after_name = std::strrchr(text, ')');  // the name may hold anything, ')' too
  int parent = -1;
  return after_name != nullptr && std::sscanf(after_name, ") %*c %d", &parent) == 1 ? parent : -1;
}

// Our children are the program and, once their parents are gone, all its descendants.
void SignalAllChildren(int signal_number) {
  DIR* directory = ::opendir("/proc");
  if (directory == nullptr) return;
  while (const dirent* entry = ::readdir(directory)) {
    int pid = -1;
    if (ParseNumber(entry->d_name, &pid) && ParentOf(entry->d_name) == ::getpid()) ::kill(pid, signal_number);
  }
  ::closedir(directory);
}

// The one program, from its start to the last of its descendants.
class Supervision {
 public:
  explicit Supervision(const Options& options) : options_(options) {}

  int Run() {
    sigset_t child_ended;
    ::sigemptyset(&child_ended);
    ::sigaddset(&child_ended, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &child_ended, nullptr);
    signal_fd_ = ::signalfd(-1, &child_ended, SFD_CLOEXEC | SFD_NONBLOCK);
    const Child child = StartChild(options_);
    if (child.pid < 0 || signal_fd_ < 0) {
      Report("failed fork " + std::to_string(errno));
      return 127;
    }
    LetGoOfStandardStreams();
    for (const Passed& one : options_.passed) ::close(one.fd);
    pid_ = child.pid;
    failure_fd_ = child.failure_fd;
    Report("pid " + std::to_string(pid_));
    while (!everyone_is_gone_) Turn();
    if (failed_to_start_) return 127;
    const bool signalled = WIFSIGNALED(status_);
    const int code = signalled ? WTERMSIG(status_) : WEXITSTATUS(status_);
    Report((signalled ? "signal " : "exit ") + std::to_string(code));
    return signalled ? 128 + code : code;
  }

 private:
  // Waits for one thing to happen and deals with it.
  void Turn() {
    std::vector<pollfd> polled = {{control_open_ ? options_.control_fd : -1, POLLIN, 0},
                                  {signal_fd_, POLLIN, 0},
                                  {failure_fd_, POLLIN, 0}};
    if (!control_open_) {
      for (const int fd : options_.drain_fds) polled.push_back({fd, POLLIN, 0});
    }
    int timeout_ms = -1;
    if (kill_at_ms_ >= 0) timeout_ms = static_cast<int>(std::max<int64_t>(0, kill_at_ms_ - NowMs()));
    if (::poll(polled.data(), polled.size(), timeout_ms) < 0 && errno != EINTR) ::_exit(125);
    if (polled[2].revents != 0) ReadFailure();
    if (polled[0].revents != 0) ReadControl();
    for (size_t i = 3; i < polled.size(); ++i) {
      if (polled[i].revents != 0) Drain(&options_.drain_fds[i - 3]);
    }
    if (polled[1].revents != 0) Reap();
    if (!everyone_is_gone_ && kill_at_ms_ >= 0 && NowMs() >= kill_at_ms_) {
      if (!ended_) ::kill(-pid_, SIGKILL);
      SignalAllChildren(SIGKILL);
      kill_at_ms_ = NowMs() + 100;  // orphans of the killed become ours: again, until nobody is left
    }
  }

  static void Drain(int* fd) {
    char nowhere[4096];
    const ssize_t length = ::read(*fd, nowhere, sizeof nowhere);
    if (length > 0 || (length < 0 && errno == EINTR)) return;
    ::close(*fd);
    *fd = -1;
  }

  void ReadFailure() {
    char text[64];
    const ssize_t length = ::read(failure_fd_, text, sizeof text);
    if (length < 0 && errno == EINTR) return;
    if (length > 0) {
      failed_to_start_ = true;
      Report("failed " + std::string(text, static_cast<size_t>(length - 1)));
    } else {
      if (!failed_to_start_) Report("started");
      ::close(failure_fd_);
      failure_fd_ = -1;
    }
  }

  void ReadControl() {
    char commands[16];
    const ssize_t length = ::read(options_.control_fd, commands, sizeof commands);
    if (length < 0 && (errno == EINTR || errno == EAGAIN)) return;
    for (ssize_t i = 0; i < length; ++i) {
      if (commands[i] == 'R' && !stopping_) ReleaseSpare();
      if (commands[i] == 'S') StopProgram();
    }
    if (length <= 0) {
      control_open_ = false;
      StopProgram();
    }
  }

  void StopProgram() {
    if (stopping_) return;
    stopping_ = true;
    if (ended_) return;
    ::kill(-pid_, options_.stop_signal);
    ::kill(-pid_, SIGCONT);  // a stopped process hears nothing
    kill_at_ms_ = NowMs() + options_.grace_ms;
  }

  void Reap() {
    signalfd_siginfo info;
    while (::read(signal_fd_, &info, sizeof info) > 0) continue;
    while (true) {
      int status = 0;
      const pid_t pid = ::waitpid(-1, &status, WNOHANG);
      if (pid < 0 && errno == EINTR) continue;
      if (pid < 0) break;
      if (pid == pid_) {
        ended_ = true;
        status_ = status;
      }
      if (pid != 0) continue;
      if (ended_) EndStragglers();
      return;
    }
    everyone_is_gone_ = true;
    // Whatever the failure pipe still holds was written before the end.
    while (failure_fd_ >= 0) ReadFailure();
  }

  // The program has ended and something it started has not.
  void EndStragglers() {
    if (stragglers_told_) return;
    stragglers_told_ = true;
    SignalAllChildren(SIGTERM);
    kill_at_ms_ = NowMs() + std::min(options_.grace_ms, kStragglerGraceMs);
  }

  void ReleaseSpare() {
    if (options_.spare_fd >= 0) ::close(options_.spare_fd);
    options_.spare_fd = -1;
  }

  void Report(std::string line) {
    line += '\n';
    // Nobody may be listening any more; that is what SIGPIPE is ignored for.
    if (::write(options_.report_fd, line.data(), line.size()) < 0) return;
  }

  Options options_;
  int signal_fd_ = -1;
  int failure_fd_ = -1;
  pid_t pid_ = -1;
  bool control_open_ = true;
  bool failed_to_start_ = false;
  bool stopping_ = false;
  bool ended_ = false;
  bool stragglers_told_ = false;
  bool everyone_is_gone_ = false;
  int status_ = 0;
  int64_t kill_at_ms_ = -1;
};

}  // namespace
}  // namespace salvor::supervisor

int main(int argc, char** argv) {
  using namespace salvor::supervisor;
  if (argc > 1 && std::strcmp(argv[1], "--probe") == 0) return RunProbe(argc - 2, argv + 2);
  if (argc > 1 && std::strcmp(argv[1], "--hold") == 0) return RunHold(argc - 2, argv + 2);
  Options options;
  if (!ParseOptions(argc, argv, &options)) {
    std::fprintf(stderr, "salvor-supervise: is started by salvor-agent; see agent/supervisor/main.cc\n");
    return 64;
  }
  ::setsid();  // refused to the leader of a process group, which the agent never makes us
  for (const int ignored : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTTOU, SIGTTIN, SIGTSTP}) {
    ::signal(ignored, SIG_IGN);
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  KeepOnlyOurDescriptors(options);
  return Supervision(options).Run();
}
