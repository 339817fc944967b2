// The refusals of an API server as Status. Pure.
//
// The message is the server's own, on one line and without secrets. Code decides by these predicates, or by the code:
//
//   reason of the server                     code                  what to do
//   BadRequest, Invalid (400, 422 …)         kInvalidArgument      mend the object
//   Unauthorized (401)                       kUnauthenticated      mend the credentials
//   Forbidden (403), a right is missing      kPermissionDenied     grant it; the hint names verb and resource
//   Forbidden, over a quota                  kResourceExhausted    raise it, or tidy up
//   Forbidden, by a policy, or because the   kFailedPrecondition   read the message
//   namespace is being deleted
//   NotFound (404)                           kNotFound
//   AlreadyExists (409)                      kAlreadyExists        adopt it
//   Conflict (409)                           kAborted              read again, decide again
//   Gone, Expired (410)                      kOutOfRange           list again
//   TooManyRequests (429), 5xx, no answer    kUnavailable          later
//   another refusal (405, 406, 415 …)        kFailedPrecondition   server and client do not fit
#pragma once

#include <absl/time/time.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace salvor::kubernetes {

// The parts of the server's answer beside its message, as values.
struct ApiError {
  int http_status = 0;
  std::string reason;  // "AlreadyExists", …; "" where the answer was no Status of the API
  std::optional<absl::Duration> retry_after;  // of details.retryAfterSeconds or the Retry-After header
};

// The request that the server refused, for messages and hints.
struct ApiRequest {
  std::string verb;        // as roles name it: "get", "create"
  std::string resource;    // as roles name it: "backups.velero.io", "pods/exec"
  std::string name_space;  // "" where there is none
  std::string name;        // "" where there is none
};

// The answer of a server that refused: `body` is a Status of the API, or whatever a proxy said. Always an error, also
// where the server broke its own rules. `retry_after_header` is the header's value, or "".
Status DecodeApiError(int http_status, std::string_view body, std::string_view retry_after_header,
                      const ApiRequest& request);

// An error as a server would give it, for those who play one.
Status MakeApiError(int http_status, std::string_view reason, std::string_view message,
                    const ApiRequest& request, std::optional<absl::Duration> retry_after = {});

// Nothing where the error did not come from an API server.
std::optional<ApiError> ApiErrorOf(const Status& status);

// Each is true only for what an API server said. Named in full by callers, kubernetes::IsNotFound: Abseil has functions
// of two of these names, which look at the code alone.
bool IsNotFound(const Status& status);
bool IsAlreadyExists(const Status& status);
bool IsConflict(const Status& status);
bool IsGone(const Status& status);
bool IsTooManyRequests(const Status& status);
bool IsForbidden(const Status& status);  // a right is missing
bool IsInvalid(const Status& status);

}  // namespace salvor::kubernetes
