// The part of a captured tree to which a snapshot can be held. Trees pass entry by entry.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/engines/disk/captured_tree.h"
#include "base/status.h"

namespace salvor::agent {

// The first walk's entries, marked with what is not the same in a second walk of the same paths: entries that changed or
// vanished get `not_covered`; those that appeared are there, marked. Sockets come and go with their programs and are
// never kept, so nothing is made of theirs.
StatusOr<std::unique_ptr<EntryStream>> MarkChanges(const CapturedTree& before, const CapturedTree& after);

// A name as restic prints it in JSON: U+FFFD for each byte that is not UTF-8.
std::string AsResticPrints(const std::string& bytes);

// restic's errors ("path: reason", as restic prints it), and which of them were about something.
class ResticErrors {
 public:
  explicit ResticErrors(const std::vector<std::string>& errors) : errors_(errors.begin(), errors.end()) {}

  // The reason of one that is about this path; "" when there is none. Paths and reasons may both hold ": ".
  std::string Take(const std::string& path);
  std::vector<std::string> Unmatched() const;
  bool Empty() const { return errors_.empty(); }

 private:
  std::set<std::string> errors_, used_;
};

// The content of a snapshot, by path as restic prints it.
class SnapshotContent {
 public:
  explicit SnapshotContent(const SpoolFolder& folder, const SpoolLimits& limits = {})
      : types_(folder, limits) {}

  // Paths come in any order. The first of two alike counts.
  Status Add(const std::string& path, const std::string& type);
  Status Finish() { return types_.Seal(); }                            // no Add after this
  std::unique_ptr<SpoolCursor> Read() const { return types_.Read(); }  // key: the path, encoded; value: type

 private:
  SortedSpool types_;
};

// Holds the entries at and below `paths` (normalised) against the snapshot and gives each, sorted by path, to `each`.
// What restic could not read, or does not have, is marked; nothing is dropped, since a walk passes over what patterns
// exclude. What the snapshot has and the walks never saw is added, marked. Two names that differ only in bytes that are
// not UTF-8 look alike here. `walked` starts another pass over the entries; `has_odd_paths` as CapturedTree says.
struct SnapshotJudgement {
  std::function<StatusOr<std::unique_ptr<EntryStream>>()> walked;
  bool has_odd_paths = true;
  const SnapshotContent* content = nullptr;
  ResticErrors* errors = nullptr;
  std::vector<std::string> paths;
};
Status ApplySnapshot(const SnapshotJudgement& judgement, const SpoolFolder& folder,
                     const std::function<Status(const v1::TreeEntry&)>& each);

// Names what restic 0.14 does not keep of a covered entry ("/srv/a: …"), by the entry itself: sockets, times beyond
// 2262, the several names of what is no file, symlinks' targets that are not UTF-8, attributes of chattr. A restore by
// Salvor brings back all but the first two.
std::vector<std::string> NotKeptByRestic(const v1::TreeEntry& entry);

}  // namespace salvor::agent
