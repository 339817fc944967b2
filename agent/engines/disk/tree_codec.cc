#include "agent/engines/disk/tree_codec.h"

#include <nlohmann/json.hpp>

#include "base/text.h"

namespace salvor::agent {
namespace {

using Json = nlohmann::ordered_json;

std::string ToLine(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
}

void PutText(Json* json, const char* name, const std::string& value) {
  if (!value.empty()) (*json)[name] = value;
}

int64_t Number(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found == json.end() ? 0 : found->get<int64_t>();
}

std::string Text(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found == json.end() ? "" : found->get<std::string>();
}

// Throws what the JSON library throws.
v1::TreeSummary DecodeSummary(std::string_view line) {
  const Json json = Json::parse(line);
  v1::TreeSummary summary;
  summary.set_files(Number(json, "files"));
  summary.set_directories(Number(json, "directories"));
  summary.set_symlinks(Number(json, "symlinks"));
  summary.set_others(Number(json, "others"));
  summary.set_bytes(Number(json, "bytes"));
  summary.set_sha256(FromHex(Text(json, "sha256")).value_or(""));
  return summary;
}

// Throws what the JSON library throws.
v1::TreeEntry DecodeEntry(std::string_view line) {
  const Json json = Json::parse(line);
  v1::TreeEntry entry;
  entry.set_path(Text(json, "path"));
  entry.set_type(Text(json, "type"));
  entry.set_mode(static_cast<int32_t>(Number(json, "mode")));
  entry.set_uid(Number(json, "uid"));
  entry.set_gid(Number(json, "gid"));
  entry.set_bytes(Number(json, "bytes"));
  entry.set_mtime_ns(Number(json, "mtime_ns"));
  entry.set_sha256(Text(json, "sha256"));
  entry.set_target(Text(json, "target"));
  entry.set_hard_link(Text(json, "hard_link"));
  if (const auto xattrs = json.find("xattrs"); xattrs != json.end()) {
    for (const Json& xattr : *xattrs) entry.add_xattrs(xattr.get<std::string>());
  }
  entry.set_not_covered(Text(json, "not_covered"));
  entry.set_allocated_bytes(Number(json, "allocated_bytes"));
  entry.set_attributes(Text(json, "attributes"));
  entry.set_mtime_unknown(json.contains("mtime_unknown"));
  return entry;
}

template <typename Message>
StatusOr<Message> Decode(Message (*decode)(std::string_view), std::string_view line) {
  try {
    return decode(line);
  } catch (const Json::exception& error) {
    return DataLoss("the tree's details cannot be read: {}", error.what());
  }
}

}  // namespace

void CountEntry(const v1::TreeEntry& entry, v1::TreeSummary* summary) {
  if (entry.type() == "file") {
    summary->set_files(summary->files() + 1);
    summary->set_bytes(summary->bytes() + entry.bytes());
  } else if (entry.type() == "dir") {
    summary->set_directories(summary->directories() + 1);
  } else if (entry.type() == "symlink") {
    summary->set_symlinks(summary->symlinks() + 1);
  } else {
    summary->set_others(summary->others() + 1);
  }
}

std::string EncodeTreeEntry(const v1::TreeEntry& entry) {
  Json json;
  json["path"] = entry.path();
  json["type"] = entry.type();
  json["mode"] = entry.mode();
  json["uid"] = entry.uid();
  json["gid"] = entry.gid();
  if (entry.type() == "file") json["bytes"] = entry.bytes();
  json["mtime_ns"] = entry.mtime_ns();
  PutText(&json, "sha256", entry.sha256());
  PutText(&json, "target", entry.target());
  PutText(&json, "hard_link", entry.hard_link());
  for (const std::string& xattr : entry.xattrs()) json["xattrs"].push_back(xattr);
  PutText(&json, "not_covered", entry.not_covered());
  if (entry.allocated_bytes() != 0) json["allocated_bytes"] = entry.allocated_bytes();
  PutText(&json, "attributes", entry.attributes());
  if (entry.mtime_unknown()) json["mtime_unknown"] = true;
  return ToLine(json);
}

std::string EncodeTreeSummary(const v1::TreeSummary& summary) {
  Json json;
  json["files"] = summary.files();
  json["directories"] = summary.directories();
  json["symlinks"] = summary.symlinks();
  json["others"] = summary.others();
  json["bytes"] = summary.bytes();
  json["sha256"] = ToHex(summary.sha256());
  return ToLine(json);
}

StatusOr<v1::TreeEntry> DecodeTreeEntry(std::string_view line) { return Decode(DecodeEntry, line); }

StatusOr<v1::TreeSummary> DecodeTreeSummary(std::string_view line) { return Decode(DecodeSummary, line); }

// Inside a text of JSON, each quote has a backslash before it.
bool LineHasHardLink(std::string_view line) { return line.find("\"hard_link\":") != std::string_view::npos; }

}  // namespace salvor::agent
