// A YAML text as a tree of plain nodes with positions: the only place that touches yaml-cpp's parser.
//
// Bounded: a text larger than kMaxYamlBytes or with more than kMaxYamlNodes nodes is refused, and so is an
// alias that contains itself. Aliases share nodes, so whoever walks a tree must bound its own steps. Nothing
// throws.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace salvor {

inline constexpr size_t kMaxYamlBytes = 4 << 20;
inline constexpr int kMaxYamlNodes = 100'000;

// Line and column count from 1; a column is a byte of its line.
struct SourcePosition {
  int line = 1;
  int column = 1;
};

inline bool operator<(const SourcePosition& a, const SourcePosition& b) {
  return a.line != b.line ? a.line < b.line : a.column < b.column;
}

struct YamlNode {
  enum class Kind { kNull, kScalar, kSequence, kMap };
  Kind kind = Kind::kNull;
  SourcePosition at;
  bool plain = false;                  // a scalar without quotes and without an explicit tag
  std::string text;                    // of a scalar
  std::vector<const YamlNode*> items;  // of a sequence
  std::vector<std::pair<const YamlNode*, const YamlNode*>> entries;  // of a map, in order, duplicates kept
};

struct YamlError {
  SourcePosition at;
  std::string message;
};

// The documents of one text. Nodes live as long as this object.
struct YamlTree {
  std::deque<YamlNode> nodes;
  std::vector<const YamlNode*>
      documents;                  // those that ended before the first syntax error; empty ones left out
  std::vector<YamlError> errors;  // in order of appearance
};

YamlTree ParseYamlTree(std::string_view text);

// "a list", "text", … for messages.
std::string DescribeYamlKind(const YamlNode& node);

}  // namespace salvor
