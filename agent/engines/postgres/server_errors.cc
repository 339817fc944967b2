#include "agent/engines/postgres/server_errors.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "base/text.h"

namespace salvor::agent {
namespace {

bool HasAny(std::string_view text, const std::vector<std::string_view>& parts) {
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

// The program's own lines about what went wrong, and the server's error in them. What follows them is the
// statement, which may be long, and the details, which may hold values of rows.
std::string CauseOf(const std::string& program, std::string_view said) {
  constexpr size_t kMostLines = 3, kMostBytes = 1000;
  std::vector<std::string> causes;
  for (const std::string& line : Split(said, '\n')) {
    const std::string_view text = Trim(line);
    for (const std::string& start :
         {program + ": error: ", program + ": detail: Error message from server: "}) {
      if (text.substr(0, start.size()) == start) causes.emplace_back(text.substr(start.size()));
    }
  }
  if (causes.size() > kMostLines) causes.resize(kMostLines);
  return Elide(Join(causes, "; "), kMostBytes);
}

std::string ToolMessage(const std::vector<std::string>& argv, const ExitStatus& status) {
  const std::string program = argv.front().substr(argv.front().rfind('/') + 1);
  const std::string cause = CauseOf(program, status.error_tail);
  if (cause.empty()) return MessageOf(ProcessError(argv, status));
  return fmt::format("{}: {} ({})", program, cause, status.Describe());
}

struct Meaning {
  std::vector<std::string_view> texts;
  absl::StatusCode code;
  const char* hint;
};

// The order matters: a connection that broke says more than what was under way. What none of them knows is tried
// again, for it may be in another language.
const std::vector<Meaning>& Meanings() {
  static const std::vector<Meaning> all = {
      {{"server closed the connection unexpectedly", "terminating connection",
        "SSL connection has been closed unexpectedly", "SSL SYSCALL error", "unexpected eof while reading",
        "could not receive data from server", "could not send data to server", "no connection to the server",
        "could not translate host name", "due to conflict with recovery", "is shutting down",
        "is starting up", "is in recovery mode"},
       absl::StatusCode::kUnavailable,
       "The server is away or ended the connection; its log says why."},
      {{"out of shared memory"},
       absl::StatusCode::kResourceExhausted,
       "The server has no room for as many locks: raise max_locks_per_transaction on it and restart it."},
      {{"No space left on device", "could not extend file", "could not write to file"},
       absl::StatusCode::kResourceExhausted,
       "Free some space on the server's disk."},
      {{"out of memory", "too many clients", "remaining connection slots", "too many open files",
        "Cannot allocate memory"},
       absl::StatusCode::kResourceExhausted,
       "The server lacks memory, connections or files; its log says which."},
      // pg_dump's --lock-wait-timeout is a statement_timeout around its LOCK TABLE; it works without one
      // otherwise.
      {{"canceling statement due to statement timeout", "canceling statement due to lock timeout"},
       absl::StatusCode::kUnavailable,
       "Another session holds a lock on a table: pg_locks and pg_stat_activity say which. The component's "
       "lockWaitTimeout is how long a dump waits."},
      {{"deadlock detected", "could not serialize access", "canceling statement due to user request",
        "invalid snapshot identifier", "could not open relation with OID", "cache lookup failed"},
       absl::StatusCode::kAborted,
       ""},
      {{"permission denied",
        "must be owner of",
        "must be superuser",
        "must be member of",
        "must be able to",
        "row-level security",
        "server version",
        "unrecognized option",
        "invalid option",
        "invalid command-line",
        "already exists",
        "does not exist",
        "is not available",
        "could not open extension control file",
        "violates",
        "could not create unique index",
        "invalid input syntax",
        "invalid input value",
        "invalid byte sequence",
        "has no equivalent in encoding",
        "syntax error",
        "out of range",
        "value too long",
        "division by zero",
        "unsupported version",
        "does not appear to be a valid archive",
        "could not read from input file",
        "contains values incompatible"},
       absl::StatusCode::kInternal,
       ""},
  };
  return all;
}

}  // namespace

absl::StatusCode CodeOfSqlState(std::string_view state) {
  const std::string_view group = state.substr(0, 2);
  if (group == "08" || state == "57P01" || state == "57P02" || state == "57P03" || state == "57P05" ||
      state == "25P03" || state == "25P04" || state == "53300") {
    return absl::StatusCode::kUnavailable;
  }
  if (group == "28") return absl::StatusCode::kUnauthenticated;
  if (state == "42501") return absl::StatusCode::kPermissionDenied;
  // Somebody else cancelled it; what we cancel ourselves has its own status.
  if (state == "57014") return absl::StatusCode::kUnavailable;
  // XX000: among others, what was looked at is being dropped.
  if (group == "40" || state == "55P03" || state == "XX000") return absl::StatusCode::kAborted;
  if (group == "53") return absl::StatusCode::kResourceExhausted;
  if (state == "3D000" || state == "42P01" || state == "42704") return absl::StatusCode::kNotFound;
  if (state == "42P04" || state == "42710" || state == "42P07" || state == "23505") {
    return absl::StatusCode::kAlreadyExists;
  }
  return absl::StatusCode::kInternal;
}

std::string TakeSqlState(std::string& text) {
  constexpr size_t kStateSize = 5;
  for (size_t at = text.find(":  "); at != std::string::npos; at = text.find(":  ", at + 1)) {
    std::string state = text.substr(at + 3, kStateSize);
    const bool matches = state.size() == kStateSize && text.compare(at + 3 + kStateSize, 2, ": ") == 0 &&
                         std::all_of(state.begin(), state.end(),
                                     [](unsigned char c) { return std::isdigit(c) || std::isupper(c); });
    if (!matches) continue;
    text.erase(at + 3, kStateSize + 2);
    return state;
  }
  return "";
}

std::optional<ServerError> FirstServerError(std::string_view said) {
  for (const std::string& line : Split(said, '\n')) {
    std::string rest = line;
    const std::string state = TakeSqlState(rest);
    const std::string_view group = std::string_view(state).substr(0, 2);
    if (state.empty() || group == "00" || group == "01" || group == "02") continue;  // a warning or less
    const std::string head = ":  " + state + ": ";
    return ServerError{state, line.substr(line.find(head) + head.size())};
  }
  return std::nullopt;
}

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
  const std::string message = ToolMessage(argv, status);
  const std::string_view said = status.error_tail;
  if (WasRefused(said)) {
    return WithHint(
        MakeStatus(CodeOfRefusal(said), message),
        "Check the connection's host or socket directory, user and password file on the agent's host.");
  }
  for (const Meaning& meaning : Meanings()) {
    if (!HasAny(said, meaning.texts)) continue;
    const Status error = MakeStatus(meaning.code, message);
    return *meaning.hint == '\0' ? error : WithHint(error, meaning.hint);
  }
  return MakeStatus(absl::StatusCode::kUnavailable, message);
}

bool SaysServerWasInTheWay(std::string_view error) {
  // A definition that asks for what is gone says these, whoever else works there.
  if (HasAny(error, {"could not open relation with OID", "cache lookup failed"})) return false;
  return std::any_of(Meanings().begin(), Meanings().end(), [error](const Meaning& meaning) {
    return meaning.code != absl::StatusCode::kInternal && HasAny(error, meaning.texts);
  });
}

std::string_view SqlStateOfBadDump(std::string_view said) {
  struct State {
    const char* text;
    const char* state;
  };
  static constexpr State kStates[] = {
      {"violates check constraint", "23514"},
      {"is violated by some row", "23514"},
      {"no partition of relation", "23514"},
      {"violates not-null constraint", "23502"},
      {"contains null values", "23502"},
      {"violates foreign key constraint", "23503"},
      {"violates unique constraint", "23505"},
      {"could not create unique index", "23505"},
      {"violates exclusion constraint", "23P01"},
      {"could not create exclusion constraint", "23P01"},
      {"invalid input syntax for", "22P02"},
      {"invalid input value for enum", "22P02"},
      {"malformed array literal", "22P02"},
      {"malformed record literal", "22P02"},
      {"invalid byte sequence for encoding", "22021"},
      {"value too long for type", "22001"},
      {"numeric field overflow", "22003"},
      {"out of range for type", "22003"},
      {"date/time field value out of range", "22008"},
      {"division by zero", "22012"},
      {"extra data after last expected column", "22P04"},
      {"missing data for column", "22P04"},
      {"ERROR:  syntax error at", "42601"},
      {"ERROR:  function ", "42883"},
      {"ERROR:  operator does not exist", "42883"},
      {"ERROR:  relation ", "42P01"},
      {"ERROR:  column ", "42703"},
      {"ERROR:  type ", "42704"},
  };
  for (const std::string& line : Split(said, '\n')) {
    if (line.rfind("pg_restore: error: ", 0) != 0) continue;
    for (const State& known : kStates) {
      const bool refers = known.state[0] == '4' && std::string_view(known.text).back() == ' ';
      if (line.find(known.text) == std::string::npos) continue;
      if (!refers || line.find("does not exist") != std::string::npos) return known.state;
    }
    return "";  // the first error is the cause
  }
  return "";
}

}  // namespace salvor::agent
