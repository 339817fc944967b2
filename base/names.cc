#include "base/names.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"

namespace salvor {
namespace {

constexpr size_t kLongestName = 63;  // of an object, as in Kubernetes
constexpr size_t kLongestDottedName = 253;
constexpr size_t kLongestKind = std::string_view("restore").size();

bool IsLowerAlphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool IsLabel(std::string_view label) {
  return !label.empty() && IsLowerAlphanumeric(label.front()) && IsLowerAlphanumeric(label.back()) &&
         std::all_of(label.begin(), label.end(), [](char c) { return IsLowerAlphanumeric(c) || c == '-'; });
}

}  // namespace

Status CheckObjectName(std::string_view name) {
  if (name.size() <= kLongestName && IsLabel(name)) return OkStatus();
  const bool ascii = std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (!ascii) {
    return InvalidArgument(
        "a name must be 1 to 63 of a-z, 0-9 and '-' (no spaces, accents or emoji), and start and end with a letter "
        "or digit");
  }
  return InvalidArgument(
      "name '{}' must be 1 to 63 of a-z, 0-9 and '-', and start and end with a letter or digit",
      CleanText(name.substr(0, 80)));
}

Status CheckDottedName(std::string_view name, std::string_view of) {
  if (name.size() > kLongestDottedName) {
    return InvalidArgument("the name of {} has {} characters, and may have {}", of, name.size(),
                           kLongestDottedName);
  }
  const std::vector<std::string> labels = Split(name, '.');
  if (!labels.empty() && std::all_of(labels.begin(), labels.end(), IsLabel)) return OkStatus();
  return InvalidArgument("'{}' is not the name of {}", CleanText(name.substr(0, 80)), of);
}

Status CheckNameOrBeginning(std::string_view pattern) {
  if (pattern.empty() || pattern.back() != '*') return CheckObjectName(pattern);
  const std::string beginning(pattern.substr(0, pattern.size() - 1));
  if (beginning.empty()) return OkStatus();
  // A beginning may end with '-': the names that it becomes may not.
  return CheckObjectName(beginning.back() == '-' ? beginning + "0" : beginning);
}

Status CheckDatabaseName(std::string_view name) {
  if (name.empty()) return InvalidArgument("database name is empty");
  if (name.size() > 63) return InvalidArgument("database name is longer than 63 bytes");
  if (name.front() == '-') return InvalidArgument("database name '{}' starts with '-'", CleanText(name));
  const bool printable = std::all_of(
      name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
  if (!printable)
    return InvalidArgument("database name '{}' contains control characters", PercentEncode(name));
  return OkStatus();
}

Status CheckAbsolutePath(std::string_view path) {
  if (path.empty() || path.front() != '/') {
    return InvalidArgument("path '{}' must be absolute", CleanText(path.substr(0, 200)));
  }
  if (path.find('\0') != std::string_view::npos) return InvalidArgument("path contains a NUL byte");
  for (const std::string& part : Split(path.substr(1), '/')) {
    if (part == "." || part == "..") {
      return InvalidArgument("path '{}' must not contain '{}'", CleanText(path.substr(0, 200)), part);
    }
  }
  return OkStatus();
}

std::string MakeRunName(std::string_view kind, std::string_view application, absl::Time now,
                        uint64_t entropy) {
  const std::string stamp(absl::FormatTime("%Y%m%d-%H%M%S", now, absl::UTCTimeZone()));
  const std::string end = fmt::format("-{}-{:04x}", stamp, entropy & 0xffff);
  std::string_view part = application.substr(0, kLongestName - kLongestKind - 1 - end.size());
  while (!part.empty() && part.back() == '-') part.remove_suffix(1);
  return fmt::format("{}-{}{}", kind, part, end);
}

StatusOr<std::string> MakeNodeAgentName(std::string_view node) {
  constexpr std::string_view kBeginning = "salvor-node-";
  RETURN_IF_ERROR(CheckDottedName(node, "a node"));
  if (IsLabel(node) && kBeginning.size() + node.size() <= kLongestName)
    return fmt::format("{}{}", kBeginning, node);
  uint32_t digest = 2166136261U;  // FNV-1a
  for (const char c : node) digest = (digest ^ static_cast<unsigned char>(c)) * 16777619U;
  const std::string end = fmt::format("-{:08x}", digest);
  std::string_view part =
      node.substr(0, node.find('.')).substr(0, kLongestName - kBeginning.size() - end.size());
  while (!part.empty() && part.back() == '-') part.remove_suffix(1);
  return fmt::format("{}{}{}", kBeginning, part, end);
}

std::string Slug(std::string_view text) {
  std::string slug;
  for (const char c : text.substr(0, 40)) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    slug += IsLowerAlphanumeric(lower) || lower == '.' ? lower : '-';
  }
  while (!slug.empty() && !IsLowerAlphanumeric(slug.front())) slug.erase(0, 1);
  return slug.empty() ? "x" : slug;
}

}  // namespace salvor
