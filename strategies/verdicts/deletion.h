// Whether a backup may be deleted, and what its record says meanwhile and afterwards. Pure: whoever holds the records and
// the runs decides by this in one commit.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "salvor/v1/run.pb.h"

namespace salvor::verdicts {

// Whether something can be restored from it, as far as anybody knows: it kept something, is not disproven, and nobody asked
// to delete it.
bool IsUsable(const v1::Backup& backup);

// FailedPrecondition where it is deleted, is being deleted, or may be gone in part: nothing is restored from it then.
Status CheckNotDeleted(const v1::Backup& backup);

// A run that is not over and has to do with the backup.
struct BackupUse {
  std::string run;
  v1::RunKind kind = v1::RUN_KIND_UNSPECIFIED;
  bool is_quarantined = false;  // nobody knows what it does
};

// What a person says by name that a deletion may do.
struct DeletionTerms {
  bool last_proven = false;
  bool last_usable = false;
};

struct Objection {
  std::string why;   // "restore-shop-… reads it"
  std::string next;  // what to do about it: a sentence
};

// Everything that speaks against deleting the backup, which is among `of_application` or not: all of its application.
std::vector<Objection> ObjectionsTo(const v1::Backup& backup, const std::vector<BackupUse>& uses,
                                    const std::vector<const v1::Backup*>& of_application,
                                    const DeletionTerms& terms);

// FailedPrecondition that names them all, and what to do; OK where there are none.
Status RefuseDeletion(const v1::Backup& backup, const std::vector<Objection>& objections);

// The record from the moment at which the run is accepted.
v1::Backup BeginDeletion(v1::Backup backup, const v1::RunHeader& run);

// The record once the run is over, with its verdict and its steps: deleted only where all of them succeeded. Where no step
// touched anything – none was begun, or the first attempt was refused by a guardrail – the backup is as it was before. The
// reason of that is the run's alone.
v1::Backup EndDeletion(v1::Backup backup, const v1::Run& run);

}  // namespace salvor::verdicts
