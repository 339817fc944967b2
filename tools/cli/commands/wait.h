// Waiting for a run and saying meanwhile how it goes.
#pragma once

#include <absl/time/time.h>

#include <string>

#include "proto/time.h"
#include "tools/cli/commands/command.h"

namespace salvor::cli {

enum class WaitEnd { kOver, kTimedOut, kInterrupted };

struct WaitResult {
  WaitEnd end = WaitEnd::kOver;
  v1::Run run;  // as it was last seen
};

// Waits until the run is over, the time is up or Ctrl-C is pressed; the run itself goes on whatever happens here. A
// control plane that is not reachable is waited for. Talk goes to stderr: a frame that is redrawn on a
// terminal, a line per change elsewhere; none when `quiet`.
StatusOr<WaitResult> WaitForRun(Context& context, const std::string& run, absl::Duration timeout, bool quiet);

// Waits, then gives the account of how the run ended ("table") or the run itself ("json", "yaml") on stdout.
// The outcome is the exit code.
ExitCode FollowRun(Context& context, const std::string& run, absl::Duration timeout,
                   const std::string& output);

// Says of a run that goes on, after a wait that ended before it, how to come back; gives the exit code for it.
ExitCode StoppedWaiting(Context& context, const std::string& run, WaitEnd end, absl::Duration timeout);

// Options of every command that starts a run.
struct StartOptions {
  bool dry_run = false;
  bool wait = false;
  std::string timeout = "24h";
  std::string start_within;  // empty: it may wait for as long as it takes
  std::string output;
};

// `dry_run` says in the help what a dry run does.
void AddStartOptions(CLI::App& command, StartOptions& options,
                     const std::string& dry_run = "show what would be done, and start nothing");

// Writes the options into the request: all requests that start a run say them alike.
template <typename Request>
void SetStartOptions(const StartOptions& options, Request& request) {
  request.set_dry_run(options.dry_run);
  if (!options.start_within.empty())
    *request.mutable_start_within() = ToProto(DurationValue(options.start_within));
}

// Shows or does what follows the control plane's answer: the plan of a dry run, the name of the run, or waiting.
ExitCode AfterStart(Context& context, const v1::CreateRunResponse& response, const StartOptions& options);

// Catches Ctrl-C for as long as it lives.
class InterruptScope {
 public:
  explicit InterruptScope(Environment& environment) : source_(environment.interrupts) {
    if (source_ != nullptr) source_->Catch();
  }
  ~InterruptScope() {
    if (source_ != nullptr) source_->Release();
  }
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;
  bool Raised() const { return source_ != nullptr && source_->Raised(); }

 private:
  InterruptSource* source_;
};

// Worth another try: the control plane is restarting, or the connection broke.
bool IsPassing(const Status& status);

}  // namespace salvor::cli
