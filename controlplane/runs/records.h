// What a run says about backups. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "salvor/v1/run.pb.h"

namespace salvor::controlplane {

// The record of a backup run that has just been requested.
v1::Backup BeginBackup(const v1::RunHeader& run, const std::string& location);

// The record once its run is over: complete only when the manifest misses nothing and no file of a tree
// escaped.
v1::Backup FinishBackup(v1::Backup backup, const v1::Run& run);

// The record after a drill; nothing when the drill says nothing about it (it could not be made, was
// cancelled). Proven: the drill succeeded, the backup is complete, and every check passed. A failed check, or
// a restore that failed by itself, disproves; a check that could not be made leaves it unverifiable.
std::optional<v1::Backup> AfterDrill(v1::Backup backup, const v1::Run& drill);

// All checks of a run, in the order of its steps.
std::vector<v1::Check> ChecksOf(const v1::Run& run);

}  // namespace salvor::controlplane
