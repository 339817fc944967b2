// A restored copy of MariaDB's databases as application checks ask it: by SQL, as the restoring account or with a role.
#pragma once

#include <string_view>

#include "agent/work/copy_probes.h"

namespace salvor::agent {

CopyEngine MariadbCopies();

// Whether a statement can be rolled back: it reads or changes rows, and commits nothing by itself. Pure.
bool CanBeRolledBack(std::string_view statement);

}  // namespace salvor::agent
