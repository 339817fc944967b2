#include "base/status.h"

#include <absl/strings/cord.h>

#include <cerrno>
#include <cstring>

namespace salvor {
namespace {

constexpr char kHintUrl[] = "salvor.dev/hint";

absl::StatusCode CodeOfErrno(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      return absl::StatusCode::kNotFound;
    case EACCES:
    case EPERM:
      return absl::StatusCode::kPermissionDenied;
    case EEXIST:
    case ENOTEMPTY:
      return absl::StatusCode::kAlreadyExists;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::StatusCode::kResourceExhausted;
    case ECONNREFUSED:
    case EAGAIN:
    case EPIPE:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

Status MakeStatus(absl::StatusCode code, std::string_view message) {
  return Status(code, absl::string_view(message.data(), message.size()));
}

Status ErrnoStatus(int error_number, std::string_view what) {
  return MakeStatus(CodeOfErrno(error_number), fmt::format("{}: {}", what, std::strerror(error_number)));
}

std::string MessageOf(const Status& status) {
  return std::string(status.message().data(), status.message().size());
}

Status WithContext(const Status& status, std::string_view context) {
  if (status.ok()) return status;
  Status wider = MakeStatus(status.code(), fmt::format("{}: {}", context, MessageOf(status)));
  status.ForEachPayload(
      [&](absl::string_view url, const absl::Cord& payload) { wider.SetPayload(url, payload); });
  return wider;
}

Status WithHint(const Status& status, std::string_view hint) {
  if (status.ok() || status.GetPayload(kHintUrl).has_value()) return status;
  Status hinted = status;
  hinted.SetPayload(kHintUrl, absl::Cord(absl::string_view(hint.data(), hint.size())));
  return hinted;
}

std::string HintOf(const Status& status) {
  auto payload = status.GetPayload(kHintUrl);
  return payload.has_value() ? std::string(*payload) : std::string();
}

}  // namespace salvor
