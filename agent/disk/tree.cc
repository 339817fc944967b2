#include "agent/disk/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <string_view>
#include <utility>

#include "agent/disk/file_digest.h"
#include "base/io/files.h"
#include "base/names.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
// A change within one tick of the kernel's file clock leaves ctime as it was. So whatever changed just now is
// looked at once the clock has moved on.
constexpr int64_t kClockTickNs = 20'000'000;
constexpr int64_t kEntriesPerProgress = 512;
constexpr int64_t kBytesPerProgress = 64 << 20;

int64_t Nanoseconds(const timespec& time) { return time.tv_sec * kNanosecondsPerSecond + time.tv_nsec; }

const char* TypeName(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "file";
    case S_IFDIR:
      return "dir";
    case S_IFLNK:
      return "symlink";
    case S_IFIFO:
      return "fifo";
    case S_IFSOCK:
      return "socket";
    case S_IFCHR:
      return "char";
    default:
      return "block";
  }
}

bool SameState(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size && a.st_mode == b.st_mode &&
         Nanoseconds(a.st_mtim) == Nanoseconds(b.st_mtim) && Nanoseconds(a.st_ctim) == Nanoseconds(b.st_ctim);
}

// Symlinks in directories and odd file systems: the path by which /proc reaches what stands at `name` in
// `parent`.
std::string ProcPath(int parent, const std::string& name) {
  return fmt::format("/proc/self/fd/{}/{}", parent, name);
}

StatusOr<std::vector<std::string>> ReadXattrs(const std::string& path) {
  std::vector<std::string> xattrs;
  std::string names(1024, '\0');
  ssize_t size;
  while ((size = ::llistxattr(path.c_str(), names.data(), names.size())) < 0) {
    if (errno == ENOTSUP) return xattrs;
    if (errno != ERANGE || names.size() > (1 << 20)) return ErrnoStatus(errno, "list extended attributes");
    names.resize(names.size() * 2);
  }
  names.resize(static_cast<size_t>(size));
  for (const std::string& name : Split(names, '\0')) {
    if (name.empty()) continue;
    std::string value(64 << 10, '\0');  // the kernel's limit
    const ssize_t length = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    if (length < 0 && errno == ENODATA) continue;
    if (length < 0) return ErrnoStatus(errno, "read extended attribute " + PercentEncode(name));
    xattrs.push_back(PercentEncode(name) + "=" +
                     ToHex(std::string_view(value.data(), static_cast<size_t>(length))));
  }
  std::sort(xattrs.begin(), xattrs.end());
  return xattrs;
}

StatusOr<std::string> ReadLink(int parent, const std::string& name) {
  std::string target(4096, '\0');
  const ssize_t size = ::readlinkat(parent, name.c_str(), target.data(), target.size());
  if (size < 0) return ErrnoStatus(errno, "read symlink");
  target.resize(static_cast<size_t>(size));
  return target;
}

StatusOr<std::vector<std::string>> ReadNames(int directory) {
  // An own description: fdopendir takes what it gets, and its position.
  const int copy = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* stream = copy < 0 ? nullptr : ::fdopendir(copy);
  if (stream == nullptr) {
    const int error = errno;
    if (copy >= 0) ::close(copy);
    return ErrnoStatus(error, "read directory");
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* item = ::readdir(stream)) {
    const std::string_view name = item->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  const int error = errno;
  ::closedir(stream);
  if (error != 0) return ErrnoStatus(error, "read directory");
  return names;
}

class Walker {
 public:
  explicit Walker(const WalkOptions& options) : options_(options) {}

  Status WalkRoot(const std::string& path);
  std::vector<CapturedEntry> Finish();

 private:
  Status Visit(int parent, const std::string& name, const std::string& path, bool is_root);
  StatusOr<bool> Look(int parent, const std::string& name, struct stat* facts, bool is_root);
  Status Fill(int parent, const std::string& name, const struct stat& facts, v1::TreeEntry* entry);
  Status Hash(int parent, const std::string& name, const struct stat& facts, v1::TreeEntry* entry);
  Status Descend(int parent, const std::string& name, const std::string& path, size_t index);
  void NameHardLinks();
  void Report(bool now);

  const WalkOptions& options_;
  std::vector<CapturedEntry> entries_;
  std::map<std::pair<uint64_t, uint64_t>, std::string> digests_;  // of files with several names: hashed once
  std::map<std::pair<uint64_t, uint64_t>, bool> linked_;
  WalkProgress progress_;
  WalkProgress reported_;
};

Status Walker::WalkRoot(const std::string& path) {
  RETURN_IF_ERROR(CheckAbsolutePath(path));
  if (path == "/") return Visit(AT_FDCWD, "/", "/", true);
  const size_t slash = path.rfind('/');
  const std::string parent = slash == 0 ? "/" : path.substr(0, slash);
  const UniqueFd directory(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.Valid()) {
    if (options_.missing_is_fine && (errno == ENOENT || errno == ENOTDIR)) return OkStatus();
    return ErrnoStatus(errno, "open " + PercentEncode(parent));
  }
  return Visit(directory.Get(), path.substr(slash + 1), path, true);
}

// False when nothing is there.
StatusOr<bool> Walker::Look(int parent, const std::string& name, struct stat* facts, bool is_root) {
  while (true) {
    if (options_.stop.stop_requested()) return Cancelled("cancelled while reading directories");
    if (::fstatat(parent, name.c_str(), facts, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT && (!is_root || options_.missing_is_fine)) return false;
      return ErrnoStatus(errno, "look at");
    }
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    const int64_t age_ns = Nanoseconds(now) - Nanoseconds(facts->st_ctim);
    if (!options_.hash || age_ns < 0 || age_ns >= kClockTickNs) return true;
    const timespec rest{0, static_cast<long>(kClockTickNs - age_ns)};
    ::nanosleep(&rest, nullptr);
    // One more look is enough: what changes all the time shows by the next walk.
    if (::fstatat(parent, name.c_str(), facts, AT_SYMLINK_NOFOLLOW) == 0) return true;
  }
}

Status Walker::Visit(int parent, const std::string& name, const std::string& path, bool is_root) {
  struct stat facts {};
  ASSIGN_OR_RETURN_IN(const bool there, Look(parent, name, &facts, is_root), PercentEncode(path));
  if (!there) return OkStatus();
  CapturedEntry captured;
  captured.device = facts.st_dev;
  captured.inode = facts.st_ino;
  captured.ctime_ns = Nanoseconds(facts.st_ctim);
  v1::TreeEntry& entry = captured.entry;
  entry.set_path(PercentEncode(path));
  entry.set_type(TypeName(facts.st_mode));
  entry.set_mode(static_cast<int32_t>(facts.st_mode & 07777));
  entry.set_uid(facts.st_uid);
  entry.set_gid(facts.st_gid);
  entry.set_bytes(S_ISREG(facts.st_mode) ? facts.st_size : 0);
  entry.set_mtime_ns(Nanoseconds(facts.st_mtim));
  if (const Status status = Fill(parent, name, facts, &entry); !status.ok()) {
    if (status.code() == absl::StatusCode::kCancelled) return status;
    entry.set_not_covered(MessageOf(status));
  }
  if (!S_ISDIR(facts.st_mode) && facts.st_nlink > 1) linked_[{captured.device, captured.inode}] = true;
  entries_.push_back(std::move(captured));
  ++progress_.entries;
  Report(false);
  return S_ISDIR(facts.st_mode) ? Descend(parent, name, path, entries_.size() - 1) : OkStatus();
}

Status Walker::Fill(int parent, const std::string& name, const struct stat& facts, v1::TreeEntry* entry) {
  if (S_ISLNK(facts.st_mode)) {
    ASSIGN_OR_RETURN(const std::string target, ReadLink(parent, name));
    entry->set_target(PercentEncode(target));
    return OkStatus();
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> xattrs,
                   ReadXattrs(name == "/" ? name : ProcPath(parent, name)));
  for (const std::string& xattr : xattrs) entry->add_xattrs(xattr);
  return S_ISREG(facts.st_mode) && options_.hash ? Hash(parent, name, facts, entry) : OkStatus();
}

Status Walker::Hash(int parent, const std::string& name, const struct stat& facts, v1::TreeEntry* entry) {
  const std::pair<uint64_t, uint64_t> inode(facts.st_dev, facts.st_ino);
  if (const auto known = digests_.find(inode); known != digests_.end()) {
    entry->set_sha256(known->second);
    return OkStatus();
  }
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  UniqueFd file(::openat(parent, name.c_str(), kFlags | O_NOATIME));
  if (!file.Valid() && errno == EPERM) file = UniqueFd(::openat(parent, name.c_str(), kFlags));
  if (!file.Valid()) return ErrnoStatus(errno, "cannot be read");
  struct stat opened {
  }, after{};
  if (::fstat(file.Get(), &opened) != 0) return ErrnoStatus(errno, "look at");
  if (!SameState(facts, opened)) return Aborted("changed while it was read");
  ASSIGN_OR_RETURN(const std::string digest,
                   DigestOfFile(file.Get(), facts.st_size, options_.stop, [&](int64_t bytes) {
                     progress_.bytes_hashed += bytes;
                     Report(false);
                   }));
  if (::fstat(file.Get(), &after) != 0) return ErrnoStatus(errno, "look at");
  if (!SameState(facts, after)) return Aborted("changed while it was read");
  entry->set_sha256(ToHex(digest));
  if (facts.st_nlink > 1) digests_[inode] = entry->sha256();
  return OkStatus();
}

Status Walker::Descend(int parent, const std::string& name, const std::string& path, size_t index) {
  const UniqueFd directory(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  StatusOr<std::vector<std::string>> names = std::vector<std::string>();
  if (directory.Valid()) {
    names = ReadNames(directory.Get());
  } else {
    if (errno == EMFILE || errno == ENFILE) return ErrnoStatus(errno, "open " + PercentEncode(path));
    names = ErrnoStatus(errno, "cannot be read");
  }
  if (!names.ok()) {
    entries_[index].entry.set_not_covered(MessageOf(names.status()));
    return OkStatus();
  }
  const std::string prefix = path == "/" ? path : path + "/";
  for (const std::string& child : *names)
    RETURN_IF_ERROR(Visit(directory.Get(), child, prefix + child, false));
  return OkStatus();
}

void Walker::NameHardLinks() {
  std::map<std::pair<uint64_t, uint64_t>, std::string> first;
  for (CapturedEntry& captured : entries_) {
    const std::pair<uint64_t, uint64_t> inode(captured.device, captured.inode);
    if (captured.entry.type() == "dir" || linked_.count(inode) == 0) continue;
    const auto [found, inserted] = first.emplace(inode, captured.entry.path());
    if (!inserted) captured.entry.set_hard_link(found->second);
  }
}

void Walker::Report(bool now) {
  if (!options_.progress) return;
  if (!now && progress_.entries - reported_.entries < kEntriesPerProgress &&
      progress_.bytes_hashed - reported_.bytes_hashed < kBytesPerProgress) {
    return;
  }
  reported_ = progress_;
  options_.progress(progress_);
}

std::vector<CapturedEntry> Walker::Finish() {
  std::sort(entries_.begin(), entries_.end(),
            [](const CapturedEntry& a, const CapturedEntry& b) { return a.entry.path() < b.entry.path(); });
  NameHardLinks();
  Report(true);
  return std::move(entries_);
}

}  // namespace

std::vector<std::string> NormalisePaths(const std::vector<std::string>& paths) {
  std::vector<std::string> clean;
  for (const std::string& path : paths) {
    std::string one;
    for (const std::string& part : Split(path, '/')) {
      if (!part.empty()) one += "/" + part;
    }
    clean.push_back(one.empty() ? "/" : one);
  }
  std::sort(clean.begin(), clean.end());
  std::vector<std::string> kept;
  for (const std::string& path : clean) {
    const auto covers = [&path](const std::string& other) { return IsAtOrBelow(path, other); };
    if (std::none_of(kept.begin(), kept.end(), covers)) kept.push_back(path);
  }
  return kept;
}

StatusOr<std::vector<CapturedEntry>> WalkPaths(const std::vector<std::string>& paths,
                                               const WalkOptions& options) {
  Walker walker(options);
  for (const std::string& path : NormalisePaths(paths)) RETURN_IF_ERROR(walker.WalkRoot(path));
  return walker.Finish();
}

bool IsAtOrBelow(const std::string& entry_path, const std::string& path) {
  if (path == "/") return true;
  if (entry_path.compare(0, path.size(), path) != 0) return false;
  return entry_path.size() == path.size() || entry_path[path.size()] == '/';
}

}  // namespace salvor::agent
