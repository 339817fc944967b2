// What stands below some paths, entry by entry, without ever following a symlink below them.
//
// A declared path's own parents may be symlinks (as for every other program); the path itself and everything
// below it is opened by name in an open directory, with O_NOFOLLOW. Other file systems mounted below are
// entered, as restic enters them. Extended attributes of symlinks are left out: restic does not keep them.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/status.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::agent {

// An entry, and what shows that it changed though size and times look the same. Only `entry` is ever stored.
struct CapturedEntry {
  v1::TreeEntry entry;
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t ctime_ns = 0;
};

struct WalkProgress {
  int64_t entries = 0;
  int64_t bytes_hashed = 0;
};

struct WalkOptions {
  bool hash = true;              // false: no file is opened; sha256 stays empty
  bool missing_is_fine = false;  // a declared path that is not there has no entry; else NotFound
  std::stop_token stop;          // Cancelled
  std::function<void(const WalkProgress&)> progress;  // now and then, from the calling thread
};

// Absolute paths without trailing or doubled slashes, sorted; those below others of the list are gone.
std::vector<std::string> NormalisePaths(const std::vector<std::string>& paths);

// Every entry at and below the paths, sorted by its (encoded) path. Memory grows with the number of entries,
// never with their size. What cannot be read, or changes while it is read, has `not_covered`; what vanishes
// between two looks is not there. Files are not marked as read (O_NOATIME) where the system permits.
StatusOr<std::vector<CapturedEntry>> WalkPaths(const std::vector<std::string>& paths,
                                               const WalkOptions& options);

// Whether an entry (encoded) is the path (encoded), or stands below it.
bool IsAtOrBelow(const std::string& entry_path, const std::string& path);

}  // namespace salvor::agent
