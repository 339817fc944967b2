// How protobuf's names read in YAML: fields in lowerCamelCase, enum values in CamelCase without their prefix.
// Pure.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/generated_enum_reflection.h>

#include <string>
#include <string_view>
#include <vector>

namespace salvor {

// CAPTURE_STREAM of Capture is "Stream", KIND_POSTGRES_DUMP of Kind is "PostgresDump".
std::string EnumText(const google::protobuf::EnumValueDescriptor& value);

// The same for a value; "" for one that is unspecified, its number for one this version does not know.
std::string EnumText(const google::protobuf::EnumDescriptor& type, int number);

template <typename Enum>
std::string EnumText(Enum value) {
  return EnumText(*google::protobuf::GetEnumDescriptor<Enum>(), static_cast<int>(value));
}

// Whether the value only says that nothing was said.
bool IsUnspecified(const google::protobuf::EnumValueDescriptor& value);

// "; did you mean 'passwordFile'?" when one of the choices is close to the word, else "".
std::string DidYouMean(std::string_view word, const std::vector<std::string>& choices);

}  // namespace salvor
