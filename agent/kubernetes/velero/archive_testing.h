// Archives of Backups as Velero 1.18 writes them. Tests only.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "agent/kubernetes/velero/reading.h"

namespace salvor::velero {

// One entry of a tar file.
inline std::string TarEntry(const std::string& name, const std::string& content, char type = '0',
                            const std::string& prefix = "") {
  std::string header(512, '\0');
  const auto put = [&](size_t at, const std::string& text) { header.replace(at, text.size(), text); };
  std::string size(11, '0');
  for (size_t left = content.size(), at = size.size(); left > 0; left /= 8)
    size[--at] = static_cast<char>('0' + left % 8);
  put(0, name);
  put(124, size);
  header[156] = type;
  put(257, "ustar");
  put(345, prefix);
  return header + content + std::string((512 - content.size() % 512) % 512, '\0');
}

inline std::string TarEnd() { return std::string(1024, '\0'); }

// An archive of objects of namespace shop, each by its resource, written twice as Velero does.
inline std::string ArchiveOf(const std::vector<std::pair<std::string, Json>>& objects) {
  std::string tar = TarEntry("metadata/version", "1.1.0");
  for (const auto& [resource, object] : objects) {
    const std::string file = "namespaces/shop/" + TextAt(object, {"metadata", "name"}) + ".json";
    tar += TarEntry("resources/" + resource + "/v1-preferredversion/" + file, object.dump());
    tar += TarEntry("resources/" + resource + "/" + file, object.dump());
  }
  return tar + TarEnd();
}

}  // namespace salvor::velero
