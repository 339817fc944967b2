// Reading the recorded corpus (README.md beside this file) in tests.
#pragma once

#include <google/protobuf/message.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/io/files.h"

namespace salvor::corpus {

inline std::string Content(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Files below `folder` whose names end with `ending`, sorted.
inline std::vector<std::filesystem::path> Files(const std::filesystem::path& folder,
                                                const std::string& ending) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.size() >= ending.size() && name.substr(name.size() - ending.size()) == ending)
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// The messages of one direction of a conversation, as bytes.
inline std::vector<std::string> Messages(const std::filesystem::path& path) {
  const std::string bytes = Content(path);
  std::vector<std::string> messages;
  for (size_t at = 0; at + 4 <= bytes.size();) {
    size_t length = 0;
    for (int i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(bytes[at++]);
    messages.push_back(bytes.substr(at, length));
    at += length;
  }
  return messages;
}

// Whether `message` or one within it holds bytes that today's schema has no field for.
inline bool HasUnknownFields(const google::protobuf::Message& message) {
  const auto* reflection = message.GetReflection();
  if (!reflection->GetUnknownFields(message).empty()) return true;
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const auto* field : fields) {
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      if (HasUnknownFields(reflection->GetMessage(message, field))) return true;
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
      if (HasUnknownFields(reflection->GetRepeatedMessage(message, field, i))) return true;
    }
  }
  return false;
}

// A directory of its own with a copy of one file of the corpus: what is opened may be migrated.
class Copy {
 public:
  explicit Copy(const std::filesystem::path& file)
      : directory_(std::filesystem::temp_directory_path() / "corpusXXXXXX") {
    std::string pattern = directory_.string();
    directory_ = ::mkdtemp(pattern.data());
    std::filesystem::copy_file(file, directory_ / file.filename());
  }
  ~Copy() { (void)RemoveTree(directory_.string()); }
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;
  std::string Directory() const { return directory_.string(); }

 private:
  std::filesystem::path directory_;
};

}  // namespace salvor::corpus
