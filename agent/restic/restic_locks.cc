#include "agent/restic/restic_locks.h"

#include <absl/time/clock.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/io/files.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

std::optional<int64_t> Number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

// The time at which this host began, by the wall clock as it is now.
std::optional<absl::Time> BootTime() {
  const StatusOr<std::string> stat = ReadFile("/proc/stat");
  if (!stat.ok()) return std::nullopt;
  constexpr std::string_view kField = "\nbtime ";
  const size_t start = stat->find(kField);
  if (start == std::string::npos) return std::nullopt;
  const std::optional<int64_t> seconds = Number(std::string_view(*stat).substr(start + kField.size()));
  if (!seconds.has_value()) return std::nullopt;
  return absl::FromUnixSeconds(*seconds);
}

std::string HostName() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

}  // namespace

StatusOr<ResticLock> ParseResticLock(const std::string& id, std::string_view json) {
  const nlohmann::json object = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Internal("lock {} of restic cannot be read", id);
  ResticLock lock;
  lock.id = id;
  std::string ignored;
  try {
    lock.host = object.at("hostname").get<std::string>();
    lock.user = object.value("username", "");
    lock.pid = object.at("pid").get<int>();
    lock.exclusive = object.value("exclusive", false);
    if (!absl::ParseTime(absl::RFC3339_full, object.at("time").get<std::string>(), &lock.created, &ignored)) {
      return Internal("lock {} of restic has no time", id);
    }
  } catch (const nlohmann::json::exception&) {
    return Internal("lock {} of restic cannot be read", id);
  }
  return lock;
}

std::string Describe(const ResticLock& lock, absl::Time now) {
  const absl::Duration age = std::max(now - lock.created, absl::ZeroDuration());
  return fmt::format("restic of {} on {} (PID {}, since {})", lock.user, lock.host, lock.pid,
                     HumanDuration(age));
}

ProcessFacts ReadProcessFacts(int pid) {
  ProcessFacts facts;
  // Its existence is not judged by /proc alone, which may be mounted so that it hides the processes of others.
  facts.exists = pid > 0 && (::kill(pid, 0) == 0 || errno != ESRCH);
  const StatusOr<std::string> stat = ReadFile(fmt::format("/proc/{}/stat", pid));
  if (!facts.exists || !stat.ok()) return facts;
  const size_t name_begin = stat->find('('), name_end = stat->rfind(") ");
  if (name_begin == std::string::npos || name_end == std::string::npos) return facts;
  facts.name = stat->substr(name_begin + 1, name_end - name_begin - 1);
  const std::vector<std::string> fields = Split(std::string_view(*stat).substr(name_end + 2), ' ');
  facts.zombie = fields[0] == "Z" || fields[0] == "X";
  constexpr size_t kStartTime = 19;  // field 22 of proc(5)'s stat
  const std::optional<absl::Time> boot = BootTime();
  if (fields.size() <= kStartTime || !boot.has_value()) return facts;
  const std::optional<int64_t> ticks = Number(fields[kStartTime]);
  if (ticks.has_value()) facts.started = *boot + absl::Seconds(1) * *ticks / ::sysconf(_SC_CLK_TCK);
  return facts;
}

bool IsOwnerGone(const ResticLock& lock, const std::string& this_host, const ProcessFacts& process) {
  if (lock.host.empty() || lock.host != this_host || lock.pid <= 0) return false;
  if (!process.exists || process.zombie) return true;
  // A clock that was set moves the start of every process: the name must differ, too.
  return !process.name.empty() && process.name != "restic" && process.started.has_value() &&
         *process.started > lock.created + absl::Seconds(2);
}

bool IsOwnerGone(const ResticLock& lock) { return IsOwnerGone(lock, HostName(), ReadProcessFacts(lock.pid)); }

std::optional<std::string> LocalDirectory(const v1::ResticLocation& location) {
  std::string path = location.repository();
  if (path.rfind("local:", 0) == 0) path.erase(0, 6);
  if (path.empty() || path.front() != '/') return std::nullopt;
  return path;
}

}  // namespace salvor::agent
