#include "agent/kubernetes/client/backoff.h"

#include <algorithm>

namespace salvor::kubernetes {

absl::Duration PauseAfter(const Backoff& backoff, int failures, double jitter,
                          std::optional<absl::Duration> retry_after) {
  absl::Duration pause = backoff.first;
  for (int doubled = 1; doubled < failures && pause < backoff.most; ++doubled) pause *= 2;
  pause = std::min(pause, backoff.most) * (0.5 + 0.5 * std::clamp(jitter, 0.0, 1.0));
  if (!retry_after) return pause;
  return std::max(pause, std::min(*retry_after, absl::Minutes(1)));
}

}  // namespace salvor::kubernetes
