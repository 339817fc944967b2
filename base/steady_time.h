// A time by which something must be over, by the clock that nobody sets. What people call the time is an absl::Time:
// for what is shown or stored. The two do not mix: a deadline on the second would come early, or never, when somebody
// sets that.
#pragma once

#include <absl/time/time.h>

namespace salvor {

// An instant of the clock of Clock::Monotonic(). Means nothing to another process, nor after a restart. A value.
class SteadyTime {
 public:
  static SteadyTime InfiniteFuture() { return SteadyTime(absl::InfiniteDuration()); }
  static SteadyTime InfinitePast() { return SteadyTime(-absl::InfiniteDuration()); }
  static SteadyTime At(absl::Duration monotonic) { return SteadyTime(monotonic); }

  friend SteadyTime operator+(SteadyTime time, absl::Duration by) { return SteadyTime(time.monotonic_ + by); }
  friend SteadyTime operator-(SteadyTime time, absl::Duration by) { return SteadyTime(time.monotonic_ - by); }
  // Infinite when one of the two is.
  friend absl::Duration operator-(SteadyTime to, SteadyTime from) { return to.monotonic_ - from.monotonic_; }

  friend bool operator==(SteadyTime a, SteadyTime b) { return a.monotonic_ == b.monotonic_; }
  friend bool operator!=(SteadyTime a, SteadyTime b) { return a.monotonic_ != b.monotonic_; }
  friend bool operator<(SteadyTime a, SteadyTime b) { return a.monotonic_ < b.monotonic_; }
  friend bool operator>(SteadyTime a, SteadyTime b) { return a.monotonic_ > b.monotonic_; }
  friend bool operator<=(SteadyTime a, SteadyTime b) { return a.monotonic_ <= b.monotonic_; }
  friend bool operator>=(SteadyTime a, SteadyTime b) { return a.monotonic_ >= b.monotonic_; }

 private:
  explicit SteadyTime(absl::Duration monotonic) : monotonic_(monotonic) {}

  absl::Duration monotonic_;
};

}  // namespace salvor
