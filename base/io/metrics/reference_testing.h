// The rows of docs/reference/metrics.md, which tests hold to what the programs declare. Tests only.
#pragma once

#include <fstream>
#include <string>
#include <vector>

#include "base/io/metrics/registry.h"
#include "base/text.h"

namespace salvor {

// A metric as the page has it: "| `salvor_active_runs` | gauge |  | Runs that are not finished. |".
inline std::vector<std::string> ReferenceRowsOf(const MetricRegistry& registry) {
  std::vector<std::string> rows;
  for (const MetricDescription& metric : registry.Declared()) {
    std::vector<std::string> labels;
    for (const std::string& label : metric.labels) labels.push_back("`" + label + "`");
    rows.push_back("| `" + metric.name + "` | " + metric.type + " | " + Join(labels, ", ") + " | " +
                   metric.help + " |");
  }
  return rows;
}

// The page's rows below the heading "## SECTION". A test runs in the folder of its list of sources, two below the root.
inline std::vector<std::string> ReferenceRowsIn(const std::string& section) {
  std::ifstream page("../../docs/reference/metrics.md");
  std::vector<std::string> rows;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line.rfind("## ", 0) == 0) inside = line == "## " + section;
    if (inside && line.rfind("| `", 0) == 0) rows.push_back(line);
  }
  return rows;
}

}  // namespace salvor
