#include "agent/engines/disk/file_digest.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/io/sha256.h"

namespace salvor::agent {
namespace {

constexpr size_t kBufferBytes = 256 << 10;
constexpr char kZeros[64 << 10] = {};

class Digester {
 public:
  Digester(int fd, std::stop_token stop, const std::function<void(int64_t)>& on_bytes)
      : fd_(fd), stop_(std::move(stop)), on_bytes_(on_bytes), buffer_(new char[kBufferBytes]) {}

  Status Hole(int64_t bytes) {
    while (bytes > 0) {
      const int64_t count = std::min<int64_t>(bytes, sizeof kZeros);
      RETURN_IF_ERROR(Add(std::string_view(kZeros, static_cast<size_t>(count))));
      bytes -= count;
    }
    return OkStatus();
  }

  Status Data(int64_t offset, int64_t end) {
    while (offset < end) {
      const size_t wanted = static_cast<size_t>(std::min<int64_t>(end - offset, kBufferBytes));
      const ssize_t count = ::pread(fd_, buffer_.get(), wanted, offset);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return ErrnoStatus(errno, "read");
      if (count == 0) return DataLoss("became shorter while it was read");
      RETURN_IF_ERROR(Add(std::string_view(buffer_.get(), static_cast<size_t>(count))));
      offset += count;
    }
    return OkStatus();
  }

  std::string Finish() { return sha256_.Finish(); }

 private:
  Status Add(std::string_view bytes) {
    if (stop_.stop_requested()) return Cancelled("cancelled while reading files");
    sha256_.Update(bytes);
    if (on_bytes_) on_bytes_(static_cast<int64_t>(bytes.size()));
    return OkStatus();
  }

  int fd_;
  std::stop_token stop_;
  const std::function<void(int64_t)>& on_bytes_;
  std::unique_ptr<char[]> buffer_;
  Sha256 sha256_;
};

}  // namespace

StatusOr<std::string> DigestOfFile(int fd, int64_t bytes, std::stop_token stop,
                                   const std::function<void(int64_t)>& on_bytes) {
  Digester digester(fd, std::move(stop), on_bytes);
  int64_t offset = 0;
  while (offset < bytes) {
    // A file system without holes answers "all of it is data"; one that cannot answer is read as if it had.
    int64_t data = ::lseek(fd, offset, SEEK_DATA);
    if (data < 0) data = errno == ENXIO ? bytes : offset;
    data = std::min(data, bytes);
    RETURN_IF_ERROR(digester.Hole(data - offset));
    if (data == bytes) break;
    int64_t hole = ::lseek(fd, data, SEEK_HOLE);
    if (hole <= data) hole = bytes;
    hole = std::min(hole, bytes);
    RETURN_IF_ERROR(digester.Data(data, hole));
    offset = hole;
  }
  return digester.Finish();
}

}  // namespace salvor::agent
