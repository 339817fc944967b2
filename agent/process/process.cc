#include "agent/process/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "agent/process/line_splitter.h"
#include "base/io/mutex.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr size_t kErrorTailBytes = 64 << 10;
// The process is gone and a stranger still holds its stderr: not waited for any longer than this.
constexpr absl::Duration kDrainAfterEnd = absl::Seconds(2);
constexpr absl::Duration kLookEvery = absl::Seconds(1);

struct Ends {
  UniqueFd read, write;
};

// Never 0, 1 or 2, whatever the agent itself was started with: those are set for the child by number.
UniqueFd AboveStandardStreams(UniqueFd fd) {
  if (!fd.Valid() || fd.Get() > 2) return fd;
  return UniqueFd(::fcntl(fd.Get(), F_DUPFD_CLOEXEC, 3));
}

// Above every number that a passed descriptor may get in the child, so that none is laid over another.
constexpr int kAbovePassed = 32;
UniqueFd AbovePassedNumbers(UniqueFd fd) {
  if (!fd.Valid() || fd.Get() >= kAbovePassed) return fd;
  return UniqueFd(::fcntl(fd.Get(), F_DUPFD_CLOEXEC, kAbovePassed));
}

StatusOr<Ends> MakePipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus(errno, "make a pipe");
  return Ends{AboveStandardStreams(UniqueFd(fds[0])), AboveStandardStreams(UniqueFd(fds[1]))};
}

// A socket rather than a pipe, so that writing to a dead supervisor is an error and no SIGPIPE.
StatusOr<Ends> MakeControl() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    return ErrnoStatus(errno, "make a socket pair");
  return Ends{AboveStandardStreams(UniqueFd(fds[0])), AboveStandardStreams(UniqueFd(fds[1]))};
}

std::vector<std::string> EnvironmentOf(const ProcessSpec& spec) {
  const auto inherited = [](const char* name, const char* otherwise) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr && *value != '\0' ? value : otherwise);
  };
  std::map<std::string, std::string> variables = {
      {"PATH", inherited("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")},
      {"TZ", "UTC"},
      {"LC_ALL", "C.UTF-8"}};
  if (spec.user.empty()) variables["HOME"] = inherited("HOME", "/");  // of another user: the supervisor knows
  for (const auto& [name, value] : spec.environment) variables[name] = value;
  std::vector<std::string> lines;
  for (const auto& [name, value] : variables) lines.push_back(fmt::format("{}={}", name, value));
  return lines;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// "exec 2" of the supervisor's report, as people read it.
Status StartFailure(const ProcessSpec& spec, const std::string& report) {
  const size_t space = report.find(' ');
  const std::string stage = report.substr(0, space);
  const int error = space == std::string::npos ? EIO : std::atoi(report.c_str() + space + 1);
  if (stage == "exec" && error == ENOENT) {
    return WithHint(
        NotFound("{}: no such program", spec.argv[0]),
        fmt::format("Install {} on the agent's host, or put it into the agent's PATH.", spec.argv[0]));
  }
  if (stage == "exec") return ErrnoStatus(error, "start " + spec.argv[0]);
  if (stage == "user") {
    return WithHint(ErrnoStatus(error, fmt::format("run {} as user {}", spec.argv[0], spec.user)),
                    "The user must exist, and only an agent that runs as root can become another.");
  }
  if (stage == "network") return ErrnoStatus(error, "make an empty network namespace for " + spec.argv[0]);
  if (stage == "directory") return ErrnoStatus(error, "enter directory " + spec.working_directory);
  return ErrnoStatus(error, fmt::format("start {} ({})", spec.argv[0], stage));
}

Status CheckSpec(const ProcessSpec& spec) {
  RETURN_IF_ERROR(spec.problem);
  if (spec.argv.empty() || spec.argv[0].empty()) return InvalidArgument("a process needs an argv");
  for (const std::string& argument : spec.argv) {
    if (argument.find('\0') != std::string::npos) return InvalidArgument("an argument holds a NUL byte");
  }
  for (const auto& [name, value] : spec.environment) {
    if (name.empty() || name.find_first_of(std::string("=\0", 2)) != std::string::npos ||
        value.find('\0') != std::string::npos) {
      return InvalidArgument("environment variable '{}' cannot be passed on", PercentEncode(name));
    }
  }
  for (const PassedDescriptor& one : spec.passed) {
    if (!one.fd.Valid() || one.number < 3 || one.number >= kAbovePassed)
      return InvalidArgument("descriptor {} cannot be passed on", one.number);
  }
  return OkStatus();
}

}  // namespace

struct Process::State {
  ProcessSpec spec;
  pid_t supervisor = -1;
  int pid = -1;
  UniqueFd report, output, error;
  std::string report_text;
  ExitStatus status;
  bool reported = false;  // the final line has come
  bool ended = false;     // and everything is collected
  std::optional<Status> broken;
  LineSplitter output_lines, error_lines;
  Idleness idleness;
  SteadyTime next_look = SteadyTime::InfinitePast();

  bool IsWatched() const { return spec.on_idle || spec.on_usage; }

  Mutex mutex;
  UniqueFd control ABSL_GUARDED_BY(mutex);

  void Command(char command) {
    MutexLock lock(mutex);
    if (control.Valid()) (void)!::send(control.Get(), &command, 1, MSG_NOSIGNAL);
  }
  Status Spawn(const std::string& supervisor_path, int lock_fd, Ends control_ends, Ends report_ends,
               UniqueFd input_end, UniqueFd output_end, UniqueFd error_end);
  Status AwaitStart();
  StatusOr<std::string> NextReport();
  bool ReadReport();
  void TakeNextReport();
  void ReadOutput(std::optional<Status>* reason);
  void ReadError();
  void Collect(int stop_event, std::optional<Status>* reason, const std::stop_token& stop,
               SteadyTime deadline);
  std::optional<Status> ReasonToStop(const std::stop_token& stop, SteadyTime deadline, SteadyTime now);
  void Finish();
  bool Over() const { return reported && !output.Valid() && !error.Valid(); }
};

Process::Process() : state_(std::make_unique<State>()) {}

StatusOr<std::unique_ptr<RunningTool>> SupervisedTools::Start(ProcessSpec spec) {
  ASSIGN_OR_RETURN(std::unique_ptr<Process> process, StartProcess(std::move(spec)));
  return std::unique_ptr<RunningTool>(std::move(process));
}

StatusOr<std::unique_ptr<Process>> SupervisedTools::StartProcess(ProcessSpec spec) const {
  RETURN_IF_ERROR(CheckSpec(spec));
  std::unique_ptr<Process> process(new Process());
  Process::State& state = *process->state_;
  ASSIGN_OR_RETURN(Ends control, MakeControl());
  ASSIGN_OR_RETURN(Ends report, MakePipe());
  ASSIGN_OR_RETURN(Ends error, MakePipe());
  UniqueFd input = AboveStandardStreams(std::move(spec.input));
  if (!input.Valid()) input = AboveStandardStreams(UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  UniqueFd output = AboveStandardStreams(std::move(spec.output));
  if (!output.Valid()) {
    ASSIGN_OR_RETURN(Ends ends, MakePipe());
    state.output = std::move(ends.read);
    output = std::move(ends.write);
  }
  spec.spare_input = AboveStandardStreams(std::move(spec.spare_input));
  for (PassedDescriptor& one : spec.passed) one.fd = AbovePassedNumbers(std::move(one.fd));
  state.error = std::move(error.read);
  state.spec = std::move(spec);
  state.output_lines = LineSplitter(state.spec.on_output_line);
  state.error_lines = LineSplitter(state.spec.on_error_line);
  RETURN_IF_ERROR(state.Spawn(supervisor_, lock_.Get(), std::move(control), std::move(report),
                              std::move(input), std::move(output), std::move(error.write)));
  RETURN_IF_ERROR(state.AwaitStart());
  return process;
}

// posix_spawn, because only async-signal-safe code may run between fork and exec in a program with threads.
Status Process::State::Spawn(const std::string& supervisor_path, int lock_fd, Ends control_ends,
                             Ends report_ends, UniqueFd input_end, UniqueFd output_end, UniqueFd error_end) {
  std::vector<std::string> arguments = {supervisor_path,
                                        "--control",
                                        std::to_string(control_ends.read.Get()),
                                        "--report",
                                        std::to_string(report_ends.write.Get()),
                                        "--signal",
                                        std::to_string(spec.stop_signal),
                                        "--grace-ms",
                                        std::to_string(absl::ToInt64Milliseconds(spec.stop_grace)),
                                        "--directory",
                                        spec.working_directory};
  if (spec.spare_input.Valid())
    arguments.insert(arguments.end(), {"--spare", std::to_string(spec.spare_input.Get())});
  for (const int fd : {error.Get(), output.Get()}) {
    if (fd >= 0) arguments.insert(arguments.end(), {"--drain", std::to_string(fd)});
  }
  if (lock_fd >= 0) arguments.insert(arguments.end(), {"--lock", std::to_string(lock_fd)});
  for (const PassedDescriptor& one : spec.passed)
    arguments.insert(arguments.end(), {"--pass", fmt::format("{}:{}", one.fd.Get(), one.number)});
  if (!spec.user.empty()) arguments.insert(arguments.end(), {"--user", spec.user});
  if (spec.new_network) arguments.push_back("--new-network");
  arguments.push_back("--");
  arguments.insert(arguments.end(), spec.argv.begin(), spec.argv.end());
  std::vector<std::string> environment = EnvironmentOf(spec);
  std::vector<char*> argv = Pointers(arguments), envp = Pointers(environment);

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, input_end.Get(), 0);
  ::posix_spawn_file_actions_adddup2(&actions, output_end.Get(), 1);
  ::posix_spawn_file_actions_adddup2(&actions, error_end.Get(), 2);
  for (const int fd : {control_ends.read.Get(), report_ends.write.Get(), spec.spare_input.Get(), error.Get(),
                       output.Get(), lock_fd}) {
    if (fd >= 0)
      ::posix_spawn_file_actions_adddup2(&actions, fd, fd);  // the same number: only drops O_CLOEXEC
  }
  for (const PassedDescriptor& one : spec.passed)
    ::posix_spawn_file_actions_adddup2(&actions, one.fd.Get(), one.fd.Get());
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t spawned = -1;
  const int error_number =
      ::posix_spawn(&spawned, supervisor_path.c_str(), &actions, &attributes, argv.data(), envp.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error_number != 0) return ErrnoStatus(error_number, "start the supervisor " + supervisor_path);
  supervisor = spawned;
  report = std::move(report_ends.read);
  spec.spare_input.Reset();
  spec.passed.clear();
  MutexLock lock(mutex);
  control = std::move(control_ends.write);
  return OkStatus();
}

Status Process::State::AwaitStart() {
  while (true) {
    StatusOr<std::string> line = NextReport();
    if (line.ok() && *line == "started") return OkStatus();
    if (line.ok() && line->rfind("pid ", 0) == 0) {
      pid = std::atoi(line->c_str() + 4);
      continue;
    }
    Finish();
    if (!line.ok()) return line.status();
    return StartFailure(spec, line->rfind("failed ", 0) == 0 ? line->substr(7) : *line);
  }
}

// The next line of the supervisor's report, waiting for it.
StatusOr<std::string> Process::State::NextReport() {
  size_t end = 0;
  while ((end = report_text.find('\n')) == std::string::npos) {
    if (!ReadReport()) {
      return WithHint(
          Aborted("{}: stopped, because its supervisor ended without a word", ProgramName(spec.argv)),
          "Something killed salvor-supervise; what it ran was killed with it.");
    }
  }
  std::string line = report_text.substr(0, end);
  report_text.erase(0, end + 1);
  return line;
}

// False at the end of the report.
bool Process::State::ReadReport() {
  char text[256];
  ssize_t length = 0;
  do {
    length = ::read(report.Get(), text, sizeof text);
  } while (length < 0 && errno == EINTR);
  if (length > 0) report_text.append(text, static_cast<size_t>(length));
  return length > 0;
}

void Process::State::TakeNextReport() {
  const StatusOr<std::string> line = NextReport();
  reported = true;
  if (!line.ok()) {
    broken = line.status();
  } else if (line->rfind("exit ", 0) == 0) {
    status.code = std::atoi(line->c_str() + 5);
  } else if (line->rfind("signal ", 0) == 0) {
    status.signal = std::atoi(line->c_str() + 7);
  } else {
    reported = false;
  }
}

// Output that comes after a reason to stop is read, or the process would wait for us, and not shown.
void Process::State::ReadOutput(std::optional<Status>* reason) {
  char text[65536];
  const ssize_t length = ::read(output.Get(), text, sizeof text);
  if (length < 0 && errno == EINTR) return;
  if (length <= 0) {
    output.Reset();
    output_lines.End();
    return;
  }
  const std::string_view bytes(text, static_cast<size_t>(length));
  if (spec.on_output) {
    if (reason->has_value()) return;
    if (Status verdict = spec.on_output(bytes); !verdict.ok()) {
      *reason = std::move(verdict);
      Command('S');
    }
    return;
  }
  if (spec.on_output_line) return output_lines.Add(bytes);
  const size_t room = spec.keep_output - std::min(spec.keep_output, status.output.size());
  status.output.append(bytes.substr(0, room));
  if (bytes.size() > room) status.output_cut = true;
}

void Process::State::ReadError() {
  char text[65536];
  const ssize_t length = ::read(error.Get(), text, sizeof text);
  if (length < 0 && errno == EINTR) return;
  if (length <= 0) {
    error.Reset();
    error_lines.End();
    return;
  }
  const std::string_view bytes(text, static_cast<size_t>(length));
  status.error_tail.append(bytes);
  if (status.error_tail.size() > kErrorTailBytes)
    status.error_tail.erase(0, status.error_tail.size() - kErrorTailBytes);
  error_lines.Add(bytes);
}

std::optional<Status> Process::State::ReasonToStop(const std::stop_token& stop, SteadyTime deadline,
                                                   SteadyTime now) {
  if (stop.stop_requested()) return Cancelled("stopped on request");
  if (now >= deadline) return DeadlineExceeded("out of time");
  if (!IsWatched() || now < next_look) return std::nullopt;
  next_look = now + kLookEvery;
  const std::optional<ProcessUsage> usage = ReadProcessUsage(pid);
  if (!usage.has_value()) return std::nullopt;
  if (spec.on_usage) spec.on_usage(*usage);
  if (!spec.on_idle) return std::nullopt;
  Status verdict = spec.on_idle(idleness.Observe(now, *usage));
  if (verdict.ok()) return std::nullopt;
  return verdict;
}

// Runs until the process has ended and its streams are read to their end. A stop request or the deadline
// stops it and is noted as the reason.
void Process::State::Collect(int stop_event, std::optional<Status>* reason, const std::stop_token& stop,
                             SteadyTime deadline) {
  SteadyTime drain_until = SteadyTime::InfiniteFuture();
  while (!reported && report_text.find('\n') != std::string::npos) TakeNextReport();  // came with "started"
  while (!Over()) {
    const SteadyTime now = SteadyNow();
    if (now >= drain_until) return;
    if (!reason->has_value() && !reported) {
      *reason = ReasonToStop(stop, deadline, now);
      if (reason->has_value()) Command('S');
    }
    SteadyTime wake =
        reported ? drain_until : (reason->has_value() ? SteadyTime::InfiniteFuture() : deadline);
    if (!reported && !reason->has_value() && IsWatched()) wake = std::min(wake, now + kLookEvery);
    const int timeout_ms =
        wake == SteadyTime::InfiniteFuture()
            ? -1
            : static_cast<int>(std::clamp<int64_t>(absl::ToInt64Milliseconds(wake - now) + 1, 0, 3'600'000));
    pollfd polled[] = {{reported ? -1 : report.Get(), POLLIN, 0},
                       {output.Get(), POLLIN, 0},
                       {error.Get(), POLLIN, 0},
                       {reason->has_value() || reported ? -1 : stop_event, POLLIN, 0}};
    if (::poll(polled, 4, timeout_ms) < 0) continue;
    if (polled[1].revents != 0) ReadOutput(reason);
    if (polled[2].revents != 0) ReadError();
    if (polled[0].revents != 0) TakeNextReport();
    if (reported && drain_until == SteadyTime::InfiniteFuture()) drain_until = SteadyNow() + kDrainAfterEnd;
  }
}

void Process::State::Finish() {
  if (supervisor > 0) {
    while (::waitpid(supervisor, nullptr, 0) < 0 && errno == EINTR) continue;
  }
  supervisor = -1;
  ended = true;
  output.Reset();
  error.Reset();
  MutexLock lock(mutex);
  control.Reset();
}

StatusOr<ExitStatus> Process::Wait(const std::stop_token& stop, SteadyTime deadline) {
  State& state = *state_;
  std::optional<Status> reason;
  if (!state.ended) {
    UniqueFd stop_event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!stop_event.Valid()) return ErrnoStatus(errno, "make an event");
    std::stop_callback wake(stop, [fd = stop_event.Get()] {
      const uint64_t one = 1;
      (void)!::write(fd, &one, sizeof one);
    });
    state.Collect(stop_event.Get(), &reason, stop, deadline);
    state.Finish();
  }
  if (reason.has_value()) {
    const std::string cause = RootCause(state.status.error_tail);
    const std::string program = ProgramName(state.spec.argv);
    if (cause.empty()) return WithContext(*reason, program);
    return WithContext(WithHint(MakeStatus(reason->code(), fmt::format("{} ({})", MessageOf(*reason), cause)),
                                HintOf(*reason)),
                       program);
  }
  if (state.broken.has_value()) return *state.broken;
  return state.status;
}

Process::~Process() {
  if (state_->ended || state_->supervisor <= 0) return;
  Stop();
  (void)Wait(std::stop_token(), SteadyTime::InfiniteFuture());
}

void Process::ReleaseInput() { state_->Command('R'); }

void Process::Stop() { state_->Command('S'); }

int Process::Pid() const { return state_->pid; }

Status Process::ErrorOf(const ExitStatus& status) const {
  if (status.signal == 0 && state_->spec.explain) return state_->spec.explain(status);
  return ProcessError(state_->spec.argv, status);
}

}  // namespace salvor::agent
