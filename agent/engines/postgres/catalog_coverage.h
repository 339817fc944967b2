// Every column of every system catalogue of PostgreSQL, and what a comparison makes of it. What is not compared
// has its reason here; a test fails when a server brings a column that is not listed.
#pragma once

#include <string>
#include <vector>

namespace salvor::agent {

enum class Coverage {
  kCompared,   // `what` names the section of the details, or the check, that differs when the column does
  kFollows,    // it says again what `what` says
  kMayDiffer,  // a faithful copy may have another value, or a dump does not carry it; `what` says why
};

struct ColumnCoverage {
  const char* catalog;
  const char* columns;  // separated by spaces
  Coverage coverage;
  const char* what;
};

const std::vector<ColumnCoverage>& CatalogCoverage();

}  // namespace salvor::agent
