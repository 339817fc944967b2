#include "agent/kubernetes/velero/actions/pod_hold.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "agent/process/line_splitter.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::velero {
namespace {

// The release, and what the connection takes.
constexpr absl::Duration kReleasePatience = absl::Minutes(1);

std::string TextOf(const HeldContainer& container) {
  return fmt::format("container {} of pod {}", container.container, Key(container.name_space, container.pod));
}

}  // namespace

Status WithExecHint(const Status& error, const HeldContainer& container) {
  const Status named = WithContext(error, "run a command in " + TextOf(container));
  // Made anew, for the client has a hint of its own, which says less.
  if (kubernetes::IsForbidden(error))
    return WithHint(PermissionDenied("{}", MessageOf(named)), HowToAllowCommands(container.name_space));
  if (error.code() == absl::StatusCode::kFailedPrecondition)
    return WithHint(named, "See whether the container runs, and has the programs sh and sleep.");
  return named;
}

PodHold::PodHold(kubernetes::Kubernetes& cluster, const HeldContainer& container,
                 std::function<void(std::string_view line)> log, std::function<void()> on_end)
    : cluster_(cluster), container_(container), log_(std::move(log)), on_end_(std::move(on_end)) {}

PodHold::~PodHold() {
  if (!thread_.joinable()) return;
  (void)LetGo();
  thread_.join();
}

Status PodHold::Begin(const kubernetes::Call& call) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  input_ = UniqueFd(ends[0]);
  order_ = UniqueFd(ends[1]);
  begun_ = SteadyNow();
  // In whole seconds, as the watchdog of HoldCommand counts: it never releases what is held by this clock.
  deadline_ = begun_ + absl::Seconds(std::max<int64_t>(1, container_.quiesce->deadline_ms() / 1000));
  thread_ = std::thread([this] { RunCommand(); });
  Status begun;
  {
    const std::stop_callback on_stop(call.stop, [this] {
      const MutexLock lock(mutex_);
      changed_.NotifyAll();
    });
    const SteadyTime until = std::min(deadline_, call.deadline);
    const MutexLock lock(mutex_);
    while (state_ == State::kBegun && !call.stop.stop_requested() && SteadyNow() < until)
      changed_.WaitFor(mutex_, absl::ToChronoMicroseconds(until - SteadyNow()));
    begun = call.stop.stop_requested() ? Cancelled("stopped on request") : JudgeBegin(SteadyNow() >= until);
  }
  if (begun.ok()) return begun;
  (void)LetGo();
  return begun;
}

Status PodHold::JudgeBegin(bool is_late) {
  if (state_ == State::kEnded && !ended_.ok()) return WithExecHint(ended_.status(), container_);
  if (is_late || (state_ == State::kEnded && *ended_ == kLateCode)) {
    return WithHint(FailedPrecondition("the command that holds {} still had not ended after {}",
                                       TextOf(container_), absl::FormatDuration(deadline_ - begun_)),
                    "See what it waits for, or give it more time in quiesce.deadline.");
  }
  if (state_ == State::kEnded) {
    return WithHint(
        FailedPrecondition("the command that holds {} still ended with {}", TextOf(container_), *ended_),
        "The run's log has what it wrote: salvor run logs.");
  }
  return OkStatus();
}

void PodHold::RunCommand() {
  agent::LineSplitter output([this](std::string_view line) { OnLine(line); });
  agent::LineSplitter errors([this](std::string_view line) { log_(line); });
  kubernetes::ExecCommand command;
  command.name_space = container_.name_space;
  command.pod = container_.pod;
  command.container = container_.container;
  command.argv = HoldCommand(*container_.quiesce);
  command.stdin_fd = input_.Get();
  command.on_stdout = [&output](std::string_view bytes) {
    output.Add(bytes);
    return OkStatus();
  };
  command.on_stderr = [&errors](std::string_view bytes) {
    errors.Add(bytes);
    return OkStatus();
  };
  StatusOr<int> ended = cluster_.Exec(command, {abandon_.get_token(), deadline_ + 2 * kReleasePatience});
  bool is_told = false;
  {
    const MutexLock lock(mutex_);
    state_ = State::kEnded;
    ended_ = std::move(ended);
    is_told = is_told_;
    changed_.NotifyAll();
  }
  if (!is_told) on_end_();
}

void PodHold::OnLine(std::string_view line) {
  if (line != kHeldMark) return;
  const MutexLock lock(mutex_);
  state_ = State::kHeld;
  changed_.NotifyAll();
}

bool PodHold::IsHeld() {
  const MutexLock lock(mutex_);
  return state_ == State::kHeld && !is_told_ && SteadyNow() < deadline_;
}

bool PodHold::AwaitEnd(SteadyTime until) {
  while (state_ != State::kEnded) {
    const SteadyTime now = SteadyNow();
    if (now >= until) return false;
    changed_.WaitFor(mutex_, absl::ToChronoMicroseconds(until - now));
  }
  return true;
}

Status PodHold::LetGo() {
  if (let_go_.has_value()) return *let_go_;
  const MutexLock lock(mutex_);
  is_told_ = true;
  // A pipe that nobody has read has room for it; where the command is gone nobody minds.
  const ssize_t written = ::write(order_.Get(), kReleaseOrder.data(), kReleaseOrder.size());
  order_.Reset();
  const bool has_ended = written >= 0 && AwaitEnd(SteadyNow() + kReleasePatience);
  held_for_ = SteadyNow() - begun_;
  if (!has_ended) {
    abandon_.request_stop();
    let_go_ = Unavailable("the release in {} had not ended after {}", TextOf(container_),
                          absl::FormatDuration(kReleasePatience));
  } else if (!ended_.ok()) {
    let_go_ = WithExecHint(ended_.status(), container_);
  } else if (*ended_ != 0) {
    let_go_ = Unavailable("the release in {} ended with {}", TextOf(container_), *ended_);
  } else {
    let_go_ = OkStatus();
  }
  return *let_go_;
}

}  // namespace salvor::velero
