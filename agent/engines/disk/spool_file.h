// Files for what is too much for memory and of use only while an action runs. They lie in a folder of the agent's own
// (0700) and have no name there, so that nothing of them is left however the agent ends.
//
// A full disk is ResourceExhausted with a hint: it says nothing about any backup. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/io/files.h"
#include "base/status.h"

namespace salvor::agent {

class SpoolFolder {
 public:
  // The folder lies in the agent's state directory; the first NewFile makes it.
  explicit SpoolFolder(const std::string& state_directory) : path_(state_directory + "/spool") {}

  // An empty file without a name, open for reading and writing. Where the file system knows no such files it has a
  // name for a moment.
  StatusOr<UniqueFd> NewFile() const;

  // Removes the folder with what an agent left in that moment. Only while no action runs.
  Status RemoveLeftovers() const;

  const std::string& Path() const { return path_; }

 private:
  std::string path_;
};

// The error that a failed read or write of such a file is.
Status SpoolError(int error_number, std::string_view what);

// Writes all of it at that place of the file. Errors as SpoolError makes them.
Status SpoolWrite(int file, std::string_view bytes, int64_t offset);

// Writes from an offset on. The file is borrowed. Nothing is there for sure before Flush.
class SpoolOutput {
 public:
  explicit SpoolOutput(int file, int64_t offset = 0) : file_(file), written_(offset) {}

  Status Append(std::string_view bytes);
  Status Flush();
  int64_t Offset() const { return written_ + static_cast<int64_t>(buffer_.size()); }  // of what comes next

 private:
  int file_;
  int64_t written_;
  std::string buffer_;
};

// Reads from one offset to another. The file is borrowed; any number may read one file. What a call answers with is
// good until the next call.
class SpoolInput {
 public:
  SpoolInput(int file, int64_t begin, int64_t end, size_t buffer_bytes = size_t{256} << 10)
      : file_(file), next_(begin), end_(end), buffer_bytes_(buffer_bytes) {}

  bool AtEnd() const { return next_ == end_ && at_ == buffer_.size(); }
  // Takes so many bytes; Internal when they are not there.
  StatusOr<std::string_view> Take(size_t count);
  // Up to a newline, which is part of it, or to the end.
  StatusOr<std::string_view> TakeLine();

 private:
  Status ReadMore();

  int file_;
  int64_t next_, end_;
  size_t buffer_bytes_;
  std::string buffer_;
  size_t at_ = 0;
};

}  // namespace salvor::agent
