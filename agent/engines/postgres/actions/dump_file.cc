#include "agent/engines/postgres/actions/dump_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "agent/engines/disk/guarded_path.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr char kHint[] =
    "Somebody else makes or moves things in the dump directory. Remove them, or name a directory into which only the "
    "agent writes.";

}  // namespace

DumpFile::DumpFile(std::string directory, std::string folder, std::string name)
    : directory_(std::move(directory)), folder_(std::move(folder)), name_(std::move(name)) {}

DumpFile::~DumpFile() {
  if (!inside_.Valid()) return;
  ::unlinkat(inside_.Get(), name_.c_str(), 0);
  // Fails while another dump of this run is there, and where the name leads elsewhere by now.
  ::unlinkat(parent_.Get(), folder_.c_str(), AT_REMOVEDIR);
}

Status DumpFile::OpenFolder() {
  auto inside = OpenDirectoryBelow(parent_.Get(), folder_, Missing::kIsNotFound);
  if (!inside.ok()) {  // whose hint is for who restores
    return WithHint(MakeStatus(inside.status().code(),
                               fmt::format("dump directory {}: {}", directory_, MessageOf(inside.status()))),
                    kHint);
  }
  inside_ = *std::move(inside);
  return OkStatus();
}

Status DumpFile::Remove() {
  auto parent = OpenTrustedDirectory(directory_, Missing::kIsNotFound);
  if (parent.status().code() == absl::StatusCode::kNotFound) return OkStatus();
  ASSIGN_OR_RETURN(parent_, std::move(parent));
  const Status opened = OpenFolder();  // the destructor does the rest
  return opened.code() == absl::StatusCode::kNotFound ? OkStatus() : opened;
}

StatusOr<UniqueFd> DumpFile::Create() {
  ASSIGN_OR_RETURN(parent_, OpenTrustedDirectory(directory_, Missing::kIsNotFound));
  if (::mkdirat(parent_.Get(), folder_.c_str(), 0700) != 0 && errno != EEXIST)
    return ErrnoStatus(errno, "create " + directory_ + "/" + folder_);
  RETURN_IF_ERROR(OpenFolder());
  if (::unlinkat(inside_.Get(), name_.c_str(), 0) != 0 && errno != ENOENT)
    return ErrnoStatus(errno, "remove " + Path());
  UniqueFd file(
      ::openat(inside_.Get(), name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.Valid()) return ErrnoStatus(errno, "create " + Path());
  file_ = UniqueFd(::fcntl(file.Get(), F_DUPFD_CLOEXEC, 3));
  if (!file_.Valid()) return ErrnoStatus(errno, "keep " + Path());
  if (Status refused = CheckFolder(); !refused.ok()) {
    ::unlinkat(inside_.Get(), name_.c_str(), 0);
    inside_.Reset();
    return refused;
  }
  return file;
}

// The file tells it, which is ours whatever the file system makes of our user id.
Status DumpFile::CheckFolder() const {
  struct stat folder {
  }, file{};
  if (::fstat(inside_.Get(), &folder) != 0 || ::fstat(file_.Get(), &file) != 0)
    return ErrnoStatus(errno, "look at " + Path());
  if (folder.st_uid == file.st_uid && (folder.st_mode & 022) == 0) return OkStatus();
  return WithHint(FailedPrecondition("{}/{} is not the agent's own: it belongs to user id {}, mode {:o}",
                                     directory_, folder_, folder.st_uid, folder.st_mode & 07777),
                  kHint);
}

Status DumpFile::Sync() const {
  if (::fsync(file_.Get()) != 0) return ErrnoStatus(errno, "write " + Path());
  const UniqueFd folder(::openat(inside_.Get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.Valid() || ::fsync(folder.Get()) != 0) return ErrnoStatus(errno, "write " + Path());
  return CheckPath();
}

Status DumpFile::CheckPath() const {
  struct stat written {
  }, named{};
  if (::fstat(file_.Get(), &written) != 0) return ErrnoStatus(errno, "look at " + Path());
  if (::lstat(Path().c_str(), &named) == 0 && written.st_dev == named.st_dev &&
      written.st_ino == named.st_ino)
    return OkStatus();
  return WithHint(Aborted("{} is no longer the file that was written", Path()), kHint);
}

}  // namespace salvor::agent
