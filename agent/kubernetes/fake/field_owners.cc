#include "agent/kubernetes/fake/field_owners.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"

namespace salvor::kubernetes {
namespace {

using Pointer = Json::json_pointer;

bool IsOwnedByNobody(const std::string& field) {
  static const std::set<std::string> kOfTheServer = {"/apiVersion",
                                                     "/kind",
                                                     "/metadata/name",
                                                     "/metadata/namespace",
                                                     "/metadata/uid",
                                                     "/metadata/resourceVersion",
                                                     "/metadata/creationTimestamp",
                                                     "/metadata/generation"};
  return kOfTheServer.contains(field);
}

// A map that is applied without entries is owned as a whole, and yet not stored: the next who applies it so is in conflict.
bool IsLeftOutWhenEmpty(const std::string& field) {
  static const std::set<std::string> kMaps = {"/metadata/labels", "/metadata/annotations", "/data"};
  return kMaps.contains(field);
}

void Collect(const Json& value, const Pointer& at, std::map<std::string, Json>& fields) {
  if (!value.is_object() || (value.empty() && IsLeftOutWhenEmpty(at.to_string()))) {
    if (!IsOwnedByNobody(at.to_string())) fields[at.to_string()] = value;
    return;
  }
  for (const auto& [key, child] : value.items()) Collect(child, at / key, fields);
}

std::map<std::string, Json> Fields(const Json& object) {
  std::map<std::string, Json> fields;
  Collect(object, Pointer(), fields);
  return fields;
}

void Remove(Json& object, const std::string& field) {
  const Pointer pointer(field);
  if (object.contains(pointer)) object[pointer.parent_pointer()].erase(pointer.back());
}

// "/data/a" as ".data.a"
std::string Dotted(std::string field) {
  std::replace(field.begin(), field.end(), '/', '.');
  return field;
}

}  // namespace

std::string FieldOwners::Apply(Json& object, const Json& applied, const std::string& manager, bool force) {
  const std::map<std::string, Json> wanted = Fields(applied);
  std::vector<std::string> conflicts;
  for (const auto& [field, value] : wanted) {
    const auto owner = owners_.find(field);
    const bool is_equal = object.contains(Pointer(field)) && object[Pointer(field)] == value;
    if (is_equal || force || owner == owners_.end() || owner->second == manager) continue;
    conflicts.push_back(fmt::format("conflict with \"{}\": {}", owner->second, Dotted(field)));
  }
  if (!conflicts.empty()) {
    return fmt::format("Apply failed with {} conflict{}: {}", conflicts.size(),
                       conflicts.size() == 1 ? "" : "s", Join(conflicts, ", "));
  }
  for (const std::string& field : applied_[manager]) {
    const auto owner = owners_.find(field);
    if (wanted.contains(field) || owner == owners_.end() || owner->second != manager) continue;
    Remove(object, field);
    owners_.erase(owner);
  }
  applied_[manager].clear();
  for (const auto& [field, value] : wanted) {
    const bool is_equal = object.contains(Pointer(field)) && object[Pointer(field)] == value;
    object[Pointer(field)] = value;
    if (value.is_object()) Remove(object, field);
    if (!is_equal || !owners_.contains(field)) owners_[field] = manager;
    applied_[manager].insert(field);
  }
  return "";
}

void FieldOwners::NoteChange(const Json& before, const Json& after, const std::string& manager) {
  const std::map<std::string, Json> old_fields = Fields(before);
  const std::map<std::string, Json> new_fields = Fields(after);
  for (const auto& [field, value] : old_fields) {
    if (!new_fields.contains(field)) owners_.erase(field);
  }
  for (const auto& [field, value] : new_fields) {
    const auto old = old_fields.find(field);
    if (old == old_fields.end() || old->second != value) owners_[field] = manager;
  }
}

}  // namespace salvor::kubernetes
