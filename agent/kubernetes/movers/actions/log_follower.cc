#include "agent/kubernetes/movers/actions/log_follower.h"

#include <utility>

#include "agent/kubernetes/movers/mover_job.h"
#include "agent/kubernetes/movers/mover_output.h"

namespace salvor::movers {

LogFollower::LogFollower(kubernetes::Kubernetes& cluster, const agent::ActionContext& context,
                         std::string name_space, std::string pod, absl::Duration pause)
    : cluster_(cluster),
      context_(context),
      name_space_(std::move(name_space)),
      pod_(std::move(pod)),
      pause_(pause),
      thread_([this](const std::stop_token& stop) { Follow(stop); }) {}

LogFollower::~LogFollower() {
  thread_.request_stop();
  thread_.join();
}

void LogFollower::Finish(absl::Duration patience) {
  std::unique_lock lock(mutex_);
  has_ended_ = true;
  changed_.notify_all();
  changed_.wait_for(lock, absl::ToChronoMilliseconds(patience), [this] { return is_done_; });
}

// A log that is followed ends with its container; one that ended before that was cut off, and is read again.
void LogFollower::Follow(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    bool is_last = false;
    {
      std::lock_guard lock(mutex_);
      is_last = has_ended_;
    }
    ReadFromStart(stop);
    std::unique_lock lock(mutex_);
    if (is_last) break;
    changed_.wait_for(lock, stop, absl::ToChronoMilliseconds(pause_), [this] { return has_ended_; });
  }
  std::lock_guard lock(mutex_);
  is_done_ = true;
  changed_.notify_all();
}

void LogFollower::ReadFromStart(const std::stop_token& stop) {
  kubernetes::LogOptions options;
  options.container = kContainer;
  options.follow = true;
  int64_t number = 0;
  const Status read = cluster_.Logs(name_space_, pod_, options,
                                    [&](std::string_view line) {
                                      if (++number > seen_) {
                                        seen_ = number;
                                        Take(line);
                                      }
                                      return OkStatus();
                                    },
                                    {stop, SteadyTime::InfiniteFuture()});
  static_cast<void>(read);  // it is asked again, and the mover's end does not depend on it
}

void LogFollower::Take(std::string_view line) const {
  const OutputLine read = ReadLine(line);
  switch (read.kind) {
    case OutputLine::Kind::kProgress:
      if (context_.progress) context_.progress(read.progress);
      return;
    case OutputLine::Kind::kLog:
      if (context_.log) context_.log(read.source, read.text);
      return;
    case OutputLine::Kind::kOther:
      if (context_.log) context_.log(kContainer, read.text);
      return;
    case OutputLine::Kind::kResult:
      return;  // it is read when it is complete
  }
}

}  // namespace salvor::movers
