#include "agent/engines/disk/live_database.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string_view>

#include "base/io/files.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr int kDeepest = 3;

bool Has(int directory, const char* name, mode_t type) {
  struct stat facts {};
  return ::fstatat(directory, name, &facts, AT_SYMLINK_NOFOLLOW) == 0 && (facts.st_mode & S_IFMT) == type;
}

UniqueFd OpenDirectory(int parent, const char* name, int more_flags) {
  return UniqueFd(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | more_flags));
}

std::vector<std::string> Subdirectories(int directory) {
  std::vector<std::string> names;
  const int copy = OpenDirectory(directory, ".", 0).Release();
  DIR* stream = copy < 0 ? nullptr : ::fdopendir(copy);
  if (stream == nullptr) {
    if (copy >= 0) ::close(copy);
    return names;
  }
  while (const dirent* item = ::readdir(stream)) {
    const std::string_view name = item->d_name;
    if (name != "." && name != ".." && (item->d_type == DT_DIR || item->d_type == DT_UNKNOWN))
      names.emplace_back(name);
  }
  ::closedir(stream);
  return names;
}

bool HasNeo4jStore(int directory) {
  if (Has(directory, "neostore", S_IFREG)) return true;
  const UniqueFd databases = OpenDirectory(directory, "databases", O_NOFOLLOW);
  if (!databases.Valid()) return false;
  for (const std::string& name : Subdirectories(databases.Get())) {
    const UniqueFd database = OpenDirectory(databases.Get(), name.c_str(), O_NOFOLLOW);
    if (database.Valid() && Has(database.Get(), "neostore", S_IFREG)) return true;
  }
  return false;
}

// "" when it is none.
std::string DatabaseIn(int directory) {
  if (Has(directory, "PG_VERSION", S_IFREG) && Has(directory, "base", S_IFDIR)) return "PostgreSQL";
  if (Has(directory, "ibdata1", S_IFREG)) return "MySQL or MariaDB";
  if (Has(directory, "WiredTiger", S_IFREG)) return "MongoDB";
  return HasNeo4jStore(directory) ? "Neo4j" : "";
}

void Search(int directory, const std::string& path, int depth, const ExcludePatterns& exclude,
            std::vector<std::string>* found) {
  if (const std::string engine = DatabaseIn(directory); !engine.empty()) {
    found->push_back(fmt::format("{} is a data directory of {}", CleanText(path), engine));
    return;
  }
  if (depth == kDeepest) return;
  for (const std::string& name : Subdirectories(directory)) {
    const std::string child_path = (path == "/" ? "" : path) + "/" + name;
    if (exclude.Excludes(child_path)) continue;
    const UniqueFd child = OpenDirectory(directory, name.c_str(), O_NOFOLLOW);
    if (child.Valid()) Search(child.Get(), child_path, depth + 1, exclude, found);
  }
}

void SearchParents(const std::string& path, std::vector<std::string>* found) {
  for (size_t slash = path.rfind('/'); slash != 0 && slash != std::string::npos;
       slash = path.rfind('/', slash - 1)) {
    const std::string parent = path.substr(0, slash);
    const UniqueFd directory = OpenDirectory(AT_FDCWD, parent.c_str(), 0);
    const std::string engine = directory.Valid() ? DatabaseIn(directory.Get()) : "";
    if (!engine.empty()) {
      found->push_back(fmt::format("{} lies in a data directory of {}", CleanText(path), engine));
      return;
    }
  }
}

}  // namespace

Status RefuseLiveDatabases(const std::vector<std::string>& paths, const ExcludePatterns& exclude) {
  std::vector<std::string> found;
  for (const std::string& path : paths) {
    const UniqueFd directory = OpenDirectory(AT_FDCWD, path.c_str(), O_NOFOLLOW);
    if (directory.Valid()) Search(directory.Get(), path, 0, exclude, &found);
    SearchParents(path, &found);
  }
  if (found.empty()) return OkStatus();
  return WithHint(
      FailedPrecondition("files of a database cannot be backed up by copying them: {}", Join(found, "; ")),
      "Declare a component of the database's own strategy (postgres, for example) instead, and let the "
      "disk component's paths stay clear of its data directory.");
}

}  // namespace salvor::agent
