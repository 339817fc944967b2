// How far, how fast, how much longer. Pure.
#pragma once

#include <absl/time/time.h>

#include <optional>
#include <string>

#include "salvor/v1/run.pb.h"

namespace salvor::cli {

// Bytes per second over the recent past, from what was seen at which time. A count that goes back is a new
// attempt and starts afresh.
class RateEstimator {
 public:
  void Add(absl::Time at, int64_t bytes);

  // Nothing until two different times were seen.
  std::optional<double> BytesPerSecond() const;

 private:
  absl::Time last_at_ = absl::InfinitePast();
  int64_t last_bytes_ = 0;
  std::optional<double> rate_;
};

// Time left at this rate, in whole seconds; nothing when the total or the rate is unknown.
std::optional<absl::Duration> TimeLeft(int64_t done, int64_t total, double bytes_per_second);

// 0..100; nothing when the total is unknown. 100 only when everything is done.
std::optional<int> Percent(int64_t done, int64_t total);

// "1.20 GiB of 3.10 GiB, 38%, 105 MiB/s, ETA 18s, 12 of 40 tables compared": whatever of it is known.
// `measured_rate` stands in when the agent reports none.
std::string RenderProgress(const v1::Progress& progress, std::optional<double> measured_rate);

// A duration without its fraction: "18s", "2m05s".
std::string WholeSeconds(absl::Duration duration);

}  // namespace salvor::cli
