#include "agent/kubernetes/velero/quantity.h"

#include <array>
#include <charconv>
#include <cmath>

namespace salvor::velero {
namespace {

struct Unit {
  std::string_view suffix;
  double factor;
};

constexpr std::array kUnits = {Unit{"", 1},        Unit{"m", 1e-3},    Unit{"k", 1e3},
                               Unit{"M", 1e6},     Unit{"G", 1e9},     Unit{"T", 1e12},
                               Unit{"P", 1e15},    Unit{"Ki", 0x1p10}, Unit{"Mi", 0x1p20},
                               Unit{"Gi", 0x1p30}, Unit{"Ti", 0x1p40}, Unit{"Pi", 0x1p50}};

constexpr double kLargest = 0x1p62;

}  // namespace

std::optional<int64_t> ParseQuantity(std::string_view text) {
  // "1e3" is a number, too; a suffix begins with a letter that is none of an exponent.
  size_t end = text.size();
  while (end > 0 && (text[end - 1] < '0' || text[end - 1] > '9') && text[end - 1] != '.') --end;
  for (const Unit& unit : kUnits) {
    if (text.substr(end) != unit.suffix) continue;
    double number = 0;
    const std::string_view digits = text.substr(0, end);
    if (digits.empty() || digits.front() == '-') return std::nullopt;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (read.ec != std::errc() || read.ptr != digits.data() + digits.size()) return std::nullopt;
    const double amount = std::ceil(number * unit.factor);
    if (!(amount >= 0) || amount > kLargest) return std::nullopt;
    return static_cast<int64_t>(amount);
  }
  return std::nullopt;
}

}  // namespace salvor::velero
