// The schema of salvor.db, as numbered migrations. docs/formats/journal.md tells what the tables hold.
#pragma once

#include <vector>

#include "base/io/sqlite/migrations.h"

namespace salvor::controlplane {

const std::vector<SqliteMigration>& StoreMigrations();

}  // namespace salvor::controlplane
