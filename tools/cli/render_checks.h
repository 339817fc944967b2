// Verdicts of a drill or restore as text. Pure.
#pragma once

#include <google/protobuf/repeated_field.h>

#include <string>
#include <vector>

#include "salvor/v1/run.pb.h"
#include "tools/cli/style.h"

namespace salvor::cli {

struct CheckCounts {
  int passed = 0, failed = 0, unverifiable = 0;
  int Total() const { return passed + failed + unverifiable; }
};

CheckCounts CountChecks(const std::vector<const v1::Check*>& checks);

// "24 checks: 20 passed, 1 failed, 3 unverifiable".
std::string SummarizeChecks(const CheckCounts& counts);
std::string SummarizeChecks(const google::protobuf::RepeatedPtrField<v1::Check>& checks);

// A table by component and kind, then every check that failed or is unverifiable by name with what was
// compared; at most `most` of each (0: all) and how many more. Empty without checks.
std::string RenderChecks(const std::vector<const v1::Check*>& checks, int most, const Style& style);

}  // namespace salvor::cli
