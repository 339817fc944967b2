// Whether a restored tree is the one that was captured. Trees pass entry by entry.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/engines/disk/captured_tree.h"
#include "agent/engines/disk/spool_file.h"
#include "base/status.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::agent {

constexpr size_t kKeptDifferences = 20;

// All differences of one class; only the first few (by path) are kept in words.
struct TreeDifferences {
  int64_t total = 0;
  std::vector<std::string> first;  // "/srv/a/b: mode is 0600, was 0644"; at most kKeptDifferences

  void Append(const TreeDifferences& others);
};

struct TreeComparison {
  bool is_known = false;      // the path itself was captured
  TreeDifferences structure;  // missing, of another type; then: unexpected
  TreeDifferences content;    // bytes of files, targets of symlinks
  TreeDifferences metadata;   // mode, owner, mtime, extended attributes; then: hard links
  int64_t compared = 0;       // entries found on both sides
  int64_t files = 0;          // of these, regular files
  int64_t bytes = 0;          // in them
  int64_t not_covered = 0;    // entries left out because the capture could not promise them
  TreeDifferences unread;     // of the copy: what could not be read is neither right nor wrong
};

// A declared path and where its copy is; plain, absolute. None lies in another.
struct ComparedPlace {
  std::string path, copy;
};

// Paths of copies, as they were captured. Encoded, both.
class CapturedPaths {
 public:
  explicit CapturedPaths(const std::vector<ComparedPlace>& places);
  // The original of an entry of a copy; one that is in no copy is its own.
  std::string Of(const std::string& found) const;

 private:
  std::vector<ComparedPlace> places_;  // encoded
};

// Compares what was captured at and below each path with what was found of its copy, whose entries have the paths that
// they were captured under (CapturedPaths) and, as hard_link, such a path too. One answer a place. What is too much for
// memory goes into `folder`.
//
// One fault is told once: an entry of another type has no other differences, and a directory's mtime is not
// compared when entries directly in it are missing or unexpected. Left out: entries with not_covered, and
// sockets, which belong to running programs and are never restored. Not compared, because no restore brings them
// everywhere: holes, attributes of chattr, times that restic cannot keep.
StatusOr<std::vector<TreeComparison>> CompareTrees(const TreeSource& captured, const TreeSource& found,
                                                   const std::vector<ComparedPlace>& places,
                                                   const SpoolFolder& folder);

}  // namespace salvor::agent
