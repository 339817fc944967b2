#pragma once

#include <absl/time/clock.h>

#include "base/clock.h"

namespace salvor {

// The machine's wall clock.
class SystemClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
};

}  // namespace salvor
