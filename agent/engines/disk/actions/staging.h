// A restore of files lays its trees into fresh folders of its own (0700) beside their destinations, and moves them
// there when they are whole. Until then nobody else can put anything into their way, and whatever stands at a
// destination is as it was.
//
// A folder lies on the file system of its destinations: in the directory that holds the first of them, or, when
// something is mounted on a destination, inside it. What was made is on record (device and inode) before it is
// used, so that a later attempt of the run removes exactly that, and goes on moving what was whole.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/engines/disk/actions/target.h"
#include "base/status.h"

namespace salvor::agent {

// The identity of an entry, whatever its name.
struct InodeId {
  uint64_t device = 0, inode = 0;  // inode 0: none
};

struct StagingFolder {
  std::string name;
  InodeId id;  // none until it is made
};

struct StagedPlace {
  DiskPlace place;
  size_t folder = 0;    // index
  bool inside = false;  // a mount point: its content is moved, and it stays
  InodeId id;           // of the copy, once it is whole
};

// The record of a restore.
struct RestoreState {
  enum class Phase { kNone, kWriting, kPlacing, kRestored };
  Phase phase = Phase::kNone;
  std::string run, component;  // whose it is; 0.1 did not write it down
  std::string prefix;          // what the destinations lie below, as OpenParentBelow wants it
  std::vector<StagingFolder> folders;
  std::vector<StagedPlace> places;
};
std::string EncodeRestoreState(const RestoreState& state);
StatusOr<RestoreState> DecodeRestoreState(std::string_view text);  // "" is kNone

// Plans the folders that a restore to these places needs; makes their missing parents (0755), nothing else.
StatusOr<RestoreState> PlanStaging(const std::vector<DiskPlace>& places, const std::string& prefix);

// Makes the folders, fresh, and fills in what they are.
Status MakeFolders(const std::string& prefix, RestoreState* state);

// Removes the folders that this record says were made; makes nothing on the way to them. FailedPrecondition when
// something else has their name.
Status RemoveFolders(const std::string& prefix, const RestoreState& state);

// An open folder.
StatusOr<UniqueFd> OpenFolder(const std::string& prefix, const RestoreState& state, size_t folder);

// Fills in what was restored for each place; DataLoss naming a path that the snapshot has nothing for. What is there
// is on the disk when this returns.
Status IdentifyCopies(const std::string& prefix, const std::string& snapshot, RestoreState* state);

// Moves one copy to its destination, unless an earlier attempt has. Never over anything but an empty directory:
// FailedPrecondition when something has appeared there.
Status MoveIntoPlace(const std::string& prefix, const RestoreState& state, const StagedPlace& place);

}  // namespace salvor::agent
