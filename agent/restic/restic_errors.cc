#include "agent/restic/restic_errors.h"

#include <absl/strings/cord.h>

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <string>
#include <vector>

#include "agent/restic/restic_locks.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr char kLockedUrl[] = "salvor.dev/restic-locked";
constexpr char kDamageUrl[] = "salvor.dev/restic-damage";

bool HasAny(const std::string& text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return text.find(word) != std::string::npos; });
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

bool StartsWith(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

// The lines without what is of no use to people: frames of Go's stacks (a function, and below it the file after a tab)
// and notes of tries that are followed by another.
std::vector<std::string> LinesForPeople(std::string_view text) {
  const std::vector<std::string> all = Split(text, '\n');
  std::vector<std::string> lines;
  for (size_t i = 0; i < all.size(); ++i) {
    const std::string& line = all[i];
    const bool frame = StartsWith(line, "\t") || (i + 1 < all.size() && StartsWith(all[i + 1], "\t"));
    if (frame || Trim(line).empty() || StartsWith(line, "goroutine ")) continue;
    if (line.find("returned error, retrying after") != std::string::npos) continue;
    lines.push_back(line);
  }
  return lines;
}

// restic follows the telling line with advice and addresses.
std::string TellingLine(const std::vector<std::string>& lines, int exit_code) {
  std::string telling, ignored, locked;
  for (const std::string& line : lines) {
    if (StartsWith(line, "panic: ") || StartsWith(line, "fatal error: ")) return "it crashed: " + line;
    if (line.find("repository is already locked") != std::string::npos) locked = line;
    // "lock was created at 2026-11-25 21:16:54 (2.08s ago)"
    if (!locked.empty() && StartsWith(line, "lock was created at ")) return locked + "; " + line;
    if (StartsWith(line, "Fatal: ")) telling = line.substr(7);
    if (StartsWith(line, "ignoring error for ")) ignored = line.substr(9);
  }
  if (!locked.empty()) return locked;
  if (!ignored.empty() && (telling.empty() || StartsWith(telling, "There were "))) telling = ignored;
  if (telling.empty()) telling = RootCause(Join(lines, "\n"));
  return telling.empty() ? fmt::format("failed without a word (exit code {})", exit_code)
                         : Elide(telling, 1000);
}

bool SpeaksOfDamage(const std::string& lower, const v1::ResticLocation& location) {
  if (HasAny(lower, {"no matching id found", "ciphertext verification failed", "not found in repository",
                     "not found in snapshot", "invalid data returned"})) {
    return true;
  }
  if (!HasAny(lower, {"<data/", "<index/", "<snapshot/"})) return false;
  if (HasAny(lower, {"no such file or directory", "does not exist", "nosuchkey", "not found", "(404)"}))
    return true;
  return LocalDirectory(location).has_value() && HasAny(lower, {"unexpected eof"});
}

}  // namespace

Status ResticError(std::string_view text, int exit_code, const v1::ResticLocation& location) {
  const std::vector<std::string> lines = LinesForPeople(text);
  const std::string message = WithoutCredentials("restic: " + TellingLine(lines, exit_code));
  const std::string lower = LowerCase(Join(lines, "\n"));
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
  if (HasAny(lower, {"read-only file system"})) {
    return WithHint(
        MakeStatus(absl::StatusCode::kFailedPrecondition, message),
        "The repository can be read and not written. Backups, whatever removes one, and what a drill "
        "keeps beside one need it writable; restores do not.");
  }
  const bool no_config =
      HasAny(lower, {"unable to open config file", "is there a repository at the following location"});
  if (exit_code == 10 || (no_config && HasAny(lower, {"no such file or directory", "does not exist",
                                                      "nosuchkey", "nosuchbucket", "not found", "(404)"}))) {
    return WithHint(MakeStatus(absl::StatusCode::kNotFound, message),
                    "Check the Location's repository; a backup creates it where the plan allows that.");
  }
  if (!no_config && SpeaksOfDamage(lower, location)) {
    Status status = MakeStatus(absl::StatusCode::kDataLoss, message);
    status.SetPayload(kDamageUrl, absl::Cord("1"));
    return WithHint(status, "`restic check --read-data` names everything in the repository that is damaged.");
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

bool IsResticDamage(const Status& status) { return status.GetPayload(kDamageUrl).has_value(); }

bool IsResticLocked(const Status& status) { return status.GetPayload(kLockedUrl).has_value(); }

}  // namespace salvor::agent
