#include "agent/kubernetes/velero/archive.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/text.h"

namespace salvor::velero {
namespace {

constexpr size_t kBlock = 512;
constexpr size_t kNameAt = 0, kNameSize = 100, kSizeAt = 124, kSizeSize = 12, kTypeAt = 156, kMagicAt = 257,
                 kPrefixAt = 345, kPrefixSize = 155;

// Types of a tar's entries.
constexpr char kFile = '0', kOldFile = '\0', kExtended = 'x', kLongName = 'L';

std::string_view FieldAt(std::string_view header, size_t at, size_t size) {
  const std::string_view field = header.substr(at, size);
  return field.substr(0, field.find('\0'));
}

std::optional<size_t> SizeOf(std::string_view header) {
  size_t size = 0;
  bool has_digit = false;
  for (const char c : FieldAt(header, kSizeAt, kSizeSize)) {
    if (c == ' ') continue;
    if (c < '0' || c > '7') return std::nullopt;
    size = size * 8 + static_cast<size_t>(c - '0');
    has_digit = true;
  }
  return has_digit ? std::optional<size_t>(size) : std::nullopt;
}

std::string NameOf(std::string_view header) {
  const std::string name(FieldAt(header, kNameAt, kNameSize));
  const bool has_prefix = header.substr(kMagicAt, 5) == "ustar";
  const std::string prefix(has_prefix ? FieldAt(header, kPrefixAt, kPrefixSize) : "");
  return prefix.empty() ? name : prefix + "/" + name;
}

// The path in an extended header, whose records are "LENGTH KEY=VALUE\n"; nothing where it has none.
std::optional<std::string> PathIn(std::string_view records) {
  std::optional<std::string> path;
  while (!records.empty()) {
    const size_t space = records.find(' ');
    size_t length = 0;
    for (const char c : records.substr(0, space)) {
      if (c < '0' || c > '9' || length > records.size()) return path;
      length = length * 10 + static_cast<size_t>(c - '0');
    }
    if (space == std::string_view::npos || length <= space + 1 || length > records.size()) return path;
    const std::string_view record = records.substr(space + 1, length - space - 2);  // without its line end
    if (record.rfind("path=", 0) == 0) path = std::string(record.substr(5));
    records.remove_prefix(length);
  }
  return path;
}

// What lies at "resources/deployments.apps/[v1-preferredversion/]namespaces/shop/web.json"; its object is empty yet.
std::optional<KeptObject> PlaceOf(const std::string& path, const std::string& name_space,
                                  const std::set<std::string>& resources) {
  constexpr std::string_view kEnding = ".json";
  std::vector<std::string> parts = Split(path, '/');
  if (!parts.empty() && parts.front() == ".") parts.erase(parts.begin());
  if (parts.size() < 5 || parts.size() > 6 || parts.front() != "resources") return std::nullopt;
  const std::string& file = parts.back();
  if (parts[parts.size() - 3] != "namespaces" || parts[parts.size() - 2] != name_space ||
      resources.count(parts[1]) == 0 || !file.ends_with(kEnding))
    return std::nullopt;
  return KeptObject{parts[1], file.substr(0, file.size() - kEnding.size()), {}};
}

class Archive {
 public:
  Archive(std::string_view tar, const std::string& name_space, const std::set<std::string>& resources)
      : rest_(tar), name_space_(name_space), resources_(resources) {}

  StatusOr<std::vector<KeptObject>> Read() {
    while (true) {
      if (rest_.size() < kBlock) return DataLoss("the archive is cut short");
      const std::string_view header = rest_.substr(0, kBlock);
      if (std::all_of(header.begin(), header.end(), [](char c) { return c == '\0'; }))
        return std::move(objects_);
      const std::optional<size_t> size = SizeOf(header);
      if (!size.has_value() || header.substr(kMagicAt, 5) != "ustar") return DataLoss("it is no archive");
      rest_.remove_prefix(kBlock);
      const size_t padded = (*size + kBlock - 1) / kBlock * kBlock;
      if (padded < *size || padded > rest_.size()) return DataLoss("the archive is cut short");
      RETURN_IF_ERROR(Take(header, rest_.substr(0, *size)));
      rest_.remove_prefix(padded);
    }
  }

 private:
  Status Take(std::string_view header, std::string_view content) {
    const char type = header[kTypeAt];
    if (type == kExtended) {
      if (const auto path = PathIn(content); path.has_value()) long_name_ = *path;
      return OkStatus();
    }
    if (type == kLongName) {
      long_name_ = std::string(content.substr(0, content.find('\0')));
      return OkStatus();
    }
    const std::string name = long_name_.empty() ? NameOf(header) : std::exchange(long_name_, "");
    if (type != kFile && type != kOldFile) return OkStatus();
    std::optional<KeptObject> kept = PlaceOf(name, name_space_, resources_);
    // Velero writes each object twice: as its version is preferred, and for old versions of itself.
    if (!kept.has_value() || !seen_.insert(kept->resource + "/" + kept->name).second) return OkStatus();
    kept->object = Json::parse(content, nullptr, false);
    if (!kept->object.is_object())
      return DataLoss("{} {} in the archive is no object", CleanText(kept->resource), CleanText(kept->name));
    objects_.push_back(*std::move(kept));
    return OkStatus();
  }

  std::string_view rest_;
  const std::string& name_space_;
  const std::set<std::string>& resources_;
  std::string long_name_;  // of the next entry
  std::set<std::string> seen_;
  std::vector<KeptObject> objects_;
};

}  // namespace

StatusOr<std::vector<KeptObject>> ReadArchive(std::string_view tar, const std::string& name_space,
                                              const std::set<std::string>& resources) {
  return Archive(tar, name_space, resources).Read();
}

}  // namespace salvor::velero
