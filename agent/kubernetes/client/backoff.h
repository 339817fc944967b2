// How long to wait before trying again. Pure.
#pragma once

#include <absl/time/time.h>

#include <optional>

namespace salvor::kubernetes {

struct Backoff {
  absl::Duration first = absl::Milliseconds(200);
  absl::Duration most = absl::Seconds(10);
};

// The pause after this many failures in a row (from 1): doubled each time, half of it left to `jitter` (0..1) so that
// those who failed together do not come back together. Never shorter than what the server asked for, of which a
// minute is honoured.
absl::Duration PauseAfter(const Backoff& backoff, int failures, double jitter,
                          std::optional<absl::Duration> retry_after);

}  // namespace salvor::kubernetes
