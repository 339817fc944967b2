#pragma once

#include <time.h>

#include "base/steady_time.h"

namespace salvor {

// Now, by the machine's clock that nobody sets. It counts while the machine sleeps. Thread-safe.
inline SteadyTime SteadyNow() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return SteadyTime::At(absl::DurationFromTimespec(now));
}

}  // namespace salvor
