#include "agent/kubernetes/velero/reading.h"

namespace salvor::velero {

const Json& At(const Json& object, JsonPath path) {
  static const Json nothing;
  const Json* at = &object;
  for (const std::string_view key : path) {
    if (!at->is_object()) return nothing;
    const auto found = at->find(std::string(key));
    if (found == at->end()) return nothing;
    at = &*found;
  }
  return *at;
}

int64_t NumberAt(const Json& object, JsonPath path) {
  const Json& value = At(object, path);
  if (!value.is_number_integer() || (!value.is_number_unsigned() && value.get<int64_t>() < 0)) return 0;
  // Whoever wrote more wrote nonsense, and sums of a few stay in range.
  constexpr auto kMost = uint64_t{1} << 53;
  const auto number = value.get<uint64_t>();
  return number <= kMost ? static_cast<int64_t>(number) : 0;
}

bool FlagAt(const Json& object, JsonPath path) {
  const Json& value = At(object, path);
  return value.is_boolean() && value.get<bool>();
}

std::vector<std::string> TextsAt(const Json& object, JsonPath path) {
  std::vector<std::string> texts;
  const Json& value = At(object, path);
  if (!value.is_array()) return texts;
  for (const Json& one : value) {
    if (one.is_string()) texts.push_back(one.get<std::string>());
  }
  return texts;
}

std::map<std::string, std::string> TextMapAt(const Json& object, JsonPath path) {
  std::map<std::string, std::string> texts;
  const Json& value = At(object, path);
  if (!value.is_object()) return texts;
  for (const auto& [key, one] : value.items()) {
    if (one.is_string()) texts[key] = one.get<std::string>();
  }
  return texts;
}

absl::Time TimeAt(const Json& object, JsonPath path) {
  absl::Time time = absl::InfinitePast();
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, TextAt(object, path), &time, &error)) return absl::InfinitePast();
  return time;
}

}  // namespace salvor::velero
