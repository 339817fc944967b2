// Roles of a whole server, as they have to be made again. pg_dump leaves them out, and a dump restored
// without them loses every owner and every grant.
#pragma once

#include <string>
#include <vector>

#include "agent/engines/postgres/connection.h"
#include "base/status.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::agent {

struct Globals {
  v1::GlobalsDetails details;         // all but dumpall_sql
  std::vector<std::string> warnings;  // "passwords of roles are not readable …"
  bool passwords_readable = true;
};

// All roles but the server's own (pg_…), by name, with what they are members of, what they may set, and what is
// set for them; then what is set for all. Passwords are kept as the server's hashes where they are
// readable. Nothing in it is meant for a log.
StatusOr<Globals> CaptureGlobals(Connection& connection);

}  // namespace salvor::agent
