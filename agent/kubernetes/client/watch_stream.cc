#include "agent/kubernetes/client/watch_stream.h"

#include <algorithm>
#include <utility>

namespace salvor::kubernetes {
namespace {

bool IsNumber(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::optional<Event::Type> TypeOf(std::string_view text) {
  if (text == "ADDED") return Event::Type::kAdded;
  if (text == "MODIFIED") return Event::Type::kModified;
  if (text == "DELETED") return Event::Type::kDeleted;
  return std::nullopt;
}

int CodeIn(const Json& status) {
  const auto code = status.find("code");
  return code != status.end() && code->is_number_integer() ? code->get<int>() : 500;
}

}  // namespace

bool IsNewer(std::string_view version, std::string_view than) {
  if (!IsNumber(version) || !IsNumber(than)) return version != than;
  version.remove_prefix(std::min(version.find_first_not_of('0'), version.size()));
  than.remove_prefix(std::min(than.find_first_not_of('0'), than.size()));
  return version.size() != than.size() ? version.size() > than.size() : version > than;
}

StatusOr<std::optional<Event>> WatchProgress::Read(std::string_view line, const ApiRequest& request) {
  Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("object") || !json["object"].is_object()) {
    return Internal("the watch of {} holds a line that is no event", request.resource);
  }
  const std::string type = TextAt(json, {"type"});
  Json& object = json["object"];
  if (type == "ERROR") return DecodeApiError(CodeIn(object), object.dump(), "", request);
  const std::string version = TextAt(object, {"metadata", "resourceVersion"});
  if (version.empty() || !IsNewer(version, resource_version_)) return std::optional<Event>();
  resource_version_ = version;
  const std::optional<Event::Type> known =
      TypeOf(type);  // a bookmark is none, and neither is what a later server adds
  if (!known) return std::optional<Event>();
  return std::optional<Event>(Event{*known, std::move(object)});
}

}  // namespace salvor::kubernetes
