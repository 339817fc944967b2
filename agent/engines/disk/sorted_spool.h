// Pairs of bytes in, the same pairs sorted out, in bounded memory: what is more is sorted piece by piece into files
// (runs; spool_file.h), which are read back side by side. What fits into memory never touches a disk.
//
// Sorted by the keys' bytes; pairs of equal keys come in the order in which they were added. It takes at most about
// 20 MiB while it is filled or when all of it fits (26 MiB while files are joined, beyond 4 GiB), none once it is sealed
// on disk, and, for each cursor, 8 MiB for 4 GiB of pairs (16 MiB beyond) plus its greatest pairs. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/engines/disk/spool_file.h"
#include "base/status.h"

namespace salvor::agent {

struct SpoolLimits {
  size_t memory_bytes = size_t{16} << 20;  // of pairs that wait to be sorted
  size_t most_runs = 256;                  // of one size; they become one greater one
};

// A run: where it is in its file.
struct SpoolRun {
  int file = -1;
  int64_t begin = 0, end = 0;
};

// A pass over a sealed spool, which must outlive it. Key and value are good until Next.
class SpoolCursor {
 public:
  virtual ~SpoolCursor() = default;
  // Moves to the first pair at the first call, then to the next one; false at the end.
  virtual StatusOr<bool> Next() = 0;
  virtual std::string_view Key() const = 0;
  virtual std::string_view Value() const = 0;
};

// Memory that goes back to the system at once: what malloc keeps for later would add up.
class SpoolMemory {
 public:
  SpoolMemory() = default;
  SpoolMemory(SpoolMemory&& other) noexcept;
  SpoolMemory& operator=(SpoolMemory&& other) noexcept;
  ~SpoolMemory() { Release(); }

  // Room for so many bytes, of which only those are taken from the system that are written to. What it held is gone.
  Status Reserve(size_t bytes);
  void Release();
  char* Data() const { return data_; }
  size_t Size() const { return size_; }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
};

class SortedSpool {
 public:
  explicit SortedSpool(SpoolFolder folder, SpoolLimits limits = {});

  Status Add(std::string_view key, std::string_view value);
  // Comes after the last Add and before the first Read.
  Status Seal();
  // Any number at a time.
  std::unique_ptr<SpoolCursor> Read() const;
  // Forgets all pairs. There must be no cursor.
  void Drop();

  int64_t Size() const { return size_; }
  bool IsOnDisk() const { return !levels_.empty(); }

 private:
  // Runs of about one size, one after the other in a file.
  struct Level {
    UniqueFd file;
    int64_t end = 0;
    std::vector<SpoolRun> runs;  // in the order of addition
  };

  void SortPending();
  Status WritePending();
  Status MergeLevel(size_t level);
  Status NeedLevel(size_t level);

  SpoolFolder folder_;
  SpoolLimits limits_;
  SpoolMemory pending_;            // pairs: two lengths, key, value
  size_t pending_bytes_ = 0;       // of them
  std::vector<uint32_t> offsets_;  // of them
  std::vector<Level> levels_;
  int64_t size_ = 0;
};

// Numbers as bytes that sort as they do, for keys.
void AppendBigEndian(std::string* bytes, uint64_t number);

}  // namespace salvor::agent
