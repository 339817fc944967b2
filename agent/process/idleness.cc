#include "agent/process/idleness.h"

#include <unistd.h>

#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "base/io/files.h"
#include "base/steady_time.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr absl::Duration kCpuOfNothing = absl::Milliseconds(50);
constexpr double kCpuShareOfNothing = 0.005;
constexpr double kBytesReadPerSecondOfNothing = 64;

std::optional<int64_t> Number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Fields 14 and 15 of proc(5)'s stat, utime and stime. The name before them may hold anything, ')' too.
std::optional<absl::Duration> CpuOf(std::string_view stat) {
  const size_t name_end = stat.rfind(") ");
  if (name_end == std::string_view::npos) return std::nullopt;
  const std::vector<std::string> fields = Split(stat.substr(name_end + 2), ' ');
  if (fields.size() < 13) return std::nullopt;
  const std::optional<int64_t> user_ticks = Number(fields[11]), system_ticks = Number(fields[12]);
  if (!user_ticks.has_value() || !system_ticks.has_value()) return std::nullopt;
  return absl::Seconds(1) * (*user_ticks + *system_ticks) / ::sysconf(_SC_CLK_TCK);
}

// A number of proc(5)'s io, whose first two lines are rchar and wchar.
std::optional<int64_t> BytesOf(std::string_view io, std::string_view field) {
  const size_t start = io.find(field);
  if (start == std::string_view::npos) return std::nullopt;
  const std::string_view rest = io.substr(start + field.size());
  return Number(rest.substr(0, rest.find('\n')));
}

}  // namespace

std::optional<ProcessUsage> ReadProcessUsage(int pid) {
  const std::string directory = "/proc/" + std::to_string(pid);
  const StatusOr<std::string> stat = ReadFile(directory + "/stat");
  const StatusOr<std::string> io = ReadFile(directory + "/io");
  if (!stat.ok() || !io.ok()) return std::nullopt;
  const std::optional<absl::Duration> cpu = CpuOf(*stat);
  const std::optional<int64_t> bytes_read = BytesOf(*io, "rchar: "), bytes_written = BytesOf(*io, "wchar: ");
  if (!cpu.has_value() || !bytes_read.has_value() || !bytes_written.has_value()) return std::nullopt;
  return ProcessUsage{*bytes_read, *cpu, *bytes_written};
}

absl::Duration Idleness::Observe(SteadyTime now, const ProcessUsage& usage) {
  if (since_.has_value()) {
    const absl::Duration elapsed = now - *since_;
    const auto bytes_read = static_cast<double>(usage.bytes_read - before_.bytes_read);
    if (bytes_read <= kBytesReadPerSecondOfNothing * absl::ToDoubleSeconds(elapsed) &&
        usage.cpu - before_.cpu <= kCpuOfNothing + elapsed * kCpuShareOfNothing) {
      return elapsed;
    }
  }
  since_ = now;
  before_ = usage;
  return absl::ZeroDuration();
}

}  // namespace salvor::agent
