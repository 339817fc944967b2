// The records that a finished run leaves behind: its verdict, the record of its backup and what was found about it.
// Pure: the same run and knowledge give the same records.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "salvor/v1/run.pb.h"

namespace salvor::verdicts {

// The knowledge of backups when a run ends. Either may be null.
struct Known {
  const v1::Backup* backup = nullptr;         // the one that the run made, drilled or deleted
  const v1::Backup* last_believed = nullptr;  // the newest of its application before it that is believed
};

struct Records {
  v1::Run run;                       // the finished run with its verdict
  std::optional<v1::Backup> backup;  // as it stands now; nothing when the run says nothing about it
  std::vector<v1::Verification>
      verifications;  // oldest first; one that is kept already, by its run, stays as it is
};

// The record of a backup run that has just been requested.
v1::Backup BeginBackup(const v1::RunHeader& run, const std::string& location);

// A backup is complete only when its manifest misses nothing and no file of a tree escaped. It is doubted where it shrank
// beyond belief against the last one that is believed. A drill adds a verification, which its backup's record then says;
// the one before is among them as well, since 0.1 kept it in the record alone.
Records RecordsOf(v1::Run finished, const Known& known);

// All verifications of a backup, oldest first: those that are stored, and before them the one that its record alone says,
// as 0.1 kept it.
std::vector<v1::Verification> VerificationsOf(const v1::Backup& backup, std::vector<v1::Verification> stored);

// Doubts where a dump or a tree has less of the rows, files or bytes that it had than its component allows today
// (doubtBelow; half of them): a mount that is gone, a table that was emptied. A sentence each; an application that is
// small altogether may shrink as it likes.
std::vector<std::string> DoubtsAbout(const v1::Manifest& now, const v1::Manifest& last);

}  // namespace salvor::verdicts
