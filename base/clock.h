// Time as something that is handed in. Code that decides takes an absl::Time; only the edge owns a Clock.
#pragma once

#include <absl/time/time.h>

namespace salvor {

// Two clocks in one: what people call the time, which somebody may set, and one that only goes forward. Durations and
// deadlines are measured by the second; what outlives the process is written down in the first.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
  // The time since some instant that is the same for the life of the process. Nobody sets it, and it counts while the
  // machine sleeps.
  virtual absl::Duration Monotonic() const = 0;
};

// Stands still until it is told. For tests with one thread, as it is not thread-safe; the real ones are.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(absl::Time start) : now_(start) {}
  absl::Time Now() const override { return now_; }
  absl::Duration Monotonic() const override { return monotonic_; }
  void Advance(absl::Duration by) {
    now_ += by;
    monotonic_ += by;
  }
  // Somebody sets the clock of the machine: no time passes.
  void Set(absl::Time now) { now_ = now; }

 private:
  absl::Time now_;
  absl::Duration monotonic_ = absl::Hours(1);
};

}  // namespace salvor
