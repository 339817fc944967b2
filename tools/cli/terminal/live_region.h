// Lines at the bottom of a terminal that are drawn over again and again.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace salvor::cli {

// Leaves nothing behind that would need to be undone when the program is killed: no hidden cursor, no
// alternate screen. Lines must not be wider than the terminal.
class LiveRegion {
 public:
  explicit LiveRegion(std::ostream& out) : out_(out) {}

  // Replaces what was drawn before. `columns` is the terminal's width now: lines that were drawn on a wider
  // one take several rows by now.
  void Draw(const std::vector<std::string>& lines, int columns);

  // Takes the lines away.
  void Clear(int columns);

 private:
  std::string Rewind(int columns) const;

  std::ostream& out_;
  std::vector<int> drawn_widths_;
};

// Columns of a line without its colours.
int VisibleWidth(const std::string& line);

}  // namespace salvor::cli
