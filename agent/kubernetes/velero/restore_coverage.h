// What a Restore of Velero's really brought back of what was asked for. Its phase is never trusted: a volume comes
// back empty, and nothing at all where everything exists, under Completed. Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/kubernetes/velero/claims.h"
#include "agent/kubernetes/velero/records.h"
#include "agent/kubernetes/velero/restore_object.h"
#include "agent/kubernetes/velero/restore_records.h"
#include "agent/kubernetes/velero/transfers.h"
#include "agent/kubernetes/velero/transform.h"
#include "salvor/v1/action.pb.h"

namespace salvor::velero {

// All that is known of a Restore that is Completed or PartiallyFailed.
struct RestoreEvidence {
  RestoreState restore;
  ResourceList kept;     // what the Backup has
  RestoredList objects;  // what became of it
  Results results;
  std::vector<ReturnedVolume> returned;
  std::vector<Transfer> transfers;  // of this Restore
  std::vector<Claim> claims;        // that are in the target namespace now
  std::string claims_unseen;        // why they could not be looked at; "" where they were
  Transform transform;              // what was to become of objects on their way
  std::string now_unseen;           // why these could not be looked at; "" where they were
  std::vector<KeptObject> now;  // CronJobs and Services of the target namespace; nothing without a transform
};

// The rules by which a volume counts as brought back: this Restore created its claim, which is there; the one
// transfer into that claim, of what the manifest says was kept, ended well, and moved as many bytes as were kept. Of
// a snapshot that stays with its storage there is no transfer: Velero's record of the claim names the same snapshot.
// Of a volume that was empty there is neither, and its claim suffices. Where the claims could not be looked at, a volume
// whose claim this Restore created is unverifiable.
//
// A check of kind "volume" for each that was asked for, and one of kind "objects", which fails where an object of the
// Backup is not there by Velero's word: neither created, nor passed over for a reason that is known. Objects that
// were there before and differ make the restore partial; they are left as they are. Where objects were to be kept from
// acting as the original does there is a check of kind "changes", too: Velero creates an object unchanged where a rule
// failed.
v1::ActionResult JudgeRestoreCoverage(const v1::VeleroRestore& action, const RestoreEvidence& evidence);

}  // namespace salvor::velero
