// A table of left- or right-aligned columns, two spaces apart, without lines. Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tools/cli/terminal/style.h"

namespace salvor::cli {

enum class Align { kLeft, kRight };

class Table {
 public:
  struct Column {
    std::string title;
    Align align = Align::kLeft;
    bool shrinks = false;  // prose, which gives way, with … at its end, when a terminal is too narrow
  };
  struct Cell {
    Cell(std::string cell_text, Tone cell_tone = Tone::kPlain)  // NOLINT: a cell is its text
        : text(std::move(cell_text)), tone(cell_tone) {}
    Cell(const char* cell_text) : text(cell_text) {}  // NOLINT
    std::string text;
    Tone tone = Tone::kPlain;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // One cell a column. An empty cell is shown as "-".
  void Add(std::vector<Cell> row);

  bool Empty() const { return rows_.empty(); }

  // Titles unless the style has none; every line indented.
  std::string Render(const Style& style, int indent = 0) const;

 private:
  std::vector<int> Widths(const Style& style, int indent) const;
  std::string Line(const std::vector<Cell>& cells, const std::vector<int>& widths, const Style& style) const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace salvor::cli
