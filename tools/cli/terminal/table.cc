#include "tools/cli/terminal/table.h"

#include <algorithm>
#include <numeric>

#include "tools/cli/terminal/text_layout.h"

namespace salvor::cli {
namespace {

constexpr int kGap = 2;
constexpr int kNarrowest = 8;  // a shrinking column keeps this much

}  // namespace

void Table::Add(std::vector<Cell> row) {
  for (Cell& cell : row) {
    cell.text = CleanText(cell.text);
    if (cell.text.empty()) cell.text = "-";
  }
  rows_.push_back(std::move(row));
}

std::vector<int> Table::Widths(const Style& style, int indent) const {
  std::vector<int> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    int width = style.headers ? DisplayWidth(columns_[i].title) : 0;
    for (const auto& row : rows_) width = std::max(width, DisplayWidth(row[i].text));
    widths.push_back(width);
  }
  if (style.width == 0) return widths;
  const int gaps = kGap * static_cast<int>(columns_.size() - 1);
  int over = std::accumulate(widths.begin(), widths.end(), indent + gaps) - style.width;
  while (over > 0) {
    // The widest of those that may give way loses a column at a time; names never do, people copy them.
    int widest = -1;
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (!columns_[i].shrinks || widths[i] <= kNarrowest) continue;
      if (widest < 0 || widths[i] > widths[static_cast<size_t>(widest)]) widest = static_cast<int>(i);
    }
    if (widest < 0) break;
    --widths[static_cast<size_t>(widest)];
    --over;
  }
  return widths;
}

std::string Table::Line(const std::vector<Cell>& cells, const std::vector<int>& widths,
                        const Style& style) const {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string text = ElideEnd(cells[i].text, widths[i]);
    const std::string filler(static_cast<size_t>(std::max(0, widths[i] - DisplayWidth(text))), ' ');
    const bool last = i + 1 == cells.size();
    if (columns_[i].align == Align::kRight) line += filler;
    line += Paint(style, cells[i].tone, text);
    if (!last) line += (columns_[i].align == Align::kLeft ? filler : "") + std::string(kGap, ' ');
  }
  return line;
}

std::string Table::Render(const Style& style, int indent) const {
  const std::vector<int> widths = Widths(style, indent);
  const std::string margin(static_cast<size_t>(indent), ' ');
  std::string text;
  if (style.headers) {
    std::vector<Cell> titles;
    for (const Column& column : columns_) titles.emplace_back(column.title, Tone::kDim);
    text += margin + Line(titles, widths, style) + "\n";
  }
  for (const auto& row : rows_) text += margin + Line(row, widths, style) + "\n";
  return text;
}

}  // namespace salvor::cli
