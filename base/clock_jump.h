#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>

#include "base/clock.h"

namespace salvor {

// Notices that somebody set the clock: that what people call the time moved otherwise than the clock that nobody sets.
// Small corrections, as time synchronisation makes them, are none. One thread at a time.
class ClockJump {
 public:
  explicit ClockJump(const Clock& clock) : clock_(clock), offset_(Offset()) {}

  // The span by which it was set since the last call, back when negative; nothing when it was not.
  std::optional<absl::Duration> Notice() {
    const absl::Duration jump = Offset() - offset_;
    if (absl::AbsDuration(jump) < kLeast) return std::nullopt;
    offset_ += jump;
    return jump;
  }

 private:
  static constexpr absl::Duration kLeast = absl::Seconds(10);

  absl::Duration Offset() const { return clock_.Now() - absl::UnixEpoch() - clock_.Monotonic(); }

  const Clock& clock_;
  absl::Duration offset_;
};

// The jump in words, for the log.
inline std::string DescribeClockJump(absl::Duration jump) {
  return fmt::format(
      "this machine's clock was set {} by {}; durations and deadlines are measured by another one, and go on",
      jump > absl::ZeroDuration() ? "forward" : "back", absl::FormatDuration(absl::AbsDuration(jump)));
}

}  // namespace salvor
