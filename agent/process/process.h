// Subprocesses that cannot outlive us. Each runs under a small supervisor program (salvor-supervise), which
// is its parent: when this agent is gone, even by SIGKILL, the supervisor stops the process group with
// `stop_signal`, then SIGKILL after `stop_grace`. What a process started and left running when it ended is
// ended too (SIGTERM, SIGKILL after at most 2 s): nothing can be daemonised from here. argv only, never a
// shell.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "agent/process/tool_runner.h"
#include "base/io/files.h"
#include "base/status.h"
#include "base/steady_time.h"

namespace salvor::agent {

// One running process.
class Process final : public RunningTool {
 public:
  ~Process() override;

  StatusOr<ExitStatus> Wait(const std::stop_token& stop, SteadyTime deadline) override;
  void ReleaseInput() override;
  void Stop() override;
  Status ErrorOf(const ExitStatus& status) const override;

  // The supervised process itself (not the supervisor), for /proc look-ups and tests.
  int Pid() const;

 private:
  friend class SupervisedTools;
  Process();
  struct State;
  std::unique_ptr<State> state_;
};

// The tools of this host.
class SupervisedTools final : public ToolRunner {
 public:
  // `supervisor` is the path of salvor-supervise. Each supervisor keeps `lock` open for as long as it lives, when
  // there is one: by it the next agent knows of them (orphaned_tools.h).
  explicit SupervisedTools(std::string supervisor, UniqueFd lock = UniqueFd())
      : supervisor_(std::move(supervisor)), lock_(std::move(lock)) {}

  StatusOr<std::unique_ptr<RunningTool>> Start(ProcessSpec spec) override;
  StatusOr<std::unique_ptr<Process>> StartProcess(ProcessSpec spec) const;

 private:
  const std::string supervisor_;
  const UniqueFd lock_;
};

}  // namespace salvor::agent
