// The embedded store: one SQLite file, one writer thread with group commit, checkpoints off the writer.
#pragma once

#include <memory>

#include "controlplane/store/contract/store.h"

namespace salvor::controlplane {

// Opens or creates `directory`/salvor.db. FailedPrecondition when another process has it open (a lock file
// beside it says so) or the file system can't be made durable. Destroying it commits what was handed in.
StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& directory);

}  // namespace salvor::controlplane
