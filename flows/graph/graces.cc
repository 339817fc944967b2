#include "flows/graph/graces.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/text.h"
#include "proto/time.h"

namespace salvor::flows {
namespace {

constexpr int64_t kLongestGrace_ms = 24 * 3600 * 1000;
constexpr int64_t kShortestGrace_ms = 1000;  // an answer has to travel
constexpr int kMostDeaths = 100;
constexpr int kMostAttempts = 1000;
constexpr double kLargestFactor = 100;

// The graces that 0.1 had built in. Its stored runs have no others: none of these ever changes.
v1::Graces GracesOf01() {
  v1::Graces graces;
  graces.set_attempt_report_grace_ms(30'000);
  graces.set_cancel_answer_grace_ms(60'000);
  graces.set_agent_deaths_forgiven(5);
  graces.set_retry_initial_delay_ms(1'000);
  graces.set_retry_delay_factor(2);
  graces.set_retry_delay_cap_ms(60'000);
  graces.set_retry_attempts(1);
  return graces;
}

v1::Graces Filled(const v1::Graces& graces) {
  v1::Graces filled = GracesOf01();
  filled.MergeFrom(graces);
  return filled;
}

class GraceProblems {
 public:
  template <typename Number>
  void CheckRange(const char* field, Number value, Number least, Number most) {
    if (value >= least && value <= most) return;  // what is no number is in no range
    problems_.push_back(fmt::format("graces.{} is {}, and not from {} to {}", field, value, least, most));
  }
  void Add(std::string problem) { problems_.push_back(std::move(problem)); }
  Status Result() const {
    return problems_.empty() ? OkStatus() : InvalidArgument("{}", Join(problems_, "; "));
  }

 private:
  std::vector<std::string> problems_;
};

}  // namespace

v1::Graces DefaultGraces() { return GracesOf01(); }

FlowGraces GracesOf(const v1::Flow& flow) {
  const v1::Graces graces = Filled(flow.graces());
  return {absl::Milliseconds(graces.attempt_report_grace_ms()),
          absl::Milliseconds(graces.cancel_answer_grace_ms()),
          graces.agent_deaths_forgiven(),
          absl::Milliseconds(graces.retry_initial_delay_ms()),
          graces.retry_delay_factor(),
          absl::Milliseconds(graces.retry_delay_cap_ms()),
          graces.retry_attempts()};
}

Status CheckGraces(const v1::Graces& given) {
  const v1::Graces graces = Filled(given);
  GraceProblems problems;
  problems.CheckRange("attempt_report_grace_ms", graces.attempt_report_grace_ms(), kShortestGrace_ms,
                      kLongestGrace_ms);
  problems.CheckRange("cancel_answer_grace_ms", graces.cancel_answer_grace_ms(), kShortestGrace_ms,
                      kLongestGrace_ms);
  problems.CheckRange("agent_deaths_forgiven", graces.agent_deaths_forgiven(), 0, kMostDeaths);
  problems.CheckRange("retry_initial_delay_ms", graces.retry_initial_delay_ms(), int64_t{1},
                      kLongestGrace_ms);
  problems.CheckRange("retry_delay_factor", graces.retry_delay_factor(), 1.0, kLargestFactor);
  problems.CheckRange("retry_delay_cap_ms", graces.retry_delay_cap_ms(), int64_t{1}, kLongestGrace_ms);
  if (graces.retry_delay_cap_ms() < graces.retry_initial_delay_ms()) {
    problems.Add(fmt::format("graces.retry_delay_cap_ms is {}, less than the retry_initial_delay_ms of {}",
                             graces.retry_delay_cap_ms(), graces.retry_initial_delay_ms()));
  }
  problems.CheckRange("retry_attempts", graces.retry_attempts(), 1, kMostAttempts);
  return problems.Result();
}

int AttemptsOf(const FlowGraces& graces, const v1::RetryPolicy& policy) {
  return policy.attempts() > 0 ? policy.attempts() : graces.retry_attempts;
}

absl::Duration RetryDelay(const FlowGraces& graces, const v1::RetryPolicy& policy, int attempt,
                          double jitter) {
  const absl::Duration initial =
      policy.has_initial() ? FromProto(policy.initial()) : graces.retry_initial_delay;
  const absl::Duration cap = policy.has_cap() ? FromProto(policy.cap()) : graces.retry_delay_cap;
  const double factor = policy.factor() > 0 ? policy.factor() : graces.retry_delay_factor;
  const absl::Duration delay = std::min(cap, initial * std::pow(factor, attempt - 1));
  return delay * (1 - std::clamp(policy.jitter(), 0.0, 1.0) * std::clamp(jitter, 0.0, 1.0));
}

}  // namespace salvor::flows
