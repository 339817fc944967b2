// What of a captured tree a snapshot can be held to. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/disk/tree.h"

namespace salvor::agent {

// Marks what is not the same in a second walk of the same paths: entries that changed or vanished get
// `not_covered`; those that appeared are added, marked. `before` stays sorted. Sockets come and go with their
// programs and are never kept, so nothing is made of theirs.
void MarkChanges(std::vector<CapturedEntry>* before, const std::vector<CapturedEntry>& after);

// A name as restic prints it in JSON: U+FFFD for each byte that is not UTF-8.
std::string AsResticPrints(const std::string& bytes);

struct SnapshotView {
  std::map<std::string, std::string> types;  // by path, as restic prints it
  std::vector<std::string> errors;           // "path: reason", as restic prints it
};

// Holds the entries at and below `paths` (normalised) against the snapshot. What restic could not read, or does
// not have, is marked; nothing is dropped, since a walk passes over what patterns exclude. What the snapshot has
// and the walks never saw is added, marked. Two names that differ only in bytes that are not UTF-8 look alike
// here. The answer: restic's errors about nothing in the tree.
std::vector<std::string> ApplySnapshot(std::vector<CapturedEntry>* entries, const SnapshotView& snapshot,
                                       const std::vector<std::string>& paths);

// What restic 0.14 does not keep of a covered entry, in words ("/srv/a: …"), by the entry itself: sockets, times
// beyond 2262, the several names of what is no file, symlinks' targets that are not UTF-8, attributes of chattr. A restore by
// Salvor brings back all but the first two.
std::vector<std::string> NotKeptByRestic(const std::vector<v1::TreeEntry>& entries);

}  // namespace salvor::agent
