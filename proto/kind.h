// The name of a kind of object. Header-only and pure.
#pragma once

#include <string>

#include "proto/extension.h"
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

// The name of the field in Action: "postgres_dump"; an extension is of the kind of its message,
// "salvor.toy.v1.Capture"; "" for an empty action.
inline std::string KindOf(const v1::Action& action) {
  if (action.has_extension()) return TypeOf(action.extension());
  const auto* field = v1::Action::descriptor()->FindFieldByNumber(action.kind_case());
  return field == nullptr ? "" : field->name();
}

// The name of the field in Component: "disk"; likewise for an extension; "" for a component without a strategy.
inline std::string KindOf(const v1::Component& component) {
  if (component.has_extension()) return TypeOf(component.extension());
  const auto* field = v1::Component::descriptor()->FindFieldByNumber(component.strategy_case());
  return field == nullptr ? "" : field->name();
}

}  // namespace salvor
