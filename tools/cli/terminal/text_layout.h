// Text in columns of a terminal. Names and messages come from outside, so whatever could steer a terminal is
// made visible first (CleanText). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"  // CleanText

namespace salvor::cli {

// Columns that clean text takes: wide characters count two, combining ones none.
int DisplayWidth(std::string_view text);

// The text in at most `columns` columns, with … in place of the middle.
std::string ElideMiddle(std::string_view text, int columns);

// The text in at most `columns` columns, with … in place of the end.
std::string ElideEnd(std::string_view text, int columns);

// Filled with spaces up to `columns`.
std::string PadRight(std::string_view text, int columns);
std::string PadLeft(std::string_view text, int columns);

// Broken at spaces into lines of at most `columns`; a longer word stays whole. 0: one line.
std::vector<std::string> Wrap(std::string_view text, int columns);

// `text` wrapped to `columns` in all, every line indented; ends with a line end. 0: one line.
std::string Indented(std::string_view text, int indent, int columns);

// "1 step", "2 steps".
std::string Count(int64_t count, std::string_view noun);

// "1,234,567".
std::string Grouped(int64_t number);

}  // namespace salvor::cli
