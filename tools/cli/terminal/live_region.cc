#include "tools/cli/terminal/live_region.h"

#include <fmt/core.h>

#include <algorithm>

#include "tools/cli/terminal/text_layout.h"

namespace salvor::cli {

int VisibleWidth(const std::string& line) {
  std::string plain;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\x1b') {
      while (i < line.size() && line[i] != 'm') ++i;
    } else {
      plain += line[i];
    }
  }
  return DisplayWidth(plain);
}

std::string LiveRegion::Rewind(int columns) const {
  int rows = 0;
  for (const int width : drawn_widths_) rows += std::max(1, (width + columns - 1) / std::max(1, columns));
  return rows == 0 ? "" : fmt::format("\x1b[{}A\r\x1b[J", rows);
}

void LiveRegion::Draw(const std::vector<std::string>& lines, int columns) {
  std::string text = Rewind(columns);
  drawn_widths_.clear();
  for (const std::string& line : lines) {
    text += line + "\n";
    drawn_widths_.push_back(VisibleWidth(line));
  }
  out_ << text << std::flush;
}

void LiveRegion::Clear(int columns) {
  out_ << Rewind(columns) << std::flush;
  drawn_widths_.clear();
}

}  // namespace salvor::cli
