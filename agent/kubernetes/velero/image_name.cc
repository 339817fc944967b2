#include "agent/kubernetes/velero/image_name.h"

#include <string_view>

namespace salvor::velero {
namespace {

// With the registry and the folder that are meant where none is named, by the rule of container runtimes.
std::string InFull(const std::string& image) {
  const size_t slash = image.find('/');
  if (slash == std::string::npos) return "docker.io/library/" + image;
  const std::string_view first = std::string_view(image).substr(0, slash);
  const bool is_registry = first.find_first_of(".:") != std::string_view::npos || first == "localhost";
  return is_registry ? image : "docker.io/" + image;
}

std::string_view WithoutSlash(std::string_view prefix) {
  while (!prefix.empty() && prefix.back() == '/') prefix.remove_suffix(1);
  return prefix;
}

// Whether the prefix is the name's, up to the end of a part; the last one ends before its tag or its digest.
bool Begins(std::string_view name, std::string_view prefix) {
  if (prefix.empty() || name.substr(0, prefix.size()) != prefix) return false;
  if (name.size() == prefix.size()) return true;
  const char next = name[prefix.size()];
  if (next == '/') return true;
  // "registry:5000/shop": a port is none of a prefix's end.
  const bool is_last = name.find('/', prefix.size()) == std::string_view::npos;
  return is_last && (next == ':' || next == '@');
}

}  // namespace

std::string MoveImage(const std::string& image,
                      const google::protobuf::Map<std::string, std::string>& prefixes) {
  const std::string full = InFull(image);
  std::string moved = image;
  size_t longest = 0;
  for (const auto& [from, to] : prefixes) {
    const std::string_view prefix = WithoutSlash(from);
    if (prefix.size() <= longest || !Begins(full, prefix)) continue;
    longest = prefix.size();
    moved = std::string(WithoutSlash(to)) + full.substr(prefix.size());
  }
  return moved;
}

}  // namespace salvor::velero
