// The entries of a tree, of which there may be tens of millions, in bounded memory (sorted_spool.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "agent/engines/disk/sorted_spool.h"
#include "base/status.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::agent {

// An entry, and what shows that it changed though size and times look the same. Only `entry` is ever stored.
struct CapturedEntry {
  v1::TreeEntry entry;
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t ctime_ns = 0;
  bool has_several_names = false;  // hard links, of anything but a directory
};

// One pass over entries, sorted by their (encoded) paths, no path twice. It must not outlive what it reads.
class EntryStream {
 public:
  virtual ~EntryStream() = default;
  virtual StatusOr<bool> Next(CapturedEntry* captured) = 0;  // false at the end
};

// The same of what is stored of them.
class TreeStream {
 public:
  virtual ~TreeStream() = default;
  virtual StatusOr<bool> Next(v1::TreeEntry* entry) = 0;  // false at the end
};

// A tree that can be read from its start, any number of times.
struct TreeSource {
  std::function<StatusOr<std::unique_ptr<TreeStream>>()> read;
  // Calls back with each entry's hard_link that is not empty; quicker than to read all entries.
  std::function<Status(const std::function<Status(const std::string& first_name)>& each)> read_hard_links;
};

// Everything that a walk found. Not thread-safe.
class CapturedTree {
 public:
  explicit CapturedTree(const SpoolFolder& folder, const SpoolLimits& limits = {});

  // Entries come in any order. The first of two with one path counts.
  Status Add(CapturedEntry captured);
  // Sorts, and gives each of several names of an inode its first one (hard_link). No Add after this, no Read before.
  Status Finish();

  StatusOr<std::unique_ptr<EntryStream>> Read() const;
  TreeSource Source() const;  // borrows this

  int64_t Size() const { return entries_.Size(); }
  // Whether there is a path that is not UTF-8, so that restic prints another one.
  bool HasOddPaths() const { return has_odd_paths_; }

 private:
  SortedSpool entries_;      // by path
  SortedSpool names_;        // by inode, then path: of those with several names
  SortedSpool first_names_;  // by path: the first name of its inode, where that is another
  bool has_odd_paths_ = false;
};

// The encoding of what is kept of an entry beside its path; Internal when it cannot be read back.
std::string EncodeCaptured(const CapturedEntry& captured);
Status DecodeCaptured(std::string_view path, std::string_view bytes, CapturedEntry* captured);

// Whether restic prints the (encoded) path with another name.
bool IsOddPath(const std::string& encoded);

}  // namespace salvor::agent
