#include <fmt/format.h>

#include <algorithm>

#include "agent/work/action.h"

namespace salvor::agent {
namespace {

struct Judgement {
  v1::Error::Reason reason;
  bool retryable;
};

Judgement Judge(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
      return {v1::Error::REASON_UNAVAILABLE, true};
    case absl::StatusCode::kAborted:  // never REASON_INTERRUPTED: an action that answers has not died
      return {v1::Error::REASON_DISTURBED, true};
    case absl::StatusCode::kDeadlineExceeded:
      return {v1::Error::REASON_TIMED_OUT, true};
    case absl::StatusCode::kCancelled:
      return {v1::Error::REASON_CANCELLED, false};
    case absl::StatusCode::kDataLoss:
      return {v1::Error::REASON_CORRUPT, false};
    case absl::StatusCode::kInvalidArgument:
      return {v1::Error::REASON_INVALID, false};
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kPermissionDenied:
      return {v1::Error::REASON_REFUSED, false};
    default:
      return {v1::Error::REASON_FAILED, false};
  }
}

}  // namespace

v1::Error ToError(const Status& status) {
  const Judgement judgement = Judge(status.code());
  v1::Error error;
  error.set_reason(judgement.reason);
  error.set_retryable(judgement.retryable);
  error.set_message(MessageOf(status));
  error.set_hint(HintOf(status));
  return error;
}

Restic ActionContext::Repository(const v1::ResticLocation& location) const {
  ResticContext context;
  context.tools = &tools;
  context.cache_directory = config.state_directory + "/cache/restic";
  context.stop = stop;
  context.deadline = deadline;
  if (log) {
    context.log_line = [sink = log](std::string_view line) { sink("restic", line); };
  }
  return Restic(location, std::move(context));
}

std::map<std::string, std::string> ActionContext::Tags(const v1::ArtifactTarget& target) const {
  std::map<std::string, std::string> tags = {{"salvor", ""},
                                             {"run", task.lease().run()},
                                             {"backup", target.backup()},
                                             {"artifact", target.artifact()}};
  if (!target.component().empty()) tags["component"] = target.component();
  return tags;
}

void ActionContext::LogTransfer(std::string_view way, int64_t bytes, absl::Duration took) const {
  if (!log) return;
  const double seconds = std::max(absl::ToDoubleSeconds(took), 1e-3);
  log("salvor-agent", fmt::format("{}: {} bytes in {:.3f} s ({:.1f} MiB/s)", way, bytes, seconds,
                                  static_cast<double>(bytes) / seconds / (1 << 20)));
}

}  // namespace salvor::agent
