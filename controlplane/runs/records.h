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
// escaped. Doubted where it shrank beyond belief against `last`, the newest one before it that is believed (may be null).
v1::Backup FinishBackup(v1::Backup backup, const v1::Run& run, const v1::Backup* last);

// Where a dump or a tree has less of the rows, files or bytes that it had than its component allows today (doubtBelow;
// half of them): a mount that is gone, a table that was emptied. A sentence each; an application that is small
// altogether may shrink as it likes.
std::vector<std::string> DoubtsAbout(const v1::Manifest& now, const v1::Manifest& last);

// The record after a drill; nothing when the drill says nothing about it (it could not be made, was
// cancelled). Proven: the drill succeeded, the backup is complete and not in doubt, and every check passed. Only what was
// found positively disproves: a check that failed, bytes that are wrong (REASON_CORRUPT). A check that could not be made
// leaves it unverifiable.
std::optional<v1::Backup> AfterDrill(v1::Backup backup, const v1::Run& drill);

// All checks of a run, in the order of its steps.
std::vector<v1::Check> ChecksOf(const v1::Run& run);

}  // namespace salvor::controlplane
