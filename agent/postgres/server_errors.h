// What PostgreSQL's English texts mean, where there is no SQLSTATE to go by: of a refused connection, and of
// the programs (pg_dump, pg_restore) whose stderr is all they say. Pure.
#pragma once

#include <string_view>

#include "agent/process/process.h"

namespace salvor::agent {

// Unauthenticated, NotFound (no such database), PermissionDenied; else Unavailable, which is merely tried
// again: lc_messages may translate the server's part of it.
absl::StatusCode CodeOfRefusal(std::string_view text);

// ProcessError of a PostgreSQL program, and Unavailable where the server was away or ended the connection, or
// another session held a lock for longer than the wait: both are worth another try. The texts are libpq's
// (fe-connect.c, fe-misc.c) and the server's own (postgres.c, postmaster.c).
Status PostgresToolError(const std::vector<std::string>& argv, const ExitStatus& status);

}  // namespace salvor::agent
