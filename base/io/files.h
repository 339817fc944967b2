// Files as the rest of the system needs them: whole, durable, and private where they hold secrets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace salvor {

// A file descriptor that closes itself. Move-only; -1 is none.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd() { Reset(); }
  int Get() const { return fd_; }
  bool Valid() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }
  void Reset();

 private:
  int fd_ = -1;
};

StatusOr<std::string> ReadFile(const std::string& path);

// Temporary file in the same directory, fsync, rename, fsync of the directory: either the old or the new text
// is there after a crash, never a part.
Status WriteFileAtomically(const std::string& path, std::string_view text, int mode = 0644);

// The first line of a file that holds a secret. Refused when group or others may read it, or when it is not a
// regular file; messages name the path, never the content.
StatusOr<std::string> ReadSecretFile(const std::string& path);

// Only checks the mode of a file that a tool will read itself (a password file).
Status CheckSecretFile(const std::string& path);

// mkdir -p; existing directories keep their mode.
Status MakeDirectories(const std::string& path, int mode = 0755);

// rm -rf that never follows a symlink out of the tree. Not existing is fine.
Status RemoveTree(const std::string& path);

// Holds the lock of a state directory for as long as the descriptor lives; FailedPrecondition while another process
// holds it. `program` is what uses such a directory: "agent".
StatusOr<UniqueFd> LockStateDirectory(const std::string& directory, const std::string& lock_name,
                                      std::string_view program);

// An anonymous file in memory that holds this text, at its start: what a child reads as its stdin.
StatusOr<UniqueFd> MemoryFile(std::string_view text);

// Bytes free for unprivileged writers on the file system of an existing path.
StatusOr<int64_t> FreeBytes(const std::string& path);

// Bytes from the system's random source.
std::string RandomBytes(size_t count);

}  // namespace salvor
