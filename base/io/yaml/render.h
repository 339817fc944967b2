// Any message as text for people and programs. Pure.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <vector>

namespace salvor {

// Block style YAML: lowerCamelCase fields, enum values as in declarations ("Stream"), timestamps as RFC 3339,
// durations as "1m30s", bytes in hexadecimal. What is unset is left out, a message without fields is {}.
// Strings are quoted where a YAML reader could take them for anything but a string.
std::string RenderYaml(const google::protobuf::Message& message);

// {"items": [...]} in the same style: what every list is wrapped in.
std::string RenderYamlList(const std::vector<const google::protobuf::Message*>& items);

// The scalar as RenderYaml writes a string: plain or in double quotes, on one line.
std::string QuoteYaml(const std::string& text);

// The same names and values as JSON: who reads the one knows the other. Numbers of 64 bits are numbers.
std::string RenderJson(const google::protobuf::Message& message, bool pretty);
std::string RenderJsonList(const std::vector<const google::protobuf::Message*>& items, bool pretty);

}  // namespace salvor
