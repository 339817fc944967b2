#include "tools/cli/client/object_files.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <system_error>

#include "base/io/files.h"

namespace salvor::cli {
namespace {

StatusOr<std::vector<std::string>> FilesOf(const std::string& source) {
  std::error_code error;
  if (!std::filesystem::is_directory(source, error)) return std::vector<std::string>{source};
  std::vector<std::string> files;
  std::filesystem::directory_iterator entry(source, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string extension = entry->path().extension().string();
    if (extension == ".yaml" || extension == ".yml") files.push_back(entry->path().string());
  }
  if (error) return ErrnoStatus(error.value(), "read directory " + source);
  if (files.empty()) return NotFound("{} holds no .yaml or .yml file", source);
  std::sort(files.begin(), files.end());
  return files;
}

StatusOr<std::string> TextOf(Environment& environment, const std::string& file) {
  if (file != "-") return ReadFile(file);
  return std::string(std::istreambuf_iterator<char>(*environment.in), std::istreambuf_iterator<char>());
}

}  // namespace

StatusOr<LoadedObjects> LoadObjects(Environment& environment, const std::vector<std::string>& sources) {
  LoadedObjects loaded;
  for (const std::string& source : sources) {
    ASSIGN_OR_RETURN(const std::vector<std::string> files, FilesOf(source));
    for (const std::string& file : files) {
      ASSIGN_OR_RETURN(const std::string text, TextOf(environment, file));
      ParsedFile parsed = ParseObjects(text, file == "-" ? "stdin" : file);
      std::move(parsed.objects.begin(), parsed.objects.end(), std::back_inserter(loaded.objects));
      std::move(parsed.problems.begin(), parsed.problems.end(), std::back_inserter(loaded.problems));
    }
  }
  return loaded;
}

std::vector<v1::Object> ObjectsOf(const LoadedObjects& loaded) {
  std::vector<v1::Object> objects;
  for (const ParsedObject& parsed : loaded.objects) objects.push_back(parsed.object);
  return objects;
}

}  // namespace salvor::cli
