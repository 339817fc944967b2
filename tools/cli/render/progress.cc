#include "tools/cli/render/progress.h"

#include <fmt/core.h>

#include <cmath>
#include <vector>

#include "base/text.h"
#include "tools/cli/terminal/text_layout.h"

namespace salvor::cli {
namespace {

// A sample this old counts for 1/e of a fresh one.
constexpr double kMemorySeconds = 15;
constexpr double kLongestSeconds = 100 * 86400;  // beyond that an ETA says nothing

}  // namespace

void RateEstimator::Add(absl::Time at, int64_t bytes) {
  if (last_at_ == absl::InfinitePast() || bytes < last_bytes_) {
    rate_.reset();
    last_at_ = at;
    last_bytes_ = bytes;
    return;
  }
  const double seconds = absl::ToDoubleSeconds(at - last_at_);
  if (seconds <= 0) return;
  const double fresh = static_cast<double>(bytes - last_bytes_) / seconds;
  const double weight = 1 - std::exp(-seconds / kMemorySeconds);
  rate_ = rate_.has_value() ? *rate_ + weight * (fresh - *rate_) : fresh;
  last_at_ = at;
  last_bytes_ = bytes;
}

std::optional<double> RateEstimator::BytesPerSecond() const { return rate_; }

std::optional<absl::Duration> TimeLeft(int64_t done, int64_t total, double bytes_per_second) {
  if (total <= 0 || !(bytes_per_second > 0) || done < 0) return std::nullopt;
  if (done >= total) return absl::ZeroDuration();
  const double seconds = std::ceil(static_cast<double>(total - done) / bytes_per_second);
  if (seconds > kLongestSeconds) return std::nullopt;
  return absl::Seconds(static_cast<int64_t>(seconds));
}

std::optional<int> Percent(int64_t done, int64_t total) {
  if (total <= 0 || done < 0) return std::nullopt;
  if (done >= total) return 100;
  return static_cast<int>(100.0 * static_cast<double>(done) / static_cast<double>(total));
}

std::string WholeSeconds(absl::Duration duration) {
  const int64_t s = absl::ToInt64Seconds(duration);
  return s < 60 ? fmt::format("{}s", s) : HumanDuration(absl::Seconds(s));
}

std::string RenderProgress(const v1::Progress& progress, std::optional<double> measured_rate) {
  std::vector<std::string> parts;
  const int64_t done = progress.bytes_done(), total = progress.bytes_total();
  if (total > 0) {
    parts.push_back(fmt::format("{} of {}", HumanBytes(done), HumanBytes(total)));
    parts.push_back(fmt::format("{}%", Percent(done, total).value_or(0)));
  } else if (done > 0) {
    parts.push_back(HumanBytes(done));
  }
  const double rate =
      progress.bytes_per_second() > 0 ? progress.bytes_per_second() : measured_rate.value_or(0);
  if (done > 0 && rate >= 1 && rate < 1e15) {
    parts.push_back(HumanBytes(static_cast<int64_t>(rate)) + "/s");
    if (const auto left = TimeLeft(done, total, rate); left.has_value() && done < total) {
      parts.push_back("ETA " + WholeSeconds(*left));
    }
  }
  if (!progress.message().empty()) parts.push_back(CleanText(progress.message()));
  return Join(parts, ", ");
}

}  // namespace salvor::cli
