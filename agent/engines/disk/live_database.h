// Copying the files of a running database gives something that looks like a backup and is none.
#pragma once

#include <string>
#include <vector>

#include "agent/engines/disk/exclude_patterns.h"
#include "base/status.h"

namespace salvor::agent {

// FailedPrecondition, naming each, when a path is, contains (at most three directories deep) or lies in a
// data directory of PostgreSQL, MySQL or MariaDB, MongoDB, or Neo4j. Symlinks are not followed, and what is excluded
// is not looked at. What cannot be read is no database.
Status RefuseLiveDatabases(const std::vector<std::string>& paths, const ExcludePatterns& exclude = {});

}  // namespace salvor::agent
