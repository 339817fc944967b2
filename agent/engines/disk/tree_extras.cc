#include "agent/engines/disk/tree_extras.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <memory>
#include <string_view>

#include "agent/engines/disk/file_attributes.h"
#include "agent/engines/disk/guarded_path.h"
#include "agent/engines/disk/tree.h"
#include "agent/engines/disk/utf8.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using Entry = v1::TreeEntry;

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

// An entry's directory, which gets back its times when this goes: to put a name in its place moves them.
class Holder {
 public:
  static StatusOr<Holder> Of(int folder, const std::string& path) {
    ASSIGN_OR_RETURN(UniqueFd directory, OpenDirectoryBelow(folder, ParentOf(path), Missing::kIsNotFound));
    return Holder(std::move(directory), NameOf(path));
  }
  Holder(Holder&&) = default;
  ~Holder() {
    if (!directory_.Valid()) return;
    const timespec times[2] = {before_.st_atim, before_.st_mtim};
    ::utimensat(AT_FDCWD, PathOfDescriptor(directory_.Get()).c_str(), times, 0);
  }
  int Fd() const { return directory_.Get(); }
  const char* Name() const { return name_.c_str(); }

 private:
  Holder(UniqueFd directory, std::string name) : directory_(std::move(directory)), name_(std::move(name)) {
    ::fstatat(directory_.Get(), "", &before_, AT_EMPTY_PATH);
  }
  UniqueFd directory_;
  std::string name_;
  struct stat before_ {};
};

Status RestoreHoles(int folder, const std::string& path) {
  ASSIGN_OR_RETURN(const Holder holder, Holder::Of(folder, path));
  struct stat facts {};
  if (::fstatat(holder.Fd(), holder.Name(), &facts, AT_SYMLINK_NOFOLLOW) != 0)
    return ErrnoStatus(errno, "look at");
  if (!S_ISREG(facts.st_mode)) return FailedPrecondition("is no file");
  const bool is_writable = (facts.st_mode & S_IWUSR) != 0 || ::geteuid() == 0;
  if (!is_writable) return PermissionDenied("may not be written to");
  const UniqueFd file(::openat(holder.Fd(), holder.Name(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.Valid()) return ErrnoStatus(errno, "open");
  return DigHoles(file.Get());
}

Status RestoreTarget(int folder, const std::string& path, const Entry& entry) {
  ASSIGN_OR_RETURN(const Holder holder, Holder::Of(folder, path));
  struct stat facts {};
  if (::fstatat(holder.Fd(), holder.Name(), &facts, AT_SYMLINK_NOFOLLOW) != 0)
    return ErrnoStatus(errno, "look at");
  if (!S_ISLNK(facts.st_mode)) return FailedPrecondition("is no symlink");
  const std::string target = PercentDecode(entry.target()).value_or("");
  if (::unlinkat(holder.Fd(), holder.Name(), 0) != 0) return ErrnoStatus(errno, "replace");
  if (::symlinkat(target.c_str(), holder.Fd(), holder.Name()) != 0) return ErrnoStatus(errno, "make symlink");
  if (::fchownat(holder.Fd(), holder.Name(), facts.st_uid, facts.st_gid, AT_SYMLINK_NOFOLLOW) != 0)
    return ErrnoStatus(errno, "set owner");
  const timespec times[2] = {facts.st_atim, facts.st_mtim};
  if (::utimensat(holder.Fd(), holder.Name(), times, AT_SYMLINK_NOFOLLOW) != 0)
    return ErrnoStatus(errno, "set times");
  return OkStatus();
}

Status RestoreHardLink(int folder, const std::string& path, const std::string& first) {
  ASSIGN_OR_RETURN(const Holder fellow, Holder::Of(folder, first));
  ASSIGN_OR_RETURN(const Holder holder, Holder::Of(folder, path));
  struct stat original {
  }, copy{};
  if (::fstatat(fellow.Fd(), fellow.Name(), &original, AT_SYMLINK_NOFOLLOW) != 0 ||
      ::fstatat(holder.Fd(), holder.Name(), &copy, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, "look at");
  }
  if (original.st_dev == copy.st_dev && original.st_ino == copy.st_ino) return OkStatus();
  if ((original.st_mode & S_IFMT) != (copy.st_mode & S_IFMT)) return FailedPrecondition("is of another type");
  if (::unlinkat(holder.Fd(), holder.Name(), 0) != 0) return ErrnoStatus(errno, "replace");
  if (::linkat(fellow.Fd(), fellow.Name(), holder.Fd(), holder.Name(), 0) != 0)
    return ErrnoStatus(errno, "link");
  return OkStatus();
}

std::string Plain(const std::string& encoded) { return PercentDecode(encoded).value_or(encoded); }

bool IsLinkRestored(const Entry& entry) {
  return entry.type() != "file" && entry.type() != "dir" && entry.type() != "socket" &&
         !entry.hard_link().empty();
}

bool IsTargetRestored(const Entry& entry) {
  return entry.type() == "symlink" && !IsUtf8(Plain(entry.target()));
}

// Sorts from the last path to the first: no path has a zero byte, so none of these has the byte at its end.
std::string ReversingKey(const std::string& path) {
  std::string key = path;
  for (char& c : key) c = static_cast<char>(~c);
  return key + '\xff';
}

// The entries at and below `path`.
Status ForEach(const SortedSpool& spool, const std::string& path,
               const std::function<Status(const Entry&)>& each) {
  const std::unique_ptr<SpoolCursor> cursor = spool.Read();
  Entry entry;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, cursor->Next());
    if (!more) return OkStatus();
    const std::string_view bytes = cursor->Value();
    if (!entry.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
      return Internal("an entry cannot be read back from the agent's state directory");
    if (IsAtOrBelow(Plain(entry.path()), path)) RETURN_IF_ERROR(each(entry));
  }
}

}  // namespace

Status TreeExtras::Collect(const TreeSource& tree) {
  ASSIGN_OR_RETURN(const std::unique_ptr<TreeStream> stream, tree.read());
  Entry entry;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, stream->Next(&entry));
    if (!more) break;
    if (!entry.not_covered().empty()) continue;
    if (entry.allocated_bytes() > 0 || IsLinkRestored(entry) || IsTargetRestored(entry))
      RETURN_IF_ERROR(extras_.Add(entry.path(), entry.SerializeAsString()));
    if (!entry.attributes().empty())
      RETURN_IF_ERROR(attributes_.Add(ReversingKey(entry.path()), entry.SerializeAsString()));
  }
  RETURN_IF_ERROR(extras_.Seal());
  return attributes_.Seal();
}

Status TreeExtras::Restore(int folder, const std::string& path, const std::stop_token& stop,
                           NamedFew* warnings) const {
  const auto note = [&](const Entry& entry, const char* what, const Status& status) {
    if (!status.ok())
      warnings->Add(fmt::format("{}: {} could not be restored: {}", entry.path(), what, MessageOf(status)));
  };
  return ForEach(extras_, path, [&](const Entry& entry) -> Status {
    if (stop.stop_requested()) return Cancelled("stopped while restoring what restic does not restore");
    const std::string place = Plain(entry.path());
    if (entry.allocated_bytes() > 0) note(entry, "holes", RestoreHoles(folder, place));
    if (IsLinkRestored(entry)) {
      note(entry, "hard link", RestoreHardLink(folder, place, Plain(entry.hard_link())));
    } else if (IsTargetRestored(entry)) {
      note(entry, "target", RestoreTarget(folder, place, entry));
    }
    return OkStatus();
  });
}

Status TreeExtras::RestoreAttributes(int parent, const std::string& name, const std::string& path,
                                     NamedFew* warnings) const {
  const auto set = [&](const Entry& entry) -> Status {
    const std::string copy = name + Plain(entry.path()).substr(path == "/" ? 0 : path.size());
    ASSIGN_OR_RETURN(const UniqueFd directory,
                     OpenDirectoryBelow(parent, ParentOf(copy), Missing::kIsNotFound));
    const UniqueFd file(
        ::openat(directory.Get(), NameOf(copy).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file.Valid()) return ErrnoStatus(errno, "open");
    return SetAttributes(file.Get(), entry.attributes());
  };
  // The entries are done from the end: nothing is set on a directory before all in it is done.
  return ForEach(attributes_, path, [&](const Entry& entry) -> Status {
    if (const Status status = set(entry); !status.ok())
      warnings->Add(fmt::format("{}: attributes {} could not be restored: {}", entry.path(),
                                entry.attributes(), MessageOf(status)));
    return OkStatus();
  });
}

}  // namespace salvor::agent
