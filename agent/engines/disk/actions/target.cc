#include "agent/engines/disk/actions/target.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "agent/engines/disk/tree.h"
#include "agent/scratch/scratch_places.h"
#include "base/io/files.h"
#include "base/names.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr size_t kExamples = 2;

// The names in a directory, in order, without what a file system keeps for itself at its own root.
StatusOr<std::vector<std::string>> EntriesOf(int parent, const std::string& name) {
  const UniqueFd directory(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory.Valid()) return ErrnoStatus(errno, "read directory");
  ASSIGN_OR_RETURN(std::vector<std::string> names, NamesIn(directory.Get()));
  struct stat facts {};
  const auto kept = std::find(names.begin(), names.end(), "lost+found");
  if (kept != names.end() && IsMountRoot(directory.Get()) &&
      ::fstatat(directory.Get(), kept->c_str(), &facts, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(facts.st_mode)) {
    names.erase(kept);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Describes what is at the path; nothing when a restore may write there.
StatusOr<std::optional<std::string>> Occupant(int parent, const std::string& path,
                                              const std::vector<std::string>& ours) {
  const std::string name = NameOf(path);
  struct stat facts {};
  if (::fstatat(parent, name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return std::optional<std::string>();
    return ErrnoStatus(errno, "look at " + CleanText(path));
  }
  const std::string subject = "path " + CleanText(path) + " exists and ";
  if (!S_ISDIR(facts.st_mode)) {
    return std::optional(subject + (S_ISLNK(facts.st_mode)   ? "is a symlink"
                                    : S_ISREG(facts.st_mode) ? "is a file"
                                                             : "is no directory"));
  }
  ASSIGN_OR_RETURN_IN(std::vector<std::string> names, EntriesOf(parent, name), CleanText(path));
  const auto is_ours = [&](const std::string& one) {
    return std::find(ours.begin(), ours.end(), one) != ours.end();
  };
  names.erase(std::remove_if(names.begin(), names.end(), is_ours), names.end());
  if (names.empty()) return std::optional<std::string>();
  std::vector<std::string> examples;
  for (size_t i = 0; i < std::min(names.size(), kExamples); ++i) examples.push_back(CleanText(names[i]));
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
    if (errno != ENOENT || path == "/") return MessageOf(ErrnoStatus(errno, CleanText(path)));
    path = ParentOf(path);
  }
  if (!S_ISDIR(facts.st_mode)) return CleanText(path) + " is no directory";
  if (::access(path.c_str(), W_OK | X_OK) != 0)
    return MessageOf(ErrnoStatus(errno, "write into " + CleanText(path)));
  return "";
}

}  // namespace

StatusOr<std::string> DiskPrefix(const v1::DiskTarget& target, const AgentConfig& config) {
  if (target.where_case() == v1::DiskTarget::kScratch) {
    RETURN_IF_ERROR_IN(CheckObjectName(target.scratch()), "scratch target");
    return ScratchPlaces::FilesDirectory(config.state_directory, target.scratch());
  }
  RETURN_IF_ERROR_IN(CheckAbsolutePath(target.root()), "root of the restore");
  const std::string root = NormalisePaths({target.root()}).front();
  return root == "/" ? "" : root;
}

StatusOr<std::vector<DiskPlace>> DiskPlaces(const DiskPathList& paths,
                                            const DiskDestinationList& destinations,
                                            const std::string& prefix) {
  if (paths.empty()) return InvalidArgument("no paths are given");
  std::map<std::string, std::string> declared;
  for (const v1::DiskDestination& one : destinations) {
    RETURN_IF_ERROR(CheckAbsolutePath(one.path()));
    RETURN_IF_ERROR(CheckAbsolutePath(one.destination()));
    declared[NormalisePaths({one.path()}).front()] = NormalisePaths({one.destination()}).front();
  }
  for (const std::string& path : paths) RETURN_IF_ERROR(CheckAbsolutePath(path));
  std::vector<DiskPlace> places;
  for (const std::string& path : NormalisePaths({paths.begin(), paths.end()})) {
    const auto found = declared.find(path);
    const std::string destination = found == declared.end() ? path : found->second;
    for (const DiskPlace& other : places) {
      const std::string earlier = other.destination;
      const std::string later = prefix + (destination == "/" && !prefix.empty() ? "" : destination);
      if (IsAtOrBelow(earlier, later) || IsAtOrBelow(later, earlier)) {
        return InvalidArgument("{} and {} would both be restored to {}", CleanText(other.path),
                               CleanText(path), CleanText(later));
      }
    }
    places.push_back({path, prefix.empty()       ? destination
                            : destination == "/" ? prefix
                                                 : prefix + destination});
  }
  return places;
}

Status RefuseOccupied(const std::vector<DiskPlace>& places, const std::string& prefix,
                      const std::vector<std::string>& ours) {
  std::vector<std::string> occupied;
  for (const DiskPlace& place : places) {
    const StatusOr<UniqueFd> parent = OpenParentBelow(prefix, place.destination, Missing::kIsNotFound);
    if (parent.status().code() == absl::StatusCode::kNotFound) continue;
    RETURN_IF_ERROR(parent.status());
    ASSIGN_OR_RETURN(const std::optional<std::string> occupant,
                     Occupant(parent->Get(), place.destination, ours));
    if (occupant.has_value()) occupied.push_back(*occupant);
  }
  if (occupied.empty()) return OkStatus();
  return WithHint(
      FailedPrecondition("{}", Join(occupied, "; ")),
      "Nothing was written. Move what is there out of the way, or restore below another root and compare.");
}

Status CheckParents(const std::vector<DiskPlace>& places) {
  std::vector<std::string> problems;
  for (const DiskPlace& place : places) {
    const std::string why = WhyNoDirectory(ParentOf(place.destination));
    if (!why.empty())
      problems.push_back(fmt::format("path {} cannot be made: {}", CleanText(place.destination), why));
  }
  if (problems.empty()) return OkStatus();
  return WithHint(FailedPrecondition("{}", Join(problems, "; ")),
                  "Make the parent directories, or let the agent run as a user that may.");
}

std::string WithCommas(int64_t number) {
  std::string text = std::to_string(number);
  for (int i = static_cast<int>(text.size()) - 3; i > (number < 0 ? 1 : 0); i -= 3)
    text.insert(static_cast<size_t>(i), ",");
  return text;
}

}  // namespace salvor::agent
