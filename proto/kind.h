// What an object is called. Header-only and pure.
#pragma once

#include <string>

#include "salvor/v1/action.pb.h"
#include "salvor/v1/object.pb.h"

namespace salvor {

// "Environment", "Location", "Driver" or "Application"; "" for an object without a spec.
inline std::string KindOf(const v1::Object& object) {
  const auto* field = v1::Object::descriptor()->FindFieldByNumber(object.spec_case());
  if (field == nullptr) return "";
  std::string kind = field->name();
  kind[0] = static_cast<char>(kind[0] - 'a' + 'A');
  return kind;
}

// As the field is named in Action: "postgres_dump"; "" for an empty action.
inline std::string KindOf(const v1::Action& action) {
  const auto* field = v1::Action::descriptor()->FindFieldByNumber(action.kind_case());
  return field == nullptr ? "" : field->name();
}

}  // namespace salvor
