#include "tools/cli/terminal/text_layout.h"

#include <fmt/core.h>

#include <cstdint>

#include "base/text.h"

namespace salvor::cli {
namespace {

constexpr std::string_view kEllipsis = "…";

struct Character {
  uint32_t code = 0;
  size_t bytes = 0;  // 0: not valid UTF-8 here
};

// Strict decoding: no overlong forms, no surrogates.
Character Decode(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  const size_t length = first >= 0xF0 && first < 0xF5   ? 4
                        : first >= 0xE0 && first < 0xF0 ? 3
                        : first >= 0xC2 && first < 0xE0 ? 2
                                                        : 0;
  if (length == 0 || text.size() < length) return {};
  uint32_t code = first & (0xFF >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3F);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  if (overlong || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return {};
  return {code, length};
}

struct Range {
  uint32_t first, last;
};

bool InRanges(uint32_t code, const Range* ranges, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (code >= ranges[i].first && code <= ranges[i].last) return true;
  }
  return false;
}

// The blocks that names and messages really hold; a terminal's own table may differ for rarer ones.
int ColumnsOf(uint32_t code) {
  static constexpr Range kCombining[] = {
      {0x300, 0x36F},   {0x483, 0x489},   {0x591, 0x5BD},   {0x610, 0x61A},   {0x64B, 0x65F},
      {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}};
  static constexpr Range kWide[] = {
      {0x1100, 0x115F},   {0x2E80, 0x303E},   {0x3041, 0xA4CF},  {0xA960, 0xA97F}, {0xAC00, 0xD7A3},
      {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},  {0xFFE0, 0xFFE6}, {0x1F300, 0x1F64F},
      {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};
  if (code < 0x300) return 1;
  if (InRanges(code, kCombining, std::size(kCombining))) return 0;
  return InRanges(code, kWide, std::size(kWide)) ? 2 : 1;
}

// How many bytes of `text` fit into `columns`.
size_t PrefixFor(std::string_view text, int columns) {
  size_t end = 0;
  while (end < text.size()) {
    const Character next = Decode(text.substr(end));
    columns -= next.bytes == 0 ? 1 : ColumnsOf(next.code);
    if (columns < 0) break;
    end += next.bytes == 0 ? 1 : next.bytes;
  }
  return end;
}

// The place where the longest end of `text` begins that fits into `columns`.
size_t SuffixFor(std::string_view text, int columns) {
  size_t begin = 0;
  int left = DisplayWidth(text);
  while (left > columns && begin < text.size()) {
    const Character next = Decode(text.substr(begin));
    left -= next.bytes == 0 ? 1 : ColumnsOf(next.code);
    begin += next.bytes == 0 ? 1 : next.bytes;
  }
  return begin;
}

}  // namespace

int DisplayWidth(std::string_view text) {
  int columns = 0;
  while (!text.empty()) {
    const Character next = Decode(text);
    columns += next.bytes == 0 ? 1 : ColumnsOf(next.code);
    text.remove_prefix(next.bytes == 0 ? 1 : next.bytes);
  }
  return columns;
}

std::string ElideMiddle(std::string_view text, int columns) {
  if (DisplayWidth(text) <= columns) return std::string(text);
  if (columns <= 0) return "";
  const int tail = (columns - 1) / 2, head = columns - 1 - tail;
  return std::string(text.substr(0, PrefixFor(text, head))) + std::string(kEllipsis) +
         std::string(text.substr(SuffixFor(text, tail)));
}

std::string ElideEnd(std::string_view text, int columns) {
  if (DisplayWidth(text) <= columns) return std::string(text);
  if (columns <= 0) return "";
  return std::string(text.substr(0, PrefixFor(text, columns - 1))) + std::string(kEllipsis);
}

std::string PadRight(std::string_view text, int columns) {
  const int missing = columns - DisplayWidth(text);
  return std::string(text) + std::string(static_cast<size_t>(missing > 0 ? missing : 0), ' ');
}

std::string PadLeft(std::string_view text, int columns) {
  const int missing = columns - DisplayWidth(text);
  return std::string(static_cast<size_t>(missing > 0 ? missing : 0), ' ') + std::string(text);
}

std::vector<std::string> Wrap(std::string_view text, int columns) {
  if (columns <= 0) return {std::string(text)};
  std::vector<std::string> lines;
  std::string line;
  for (const std::string& word : Split(text, ' ')) {
    if (!line.empty() && DisplayWidth(line) + 1 + DisplayWidth(word) > columns) {
      lines.push_back(line);
      line.clear();
    }
    if (!line.empty()) line += ' ';
    line += word;
  }
  lines.push_back(line);
  return lines;
}

std::string Indented(std::string_view text, int indent, int columns) {
  std::string result;
  for (const std::string& line : Wrap(text, columns == 0 ? 0 : std::max(columns - indent, 20))) {
    result += std::string(static_cast<size_t>(indent), ' ') + line + "\n";
  }
  return result;
}

std::string Count(int64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", Grouped(count), noun, count == 1 ? "" : "s");
}

std::string Grouped(int64_t number) {
  std::string digits = std::to_string(number);
  const size_t start = number < 0 ? 1 : 0;
  for (size_t i = digits.size(); i > start + 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

}  // namespace salvor::cli
