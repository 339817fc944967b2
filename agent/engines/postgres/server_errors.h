// Says what an error of PostgreSQL's means: by its SQLSTATE, or by its English text where there is none (a refused
// connection, pg_dump and pg_restore). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/process/tool_runner.h"

namespace salvor::agent {

// Unavailable, Aborted or ResourceExhausted, which are worth another try; Unauthenticated, PermissionDenied,
// NotFound, AlreadyExists; Internal for all others, and for damage.
absl::StatusCode CodeOfSqlState(std::string_view state);

// The code in "FATAL:  28P01: password authentication failed …", as a verbose libpq writes it whatever the server's
// language is; cut out of `text`. "" when the server said nothing.
std::string TakeSqlState(std::string& text);

// The first error of the server's that a psql with VERBOSITY=verbose wrote to stderr, without its details.
struct ServerError {
  std::string state;  // SQLSTATE
  std::string message;
};
std::optional<ServerError> FirstServerError(std::string_view said);

// Unauthenticated, NotFound (no such database), PermissionDenied; else Unavailable, which is merely tried
// again: lc_messages may translate the server's part of it.
absl::StatusCode CodeOfRefusal(std::string_view text);

// The error of a PostgreSQL program that failed: what it said of the cause, with the server's error and without
// statements and values of rows. Unavailable, Aborted or ResourceExhausted, which are worth another try, where the
// server was away, another session was in the way, or something ran out; Internal where another try would fail alike.
// Unavailable for words that nobody knows: they may be of another language. Never DataLoss: a text proves nothing about
// a backup. The texts are libpq's (fe-connect.c, fe-misc.c), the programs' and the server's own.
Status PostgresToolError(const std::vector<std::string>& argv, const ExitStatus& status);

// Whether an error of pg_restore's says something about the server or about others that work there: it went away, ran
// out of something, another session was in the way. False for words that nobody knows.
bool SaysServerWasInTheWay(std::string_view error);

// The SQLSTATE of what a pg_restore that failed said, if it says that the dump's own data or definitions cannot
// be loaded: of classes 22 (data), 23 (integrity) and 42 (a definition that refers to what is not there). ""
// for anything else, above all for what its surroundings lack. Only of a server whose lc_messages is C, which a
// program cannot ask for a state otherwise.
std::string_view SqlStateOfBadDump(std::string_view said);

}  // namespace salvor::agent
