#include "agent/engines/disk/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "agent/engines/disk/digest_table.h"
#include "agent/engines/disk/file_attributes.h"
#include "agent/engines/disk/file_digest.h"
#include "agent/engines/disk/guarded_path.h"
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

// Deeper than this a walk may run out of descriptors by itself.
constexpr int kDeepWalk = 200;

// The rest of a longer directory is read when these have been walked.
constexpr size_t kItemsAtOnce = 4096;

// Whether nanoseconds since 1970 hold it: from 1677 to 2262. restic counts in them too, and restores another time.
bool FitsNanoseconds(const timespec& time) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / kNanosecondsPerSecond - 1;
  return time.tv_sec <= kMost && time.tv_sec >= -kMost;
}

int64_t Nanoseconds(const timespec& time) {
  if (!FitsNanoseconds(time))
    return time.tv_sec > 0 ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int64_t>::min();
  return time.tv_sec * kNanosecondsPerSecond + time.tv_nsec;
}

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

DigestTable::File StateOf(const struct stat& facts) {
  return {facts.st_dev, facts.st_ino, Nanoseconds(facts.st_ctim), facts.st_size};
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
    if (length < 0) return ErrnoStatus(errno, "read extended attribute " + CleanText(name));
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

struct DirectoryItem {
  std::string name;
  unsigned char type;  // of dirent.h
};

// Reads what is in a directory, some of it at a time. The part that was read before an error stands.
class DirectoryItems {
 public:
  explicit DirectoryItems(int directory) {
    // An own description: fdopendir takes what it gets, and its position.
    const int copy = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    stream_ = copy < 0 ? nullptr : ::fdopendir(copy);
    if (stream_ != nullptr) return;
    error_ = errno;
    if (copy >= 0) ::close(copy);
  }
  DirectoryItems(const DirectoryItems&) = delete;
  DirectoryItems& operator=(const DirectoryItems&) = delete;
  ~DirectoryItems() { Close(); }

  // Adds at most so many.
  Status Read(size_t most, std::vector<DirectoryItem>* items) {
    for (size_t count = 0; stream_ != nullptr && count < most;) {
      errno = 0;
      const dirent* item = ::readdir(stream_);
      if (item == nullptr) {
        error_ = errno;
        Close();
        break;
      }
      const std::string_view name = item->d_name;
      if (name == "." || name == "..") continue;
      items->push_back({std::string(name), item->d_type});
      ++count;
    }
    return error_ == 0 ? OkStatus() : ErrnoStatus(error_, "read directory");
  }
  bool AtEnd() const { return stream_ == nullptr; }

 private:
  void Close() {
    if (stream_ != nullptr) ::closedir(stream_);
    stream_ = nullptr;
  }

  DIR* stream_ = nullptr;
  int error_ = 0;
};

// The type, in the directory's words, of what cannot be looked at itself.
const char* TypeNameOf(unsigned char type) { return type == DT_UNKNOWN ? "unknown" : TypeName(DTTOIF(type)); }

// A directory that mkfs made and that only fsck writes into.
bool IsUnusedLostAndFound(int parent, const std::string& name, const struct stat& facts) {
  if (name != "lost+found" || !S_ISDIR(facts.st_mode) || facts.st_uid != 0 || !IsMountRoot(parent))
    return false;
  const UniqueFd directory(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory.Valid()) return errno == EACCES;
  std::vector<DirectoryItem> items;
  return DirectoryItems(directory.Get()).Read(1, &items).ok() && items.empty();
}

class Walker {
 public:
  Walker(const WalkOptions& options, const SpoolFolder& folder, const EntrySink& each)
      : options_(options), each_(each), digests_(folder) {}

  Status WalkRoot(const std::string& path);
  void Finish() { Report(true); }

 private:
  StatusOr<UniqueFd> OpenParent(const std::string& path) const;
  Status Visit(int parent, const DirectoryItem& item, const std::string& path, bool is_root);
  Status AddUnseen(const DirectoryItem& item, const std::string& path, const Status& why);
  bool IsLeftOut(int parent, const std::string& name, const std::string& path, const struct stat& facts);
  void LeaveOut(LeftOut why, const std::string& path);
  StatusOr<bool> Look(int parent, const std::string& name, struct stat* facts, bool is_root);
  CapturedEntry Describe(const std::string& path, const struct stat& facts, bool is_left_out_mount) const;
  Status Fill(int parent, const std::string& name, const struct stat& facts, v1::TreeEntry* entry);
  StatusOr<UniqueFd> OpenSettled(int parent, const std::string& name, const struct stat& facts) const;
  Status Hash(int parent, const std::string& name, const struct stat& facts, v1::TreeEntry* entry);
  Status Descend(int parent, const std::string& name, const std::string& path, CapturedEntry captured);
  Status Give(CapturedEntry captured);
  void Report(bool now);

  const WalkOptions& options_;
  const EntrySink& each_;
  Status failed_ = OkStatus();  // of the agent's own: it ends the walk, and is no fault of an entry
  dev_t device_ = 0;            // of the declared path
  int depth_ = 0;
  DigestTable digests_;  // of files with several names: hashed once
  WalkProgress progress_;
  WalkProgress reported_;
};

StatusOr<UniqueFd> Walker::OpenParent(const std::string& path) const {
  if (options_.root.has_value()) return OpenParentBelow(*options_.root, path, Missing::kIsNotFound);
  const size_t slash = path.rfind('/');
  const std::string parent = slash == 0 ? "/" : path.substr(0, slash);
  UniqueFd directory(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.Valid()) return ErrnoStatus(errno == ENOTDIR ? ENOENT : errno, "open " + CleanText(parent));
  return directory;
}

Status Walker::WalkRoot(const std::string& path) {
  RETURN_IF_ERROR(CheckAbsolutePath(path));
  if (path == "/") return Visit(AT_FDCWD, {"/", DT_DIR}, "/", true);
  const StatusOr<UniqueFd> directory = OpenParent(path);
  if (directory.status().code() == absl::StatusCode::kNotFound && options_.missing_is_fine) return OkStatus();
  RETURN_IF_ERROR(directory.status());
  return Visit(directory->Get(), {NameOf(path), DT_UNKNOWN}, path, true);
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

void Walker::LeaveOut(LeftOut why, const std::string& path) {
  if (options_.on_left_out) options_.on_left_out(why, path);
}

// A directory on another file system is an entry all the same: it is what something is mounted on.
bool Walker::IsLeftOut(int parent, const std::string& name, const std::string& path,
                       const struct stat& facts) {
  if (IsUnusedLostAndFound(parent, name, facts)) {
    LeaveOut(LeftOut::kLostAndFound, path);
    return true;
  }
  if (!options_.one_file_system || facts.st_dev == device_) return false;
  LeaveOut(LeftOut::kMount, path);
  return !S_ISDIR(facts.st_mode);
}

Status Walker::Give(CapturedEntry captured) {
  RETURN_IF_ERROR(each_(std::move(captured)));
  ++progress_.entries;
  Report(false);
  return OkStatus();
}

// One entry that nobody can look at (a mount whose server is gone) is one entry.
Status Walker::AddUnseen(const DirectoryItem& item, const std::string& path, const Status& why) {
  CapturedEntry captured;
  captured.entry.set_path(PercentEncode(path));
  captured.entry.set_type(TypeNameOf(item.type));
  captured.entry.set_not_covered(MessageOf(why));
  return Give(std::move(captured));
}

CapturedEntry Walker::Describe(const std::string& path, const struct stat& facts,
                               bool is_left_out_mount) const {
  CapturedEntry captured;
  captured.device = facts.st_dev;
  captured.inode = facts.st_ino;
  captured.ctime_ns = Nanoseconds(facts.st_ctim);
  captured.has_several_names = !S_ISDIR(facts.st_mode) && facts.st_nlink > 1;
  v1::TreeEntry& entry = captured.entry;
  entry.set_path(PercentEncode(path));
  entry.set_type(TypeName(facts.st_mode));
  entry.set_mode(static_cast<int32_t>(facts.st_mode & 07777));
  entry.set_uid(facts.st_uid);
  entry.set_gid(facts.st_gid);
  entry.set_bytes(S_ISREG(facts.st_mode) ? facts.st_size : 0);
  entry.set_mtime_ns(Nanoseconds(facts.st_mtim));
  entry.set_mtime_unknown(!FitsNanoseconds(facts.st_mtim));
  if (is_left_out_mount) {
    // The file system that is mounted there works on, and its times with it: nothing is promised of them.
    captured.ctime_ns = 0;
    entry.set_mtime_ns(0);
    entry.set_mtime_unknown(true);
  }
  return captured;
}

Status Walker::Visit(int parent, const DirectoryItem& item, const std::string& path, bool is_root) {
  if (!is_root && options_.exclude.Excludes(path)) {
    LeaveOut(LeftOut::kExcluded, path);
    return OkStatus();
  }
  const std::string& name = item.name;
  struct stat facts {};
  const StatusOr<bool> there = Look(parent, name, &facts, is_root);
  if (!there.ok() && (is_root || there.status().code() == absl::StatusCode::kCancelled))
    return WithContext(there.status(), CleanText(path));
  if (!there.ok()) return AddUnseen(item, path, there.status());
  if (!*there) return OkStatus();
  if (is_root) device_ = facts.st_dev;
  if (!is_root && IsLeftOut(parent, name, path, facts)) return OkStatus();
  const bool is_left_out_mount = options_.one_file_system && facts.st_dev != device_;
  CapturedEntry captured = Describe(path, facts, is_left_out_mount);
  Status filled = Fill(parent, name, facts, &captured.entry);
  RETURN_IF_ERROR(failed_);
  if (filled.code() == absl::StatusCode::kCancelled) return filled;
  if (!filled.ok()) captured.entry.set_not_covered(MessageOf(filled));
  const bool enter = S_ISDIR(facts.st_mode) && !is_left_out_mount;
  return enter ? Descend(parent, name, path, std::move(captured)) : Give(std::move(captured));
}

Status Walker::Fill(int parent, const std::string& name, const struct stat& facts, v1::TreeEntry* entry) {
  if (!options_.hash) return OkStatus();
  if (S_ISLNK(facts.st_mode)) {
    ASSIGN_OR_RETURN(const std::string target, ReadLink(parent, name));
    entry->set_target(PercentEncode(target));
    return OkStatus();
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> xattrs,
                   ReadXattrs(name == "/" ? name : ProcPath(parent, name)));
  for (const std::string& xattr : xattrs) entry->add_xattrs(xattr);
  return S_ISREG(facts.st_mode) ? Hash(parent, name, facts, entry) : OkStatus();
}

// The file, open, with nothing of it waiting to be written back: what a program writes into its memory map after
// this moves the file's change time, which it does not do while the page still waits.
StatusOr<UniqueFd> Walker::OpenSettled(int parent, const std::string& name, const struct stat& facts) const {
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  UniqueFd file(::openat(parent, name.c_str(), kFlags | O_NOATIME));
  if (!file.Valid() && errno == EPERM) file = UniqueFd(::openat(parent, name.c_str(), kFlags));
  if (!file.Valid()) return ErrnoStatus(errno, "cannot be read");
  // A file system that has nothing to write back refuses; any other error shows when the file is read.
  ::sync_file_range(file.Get(), 0, 0,
                    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
  struct stat settled {};
  if (::fstat(file.Get(), &settled) != 0) return ErrnoStatus(errno, "look at");
  if (!SameState(facts, settled)) return Aborted("changed while it was read");
  return file;
}

Status Walker::Hash(int parent, const std::string& name, const struct stat& facts, v1::TreeEntry* entry) {
  struct stat after {};
  ASSIGN_OR_RETURN(const UniqueFd file, OpenSettled(parent, name, facts));
  entry->set_attributes(AttributesOf(file.Get()));
  entry->set_allocated_bytes(AllocatedBytesWithHoles(file.Get(), facts));
  if (facts.st_nlink > 1) {
    const auto known = digests_.Find(StateOf(facts));
    if (!known.ok()) return failed_ = known.status();
    if (known->has_value()) {
      entry->set_sha256(ToHex(**known));
      return OkStatus();
    }
  }
  ASSIGN_OR_RETURN(const std::string digest,
                   DigestOfFile(file.Get(), facts.st_size, options_.stop, [&](int64_t bytes) {
                     progress_.bytes_hashed += bytes;
                     Report(false);
                   }));
  if (::fstat(file.Get(), &after) != 0) return ErrnoStatus(errno, "look at");
  if (!SameState(facts, after)) return Aborted("changed while it was read");
  entry->set_sha256(ToHex(digest));
  if (facts.st_nlink > 1) failed_ = digests_.Put(StateOf(facts), digest);
  return failed_;
}

Status Walker::Descend(int parent, const std::string& name, const std::string& path, CapturedEntry captured) {
  const UniqueFd directory(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory.Valid()) {
    const bool too_many = errno == EMFILE || errno == ENFILE;
    if (too_many && depth_ < kDeepWalk) return ErrnoStatus(errno, "open " + CleanText(path));
    captured.entry.set_not_covered(MessageOf(ErrnoStatus(errno, "cannot be read")));
    return Give(std::move(captured));
  }
  if (options_.hash) captured.entry.set_attributes(AttributesOf(directory.Get()));
  const std::string prefix = path == "/" ? path : path + "/";
  DirectoryItems in_it(directory.Get());
  std::vector<DirectoryItem> items;
  ++depth_;
  do {
    items.clear();
    const Status status = in_it.Read(kItemsAtOnce, &items);
    if (!status.ok()) captured.entry.set_not_covered(MessageOf(status));
    // The directory is given when it is known whether all of it could be read.
    if (in_it.AtEnd()) RETURN_IF_ERROR(Give(captured));
    for (const DirectoryItem& child : items)
      RETURN_IF_ERROR(Visit(directory.Get(), child, prefix + child.name, false));
  } while (!in_it.AtEnd());
  --depth_;
  return OkStatus();
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

Status WalkPaths(const std::vector<std::string>& paths, const WalkOptions& options, const SpoolFolder& folder,
                 const EntrySink& each) {
  Walker walker(options, folder, each);
  for (const std::string& path : NormalisePaths(paths)) RETURN_IF_ERROR(walker.WalkRoot(path));
  walker.Finish();
  return OkStatus();
}

bool IsAtOrBelow(const std::string& entry_path, const std::string& path) {
  if (path == "/") return true;
  if (entry_path.compare(0, path.size(), path) != 0) return false;
  return entry_path.size() == path.size() || entry_path[path.size()] == '/';
}

}  // namespace salvor::agent
