// Reads objects that come from outside: nothing about their shape is taken for granted, and what is missing or of
// another type is the empty value. Text is read by kubernetes::TextAt. Pure.
#pragma once

#include <absl/time/time.h>

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/kubernetes/client/kubernetes.h"

namespace salvor::velero {

using kubernetes::Json;
using kubernetes::TextAt;

using JsonPath = std::initializer_list<std::string_view>;

// A null JSON where nothing is at the path. Borrowed from the object.
const Json& At(const Json& object, JsonPath path);

int64_t NumberAt(const Json& object, JsonPath path);
bool FlagAt(const Json& object, JsonPath path);  // false where it is not there
std::vector<std::string> TextsAt(const Json& object, JsonPath path);
std::map<std::string, std::string> TextMapAt(const Json& object, JsonPath path);

// Of a time as the API writes it, "2026-11-21T10:15:00Z"; InfinitePast where there is none.
absl::Time TimeAt(const Json& object, JsonPath path);

}  // namespace salvor::velero
