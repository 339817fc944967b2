// How far a copy may shrink against the last one before it is doubted, as people declare it (doubtBelow). Pure.
#pragma once

#include <optional>
#include <string_view>

namespace salvor {

inline constexpr int kUsualDoubtLimit_percent = 50;

// The share of the last copy below which a copy is doubted, in percent: of "50%" 50; of "never", "0" and "0%" 0, below
// which nothing is; of an empty text the usual one. Nothing for anything else.
std::optional<int> ParseDoubtLimit(std::string_view text);

}  // namespace salvor
