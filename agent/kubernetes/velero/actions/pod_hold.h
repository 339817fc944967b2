// One container of a pod whose application is held still by a command that runs there.
#pragma once

#include <absl/time/time.h>

#include <functional>
#include <optional>
#include <stop_token>
#include <string_view>
#include <thread>

#include "agent/kubernetes/client/kubernetes.h"
#include "agent/kubernetes/velero/quiesce.h"
#include "base/io/files.h"
#include "base/io/mutex.h"
#include "base/steady_time.h"

namespace salvor::velero {

// Who ends lets go: the connection ends with this process, and the command in the pod, which sees the end of its input,
// releases by itself; so it does at its deadline. Begin and LetGo are of one thread; IsHeld is of any.
class PodHold {
 public:
  // `log` gets each line that the commands write, and `on_end` is called when the hold ends that nobody let go of.
  // Both run on another thread. The cluster must outlive this.
  PodHold(kubernetes::Kubernetes& cluster, const HeldContainer& container,
          std::function<void(std::string_view line)> log, std::function<void()> on_end);
  ~PodHold();  // lets go
  PodHold(const PodHold&) = delete;
  PodHold& operator=(const PodHold&) = delete;

  // Returns when the application is held still. FailedPrecondition where the command failed, or took longer than its
  // deadline; then it is released already.
  Status Begin(const kubernetes::Call& call);

  // Whether it is held still since Begin without a gap.
  bool IsHeld();

  // Runs the release, and waits for its end. Once it was called it does nothing but say the same.
  Status LetGo();

  SteadyTime Deadline() const { return deadline_; }
  absl::Duration HeldFor() const { return held_for_; }  // once it is let go
  const HeldContainer& Container() const { return container_; }

 private:
  enum class State { kBegun, kHeld, kEnded };

  void RunCommand();
  void OnLine(std::string_view line);
  Status JudgeBegin(bool is_late) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False where it had not ended by then.
  bool AwaitEnd(SteadyTime until) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  kubernetes::Kubernetes& cluster_;
  const HeldContainer container_;
  const std::function<void(std::string_view)> log_;
  const std::function<void()> on_end_;
  UniqueFd input_, order_;  // the command's end of a pipe, and ours
  std::stop_source abandon_;
  SteadyTime begun_ = SteadyTime::InfiniteFuture(), deadline_ = SteadyTime::InfinitePast();
  absl::Duration held_for_;
  std::optional<Status> let_go_;
  Mutex mutex_;
  CondVar changed_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kBegun;
  bool is_told_ ABSL_GUARDED_BY(mutex_) = false;  // to let go
  StatusOr<int> ended_ ABSL_GUARDED_BY(mutex_) = 0;
  std::thread thread_;
};

// What to do about a command that could not be run in a container.
Status WithExecHint(const Status& error, const HeldContainer& container);

}  // namespace salvor::velero
