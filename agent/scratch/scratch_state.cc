#include "agent/scratch/scratch_state.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/io/files.h"
#include "base/text.h"
#include "proto/scratch_engine.h"

namespace salvor::agent {
namespace {

// Version 0.1 put sockets whose path was too long below /tmp.
std::string OldSocketDirectory(const std::string& path) {
  return path.rfind("/tmp/salvor-", 0) == 0 && path.find('/', 12) == std::string::npos ? path : "";
}

}  // namespace

void NameLack(ScratchState& state, const std::string& kind, const std::string& details) {
  if (state.not_isolated.find(kind) != std::string::npos) return;
  state.not_isolated += (state.not_isolated.empty() ? "" : "; ") + kind + details;
}

uid_t ScratchUserOf(const ScratchState& state) {
  return ::geteuid() == 0 ? static_cast<uid_t>(state.uid) : ::getuid();
}

StatusOr<ScratchState> ReadScratchState(const std::string& directory) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(directory + "/state.json"));
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Internal("{}/state.json is damaged", directory);
  ScratchState state;
  state.directory = directory;
  try {
    state.name = json.at("name").get<std::string>();
    const bool has_engine_of_0_1 = json.at(kOnlyEngineOf0_1).get<bool>();
    state.engine = json.value("engine", std::string(has_engine_of_0_1 ? kOnlyEngineOf0_1 : ""));
    state.old_socket_directory = OldSocketDirectory(json.at("socket_directory").get<std::string>());
    state.not_isolated = json.at("not_isolated").get<std::string>();
    state.created_at = absl::FromUnixMillis(json.at("created_at_ms").get<int64_t>());
    const int64_t deadline_ms = json.at("deadline_ms").get<int64_t>();
    if (deadline_ms > 0) state.deadline = absl::FromUnixMillis(deadline_ms);
    state.uid = json.value("uid", int64_t{-1});
    state.start = json.value("start", std::string());
    state.sandboxed = json.value("sandboxed", false);
    state.require_isolation = json.value("require_isolation", false);
    state.shares_network =
        json.value("shares_network", state.not_isolated.find(kSharesNetwork) != std::string::npos);
  } catch (const nlohmann::json::exception&) {
    return Internal("{}/state.json is damaged", directory);
  }
  // A place of version 0.1 belongs to the user who ran that agent, and does not say who that is.
  struct stat facts {};
  if (state.uid < 0 && ::stat((directory + "/data").c_str(), &facts) == 0) state.uid = facts.st_uid;
  return state;
}

Status WriteScratchState(const ScratchState& state) {
  const nlohmann::json json = {
      {"name", state.name},
      {kOnlyEngineOf0_1, state.engine == kOnlyEngineOf0_1},  // an agent of 0.1 reads it
      {"engine", state.engine},
      {"socket_directory", state.old_socket_directory},
      {"uid", state.uid},
      {"start", state.start},
      {"sandboxed", state.sandboxed},
      {"require_isolation", state.require_isolation},
      {"shares_network", state.shares_network},
      {"not_isolated", state.not_isolated},
      {"created_at_ms", absl::ToUnixMillis(state.created_at)},
      {"deadline_ms", state.deadline == absl::InfiniteFuture() ? 0 : absl::ToUnixMillis(state.deadline)}};
  return WriteFileAtomically(state.directory + "/state.json", json.dump(2) + "\n", 0600);
}

StatusOr<std::map<std::string, std::string>> ReadLoaded(const std::string& directory) {
  std::map<std::string, std::string> starts;
  const auto text = ReadFile(directory + "/loaded.json");
  if (!text.ok()) return starts;
  const nlohmann::json json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Internal("{}/loaded.json is damaged", directory);
  for (const auto& [name, start] : json.items()) {
    const auto database = FromHex(name);
    if (database && start.is_string()) starts[*database] = start.get<std::string>();
  }
  return starts;
}

Status WriteLoaded(const std::string& directory, const std::map<std::string, std::string>& starts) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [name, start] : starts) json[ToHex(name)] = start;  // names are bytes, JSON is UTF-8
  return WriteFileAtomically(directory + "/loaded.json", json.dump(2) + "\n", 0600);
}

StatusOr<std::map<std::string, PartsLeftEmpty>> ReadLeftEmpty(const std::string& directory) {
  std::map<std::string, PartsLeftEmpty> left;
  const auto text = ReadFile(directory + "/left.json");
  if (text.status().code() == absl::StatusCode::kNotFound) return left;
  RETURN_IF_ERROR(text.status());
  const nlohmann::json json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Internal("{}/left.json is damaged", directory);
  for (const auto& [name, parts] : json.items()) {
    const auto database = FromHex(name);
    if (!database || !parts.is_object()) return Internal("{}/left.json is damaged", directory);
    for (const auto& [part, why] : parts.items()) {
      left[*database][part] = why.is_string() ? why.get<std::string>() : std::string();
    }
  }
  return left;
}

Status WriteLeftEmpty(const std::string& directory, const std::map<std::string, PartsLeftEmpty>& left) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [name, parts] : left) {
    nlohmann::json& of_database = json[ToHex(name)] = nlohmann::json::object();
    for (const auto& [part, why] : parts) of_database[part] = why;
  }
  return WriteFileAtomically(directory + "/left.json", json.dump(2) + "\n", 0600);
}

namespace {

int ParentOf(const std::string& pid) {
  const auto stat = ReadFile("/proc/" + pid + "/stat");
  if (!stat.ok()) return 0;
  const size_t after_name = stat->rfind(") ");  // the name may hold anything
  int parent = 0;
  if (after_name == std::string::npos || after_name + 4 > stat->size()) return 0;
  std::from_chars(stat->data() + after_name + 4, stat->data() + stat->size(), parent);
  return parent;
}

}  // namespace

// They are found by the folder they work in, which is the data directory, and not by the number in postmaster.pid: that
// one is of the server's own PID namespace.
std::vector<int> FindServerProcesses(const std::string& data_directory) {
  struct stat data {};
  std::map<int, int> parents;
  DIR* directory = ::stat(data_directory.c_str(), &data) == 0 ? ::opendir("/proc") : nullptr;
  if (directory == nullptr) return {};
  while (const dirent* entry = ::readdir(directory)) {
    const std::string name = entry->d_name;
    struct stat facts {};
    int pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc() || pid <= 1) continue;
    if (::stat(("/proc/" + name + "/cwd").c_str(), &facts) != 0) continue;
    if (facts.st_dev == data.st_dev && facts.st_ino == data.st_ino) parents[pid] = ParentOf(name);
  }
  ::closedir(directory);
  std::vector<int> servers, children;
  for (const auto& [pid, parent] : parents) (parents.count(parent) > 0 ? children : servers).push_back(pid);
  servers.insert(servers.end(), children.begin(), children.end());
  return servers;
}

int FindServerProcess(const std::string& data_directory) {
  const std::vector<int> found = FindServerProcesses(data_directory);
  return found.empty() ? 0 : found.front();
}

}  // namespace salvor::agent
