#include "agent/engines/disk/actions/staging.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace salvor::agent {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kFolderName[] = ".salvor-restore-";
constexpr const char* kPhases[] = {"none", "writing", "placing", "restored"};

InodeId IdOf(const struct stat& facts) { return {facts.st_dev, facts.st_ino}; }
bool Same(const InodeId& a, const InodeId& b) { return a.device == b.device && a.inode == b.inode; }

Status MoveFailed(int error, const std::string& destination) {
  if (error == EEXIST || error == ENOTEMPTY || error == ENOTDIR || error == EISDIR) {
    return WithHint(FailedPrecondition("something has appeared at {} while its copy was restored",
                                       CleanText(destination)),
                    "Move what is there out of the way, then restore again.");
  }
  return ErrnoStatus(error, "move into place " + CleanText(destination));
}

// Onto nothing. A file system that cannot promise it is asked first.
int RenameOntoNothing(int from, const std::string& name, int to, const std::string& new_name) {
  if (::renameat2(from, name.c_str(), to, new_name.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  struct stat facts {};
  if (::fstatat(to, new_name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) == 0) return EEXIST;
  return ::renameat(from, name.c_str(), to, new_name.c_str()) == 0 ? 0 : errno;
}

// A directory's ".." is written to when it is moved: whoever is not root needs the right for it.
int RenameDirectory(int from, const std::string& name, int to, const std::string& new_name, mode_t mode,
                    const bool onto_empty) {
  const bool lend_right = ::geteuid() != 0 && S_ISDIR(mode) && (mode & S_IWUSR) == 0;
  if (lend_right) ::fchmodat(from, name.c_str(), (mode & 07777) | S_IWUSR, 0);
  const int error = !onto_empty ? RenameOntoNothing(from, name, to, new_name)
                    : ::renameat(from, name.c_str(), to, new_name.c_str()) == 0 ? 0
                                                                                : errno;
  if (lend_right) ::fchmodat(error == 0 ? to : from, (error == 0 ? new_name : name).c_str(), mode & 07777, 0);
  return error;
}

StatusOr<UniqueFd> OpenHolder(const std::string& prefix, const StagedPlace& place,
                              Missing missing = Missing::kIsMade) {
  ASSIGN_OR_RETURN(UniqueFd parent, OpenParentBelow(prefix, place.place.destination, missing));
  if (!place.inside) return parent;
  return OpenDirectoryBelow(parent.Get(), NameOf(place.place.destination), Missing::kIsNotFound);
}

// The place in whose holder the folder lies: the first of those that use it.
const StagedPlace& FirstOf(const RestoreState& state, size_t folder) {
  return *std::find_if(state.places.begin(), state.places.end(),
                       [folder](const StagedPlace& place) { return place.folder == folder; });
}

// The copy of a place, by the directory that holds it. The copy of "/" is the folder itself.
struct Copy {
  UniqueFd parent;
  std::string name;
};

StatusOr<Copy> CopyOf(const std::string& prefix, const RestoreState& state, const StagedPlace& place) {
  const std::string& path = place.place.path;
  if (path == "/") {
    ASSIGN_OR_RETURN(UniqueFd holder, OpenHolder(prefix, FirstOf(state, place.folder)));
    return Copy{std::move(holder), state.folders[place.folder].name};
  }
  ASSIGN_OR_RETURN(const UniqueFd folder, OpenFolder(prefix, state, place.folder));
  ASSIGN_OR_RETURN(UniqueFd parent,
                   OpenDirectoryBelow(folder.Get(), path.substr(0, path.rfind('/')), Missing::kIsNotFound));
  return Copy{std::move(parent), NameOf(path)};
}

Status CopyXattrs(const std::string& from, const std::string& to) {
  std::string names(64 << 10, '\0');
  const ssize_t size = ::listxattr(from.c_str(), names.data(), names.size());
  if (size < 0) return errno == ENOTSUP ? OkStatus() : ErrnoStatus(errno, "list extended attributes");
  names.resize(static_cast<size_t>(size));
  for (const std::string& name : Split(names, '\0')) {
    if (name.empty()) continue;
    std::string value(64 << 10, '\0');
    const ssize_t length = ::getxattr(from.c_str(), name.c_str(), value.data(), value.size());
    if (length < 0 || ::setxattr(to.c_str(), name.c_str(), value.data(), static_cast<size_t>(length), 0) != 0)
      return ErrnoStatus(errno, "set extended attribute " + CleanText(name));
  }
  return OkStatus();
}

// All but the time, which moving its content changes.
Status CopyMetadata(const struct stat& facts, int from, int to) {
  const std::string target = PathOfDescriptor(to);
  if (::chown(target.c_str(), facts.st_uid, facts.st_gid) != 0) return ErrnoStatus(errno, "set owner");
  if (::chmod(target.c_str(), facts.st_mode & 07777) != 0) return ErrnoStatus(errno, "set mode");
  return CopyXattrs(PathOfDescriptor(from), target);
}

// A mount point cannot be replaced: the content moves in, one by one.
Status FillMountPoint(const std::string& prefix, const RestoreState& state, const StagedPlace& place) {
  const std::string& destination = place.place.destination;
  ASSIGN_OR_RETURN(const UniqueFd holder, OpenHolder(prefix, place));
  ASSIGN_OR_RETURN(const Copy source, CopyOf(prefix, state, place));
  const UniqueFd copy(
      ::openat(source.parent.Get(), source.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat facts {};
  if (!copy.Valid() || ::fstat(copy.Get(), &facts) != 0) return MoveFailed(errno, destination);
  ASSIGN_OR_RETURN_IN(const std::vector<std::string> names, NamesIn(copy.Get()), CleanText(destination));
  for (const std::string& name : names) {
    struct stat child {};
    if (::fstatat(copy.Get(), name.c_str(), &child, AT_SYMLINK_NOFOLLOW) != 0)
      return ErrnoStatus(errno, "look at " + CleanText(name));
    const int error = RenameDirectory(copy.Get(), name, holder.Get(), name, child.st_mode, false);
    if (error == EEXIST && name == "lost+found") continue;  // the new file system has its own
    if (error != 0) return MoveFailed(error, fmt::format("{}/{}", destination, name));
  }
  // restic keeps nothing of "/" itself.
  if (place.place.path != "/")
    RETURN_IF_ERROR_IN(CopyMetadata(facts, copy.Get(), holder.Get()), CleanText(destination));
  RETURN_IF_ERROR(RemoveTreeAt(holder.Get(), state.folders[place.folder].name));
  const timespec times[2] = {facts.st_atim, facts.st_mtim};
  if (::utimensat(AT_FDCWD, PathOfDescriptor(holder.Get()).c_str(), times, 0) != 0)
    return ErrnoStatus(errno, "set times of " + CleanText(destination));
  return OkStatus();
}

Json EncodeId(const InodeId& id) { return Json::array({id.device, id.inode}); }
InodeId DecodeId(const Json& json) { return {json.at(0).get<uint64_t>(), json.at(1).get<uint64_t>()}; }
std::string Plain(const Json& json) { return PercentDecode(json.get<std::string>()).value_or(""); }

// Throws what the JSON library throws.
RestoreState Decode(std::string_view text) {
  const Json json = Json::parse(text);
  RestoreState state;
  const std::string phase = json.at("phase").get<std::string>();
  for (size_t i = 0; i < std::size(kPhases); ++i) {
    if (phase == kPhases[i]) state.phase = static_cast<RestoreState::Phase>(i);
  }
  if (json.contains("run")) {
    state.run = Plain(json.at("run"));
    state.component = Plain(json.at("component"));
    state.prefix = Plain(json.at("prefix"));
  }
  for (const Json& one : json.at("folders"))
    state.folders.push_back({Plain(one.at("name")), DecodeId(one.at("id"))});
  for (const Json& one : json.at("places")) {
    StagedPlace place;
    place.place = {Plain(one.at("path")), Plain(one.at("destination"))};
    place.folder = one.at("folder").get<size_t>();
    place.inside = one.at("inside").get<bool>();
    place.id = DecodeId(one.at("id"));
    state.places.push_back(std::move(place));
  }
  return state;
}

bool IsConsistent(const RestoreState& state) {
  std::vector<bool> used(state.folders.size());
  for (const StagedPlace& place : state.places) {
    if (place.folder >= used.size()) return false;
    used[place.folder] = true;
  }
  const auto is_ours = [](const StagingFolder& folder) {
    return folder.name.rfind(kFolderName, 0) == 0 && folder.name.find('/') == std::string::npos;
  };
  return state.phase != RestoreState::Phase::kNone &&
         std::all_of(used.begin(), used.end(), [](bool u) { return u; }) &&
         std::all_of(state.folders.begin(), state.folders.end(), is_ours);
}

}  // namespace

std::string EncodeRestoreState(const RestoreState& state) {
  Json json;
  json["phase"] = kPhases[static_cast<size_t>(state.phase)];
  if (!state.run.empty()) {
    json["run"] = PercentEncode(state.run);
    json["component"] = PercentEncode(state.component);
    json["prefix"] = PercentEncode(state.prefix);
  }
  json["folders"] = Json::array();
  json["places"] = Json::array();
  for (const StagingFolder& folder : state.folders)
    json["folders"].push_back({{"name", PercentEncode(folder.name)}, {"id", EncodeId(folder.id)}});
  for (const StagedPlace& place : state.places) {
    json["places"].push_back({{"path", PercentEncode(place.place.path)},
                              {"destination", PercentEncode(place.place.destination)},
                              {"folder", place.folder},
                              {"inside", place.inside},
                              {"id", EncodeId(place.id)}});
  }
  return json.dump() + "\n";
}

StatusOr<RestoreState> DecodeRestoreState(std::string_view text) {
  if (text.empty()) return RestoreState();
  try {
    RestoreState state = Decode(text);
    if (IsConsistent(state)) return state;
  } catch (const Json::exception&) {
    // Said below.
  }
  return FailedPrecondition("the record of an earlier attempt of this run cannot be read");
}

StatusOr<RestoreState> PlanStaging(const std::vector<DiskPlace>& places, const std::string& prefix) {
  RestoreState state;
  state.phase = RestoreState::Phase::kWriting;
  std::map<uint64_t, size_t> folder_of_mount;
  for (const DiskPlace& one : places) {
    StagedPlace place;
    place.place = one;
    ASSIGN_OR_RETURN(UniqueFd holder, OpenParentBelow(prefix, one.destination, Missing::kIsMade));
    UniqueFd there(::openat(holder.Get(), NameOf(one.destination).c_str(),
                            O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    place.inside = there.Valid() && IsMountRoot(there.Get());
    struct statx facts {};
    const int fd = place.inside ? there.Get() : holder.Get();
    const bool told =
        ::statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &facts) == 0 && (facts.stx_mask & STATX_MNT_ID) != 0;
    place.folder = state.folders.size();
    // Hard links between two paths survive in one folder only. Within one mount, whatever is in it can be moved.
    if (told && !place.inside)
      place.folder = folder_of_mount.emplace(facts.stx_mnt_id, place.folder).first->second;
    if (place.folder == state.folders.size())
      state.folders.push_back({kFolderName + ToHex(RandomBytes(8)), {}});
    state.places.push_back(std::move(place));
  }
  return state;
}

Status MakeFolders(const std::string& prefix, RestoreState* state) {
  for (size_t i = 0; i < state->folders.size(); ++i) {
    StagingFolder& folder = state->folders[i];
    const StagedPlace& first = FirstOf(*state, i);
    ASSIGN_OR_RETURN(const UniqueFd holder, OpenHolder(prefix, first));
    struct stat facts {};
    if (::mkdirat(holder.Get(), folder.name.c_str(), 0700) != 0 ||
        ::fstatat(holder.Get(), folder.name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus(errno, "make a folder beside " + CleanText(first.place.destination));
    }
    if (!S_ISDIR(facts.st_mode) || facts.st_uid != ::geteuid())
      return FailedPrecondition("the folder beside {} was exchanged", CleanText(first.place.destination));
    folder.id = IdOf(facts);
    // Attributes that the holder hands down (default ACLs, its group) would be on every file of the copy.
    ASSIGN_OR_RETURN(const UniqueFd fd, OpenFolder(prefix, *state, i));
    ::fremovexattr(fd.Get(), "system.posix_acl_default");
    ::fremovexattr(fd.Get(), "system.posix_acl_access");
    if (::fchmod(fd.Get(), 0700) != 0) return ErrnoStatus(errno, "set mode of a folder");
  }
  return OkStatus();
}

StatusOr<UniqueFd> OpenFolder(const std::string& prefix, const RestoreState& state, size_t folder) {
  const StagedPlace& first = FirstOf(state, folder);
  ASSIGN_OR_RETURN(const UniqueFd holder, OpenHolder(prefix, first));
  UniqueFd fd(::openat(holder.Get(), state.folders[folder].name.c_str(),
                       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat facts {};
  const bool is_no_folder = !fd.Valid() && (errno == ELOOP || errno == ENOTDIR);
  if (!is_no_folder && (!fd.Valid() || ::fstat(fd.Get(), &facts) != 0)) {
    return ErrnoStatus(errno, "open the folder beside " + CleanText(first.place.destination));
  }
  if (is_no_folder || !Same(IdOf(facts), state.folders[folder].id)) {
    return WithHint(FailedPrecondition("{} beside {} is not the folder that this run made",
                                       state.folders[folder].name, CleanText(first.place.destination)),
                    "Look at what is there, remove it by hand, and restore again.");
  }
  return fd;
}

Status RemoveFolders(const std::string& prefix, const RestoreState& state) {
  for (size_t i = 0; i < state.folders.size(); ++i) {
    const StagingFolder& folder = state.folders[i];
    const StatusOr<UniqueFd> opened = OpenHolder(prefix, FirstOf(state, i), Missing::kIsNotFound);
    if (opened.status().code() == absl::StatusCode::kNotFound) continue;
    RETURN_IF_ERROR(opened.status());
    const UniqueFd& holder = *opened;
    if (folder.id.inode == 0) {
      // Made, if at all, and nothing was put into it yet.
      struct stat facts {};
      if (::fstatat(holder.Get(), folder.name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) == 0 &&
          S_ISDIR(facts.st_mode) && facts.st_uid == ::geteuid()) {
        ::unlinkat(holder.Get(), folder.name.c_str(), AT_REMOVEDIR);
      }
      continue;
    }
    const StatusOr<UniqueFd> fd = OpenFolder(prefix, state, i);
    if (fd.status().code() == absl::StatusCode::kNotFound) continue;
    RETURN_IF_ERROR(fd.status());
    RETURN_IF_ERROR(RemoveTreeAt(holder.Get(), folder.name));
  }
  return OkStatus();
}

Status IdentifyCopies(const std::string& prefix, const std::string& snapshot, RestoreState* state) {
  for (StagedPlace& place : state->places) {
    const StatusOr<Copy> copy = CopyOf(prefix, *state, place);
    if (!copy.ok() && copy.status().code() != absl::StatusCode::kNotFound) return copy.status();
    struct stat facts {};
    const bool is_there =
        copy.ok() && ::fstatat(copy->parent.Get(), copy->name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) == 0;
    if (!is_there) return DataLoss("snapshot {} has nothing for {}", snapshot, CleanText(place.place.path));
    if (place.place.path == "/") ::fchmodat(copy->parent.Get(), copy->name.c_str(), 0755, 0);
    place.id = IdOf(facts);
    const UniqueFd written(::openat(copy->parent.Get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!written.Valid() || ::syncfs(written.Get()) != 0)
      return ErrnoStatus(errno, "write to disk " + CleanText(place.place.destination));
  }
  state->phase = RestoreState::Phase::kPlacing;
  return OkStatus();
}

Status MoveIntoPlace(const std::string& prefix, const RestoreState& state, const StagedPlace& place) {
  const std::string& destination = place.place.destination;
  if (place.inside) {
    // Its folder goes last, when all of its content has moved.
    const StatusOr<UniqueFd> folder = OpenFolder(prefix, state, place.folder);
    if (folder.status().code() == absl::StatusCode::kNotFound) return OkStatus();
    RETURN_IF_ERROR(folder.status());
    return FillMountPoint(prefix, state, place);
  }
  ASSIGN_OR_RETURN(const UniqueFd parent, OpenHolder(prefix, place));
  const std::string name = NameOf(destination);
  struct stat there {
  }, copy{};
  const bool is_there = ::fstatat(parent.Get(), name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0;
  if (is_there && Same(IdOf(there), place.id)) return OkStatus();
  ASSIGN_OR_RETURN(const Copy source, CopyOf(prefix, state, place));
  if (::fstatat(source.parent.Get(), source.name.c_str(), &copy, AT_SYMLINK_NOFOLLOW) != 0)
    return ErrnoStatus(errno, "look at the copy of " + CleanText(place.place.path));
  const bool onto_empty = is_there && S_ISDIR(there.st_mode) && S_ISDIR(copy.st_mode);
  if (is_there && S_ISDIR(there.st_mode) && !S_ISDIR(copy.st_mode)) {
    if (::unlinkat(parent.Get(), name.c_str(), AT_REMOVEDIR) != 0) return MoveFailed(errno, destination);
  }
  const int error =
      RenameDirectory(source.parent.Get(), source.name, parent.Get(), name, copy.st_mode, onto_empty);
  if (error != 0) return MoveFailed(error, destination);
  const UniqueFd synced(::openat(parent.Get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!synced.Valid() || ::fsync(synced.Get()) != 0)
    return ErrnoStatus(errno, "write to disk " + CleanText(destination));
  return OkStatus();
}

}  // namespace salvor::agent
