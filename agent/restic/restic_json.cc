#include "agent/restic/restic_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace salvor::agent {
namespace {

using Json = nlohmann::json;

template <typename T>
T Get(const Json& object, const char* name, T otherwise) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return otherwise;
  try {
    return found->get<T>();
  } catch (const Json::exception&) {
    return otherwise;
  }
}

// 0.14 prints {"Op":…,"Path":…,"Err":…} or {}; newer ones {"message":…}.
std::string ErrorReason(const Json& object) {
  const auto error = object.find("error");
  if (error == object.end() || !error->is_object()) return "could not be read";
  const std::string message = Get<std::string>(*error, "message", "");
  if (!message.empty()) return message;
  const std::string operation = Get<std::string>(*error, "Op", "");
  return operation.empty() ? "could not be read" : operation + " failed";
}

std::map<std::string, std::string> ParseTags(const Json& snapshot) {
  std::map<std::string, std::string> tags;
  for (const std::string& tag : Get<std::vector<std::string>>(snapshot, "tags", {})) {
    const size_t equals = tag.find('=');
    const std::string value = equals == std::string::npos ? "" : tag.substr(equals + 1);
    tags[tag.substr(0, equals)] = PercentDecode(value).value_or(value);
  }
  return tags;
}

}  // namespace

ResticMessage ParseResticMessage(std::string_view line) {
  ResticMessage message;
  const Json object = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return message;
  const std::string kind = Get<std::string>(object, "message_type", "");
  if (kind == "status") {
    message.kind = ResticMessage::Kind::kStatus;
    message.bytes_done = Get<int64_t>(object, "bytes_done", 0);
    message.bytes_total = Get<int64_t>(object, "total_bytes", 0);
  } else if (kind == "error") {
    message.kind = ResticMessage::Kind::kError;
    message.error = Get<std::string>(object, "item", "") + ": " + ErrorReason(object);
  } else if (kind == "summary") {
    message.kind = ResticMessage::Kind::kSummary;
    message.summary.snapshot = Get<std::string>(object, "snapshot_id", "");
    message.summary.bytes_processed = Get<int64_t>(object, "total_bytes_processed", 0);
    message.summary.files_processed = Get<int64_t>(object, "total_files_processed", 0);
  }
  return message;
}

StatusOr<std::vector<ResticSnapshot>> ParseResticSnapshots(std::string_view json) {
  const Json list = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (list.is_null()) return std::vector<ResticSnapshot>();
  if (!list.is_array()) return Internal("restic's list of snapshots cannot be read");
  std::vector<ResticSnapshot> snapshots;
  for (const Json& item : list) {
    if (!item.is_object()) return Internal("restic's list of snapshots holds something that is no snapshot");
    ResticSnapshot snapshot;
    snapshot.id = Get<std::string>(item, "id", "");
    std::string ignored;
    if (snapshot.id.empty() ||
        !absl::ParseTime(absl::RFC3339_full, Get<std::string>(item, "time", ""), &snapshot.time, &ignored)) {
      return Internal("restic's list of snapshots holds one without id or time");
    }
    snapshot.tags = ParseTags(item);
    snapshot.paths = Get<std::vector<std::string>>(item, "paths", {});
    snapshots.push_back(std::move(snapshot));
  }
  std::stable_sort(snapshots.begin(), snapshots.end(),
                   [](const ResticSnapshot& a, const ResticSnapshot& b) { return a.time < b.time; });
  return snapshots;
}

std::string ResticTag(const std::string& name, const std::string& value) {
  if (value.empty()) return name;
  std::string encoded;
  for (const char c : PercentEncode(value)) encoded += c == ',' ? "%2C" : std::string(1, c);
  return name + "=" + encoded;
}

}  // namespace salvor::agent
