// Restores, from a tree's details, the parts that restic 0.14 does not restore of it: holes, symlinks whose target is
// not UTF-8, the several names of what is no file, attributes of chattr.
#pragma once

#include <stop_token>
#include <string>

#include "agent/engines/disk/captured_tree.h"
#include "agent/engines/disk/named_few.h"
#include "agent/engines/disk/sorted_spool.h"
#include "base/status.h"

namespace salvor::agent {

// The entries that need it, of any number. Not thread-safe.
class TreeExtras {
 public:
  explicit TreeExtras(const SpoolFolder& folder) : extras_(folder), attributes_(folder) {}

  // Reads the tree to its end, once.
  Status Collect(const TreeSource& tree);

  // All but the attributes, of the entries at and below `path` (plain), in a folder that holds them under their whole
  // captured paths and that nobody else can enter. What could not be done is named in `warnings`; an error is
  // Cancelled, or the agent's own.
  Status Restore(int folder, const std::string& path, const std::stop_token& stop, NamedFew* warnings) const;

  // The attributes of chattr of the entries at and below `path`, whose copy is `name` in the directory `parent`. The
  // last thing to be done: what is immutable cannot even be moved. What could not be set is named in `warnings`.
  Status RestoreAttributes(int parent, const std::string& name, const std::string& path,
                           NamedFew* warnings) const;

 private:
  SortedSpool extras_;      // by path
  SortedSpool attributes_;  // from the last path to the first
};

}  // namespace salvor::agent
