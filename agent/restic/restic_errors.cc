#include "agent/restic/restic_errors.h"

#include <absl/strings/cord.h>

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <string>

#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr char kLockedUrl[] = "salvor.dev/restic-locked";

bool HasAny(const std::string& text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return text.find(word) != std::string::npos; });
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

// restic follows the telling line with advice and addresses.
std::string TellingLine(std::string_view text, int exit_code) {
  std::string telling;
  for (const std::string& line : Split(text, '\n')) {
    if (line.find("repository is already locked") != std::string::npos) return line;
    if (line.rfind("Fatal: ", 0) == 0) telling = line.substr(7);
  }
  if (telling.empty()) telling = RootCause(text);
  return telling.empty() ? fmt::format("failed without a word (exit code {})", exit_code)
                         : Elide(telling, 1000);
}

}  // namespace

Status ResticError(std::string_view text, int exit_code, const v1::ResticLocation& location) {
  const std::string message = WithoutCredentials("restic: " + TellingLine(text, exit_code));
  const std::string lower = LowerCase(text);
  if (HasAny(lower, {"no space left on device", "disk quota exceeded"})) {
    return WithHint(
        MakeStatus(absl::StatusCode::kResourceExhausted, message),
        "Free space where the repository, or the place to restore to, lives; forgotten backups free "
        "theirs when the repository is pruned.");
  }
  if (exit_code == 12 || HasAny(lower, {"wrong password or no key found"})) {
    return WithHint(MakeStatus(absl::StatusCode::kFailedPrecondition, message),
                    fmt::format("Check that {} holds the password this repository was made with.",
                                location.password_file()));
  }
  if (exit_code == 11 || HasAny(lower, {"repository is already locked"})) {
    Status status = MakeStatus(absl::StatusCode::kUnavailable, message);
    status.SetPayload(kLockedUrl, absl::Cord("1"));
    return WithHint(
        status,
        "Another restic works on the repository. If it is long gone, `restic unlock` removes its lock.");
  }
  const bool no_config =
      HasAny(lower, {"unable to open config file", "is there a repository at the following location"});
  if (exit_code == 10 || (no_config && HasAny(lower, {"no such file or directory", "does not exist",
                                                      "nosuchkey", "nosuchbucket", "not found", "(404)"}))) {
    return WithHint(MakeStatus(absl::StatusCode::kNotFound, message),
                    "Check the Location's repository; a backup creates it where the plan allows that.");
  }
  if (HasAny(lower, {"permission denied", "access denied", "accessdenied", "forbidden", "(403)", "(401)"})) {
    return WithHint(MakeStatus(absl::StatusCode::kPermissionDenied, message),
                    "Check who the agent runs as, and the credentials in the Location's environment file.");
  }
  if (no_config || HasAny(lower, {"connection refused", "connection reset", "no such host", "i/o timeout",
                                  "network is unreachable", "no route to host", "tls handshake", "(500)",
                                  "(502)", "(503)", "(504)", "unable to create lock"})) {
    return WithHint(
        MakeStatus(absl::StatusCode::kUnavailable, message),
        "The repository's storage did not answer. Check the Location's repository and the way there.");
  }
  return MakeStatus(absl::StatusCode::kInternal, message);
}

std::string WithoutCredentials(std::string text) {
  for (size_t start = 0; (start = text.find("://", start)) != std::string::npos;) {
    start += 3;
    const size_t end = text.find_first_of("/ \"\n;", start);
    const size_t at = text.rfind('@', end);
    if (at != std::string::npos && at > start && (end == std::string::npos || at < end))
      text.erase(start, at + 1 - start);
  }
  return text;
}

bool IsResticLocked(const Status& status) { return status.GetPayload(kLockedUrl).has_value(); }

}  // namespace salvor::agent
