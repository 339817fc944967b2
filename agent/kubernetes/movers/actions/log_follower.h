// Follows a mover's output while it runs: its log and its progress become those of the attempt.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "agent/kubernetes/client/kubernetes.h"
#include "agent/work/action.h"

namespace salvor::movers {

// Has a thread of its own, on which the context's sinks are called. What it can't read is lost to the run's log and to
// nothing else.
class LogFollower {
 public:
  // All borrowed; they outlive it. `pause` is how long it waits where the log could not be had.
  LogFollower(kubernetes::Kubernetes& cluster, const agent::ActionContext& context, std::string name_space,
              std::string pod, absl::Duration pause);
  ~LogFollower();

  // The container has ended: returns when all that it wrote was read, and after `patience` at the latest.
  void Finish(absl::Duration patience);

 private:
  void Follow(const std::stop_token& stop);
  void ReadFromStart(const std::stop_token& stop);
  void Take(std::string_view line) const;

  kubernetes::Kubernetes& cluster_;
  const agent::ActionContext& context_;
  const std::string name_space_, pod_;
  const absl::Duration pause_;
  int64_t seen_ = 0;  // lines; used by the thread alone
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool has_ended_ = false;  // the container, by Finish
  bool is_done_ = false;    // the thread
  std::jthread thread_;
};

}  // namespace salvor::movers
