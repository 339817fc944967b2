// Verdicts of a drill or restore as text. Pure.
#pragma once

#include <google/protobuf/repeated_field.h>

#include <string>
#include <vector>

#include "salvor/v1/run.pb.h"
#include "tools/cli/terminal/style.h"

namespace salvor::cli {

struct CheckCounts {
  int passed = 0, failed = 0, unverifiable = 0;
  int not_built = 0;  // of those that failed: they follow from what a restore left out
  int Total() const { return passed + failed + unverifiable; }
};

CheckCounts CountChecks(const std::vector<const v1::Check*>& checks);

// "24 checks: 20 passed, 1 failed, 3 unverifiable".
std::string SummarizeChecks(const CheckCounts& counts);
std::string SummarizeChecks(const google::protobuf::RepeatedPtrField<v1::Check>& checks);

// A table by component and kind, then every check that failed or is unverifiable by name with what was
// compared; at most `most` of each (0: all) and how many more. Those that follow from what could not be built are
// counted, and named by RenderNotBuilt. Empty without checks.
std::string RenderChecks(const std::vector<const v1::Check*>& checks, int most, const Style& style);

// The things that a restore that keeps going left out, by name with the server's words; at most `most` of them (0: all)
// and how many more. Empty where nothing was left out.
std::string RenderNotBuilt(const v1::Run& run, int most, const Style& style);

// How many things that is; and their titles, some of them.
int64_t CountNotBuilt(const v1::Run& run);
std::string TitlesOfNotBuilt(const v1::Run& run);

}  // namespace salvor::cli
