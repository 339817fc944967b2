// Whether a restored tree is the one that was captured. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "salvor/v1/manifest.pb.h"

namespace salvor::agent {

// All differences of one class; only the first few are kept in words.
struct TreeDifferences {
  int64_t total = 0;
  std::vector<std::string> first;  // "/srv/a/b: mode is 0600, was 0644"; at most kKeptDifferences

  void Add(const std::string& path, const std::string& what);
};
constexpr size_t kKeptDifferences = 20;

struct TreeComparison {
  TreeDifferences structure;  // missing, unexpected, of another type
  TreeDifferences content;    // bytes of files, targets of symlinks
  TreeDifferences metadata;   // mode, owner, mtime, extended attributes, hard links
  int64_t compared = 0;       // entries found on both sides
  int64_t files = 0;          // of these, regular files
  int64_t bytes = 0;          // in them
  int64_t not_covered = 0;    // entries left out because the capture could not promise them
  TreeDifferences unread;     // of the copy: what could not be read is neither right nor wrong
};

// Compares what was captured at and below `path` with a walk of the copy at `copy`. Both lists sorted, as WalkPaths
// and EncodeTree keep them; `path` and `copy` are plain, not encoded.
//
// One fault is told once: an entry of another type has no other differences, and a directory's mtime is not
// compared when entries directly in it are missing or unexpected. Left out: entries with not_covered, and
// sockets, which belong to running programs and are never restored. Not compared, because no restore brings them
// everywhere: holes, attributes of chattr, times that restic cannot keep.
TreeComparison CompareTrees(const std::vector<v1::TreeEntry>& captured,
                            const std::vector<v1::TreeEntry>& found, const std::string& path,
                            const std::string& copy);

}  // namespace salvor::agent
