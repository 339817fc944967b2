// Amounts as Kubernetes writes them: "10Gi", "1.5G", "500m". Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace salvor::velero {

// The amount, rounded up; nothing for what is none, is negative, or is too large.
std::optional<int64_t> ParseQuantity(std::string_view text);

}  // namespace salvor::velero
