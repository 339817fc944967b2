#include <gtest/gtest.h>

#include "agent/work/action.h"

namespace salvor::agent {
namespace {

struct Case {
  absl::StatusCode code;
  v1::Error::Reason reason;
  bool retryable;
};

TEST(ToError, GivesEachCodeItsReason) {
  using Code = absl::StatusCode;
  for (const Case& one : {
           Case{Code::kUnavailable, v1::Error::REASON_UNAVAILABLE, true},
           Case{Code::kResourceExhausted, v1::Error::REASON_UNAVAILABLE, true},
           Case{Code::kAborted, v1::Error::REASON_DISTURBED, true},
           Case{Code::kDeadlineExceeded, v1::Error::REASON_TIMED_OUT, true},
           Case{Code::kCancelled, v1::Error::REASON_CANCELLED, false},
           Case{Code::kDataLoss, v1::Error::REASON_CORRUPT, false},
           Case{Code::kInvalidArgument, v1::Error::REASON_INVALID, false},
           Case{Code::kFailedPrecondition, v1::Error::REASON_REFUSED, false},
           Case{Code::kAlreadyExists, v1::Error::REASON_REFUSED, false},
           Case{Code::kPermissionDenied, v1::Error::REASON_REFUSED, false},
           Case{Code::kNotFound, v1::Error::REASON_FAILED, false},
           Case{Code::kInternal, v1::Error::REASON_FAILED, false},
           Case{Code::kUnknown, v1::Error::REASON_FAILED, false},
       }) {
    const v1::Error error = ToError(WithHint(MakeStatus(one.code, "what failed"), "Do this."));
    EXPECT_EQ(error.reason(), one.reason) << absl::StatusCodeToString(one.code);
    EXPECT_EQ(error.retryable(), one.retryable) << absl::StatusCodeToString(one.code);
    EXPECT_EQ(error.message(), "what failed");
    EXPECT_EQ(error.hint(), "Do this.");
  }
}

// Those are forgiven, and only an agent that starts again, or the control plane, knows of one.
TEST(ToError, NeverSaysThatTheAgentDied) {
  for (int code = 1; code <= 16; ++code) {
    const v1::Error error = ToError(MakeStatus(static_cast<absl::StatusCode>(code), "x"));
    EXPECT_NE(error.reason(), v1::Error::REASON_INTERRUPTED) << code;
    EXPECT_NE(error.reason(), v1::Error::REASON_LOST) << code;
  }
}

}  // namespace
}  // namespace salvor::agent
