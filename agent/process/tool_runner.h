// Who runs an action's tools (restic, pg_dump, psql), wherever that is: as supervised processes of this host
// (agent/process/process.h), or by a script in tests. An action says what is run and how it is judged, and never
// where.
#pragma once

#include <absl/time/time.h>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "agent/process/idleness.h"
#include "base/io/files.h"
#include "base/status.h"
#include "base/steady_time.h"

namespace salvor::agent {

struct ExitStatus {
  int code = 0;  // valid when signal == 0
  int signal = 0;
  std::string output;  // at most keep_output bytes
  bool output_cut = false;
  std::string error_tail;  // the last 64 KiB of stderr
  bool Ok() const { return signal == 0 && code == 0; }
  std::string Describe() const;  // "exit code 1", "killed by signal 9"
};

// A descriptor that a process gets beside its three standard ones, under this number in it: 3 to 31.
struct PassedDescriptor {
  UniqueFd fd;
  int number = 3;
};

struct ProcessSpec {
  Status problem = OkStatus();    // of who made the spec and could not finish it: Start answers with it
  std::vector<std::string> argv;  // argv[0] is looked up in PATH unless it has a slash
  std::map<std::string, std::string>
      environment;  // laid over a minimal one: PATH, HOME, TZ=UTC, LC_ALL=C.UTF-8
  std::string working_directory = "/";
  UniqueFd input;   // the child's stdin; /dev/null when invalid. See spare_input
  UniqueFd output;  // the child's stdout; collected (see below) when invalid
  // The write end of the pipe whose read end is `input`. The supervisor holds it too, so that the child
  // cannot see end of file when this agent dies: it is interrupted instead. Process::ReleaseInput lets it go.
  UniqueFd spare_input;
  std::vector<PassedDescriptor> passed;  // ours are closed once it was started
  int stop_signal = 15;                  // restic wants SIGINT: on SIGTERM it leaves a stale lock
  absl::Duration stop_grace = absl::Seconds(10);
  std::string user;          // run as this user (root only); empty: as we are
  bool new_network = false;  // an own, empty network namespace; Start fails where it cannot be had
  std::function<void(std::string_view line)> on_output_line;  // stdout by lines, called from Wait; else kept
  // Stdout in pieces as it comes, called from Wait; instead of lines. An error stops it and is Wait's answer.
  std::function<Status(std::string_view bytes)> on_output;
  std::function<void(std::string_view line)> on_error_line;  // stderr by lines, called from Wait
  size_t keep_output = 1 << 20;  // bytes of stdout kept when it has neither fd nor callback
  // Called from Wait once a second while it runs, with how long it has done nothing: see idleness.h.
  // RunPipe's consumer does nothing only while it has input to read, or its end, and its producer only while
  // everything it gave has been taken. An error stops it and is Wait's answer.
  std::function<Status(absl::Duration idle)> on_idle;
  // Called from Wait once a second while it runs: the progress of a program that tells none.
  std::function<void(const ProcessUsage& usage)> on_usage;
  // Explains a non-zero exit code (never a signal) to people; ProcessError when unset.
  std::function<Status(const ExitStatus&)> explain;
};

// One tool that was started. Owned by one thread; Stop and ReleaseInput may be called from others. The destructor
// stops it if it still runs, and waits.
class RunningTool {
 public:
  virtual ~RunningTool() = default;

  // Returns when it has ended. On a stop request, past the deadline or by on_idle's word it is stopped first, and
  // the answer is Cancelled, DeadlineExceeded or that word, with the tail of stderr in the message.
  virtual StatusOr<ExitStatus> Wait(const std::stop_token& stop, SteadyTime deadline) = 0;

  // spare_input is let go of: after this, closing our own end is end of file to the tool.
  virtual void ReleaseInput() = 0;

  // Sends stop_signal now; SIGKILL after the grace.
  virtual void Stop() = 0;

  // The error that this unsuccessful end of it is: by the spec's `explain`.
  virtual Status ErrorOf(const ExitStatus& status) const = 0;
};

// Thread-safe. Outlives every tool that it started.
class ToolRunner {
 public:
  virtual ~ToolRunner() = default;

  // The tool runs when this returns: an error says that it never did.
  virtual StatusOr<std::unique_ptr<RunningTool>> Start(ProcessSpec spec) = 0;

  // Start and Wait. An unsuccessful end is RunningTool::ErrorOf.
  StatusOr<ExitStatus> Run(ProcessSpec spec, const std::stop_token& stop, SteadyTime deadline);
};

// The last part of argv[0], for messages.
std::string ProgramName(const std::vector<std::string>& argv);

// The error of a failed process, for people: Internal "<program>: <last lines of stderr> (exit code 1)"; Aborted, which
// is worth another try, when a signal ended it.
Status ProcessError(const std::vector<std::string>& argv, const ExitStatus& status);

// The last few non-empty lines of a stderr tail, joined by "; ": the root cause for a message. Without
// the values of rows that PostgreSQL quotes (base/redact.h).
std::string RootCause(std::string_view error_tail);

}  // namespace salvor::agent
