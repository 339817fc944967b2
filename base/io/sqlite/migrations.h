// The schema of a database as numbered changes. `user_version` holds the number of the last one that was applied.
#pragma once

#include <vector>

#include "base/io/sqlite/database.h"
#include "base/status.h"

namespace salvor {

struct SqliteMigration {
  int number;       // from 1, without gaps
  const char* sql;  // statements; what a released version applied is never changed
};

// Applies those that are missing, each in a transaction of its own together with its number, so that a process killed
// in between goes on where it was. `migrations` are in order. FailedPrecondition, and nothing is changed, when a newer
// version has written the database.
Status Migrate(SqliteDatabase& database, const std::vector<SqliteMigration>& migrations);

}  // namespace salvor
