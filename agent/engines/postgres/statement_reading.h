// Statements that a server printed from its parse trees, read by a server once more.
//
// The text of a tree is no fact: CHECK (state IN ('new', 'open')) on a varchar prints with its casts outside
// of the list, and inside of it once that text was restored. What the server makes of both texts is.
#pragma once

#include <string>

#include "agent/engines/postgres/connection.h"
#include "agent/engines/postgres/inventory.h"
#include "base/status.h"

namespace salvor::agent {

// Makes the session's transaction fit for reading: nothing that an application left in the database acts on
// what is made here, and a lock that somebody holds is not waited for long. The session must have begun a
// transaction that may write; the caller rolls it back, and nothing stays.
Status PrepareForReading(Connection& session);

enum class Sameness {
  kSame,
  kDifferent,
  kUnknown,  // one of the texts could not be read
};

struct ReadComparison {
  Sameness sameness = Sameness::kUnknown;
  std::string why;  // of kUnknown
};

// Whether both statements of the difference are the same to this server. It makes temporary views, tables,
// rules and functions in savepoints that are rolled back; of the database's own relations it takes no lock
// beyond that of a reader, and runs nothing of theirs. An error is one of the session, not a verdict.
StatusOr<ReadComparison> SameOnceRead(Connection& session, const Difference& difference);

}  // namespace salvor::agent
