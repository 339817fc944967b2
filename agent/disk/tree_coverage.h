// What of a captured tree a snapshot can be held to. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/disk/tree.h"

namespace salvor::agent {

// Marks what is not the same in a second walk of the same paths: entries that changed or vanished get
// `not_covered`; those that appeared are added, marked. `before` stays sorted.
void MarkChanges(std::vector<CapturedEntry>* before, const std::vector<CapturedEntry>& after);

// A name as restic prints it in JSON: U+FFFD for each byte that is not UTF-8.
std::string AsResticPrints(const std::string& bytes);

struct SnapshotView {
  std::map<std::string, std::string> types;  // by path, as restic prints it
  std::vector<std::string> errors;           // "path: reason", as restic prints it
  bool excludes = false;  // patterns were given: what is not in the snapshot was left out by them
};

struct SnapshotCoverage {
  int64_t left_out = 0;                       // entries dropped because of patterns
  std::vector<std::string> unmatched_errors;  // of restic, about nothing in the tree
};

// Holds the entries at and below `paths` (normalised) against the snapshot. What restic could not read, or
// does not have, is marked; without excludes nothing is dropped. What it has and the walks never saw is
// added, marked. Two names that differ only in bytes that are not UTF-8 look alike here.
SnapshotCoverage ApplySnapshot(std::vector<CapturedEntry>* entries, const SnapshotView& snapshot,
                               const std::vector<std::string>& paths);

}  // namespace salvor::agent
