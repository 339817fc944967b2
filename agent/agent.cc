#include "agent/agent.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "agent/engines/action/program.h"
#include "agent/engines/disk/actions/leftovers.h"
#include "agent/engines/disk/spool_file.h"
#include "agent/executor/executor.h"
#include "agent/host_actions.h"
#include "agent/journal/journal.h"
#include "agent/metrics/agent_metrics.h"
#include "agent/probes/application_check_room.h"
#include "agent/process/orphaned_tools.h"
#include "agent/process/process.h"
#include "agent/puller/puller.h"
#include "agent/scratch/actions/scratch_actions.h"
#include "agent/scratch/scratch_places.h"
#include "agent/undo_of_0_1.h"
#include "agent/work/clean_up.h"
#include "agent/work/registry.h"
#include "base/clock_jump.h"
#include "base/io/files.h"
#include "base/io/log.h"
#include "base/io/steady_clock.h"
#include "base/io/system_clock.h"
#include "base/names.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

// Members in order of need; destroyed in reverse.
class AgentImpl final : public Agent {
 public:
  explicit AgentImpl(AgentOptions options) : options_(WithRegistry(std::move(options))) {}

  ~AgentImpl() override {
    metrics_.OnScrape(nullptr);
    StopWatchdog();
    executor_.reset();  // waits for what runs, while the sink is still there
  }

  Status Open() {
    const AgentConfig& config = options_.config;
    RETURN_IF_ERROR_IN(CheckObjectName(config.name), "--name");
    RETURN_IF_ERROR_IN(CheckObjectName(config.environment), "--environment");
    RETURN_IF_ERROR_IN(CheckAbsolutePath(config.state_directory), "--state-directory");
    for (const auto& [key, value] : config.labels) {
      if (ValidUtf8(key) != key || ValidUtf8(value) != value)
        return InvalidArgument("--label {}={}: it is not UTF-8", CleanText(key), CleanText(value));
    }
    if (::access(options_.supervisor.c_str(), X_OK) != 0) {
      return WithHint(NotFound("salvor-supervise is not at {}", options_.supervisor),
                      "Name it with --supervisor.");
    }
    RETURN_IF_ERROR(config.policy.Validate());
    ASSIGN_OR_RETURN(const Endpoint endpoint, ParseEndpoint(options_.server));
    ASSIGN_OR_RETURN(journal_, Journal::Open(config.state_directory));
    // The agent waits here before it looks at or removes anything that a tool of a killed predecessor may yet write.
    ASSIGN_OR_RETURN(UniqueFd tools_lock, AwaitOrphanedTools(config.state_directory));
    tools_ = std::make_unique<SupervisedTools>(options_.supervisor, std::move(tools_lock));
    scratch_ = std::make_unique<ScratchPlaces>(
        ScratchOptions{config.state_directory, *tools_, options_.supervisor,
                       HostScratchEngines(config, *tools_), config.scratch_user, "bwrap"});
    executor_ = std::make_unique<Executor>(MakeExecutorOptions());
    RETURN_IF_ERROR(RemoveForeignScratch());
    if (Status removed = CheckRoom::RemoveLeftovers(config.state_directory); !removed.ok())
      LogError("{}", MessageOf(removed));
    if (Status removed = SpoolFolder(config.state_directory).RemoveLeftovers(); !removed.ok())
      LogError("{}", MessageOf(removed));
    if (Status removed = WorkFolder::RemoveLeftovers(config); !removed.ok())
      LogError("{}", MessageOf(removed));
    RETURN_IF_ERROR(executor_->Recover());
    PullerOptions puller{endpoint,         options_.tls, options_.token_file,
                         options_.version, HostName(),   ToHex(RandomBytes(8))};
    puller_ = MakePuller(config, *executor_, std::move(puller));
    watchdog_ = std::jthread([this](const std::stop_token& stop) { Watch(stop); });
    return ServeMetrics();
  }

  Status Run() override {
    Status status = puller_->Run();
    metrics_.OnScrape(nullptr);
    StopWatchdog();
    executor_.reset();  // waits for what runs, while the sink is still there
    return status;
  }
  void Stop() override { puller_->Stop(); }

 private:
  static AgentOptions WithRegistry(AgentOptions options) {
    if (options.metrics == nullptr) options.metrics = std::make_shared<MetricRegistry>();
    return options;
  }

  void StopWatchdog() {
    if (!watchdog_.joinable()) return;
    watchdog_.request_stop();
    watchdog_.join();
  }

  ExecutorOptions MakeExecutorOptions() {
    ExecutorOptions options;
    options.config = &options_.config;
    options.clock = &clock_;
    options.journal = journal_.get();
    options.tools = tools_.get();
    options.scratch = scratch_.get();
    options.actions = options_.actions;
    options.observer = &agent_metrics_;
    options.clean_up = [this](const v1::Task& task, absl::Duration patience) { CleanUp(task, patience); };
    options.undo_of_0_1 = UndoOf0_1;
    options.leftovers = [this]() -> std::vector<v1::HeldObligation> {
      auto unfinished = UnfinishedDiskRestores(options_.config);
      if (unfinished.ok()) return *std::move(unfinished);
      LogError("{}", MessageOf(unfinished.status()));
      return {};
    };
    return options;
  }

  void CleanUp(const v1::Task& task, absl::Duration patience) {
    const SteadyTime until = SteadyNow() + patience;
    const auto warn = [&task](const Status& status) {
      if (status.ok()) return;
      LogWarning("clean-up after {}: {}; the next attempt does it", task.lease().step(), MessageOf(status));
    };
    warn(CleanUpAfter(task, options_.config, *tools_, patience));
    ActionContext context{options_.config, *tools_, task, {}, std::max(until, SteadyNow() + absl::Seconds(1)),
                          nullptr,         nullptr};
    context.scratch = scratch_.get();
    warn(CleanUpByKind(options_.actions, task.action(), context));
  }

  // A scratch place without an obligation in the journal is nobody's: its agent died between the two.
  Status RemoveForeignScratch() {
    ASSIGN_OR_RETURN(const std::vector<ScratchState> present, scratch_->List());
    ASSIGN_OR_RETURN(const std::vector<JournalObligation> obligations, journal_->Obligations());
    for (const ScratchState& state : present) {
      bool wanted = false;
      for (const JournalObligation& obligation : obligations)
        wanted = wanted || (obligation.released_early.empty() && HoldsPlace(obligation.held, state.name));
      if (wanted) continue;
      LogWarning("scratch server {} belongs to no run: removing it", state.name);
      // One that cannot be removed is in nobody's way but its own disk's: the agent serves all the same.
      if (Status removed = scratch_->Remove(state.name); !removed.ok())
        LogError("removing scratch server {}: {}; remove {} by hand", state.name, MessageOf(removed),
                 state.directory);
    }
    return OkStatus();
  }

  // Obligations have a deadline that holds without the control plane.
  void Watch(const std::stop_token& stop) {
    Mutex mutex;
    CondVar changed;
    ClockJump jump(clock_);
    std::stop_callback wake(stop, [&] { changed.NotifyAll(); });
    while (!stop.stop_requested()) {
      executor_->ReleaseExpired();
      if (const std::optional<absl::Duration> by = jump.Notice()) LogWarning("{}", DescribeClockJump(*by));
      MutexLock lock(mutex);
      if (!stop.stop_requested()) changed.WaitFor(mutex, std::chrono::seconds(1));
    }
  }

  Status ServeMetrics() {
    if (options_.metrics_listen.empty()) return OkStatus();
    ASSIGN_OR_RETURN(const std::string address,
                     MetricsAddress(options_.metrics_listen, options_.metrics_open));
    metrics_.OnScrape([this] {
      agent_metrics_.Refresh(puller_->Connected(), executor_->Obligations().size());
      if (options_.refresh_metrics) options_.refresh_metrics();
    });
    return metrics_.Serve(address);
  }

  static std::string HostName() {
    char name[256] = {};
    ::gethostname(name, sizeof name - 1);
    return ValidUtf8(name);
  }

  const AgentOptions options_;
  SystemClock clock_;
  MetricRegistry& metrics_ = *options_.metrics;
  AgentMetrics agent_metrics_{metrics_, options_.version};
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<ToolRunner> tools_;
  std::unique_ptr<ScratchPlaces> scratch_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<Puller> puller_;
  std::jthread watchdog_;
};

}  // namespace

StatusOr<std::unique_ptr<Agent>> Agent::Start(AgentOptions options) {
  auto agent = std::make_unique<AgentImpl>(std::move(options));
  RETURN_IF_ERROR(agent->Open());
  return std::unique_ptr<Agent>(std::move(agent));
}

}  // namespace salvor::agent
