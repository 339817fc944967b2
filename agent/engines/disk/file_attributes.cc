#include "agent/engines/disk/file_attributes.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <vector>

namespace salvor::agent {
namespace {

struct Attribute {
  int flag;
  char letter;
};
constexpr Attribute kAttributes[] = {
    {FS_SYNC_FL, 'S'},        {FS_IMMUTABLE_FL, 'i'}, {FS_APPEND_FL, 'a'}, {FS_NODUMP_FL, 'd'},
    {FS_NOATIME_FL, 'A'},     {FS_COMPR_FL, 'c'},     {FS_NOCOMP_FL, 'm'}, {FS_JOURNAL_DATA_FL, 'j'},
    {FS_NOTAIL_FL, 't'},      {FS_DIRSYNC_FL, 'D'},   {FS_TOPDIR_FL, 'T'}, {FS_NOCOW_FL, 'C'},
    {FS_PROJINHERIT_FL, 'P'}, {FS_CASEFOLD_FL, 'F'},
};

constexpr int64_t kBlock = 4096;
constexpr int64_t kPiece = 1 << 20;

bool IsZero(const char* bytes, int64_t count) {
  return std::all_of(bytes, bytes + count, [](char c) { return c == 0; });
}

}  // namespace

std::string AttributesOf(int fd) {
  int flags = 0;
  std::string letters;
  if (::ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) return letters;
  for (const Attribute& one : kAttributes) {
    if ((flags & one.flag) != 0) letters += one.letter;
  }
  std::sort(letters.begin(), letters.end());
  return letters;
}

Status SetAttributes(int fd, const std::string& letters) {
  int flags = 0;
  if (::ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) {
    if (errno == ENOTTY || errno == EOPNOTSUPP)
      return FailedPrecondition("the file system has no attributes of chattr");
    return ErrnoStatus(errno, "read attributes");
  }
  for (const char letter : letters) {
    const auto* found = std::find_if(std::begin(kAttributes), std::end(kAttributes),
                                     [letter](const Attribute& one) { return one.letter == letter; });
    if (found == std::end(kAttributes)) return FailedPrecondition("attribute '{}' is not known", letter);
    flags |= found->flag;
  }
  if (::ioctl(fd, FS_IOC_SETFLAGS, &flags) != 0) return ErrnoStatus(errno, "set attributes " + letters);
  return OkStatus();
}

int64_t AllocatedBytesWithHoles(int fd, const struct stat& facts) {
  if (!S_ISREG(facts.st_mode) || facts.st_size == 0) return 0;
  const off_t hole = ::lseek(fd, 0, SEEK_HOLE);
  if (hole < 0 || hole >= facts.st_size) return 0;
  return std::max<int64_t>(facts.st_blocks * 512, 1);
}

Status DigHoles(int fd) {
  struct stat before {};
  if (::fstat(fd, &before) != 0) return ErrnoStatus(errno, "look at");
  std::vector<char> piece(kPiece);
  for (int64_t offset = 0; offset < before.st_size;) {
    const ssize_t count = ::pread(fd, piece.data(), piece.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, "read");
    if (count == 0) break;
    for (int64_t at = 0; at < count;) {
      int64_t end = at;
      while (end < count && IsZero(piece.data() + end, std::min<int64_t>(kBlock, count - end))) end += kBlock;
      const int64_t zeros = std::min<int64_t>(end, count) - at;
      if (zeros > 0 && ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset + at, zeros) != 0)
        return ErrnoStatus(errno, "give back blocks of zeros");
      at = std::max(end, at + kBlock);
    }
    offset += count;
  }
  const timespec times[2] = {before.st_atim, before.st_mtim};
  if (::futimens(fd, times) != 0) return ErrnoStatus(errno, "set times");
  return OkStatus();
}

}  // namespace salvor::agent
