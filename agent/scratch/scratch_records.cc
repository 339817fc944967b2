// A scratch place remembers the databases that were loaded into it; and the list of the places there are.
#include <dirent.h>

#include <cerrno>

#include "agent/scratch/scratch_places.h"
#include "agent/scratch/scratch_state.h"
#include "base/names.h"
#include "base/text.h"

namespace salvor::agent {

Status ScratchPlaces::MarkLoaded(const std::string& name, const std::string& database) {
  RETURN_IF_ERROR(CheckObjectName(name));
  const std::shared_ptr<Slot> slot = SlotOf(name);
  MutexLock lock(slot->mutex);
  ASSIGN_OR_RETURN(const ScratchState state, ReadScratchState(DirectoryOf(name)));
  ASSIGN_OR_RETURN(auto starts, ReadLoaded(state.directory));
  starts[database] = state.start;
  return WriteLoaded(state.directory, starts);
}

StatusOr<bool> ScratchPlaces::RestartedSinceLoaded(const std::string& name, const std::string& database) {
  RETURN_IF_ERROR(CheckObjectName(name));
  const std::shared_ptr<Slot> slot = SlotOf(name);
  MutexLock lock(slot->mutex);
  ASSIGN_OR_RETURN(const ScratchState state, ReadScratchState(DirectoryOf(name)));
  ASSIGN_OR_RETURN(const auto starts, ReadLoaded(state.directory));
  const auto loaded = starts.find(database);
  return loaded != starts.end() && loaded->second != state.start;
}

StatusOr<std::vector<ScratchState>> ScratchPlaces::List() const {
  std::vector<ScratchState> all;
  const std::string path = options_.state_directory + "/scratch";
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) {
    if (errno == ENOENT) return all;
    return ErrnoStatus(errno, path);
  }
  while (const dirent* entry = readdir(directory)) {
    const std::string name = entry->d_name;
    if (!CheckObjectName(name).ok()) continue;
    const std::string place = fmt::format("{}/{}", path, name);
    const auto state = ReadScratchState(place);
    if (state.ok()) {
      all.push_back(*state);
    } else {
      // Something died before its first word, or damaged it. It is ours to clean, and long overdue.
      ScratchState unknown;
      unknown.name = name;
      unknown.directory = place;
      unknown.deadline = absl::InfinitePast();
      all.push_back(unknown);
    }
  }
  closedir(directory);
  return all;
}

Status ScratchPlaces::MarkLeftEmpty(const std::string& name, const std::string& database,
                                    const PartsLeftEmpty& parts) {
  RETURN_IF_ERROR(CheckObjectName(name));
  const std::shared_ptr<Slot> slot = SlotOf(name);
  MutexLock lock(slot->mutex);
  const std::string directory = DirectoryOf(name);
  RETURN_IF_ERROR(ReadScratchState(directory).status());
  ASSIGN_OR_RETURN(auto left, ReadLeftEmpty(directory));
  if (parts.empty() && left.count(database) == 0) return OkStatus();
  left[database] = parts;
  return WriteLeftEmpty(directory, left);
}

StatusOr<std::map<std::string, PartsLeftEmpty>> ScratchPlaces::LeftEmpty(const std::string& name) {
  RETURN_IF_ERROR(CheckObjectName(name));
  const std::shared_ptr<Slot> slot = SlotOf(name);
  MutexLock lock(slot->mutex);
  return ReadLeftEmpty(DirectoryOf(name));
}

}  // namespace salvor::agent
