#include "base/io/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace salvor {
namespace {

Status WriteAll(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write " + path);
    text.remove_prefix(static_cast<size_t>(written));
  }
  return OkStatus();
}

Status SyncDirectory(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.Valid() || ::fsync(fd.Get()) != 0) return ErrnoStatus(errno, "sync directory " + path);
  return OkStatus();
}

std::string ParentOf(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

}  // namespace

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    Reset();
    fd_ = other.Release();
  }
  return *this;
}

void UniqueFd::Reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

StatusOr<std::string> ReadFile(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.Valid()) return ErrnoStatus(errno, "open " + path);
  std::string text;
  char buffer[65536];
  while (true) {
    const ssize_t count = ::read(fd.Get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, "read " + path);
    if (count == 0) return text;
    text.append(buffer, static_cast<size_t>(count));
  }
}

Status WriteFileAtomically(const std::string& path, std::string_view text, int mode) {
  std::string temporary = path + ".XXXXXX";
  UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd.Valid()) return ErrnoStatus(errno, "create " + temporary);
  Status status = WriteAll(fd.Get(), text, temporary);
  if (status.ok() && ::fchmod(fd.Get(), static_cast<mode_t>(mode)) != 0)
    status = ErrnoStatus(errno, "chmod " + temporary);
  if (status.ok() && ::fsync(fd.Get()) != 0) status = ErrnoStatus(errno, "sync " + temporary);
  if (status.ok() && ::rename(temporary.c_str(), path.c_str()) != 0)
    status = ErrnoStatus(errno, "rename to " + path);
  if (!status.ok()) {
    ::unlink(temporary.c_str());
    return status;
  }
  return SyncDirectory(ParentOf(path));
}

Status CheckSecretFile(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, "secret file " + path);
  if (!S_ISREG(info.st_mode)) return FailedPrecondition("secret file {} is not a regular file", path);
  if ((info.st_mode & 077) != 0) {
    return WithHint(
        PermissionDenied("secret file {} has mode {:04o}: others may read it", path, info.st_mode & 07777),
        fmt::format("Run: chmod 600 {}", path));
  }
  return OkStatus();
}

StatusOr<std::string> ReadSecretFile(const std::string& path) {
  RETURN_IF_ERROR(CheckSecretFile(path));
  ASSIGN_OR_RETURN(std::string text, ReadFile(path));
  text.erase(std::min(text.find_first_of("\r\n"), text.size()));
  if (text.empty()) return FailedPrecondition("secret file {} is empty", path);
  return text;
}

Status MakeDirectories(const std::string& path, int mode) {
  std::string made;
  for (size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end + 1);
    made = path.substr(0, end);
    if (made.empty() || ::mkdir(made.c_str(), static_cast<mode_t>(mode)) == 0 || errno == EEXIST) continue;
    return ErrnoStatus(errno, "create directory " + made);
  }
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, "directory " + path);
  if (!S_ISDIR(info.st_mode)) return FailedPrecondition("{} exists and is not a directory", path);
  return OkStatus();
}

Status RemoveTree(const std::string& path) {
  std::error_code error;
  for (int round = 0; round < 100;
       ++round) {  // who else removes it is no failure, as an initdb that was interrupted
    error.clear();
    std::filesystem::remove_all(path, error);
    if (error != std::errc::no_such_file_or_directory) break;
  }
  if (error) return ErrnoStatus(error.value(), "remove " + path);
  return OkStatus();
}

StatusOr<UniqueFd> LockStateDirectory(const std::string& directory, const std::string& lock_name,
                                      std::string_view program) {
  const std::string path = directory + "/" + lock_name;
  UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.Valid()) return ErrnoStatus(errno, "open " + path);
  if (::flock(lock.Get(), LOCK_EX | LOCK_NB) == 0) return lock;
  return WithHint(FailedPrecondition("state directory {} is used by another {}", directory, program),
                  "Stop the other one, or give this one a --state-directory of its own.");
}

StatusOr<UniqueFd> MemoryFile(std::string_view text) {
  UniqueFd fd(::memfd_create("salvor", MFD_CLOEXEC));
  if (!fd.Valid()) return ErrnoStatus(errno, "make a file in memory");
  RETURN_IF_ERROR(WriteAll(fd.Get(), text, "a file in memory"));
  if (::lseek(fd.Get(), 0, SEEK_SET) != 0) return ErrnoStatus(errno, "rewind a file in memory");
  return fd;
}

StatusOr<int64_t> FreeBytes(const std::string& path) {
  struct statvfs info {};
  if (::statvfs(path.c_str(), &info) != 0) return ErrnoStatus(errno, "free space of " + path);
  return static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
}

std::string RandomBytes(size_t count) {
  std::string bytes(count, '\0');
  for (size_t have = 0; have < count;) {
    const ssize_t got = ::getrandom(bytes.data() + have, count - have, 0);
    if (got > 0) have += static_cast<size_t>(got);
  }
  return bytes;
}

}  // namespace salvor
