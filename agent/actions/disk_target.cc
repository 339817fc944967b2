#include "agent/actions/disk_target.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "agent/disk/tree.h"
#include "base/io/files.h"
#include "base/names.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr size_t kExamples = 2;

StatusOr<std::vector<std::string>> NamesIn(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR* stream = fd < 0 ? nullptr : ::fdopendir(fd);
  if (stream == nullptr) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    return ErrnoStatus(error, "read directory " + PercentEncode(path));
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
  if (error != 0) return ErrnoStatus(error, "read directory " + PercentEncode(path));
  std::sort(names.begin(), names.end());
  return names;
}

// What is at the path, in words; nothing when a restore may write there.
StatusOr<std::optional<std::string>> Occupant(const std::string& path) {
  struct stat facts {};
  if (::lstat(path.c_str(), &facts) != 0) {
    if (errno == ENOENT) return std::optional<std::string>();
    return ErrnoStatus(errno, "look at " + PercentEncode(path));
  }
  const std::string subject = "path " + PercentEncode(path) + " exists and ";
  if (!S_ISDIR(facts.st_mode)) {
    return std::optional(subject + (S_ISLNK(facts.st_mode)   ? "is a symlink"
                                    : S_ISREG(facts.st_mode) ? "is a file"
                                                             : "is no directory"));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(path));
  if (names.empty()) return std::optional<std::string>();
  std::vector<std::string> examples;
  for (size_t i = 0; i < std::min(names.size(), kExamples); ++i) examples.push_back(PercentEncode(names[i]));
  return std::optional(subject + fmt::format("holds {} {}, for example {}",
                                             WithCommas(static_cast<int64_t>(names.size())),
                                             names.size() == 1 ? "entry" : "entries", Join(examples, ", ")));
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

// "" when a directory can be made at the path.
std::string WhyNoDirectory(std::string path) {
  struct stat facts {};
  while (::stat(path.c_str(), &facts) != 0) {
    if (errno != ENOENT || path == "/") return MessageOf(ErrnoStatus(errno, PercentEncode(path)));
    path = ParentOf(path);
  }
  if (!S_ISDIR(facts.st_mode)) return PercentEncode(path) + " is no directory";
  if (::access(path.c_str(), W_OK | X_OK) != 0)
    return MessageOf(ErrnoStatus(errno, "write into " + PercentEncode(path)));
  return "";
}

}  // namespace

StatusOr<std::string> DiskPrefix(const v1::DiskTarget& target, const AgentConfig& config) {
  if (target.where_case() == v1::DiskTarget::kScratch) {
    RETURN_IF_ERROR_IN(CheckObjectName(target.scratch()), "scratch target");
    return config.state_directory + "/scratch/" + target.scratch() + "/files";
  }
  RETURN_IF_ERROR_IN(CheckAbsolutePath(target.root()), "root of the restore");
  const std::string root = NormalisePaths({target.root()}).front();
  return root == "/" ? "" : root;
}

StatusOr<std::vector<std::string>> DiskDestinations(const std::vector<std::string>& paths,
                                                    const std::string& prefix) {
  if (paths.empty()) return InvalidArgument("no paths are given");
  for (const std::string& path : paths) RETURN_IF_ERROR(CheckAbsolutePath(path));
  std::vector<std::string> destinations = NormalisePaths(paths);
  for (std::string& path : destinations) {
    if (!prefix.empty()) path = path == "/" ? prefix : prefix + path;
  }
  return destinations;
}

Status RefuseOccupied(const std::vector<std::string>& destinations) {
  std::vector<std::string> occupied;
  for (const std::string& path : destinations) {
    ASSIGN_OR_RETURN(const std::optional<std::string> occupant, Occupant(path));
    if (occupant.has_value()) occupied.push_back(*occupant);
  }
  if (occupied.empty()) return OkStatus();
  return WithHint(
      FailedPrecondition("{}", Join(occupied, "; ")),
      "Nothing was written. Move what is there out of the way, or restore below another root and compare.");
}

Status CheckParents(const std::vector<std::string>& destinations) {
  std::vector<std::string> problems;
  for (const std::string& path : destinations) {
    const std::string why = WhyNoDirectory(ParentOf(path));
    if (!why.empty()) problems.push_back(fmt::format("path {} cannot be made: {}", PercentEncode(path), why));
  }
  if (problems.empty()) return OkStatus();
  return WithHint(FailedPrecondition("{}", Join(problems, "; ")),
                  "Make the parent directories, or let the agent run as a user that may.");
}

Status ClearDestination(const std::string& path) {
  struct stat facts {};
  if (::lstat(path.c_str(), &facts) != 0) {
    return errno == ENOENT ? OkStatus() : ErrnoStatus(errno, "look at " + PercentEncode(path));
  }
  if (!S_ISDIR(facts.st_mode)) return RemoveTree(path);
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(path));
  for (const std::string& name : names) RETURN_IF_ERROR(RemoveTree((path == "/" ? "" : path) + "/" + name));
  return OkStatus();
}

std::string WithCommas(int64_t number) {
  std::string text = std::to_string(number);
  for (int i = static_cast<int>(text.size()) - 3; i > (number < 0 ? 1 : 0); i -= 3)
    text.insert(static_cast<size_t>(i), ",");
  return text;
}

}  // namespace salvor::agent
