// Errors are values with a path.
//
// A Status carries a code, which is what code decides by, a message that grows while it travels up ("dump database shop:
// pg_dump: …"), and a hint for whoever reads it in the end, which says what to do next. Messages are lower case and end
// without a full stop; hints are sentences. An attempt's Error has a Reason of its own, which ToError (agent/work/action.h)
// takes from the code.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <fmt/core.h>

#include <string>
#include <string_view>
#include <utility>

namespace salvor {

using absl::Status;
using absl::StatusOr;

inline Status OkStatus() { return absl::OkStatus(); }

// Makes a status of `code`. (Debian's absl::string_view is not std::string_view, so text goes through here.)
Status MakeStatus(absl::StatusCode code, std::string_view message);

#define SALVOR_DEFINE_ERROR(Name, code)                                        \
  template <typename... Args>                                                  \
  Status Name(fmt::format_string<Args...> format, Args&&... args) {            \
    return MakeStatus(code, fmt::format(format, std::forward<Args>(args)...)); \
  }
SALVOR_DEFINE_ERROR(InvalidArgument, absl::StatusCode::kInvalidArgument)  // can't work as it stands
SALVOR_DEFINE_ERROR(NotFound, absl::StatusCode::kNotFound)
SALVOR_DEFINE_ERROR(AlreadyExists, absl::StatusCode::kAlreadyExists)
SALVOR_DEFINE_ERROR(FailedPrecondition,
                    absl::StatusCode::kFailedPrecondition)        // a guardrail or preflight says no
SALVOR_DEFINE_ERROR(Unavailable, absl::StatusCode::kUnavailable)  // worth another try
SALVOR_DEFINE_ERROR(Aborted, absl::StatusCode::kAborted)          // something came between: worth another try
SALVOR_DEFINE_ERROR(Cancelled, absl::StatusCode::kCancelled)
SALVOR_DEFINE_ERROR(DeadlineExceeded, absl::StatusCode::kDeadlineExceeded)
SALVOR_DEFINE_ERROR(DataLoss, absl::StatusCode::kDataLoss)  // what was kept is not what was meant
SALVOR_DEFINE_ERROR(PermissionDenied, absl::StatusCode::kPermissionDenied)
SALVOR_DEFINE_ERROR(Unauthenticated, absl::StatusCode::kUnauthenticated)
SALVOR_DEFINE_ERROR(ResourceExhausted, absl::StatusCode::kResourceExhausted)  // disk full, over a limit
SALVOR_DEFINE_ERROR(Internal, absl::StatusCode::kInternal)
#undef SALVOR_DEFINE_ERROR

// Names errno: "open /x: Permission denied". The code follows errno (ENOENT, EACCES, ENOSPC, EEXIST …).
Status ErrnoStatus(int error_number, std::string_view what);

// The same error, seen from one floor up: "<context>: <message>". OK stays OK. Hints survive.
Status WithContext(const Status& status, std::string_view context);

// The same error with a hint, unless it has one: the innermost knows best.
Status WithHint(const Status& status, std::string_view hint);

// The hint, or "".
std::string HintOf(const Status& status);

// The message as std::string, without the code's name.
std::string MessageOf(const Status& status);

}  // namespace salvor

#define SALVOR_CONCAT_INNER(a, b) a##b
#define SALVOR_CONCAT(a, b) SALVOR_CONCAT_INNER(a, b)

// Returns from the enclosing function unless the Status is OK.
#define RETURN_IF_ERROR(expression)                                           \
  do {                                                                        \
    if (::absl::Status status_ = (expression); !status_.ok()) return status_; \
  } while (false)

// The same, with context added on the way up.
#define RETURN_IF_ERROR_IN(expression, context)               \
  do {                                                        \
    if (::absl::Status status_ = (expression); !status_.ok()) \
      return ::salvor::WithContext(status_, context);         \
  } while (false)

// ASSIGN_OR_RETURN(auto x, F()): x is F's value, or the function returns F's status.
#define ASSIGN_OR_RETURN(declaration, expression) \
  SALVOR_ASSIGN_OR_RETURN(SALVOR_CONCAT(status_or_, __LINE__), declaration, expression, status_)

#define ASSIGN_OR_RETURN_IN(declaration, expression, context)                           \
  SALVOR_ASSIGN_OR_RETURN(SALVOR_CONCAT(status_or_, __LINE__), declaration, expression, \
                          ::salvor::WithContext(status_, context))

#define SALVOR_ASSIGN_OR_RETURN(result, declaration, expression, returned) \
  auto result = (expression);                                              \
  if (!result.ok()) {                                                      \
    const ::absl::Status& status_ = result.status();                       \
    return returned;                                                       \
  }                                                                        \
  declaration = *std::move(result)
