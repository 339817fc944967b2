// Walks what stands below some paths, entry by entry, without ever following a symlink below them.
//
// A declared path's own parents may be symlinks (as for every other program) unless WalkOptions::root says
// otherwise; the path itself and everything below it is opened by name in an open directory, with O_NOFOLLOW.
// Extended attributes of symlinks are left out: restic does not keep them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/engines/disk/captured_tree.h"
#include "agent/engines/disk/exclude_patterns.h"
#include "agent/engines/disk/spool_file.h"
#include "base/status.h"

namespace salvor::agent {

struct WalkProgress {
  int64_t entries = 0;
  int64_t bytes_hashed = 0;
};

// The reasons for which a walk passes over an entry by rule.
enum class LeftOut {
  kExcluded,      // by a pattern; neither looked at nor entered
  kMount,         // another file system: of a directory, what is in it; of anything else, the entry
  kLostAndFound,  // the empty or unreadable lost+found of a file system: its own, not the application's
};

struct WalkOptions {
  bool hash = true;              // false: no file is opened, and an entry has only what lstat says
  bool missing_is_fine = false;  // a declared path that is not there has no entry; else NotFound
  bool one_file_system =
      false;  // what is on another device than its declared path is left out, as by restic -x
  ExcludePatterns exclude;
  // The paths lie below this directory and no symlink is followed on the way from it (guarded_path.h).
  std::optional<std::string> root;
  std::function<void(LeftOut, const std::string& path)> on_left_out;
  std::stop_token stop;                               // Cancelled
  std::function<void(const WalkProgress&)> progress;  // now and then, from the calling thread
};

// Absolute paths without trailing or doubled slashes, sorted; those below others of the list are gone.
std::vector<std::string> NormalisePaths(const std::vector<std::string>& paths);

using EntrySink = std::function<Status(CapturedEntry captured)>;

// Every entry at and below the paths, in no order and each as soon as it is known. Memory grows with the depth of the
// tree, never with the number of entries, their size, or the length of a directory. What cannot be looked at or read,
// or changes while it is read, has `not_covered`, and all else is there; what vanishes between two looks is not there.
// No entry has a `hard_link` (CapturedTree). An error of `each` ends the walk. Files are not marked as read (O_NOATIME)
// where the system permits. What a program has written through a memory map is written back before a file is hashed,
// so that whatever it writes afterwards moves the file's change time.
Status WalkPaths(const std::vector<std::string>& paths, const WalkOptions& options, const SpoolFolder& folder,
                 const EntrySink& each);

// Whether an entry (encoded) is the path (encoded), or stands below it.
bool IsAtOrBelow(const std::string& entry_path, const std::string& path);

}  // namespace salvor::agent
