// Digests of files with several names, so that each is read once: a hash table in a file (spool_file.h), whose memory
// does not grow with it. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/engines/disk/spool_file.h"
#include "base/status.h"

namespace salvor::agent {

class DigestTable {
 public:
  explicit DigestTable(SpoolFolder folder) : folder_(std::move(folder)) {}

  // A file in the state in which it was hashed. One that was written to between its names, and one that has the inode
  // of another which is gone, is another state.
  struct File {
    uint64_t device = 0, inode = 0;
    int64_t ctime_ns = 0, bytes = 0;
  };

  StatusOr<std::optional<std::string>> Find(const File& file) const;
  // A digest has 32 bytes. It takes the place of that of another state of the same inode.
  Status Put(const File& file, const std::string& digest);

 private:
  struct Slot {
    File file;
    uint64_t is_used = 0;
    char digest[32] = {};
  };

  // The slot of the inode, or the free one where it belongs.
  StatusOr<uint64_t> Look(int table, uint64_t slots, const File& file, Slot* slot) const;
  Status Grow();
  static Status Write(int table, uint64_t place, const Slot& slot);

  SpoolFolder folder_;
  UniqueFd file_;
  uint64_t slots_ = 0;  // a power of two; at most half of them used
  uint64_t used_ = 0;
};

}  // namespace salvor::agent
