#pragma once

#include <absl/time/clock.h>
#include <time.h>

#include "base/clock.h"

namespace salvor {

// The machine's clocks. Thread-safe.
class SystemClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
  absl::Duration Monotonic() const override {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return absl::DurationFromTimespec(now);
  }
};

}  // namespace salvor
