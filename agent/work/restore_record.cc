#include "agent/work/restore_record.h"

#include <chrono>
#include <filesystem>

#include "base/io/files.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr std::chrono::hours kKept{24 * 30};

void RemoveOld(const std::string& directory) {
  std::error_code error;  // what cannot be removed now is tried again next time
  const auto limit = std::filesystem::file_time_type::clock::now() - kKept;
  std::filesystem::directory_iterator entry(directory, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    std::error_code of_this;
    const auto written = entry->last_write_time(of_this);
    if (!of_this && written < limit) std::filesystem::remove(entry->path(), of_this);
  }
}

}  // namespace

StatusOr<RestoreRecord> RestoreRecord::For(const AgentConfig& config, const std::string& run,
                                           const std::string& place) {
  for (const std::string& part : {run, place}) {
    if (part.empty() || part.find('/') != std::string::npos || part.find('\0') != std::string::npos) {
      return InvalidArgument("'{}' cannot name a restore", PercentEncode(part));
    }
  }
  return RestoreRecord(config.state_directory + "/restores", run + "-" + place);
}

StatusOr<std::vector<RestoreRecord>> RestoreRecord::All(const AgentConfig& config) {
  const std::string directory = config.state_directory + "/restores";
  std::vector<RestoreRecord> records;
  std::error_code error;
  std::filesystem::directory_iterator entry(directory, error);
  if (error == std::errc::no_such_file_or_directory) return records;
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error))
    records.push_back(RestoreRecord(directory, entry->path().filename()));
  if (error) return ErrnoStatus(error.value(), "list " + directory);
  return records;
}

StatusOr<std::string> RestoreRecord::Read() const {
  StatusOr<std::string> text = ReadFile(path_);
  if (text.status().code() == absl::StatusCode::kNotFound) return std::string();
  return text;
}

Status RestoreRecord::Write(std::string_view text) const {
  RETURN_IF_ERROR(MakeDirectories(directory_, 0700));
  RemoveOld(directory_);
  return WriteFileAtomically(path_, text, 0600);
}

}  // namespace salvor::agent
