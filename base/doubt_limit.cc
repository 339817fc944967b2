#include "base/doubt_limit.h"

#include <charconv>
#include <system_error>

namespace salvor {

std::optional<int> ParseDoubtLimit(std::string_view text) {
  if (text.empty()) return kUsualDoubtLimit_percent;
  if (text == "never" || text == "0") return 0;
  if (text.back() != '%' || text.front() < '0' || text.front() > '9') return std::nullopt;
  text.remove_suffix(1);
  int percent = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
  if (error != std::errc() || end != text.data() + text.size() || percent > 100) return std::nullopt;
  return percent;
}

}  // namespace salvor
