#include "agent/kubernetes/client/api_error.h"

#include <absl/strings/cord.h>
#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/redact.h"
#include "base/text.h"

namespace salvor::kubernetes {
namespace {

using Json = nlohmann::json;

constexpr char kApiErrorUrl[] = "salvor.dev/kubernetes-error";
constexpr size_t kMessageAtMost = 1024;
constexpr int64_t kRetryAfterAtMostS = 3600;

std::string Place(const ApiRequest& request) {
  std::string place = request.resource;
  if (!request.name.empty()) {
    place += " " + (request.name_space.empty() ? "" : request.name_space + "/") + request.name;
  } else if (!request.name_space.empty()) {
    place += " in namespace " + request.name_space;
  }
  return place;
}

// The many things that API servers call Forbidden: only a missing right is mended by granting one.
absl::StatusCode CodeOfForbidden(std::string_view reason, std::string_view message) {
  const auto says = [message](std::string_view text) { return message.find(text) != std::string_view::npos; };
  if (says("exceeded quota")) return absl::StatusCode::kResourceExhausted;
  if (reason.empty() || (says("User \"") && says(" cannot "))) return absl::StatusCode::kPermissionDenied;
  return absl::StatusCode::kFailedPrecondition;  // an admission policy, a namespace that is being deleted
}

absl::StatusCode CodeOf(int http_status, std::string_view reason, std::string_view message) {
  if (reason == "AlreadyExists") return absl::StatusCode::kAlreadyExists;
  if (reason == "Expired" || reason == "Gone") return absl::StatusCode::kOutOfRange;
  switch (http_status) {
    case 400:
    case 413:
    case 422:
      return absl::StatusCode::kInvalidArgument;
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return CodeOfForbidden(reason, message);
    case 404:
      return absl::StatusCode::kNotFound;
    case 409:
      return absl::StatusCode::kAborted;
    case 410:
      return absl::StatusCode::kOutOfRange;
    default:
      return http_status == 429 || http_status >= 500 || http_status < 300
                 ? absl::StatusCode::kUnavailable
                 : absl::StatusCode::kFailedPrecondition;
  }
}

std::string HintFor(absl::StatusCode code, const ApiRequest& request) {
  // A namespace is of no namespace, and yet a right to it can be granted in itself.
  const std::string& in = request.resource == "namespaces" ? request.name : request.name_space;
  const std::string where = in.empty() ? "in the whole cluster" : "in namespace " + in;
  switch (code) {
    case absl::StatusCode::kPermissionDenied:
      return fmt::format("Grant Salvor's service account the verb '{}' on '{}' {}.", request.verb,
                         request.resource, where);
    case absl::StatusCode::kUnauthenticated:
      return "Check that the token or the client certificate is valid for this cluster and has not expired.";
    case absl::StatusCode::kResourceExhausted:
      return fmt::format("Raise the quota {}, or remove what is no longer needed there.", where);
    case absl::StatusCode::kAborted:
      return "Somebody else changed the object meanwhile; try again.";
    default:
      return "";
  }
}

std::optional<int64_t> WholeNumber(const Json& value) {
  return value.is_number_integer() ? std::optional(value.get<int64_t>()) : std::nullopt;
}

// Seconds between 0 and an hour. The header may hold a date instead, which nobody needs: API servers send seconds.
std::optional<absl::Duration> RetryAfter(const Json& status, std::string_view header) {
  std::optional<int64_t> seconds;
  if (const auto details = status.find("details"); details != status.end() && details->is_object()) {
    if (const auto value = details->find("retryAfterSeconds"); value != details->end())
      seconds = WholeNumber(*value);
  }
  const std::string_view digits = Trim(header);
  if (!seconds && !digits.empty() && digits.size() <= 4 &&
      std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    seconds = std::stoll(std::string(digits));
  }
  if (!seconds || *seconds < 0 || *seconds > kRetryAfterAtMostS) return std::nullopt;
  return absl::Seconds(*seconds);
}

std::string TextOf(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<ApiError> WithReason(const Status& status, absl::StatusCode code) {
  return status.code() == code ? ApiErrorOf(status) : std::nullopt;
}

}  // namespace

Status MakeApiError(int http_status, std::string_view reason, std::string_view message,
                    const ApiRequest& request, std::optional<absl::Duration> retry_after) {
  const absl::StatusCode code = CodeOf(http_status, reason, message);
  Status status = MakeStatus(code, fmt::format("{} {}: {}", request.verb, Place(request), message));
  Json payload = {{"httpStatus", http_status}, {"reason", std::string(reason)}};
  if (retry_after) payload["retryAfterMs"] = absl::ToInt64Milliseconds(*retry_after);
  status.SetPayload(kApiErrorUrl, absl::Cord(payload.dump(-1, ' ', false, Json::error_handler_t::replace)));
  const std::string hint = HintFor(code, request);
  return hint.empty() ? status : WithHint(status, hint);
}

Status DecodeApiError(int http_status, std::string_view body, std::string_view retry_after_header,
                      const ApiRequest& request) {
  Json answer = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  const bool is_status = answer.is_object() && TextOf(answer, "kind") == "Status";
  if (!is_status) answer = Json::object();
  const std::string reason = TextOf(answer, "reason");
  std::string message = TextOf(answer, "message");
  if (message.empty()) message = fmt::format("the API server answered with HTTP status {}", http_status);
  return MakeApiError(http_status, reason, ReportableText(CleanText(message), kMessageAtMost), request,
                      RetryAfter(answer, retry_after_header));
}

std::optional<ApiError> ApiErrorOf(const Status& status) {
  const auto payload = status.GetPayload(kApiErrorUrl);
  if (!payload.has_value()) return std::nullopt;
  const Json json = Json::parse(std::string(*payload), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  ApiError error{json.value("httpStatus", 0), json.value("reason", ""), std::nullopt};
  if (json.contains("retryAfterMs"))
    error.retry_after = absl::Milliseconds(json.value("retryAfterMs", int64_t{0}));
  return error;
}

bool IsNotFound(const Status& status) { return WithReason(status, absl::StatusCode::kNotFound).has_value(); }
bool IsAlreadyExists(const Status& status) {
  return WithReason(status, absl::StatusCode::kAlreadyExists).has_value();
}
bool IsConflict(const Status& status) { return WithReason(status, absl::StatusCode::kAborted).has_value(); }
bool IsGone(const Status& status) { return WithReason(status, absl::StatusCode::kOutOfRange).has_value(); }
bool IsForbidden(const Status& status) {
  return WithReason(status, absl::StatusCode::kPermissionDenied).has_value();
}
bool IsInvalid(const Status& status) {
  return WithReason(status, absl::StatusCode::kInvalidArgument).has_value();
}

bool IsTooManyRequests(const Status& status) {
  const auto error = WithReason(status, absl::StatusCode::kUnavailable);
  return error && error->http_status == 429;
}

}  // namespace salvor::kubernetes
