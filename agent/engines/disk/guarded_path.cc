#include "agent/engines/disk/guarded_path.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <vector>

#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr int kDirectory = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr int kMostSymlinks = 40;

bool IsOurs(uid_t owner) { return owner == 0 || owner == ::geteuid(); }

// Walks down from a directory; `way` is what was walked, for messages.
class Descent {
 public:
  Descent(UniqueFd start, std::string way, bool follow_trusted, Missing missing)
      : at_(std::move(start)), way_(std::move(way)), follow_trusted_(follow_trusted), missing_(missing) {}

  StatusOr<UniqueFd> Go(std::string_view path) {
    Push(path);
    while (!left_.empty()) {
      const std::string name = std::move(left_.front());
      left_.pop_front();
      RETURN_IF_ERROR(Step(name));
    }
    return std::move(at_);
  }

 private:
  void Push(std::string_view path) {
    std::deque<std::string> parts;
    for (std::string& part : Split(path, '/')) {
      if (!part.empty() && part != ".") parts.push_back(std::move(part));
    }
    left_.insert(left_.begin(), parts.begin(), parts.end());
  }

  Status Step(const std::string& name) {
    const std::string here = way_ + "/" + name;
    struct stat facts {};
    if (::fstatat(at_.Get(), name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno != ENOENT) return ErrnoStatus(errno, CleanText(here));
      if (missing_ == Missing::kIsNotFound) return NotFound("{} does not exist", CleanText(here));
      if (::mkdirat(at_.Get(), name.c_str(), 0755) != 0 && errno != EEXIST)
        return ErrnoStatus(errno, "create directory " + CleanText(here));
    } else if (S_ISLNK(facts.st_mode)) {
      return Follow(name, here, facts);
    } else if (!S_ISDIR(facts.st_mode)) {
      return FailedPrecondition("{} is no directory", CleanText(here));
    }
    UniqueFd next(::openat(at_.Get(), name.c_str(), kDirectory));
    if (!next.Valid()) return ErrnoStatus(errno, "open " + CleanText(here));
    at_ = std::move(next);
    way_ = here;
    return OkStatus();
  }

  Status Follow(const std::string& name, const std::string& here, const struct stat& link) {
    if (!follow_trusted_) return Refuse(here, "");
    struct stat holder {};
    if (::fstatat(at_.Get(), "", &holder, AT_EMPTY_PATH) != 0)
      return ErrnoStatus(errno, "look at " + CleanText(way_));
    const bool others_write = (holder.st_mode & 022) != 0 && (holder.st_mode & S_ISVTX) == 0;
    if (!IsOurs(link.st_uid) || !IsOurs(holder.st_uid) || others_write)
      return Refuse(here, ", which somebody else can change");
    if (++followed_ > kMostSymlinks) return ErrnoStatus(ELOOP, CleanText(here));
    std::string target(4096, '\0');
    const ssize_t size = ::readlinkat(at_.Get(), name.c_str(), target.data(), target.size());
    if (size < 0) return ErrnoStatus(errno, "read symlink " + CleanText(here));
    target.resize(static_cast<size_t>(size));
    if (!target.empty() && target.front() == '/') {
      at_ = UniqueFd(::open("/", kDirectory));
      if (!at_.Valid()) return ErrnoStatus(errno, "open /");
      way_.clear();
    }
    Push(target);
    return OkStatus();
  }

  static Status Refuse(const std::string& here, const std::string& why) {
    return WithHint(
        FailedPrecondition("{} is a symlink{}: it is not followed", CleanText(here), why),
        "Remove the symlink, or restore below a folder into which only root, or the agent's user, can write.");
  }

  UniqueFd at_;
  std::string way_;
  bool follow_trusted_;
  Missing missing_;
  std::deque<std::string> left_;
  int followed_ = 0;
};

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

Status RemoveBelow(int directory, const std::string& name, dev_t device) {
  struct stat facts {};
  if (::fstatat(directory, name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0)
    return errno == ENOENT ? OkStatus() : ErrnoStatus(errno, "look at " + CleanText(name));
  if (!S_ISDIR(facts.st_mode)) {
    if (::unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) return OkStatus();
    return ErrnoStatus(errno, "remove " + CleanText(name));
  }
  if (facts.st_dev != device)
    return FailedPrecondition("another file system is mounted on {}", CleanText(name));
  const UniqueFd inside(::openat(directory, name.c_str(), kDirectory));
  if (!inside.Valid()) return ErrnoStatus(errno, "open " + CleanText(name));
  ::chmod(PathOfDescriptor(inside.Get()).c_str(),
          0700);  // of no use where it fails: the removal then says so
  ASSIGN_OR_RETURN_IN(const std::vector<std::string> names, NamesIn(inside.Get()), CleanText(name));
  for (const std::string& child : names) RETURN_IF_ERROR(RemoveBelow(inside.Get(), child, device));
  if (::unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return OkStatus();
  return ErrnoStatus(errno, "remove " + CleanText(name));
}

}  // namespace

StatusOr<std::vector<std::string>> NamesIn(int directory) {
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
  const int error = errno;  // else a directory that can't be read would look like one that ends here
  ::closedir(stream);
  if (error != 0) return ErrnoStatus(error, "read directory");
  return names;
}

StatusOr<UniqueFd> OpenTrustedDirectory(const std::string& path, Missing missing) {
  UniqueFd root(::open("/", kDirectory));
  if (!root.Valid()) return ErrnoStatus(errno, "open /");
  return Descent(std::move(root), "", true, missing).Go(path);
}

StatusOr<UniqueFd> OpenDirectoryBelow(int directory, std::string_view relative, Missing missing) {
  UniqueFd start(::openat(directory, ".", kDirectory));
  if (!start.Valid()) return ErrnoStatus(errno, "open directory");
  return Descent(std::move(start), "", false, missing).Go(relative);
}

StatusOr<UniqueFd> OpenParentBelow(const std::string& root, const std::string& path, Missing missing) {
  const std::string parent = ParentOf(path);
  if (root.empty() || path == root) return OpenTrustedDirectory(parent, missing);
  ASSIGN_OR_RETURN(UniqueFd start, OpenTrustedDirectory(root, missing));
  return Descent(std::move(start), root, false, missing).Go(parent.substr(root.size()));
}

bool IsMountRoot(int directory) {
  struct statx facts {};
  if (::statx(directory, "", AT_EMPTY_PATH, STATX_TYPE, &facts) != 0) return false;
  if ((facts.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0)
    return (facts.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  struct statx parent {};
  return ::statx(directory, "..", 0, STATX_TYPE, &parent) == 0 &&
         (parent.stx_dev_major != facts.stx_dev_major || parent.stx_dev_minor != facts.stx_dev_minor);
}

std::string NameOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  return name.empty() ? "." : name;
}

std::string PathOfDescriptor(int fd) { return fmt::format("/proc/{}/fd/{}", ::getpid(), fd); }

Status RemoveTreeAt(int directory, const std::string& name) {
  struct stat facts {};
  if (::fstatat(directory, name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0)
    return errno == ENOENT ? OkStatus() : ErrnoStatus(errno, "look at " + CleanText(name));
  return RemoveBelow(directory, name, facts.st_dev);
}

}  // namespace salvor::agent
