#include "agent/postgres/server_errors.h"

#include <algorithm>
#include <initializer_list>
#include <string>

#include "base/text.h"

namespace salvor::agent {
namespace {

bool HasAny(std::string_view text, std::initializer_list<std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [text](std::string_view part) { return text.find(part) != std::string_view::npos; });
}

// "connection to server on socket "…" failed: FATAL: …", on one line.
bool WasRefused(std::string_view said) {
  for (const std::string& line : Split(said, '\n')) {
    const size_t start = line.find("connection to server ");
    if (start != std::string::npos && line.find(" failed: ", start) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

absl::StatusCode CodeOfRefusal(std::string_view text) {
  if (HasAny(text, {"authentication failed", "no password supplied", "no pg_hba.conf entry", "fe_sendauth"}))
    return absl::StatusCode::kUnauthenticated;
  const bool absent = HasAny(text, {"does not exist"});
  if (absent && HasAny(text, {"role \""})) return absl::StatusCode::kUnauthenticated;
  if (absent && HasAny(text, {"database \""})) return absl::StatusCode::kNotFound;
  if (HasAny(text, {"permission denied for database", "is not permitted to log in",
                    "not currently accepting connections"}))
    return absl::StatusCode::kPermissionDenied;
  return absl::StatusCode::kUnavailable;
}

Status PostgresToolError(const std::vector<std::string>& argv, const ExitStatus& status) {
  Status error = ProcessError(argv, status);
  const std::string_view said = status.error_tail;
  if (WasRefused(said)) {
    return WithHint(
        MakeStatus(CodeOfRefusal(said), MessageOf(error)),
        "Check the connection's host or socket directory, user and password file on the agent's host.");
  }
  if (HasAny(said, {"server closed the connection unexpectedly", "terminating connection",
                    "SSL connection has been closed unexpectedly", "SSL SYSCALL error",
                    "unexpected eof while reading", "could not receive data from server",
                    "could not send data to server", "no connection to the server",
                    "could not translate host name", "due to conflict with recovery"})) {
    return WithHint(MakeStatus(absl::StatusCode::kUnavailable, MessageOf(error)),
                    "The server is away or ended the connection; its log says why.");
  }
  // pg_dump's --lock-wait-timeout is a statement_timeout around its LOCK TABLE; it works without one
  // otherwise.
  if (HasAny(said, {"canceling statement due to statement timeout"})) {
    return WithHint(
        MakeStatus(absl::StatusCode::kUnavailable, MessageOf(error)),
        "Another session holds a lock on a table: pg_locks and pg_stat_activity say which. The component's "
        "lockWaitTimeout is how long a dump waits.");
  }
  return error;
}

}  // namespace salvor::agent
