#include "agent/postgres/scratch_state.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/io/files.h"
#include "base/text.h"

namespace salvor::agent {

StatusOr<ScratchState> ReadScratchState(const std::string& directory) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(directory + "/state.json"));
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return DataLoss("{}/state.json is damaged", directory);
  ScratchState state;
  state.directory = directory;
  try {
    state.name = json.at("name").get<std::string>();
    state.postgres = json.at("postgres").get<bool>();
    state.socket_directory = json.at("socket_directory").get<std::string>();
    state.not_isolated = json.at("not_isolated").get<std::string>();
    state.created_at = absl::FromUnixMillis(json.at("created_at_ms").get<int64_t>());
    const int64_t deadline_ms = json.at("deadline_ms").get<int64_t>();
    if (deadline_ms > 0) state.deadline = absl::FromUnixMillis(deadline_ms);
  } catch (const nlohmann::json::exception&) {
    return DataLoss("{}/state.json is damaged", directory);
  }
  return state;
}

Status WriteScratchState(const ScratchState& state) {
  const nlohmann::json json = {
      {"name", state.name},
      {"postgres", state.postgres},
      {"socket_directory", state.socket_directory},
      {"not_isolated", state.not_isolated},
      {"created_at_ms", absl::ToUnixMillis(state.created_at)},
      {"deadline_ms", state.deadline == absl::InfiniteFuture() ? 0 : absl::ToUnixMillis(state.deadline)}};
  return WriteFileAtomically(state.directory + "/state.json", json.dump(2) + "\n", 0600);
}

int FindServerProcess(const std::string& data_directory) {
  const std::string path = data_directory + "/postmaster.pid";
  const auto text = ReadFile(path);
  if (!text.ok()) return 0;
  int pid = 0;
  std::from_chars(text->data(), text->data() + text->size(), pid);
  if (pid <= 1) return 0;
  std::array<char, 4096> target{};
  const ssize_t length = readlink(fmt::format("/proc/{}/cwd", pid).c_str(), target.data(), target.size());
  if (length > 0 && std::string_view(target.data(), static_cast<size_t>(length)) == data_directory)
    return pid;
  // PostgreSQL clears up after a dead server itself, but takes any process of that number for its own.
  if (kill(pid, 0) == 0 || errno == EPERM) unlink(path.c_str());
  return 0;
}

}  // namespace salvor::agent
