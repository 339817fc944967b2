#include "agent/engines/disk/spool_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr size_t kOutputBytes = size_t{256} << 10;

}  // namespace

Status SpoolError(int error_number, std::string_view what) {
  const bool is_full = error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
  const std::string whole = fmt::format("{} what does not fit into memory", what);
  if (!is_full) return ErrnoStatus(error_number, whole);
  return WithHint(
      ErrnoStatus(error_number == EFBIG ? ENOSPC : error_number, whole),
      "Free some space on the disk of the agent's state directory (about 1 KiB for each entry of the tree), "
      "or point --state-directory to a larger disk, then try again.");
}

// A disk that is nearly full may take only a part at first; the rest then says why.
Status SpoolWrite(int file, std::string_view bytes, int64_t offset) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return SpoolError(count < 0 ? errno : ENOSPC, "write");
    bytes.remove_prefix(static_cast<size_t>(count));
    offset += count;
  }
  return OkStatus();
}

StatusOr<UniqueFd> SpoolFolder::NewFile() const {
  UniqueFd file(::open(path_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file.Valid() && errno == ENOENT) {
    RETURN_IF_ERROR_IN(MakeDirectories(path_, 0700), "make a folder for what does not fit into memory");
    file = UniqueFd(::open(path_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  }
  if (file.Valid()) return file;
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) return SpoolError(errno, "make a file for");
  const std::string name = fmt::format("{}/{}", path_, ToHex(RandomBytes(8)));
  file = UniqueFd(::open(name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.Valid()) return SpoolError(errno, "make a file for");
  if (::unlink(name.c_str()) != 0) return SpoolError(errno, "make a file for");
  return file;
}

Status SpoolFolder::RemoveLeftovers() const { return RemoveTree(path_); }

Status SpoolOutput::Append(std::string_view bytes) {
  if (buffer_.size() + bytes.size() > kOutputBytes) RETURN_IF_ERROR(Flush());
  buffer_.append(bytes);
  return buffer_.size() > kOutputBytes ? Flush() : OkStatus();
}

Status SpoolOutput::Flush() {
  RETURN_IF_ERROR(SpoolWrite(file_, buffer_, written_));
  written_ += static_cast<int64_t>(buffer_.size());
  buffer_.clear();
  return OkStatus();
}

Status SpoolInput::ReadMore() {
  buffer_.erase(0, at_);
  at_ = 0;
  const size_t had = buffer_.size();
  const int64_t wanted = std::min<int64_t>(static_cast<int64_t>(std::max(buffer_bytes_, had)), end_ - next_);
  buffer_.resize(had + static_cast<size_t>(wanted));
  ssize_t count;
  do {
    count = ::pread(file_, buffer_.data() + had, static_cast<size_t>(wanted), next_);
  } while (count < 0 && errno == EINTR);
  const int error = errno;
  buffer_.resize(had + static_cast<size_t>(std::max<ssize_t>(count, 0)));
  if (count < 0) return SpoolError(error, "read");
  if (count == 0) return Internal("a file for what does not fit into memory became shorter");
  next_ += count;
  return OkStatus();
}

StatusOr<std::string_view> SpoolInput::Take(size_t count) {
  while (buffer_.size() - at_ < count) RETURN_IF_ERROR(ReadMore());
  const std::string_view taken(buffer_.data() + at_, count);
  at_ += count;
  return taken;
}

StatusOr<std::string_view> SpoolInput::TakeLine() {
  size_t looked_at = 0;
  while (true) {
    const size_t newline = buffer_.find('\n', at_ + looked_at);
    if (newline != std::string::npos) return Take(newline + 1 - at_);
    looked_at = buffer_.size() - at_;
    if (next_ == end_) return Take(looked_at);
    RETURN_IF_ERROR(ReadMore());
  }
}

}  // namespace salvor::agent
