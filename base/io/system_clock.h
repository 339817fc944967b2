#pragma once

#include <absl/time/clock.h>

#include "base/clock.h"
#include "base/io/steady_clock.h"

namespace salvor {

// The machine's clocks. Thread-safe.
class SystemClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
  absl::Duration Monotonic() const override { return SteadyNow() - SteadyTime::At(absl::ZeroDuration()); }
};

}  // namespace salvor
