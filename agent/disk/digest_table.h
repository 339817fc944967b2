// Digests of files with several names, so that each is read once: a hash table in a file (spool_file.h), whose memory
// does not grow with it. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/disk/spool_file.h"
#include "base/status.h"

namespace salvor::agent {

class DigestTable {
 public:
  explicit DigestTable(SpoolFolder folder) : folder_(std::move(folder)) {}

  StatusOr<std::optional<std::string>> Find(uint64_t device, uint64_t inode) const;
  // A digest has 32 bytes; one that is there is not put again.
  Status Put(uint64_t device, uint64_t inode, const std::string& digest);

 private:
  struct Slot {
    uint64_t device = 0, inode = 0;
    uint64_t is_used = 0;
    char digest[32] = {};
  };

  // The slot of the inode, or the free one where it belongs.
  StatusOr<uint64_t> Look(int file, uint64_t slots, uint64_t device, uint64_t inode, Slot* slot) const;
  Status Grow();
  static Status Write(int file, uint64_t place, const Slot& slot);

  SpoolFolder folder_;
  UniqueFd file_;
  uint64_t slots_ = 0;  // a power of two; at most half of them used
  uint64_t used_ = 0;
};

}  // namespace salvor::agent
