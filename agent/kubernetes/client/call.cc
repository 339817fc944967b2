#include "agent/kubernetes/client/call.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "base/io/files.h"
#include "base/io/steady_clock.h"

namespace salvor::kubernetes {

Status CheckCall(const Call& call, std::string_view what) {
  if (call.stop.stop_requested()) return Cancelled("{}: stopped", what);
  if (SteadyNow() >= call.deadline) return DeadlineExceeded("{}: out of time", what);
  return OkStatus();
}

Status Pause(const Call& call, absl::Duration duration, std::string_view what) {
  std::mutex mutex;
  std::condition_variable_any woken;
  std::unique_lock lock(mutex);
  const absl::Duration most = std::min(duration, call.deadline - SteadyNow());
  if (most > absl::ZeroDuration()) {
    woken.wait_for(lock, call.stop, absl::ToChronoNanoseconds(most), [] { return false; });
  }
  return CheckCall(call, what);
}

double Jitter() {
  const std::string bytes = RandomBytes(2);
  const int high = static_cast<unsigned char>(bytes[0]);
  const int low = static_cast<unsigned char>(bytes[1]);
  return (high * 256 + low) / 65535.0;
}

}  // namespace salvor::kubernetes
