// Any message as text for people and programs. Pure.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "base/status.h"

namespace salvor {

// Block style YAML: lowerCamelCase fields, enum values as in declarations ("Stream"), timestamps as RFC 3339,
// durations as "1m30s", bytes in hexadecimal. What is unset is left out, a message without fields is {}.
// Strings are quoted where a YAML reader could take them for anything but a string.
std::string RenderYaml(const google::protobuf::Message& message);

// The scalar as RenderYaml writes a string: plain or in double quotes, on one line.
std::string QuoteYaml(const std::string& text);

// Protobuf's own JSON mapping: lowerCamelCase, enum values by their full names, 64-bit numbers and timestamps
// as strings, bytes in base64. Fails for what JSON cannot hold (a timestamp after the year 9999).
StatusOr<std::string> RenderJson(const google::protobuf::Message& message, bool pretty);

}  // namespace salvor
