// The one gate that JSON of a driver's own program passes. What it lets through has one meaning: no key stands
// twice, all text is UTF-8, and it is neither deep nor long enough to hurt who reads it. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/status.h"

namespace salvor::agent {

inline constexpr size_t kLongestEventBytes = 64 << 10;
inline constexpr int kDeepestEvent = 4;

// One JSON object. InvalidArgument says what is wrong with it, and never what is in it.
StatusOr<nlohmann::json> ReadJsonObject(std::string_view text);

}  // namespace salvor::agent
