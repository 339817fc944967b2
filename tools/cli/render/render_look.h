// The answer of a run that only looks. Pure.
#pragma once

#include <string>

#include "salvor/v1/run.pb.h"
#include "tools/cli/terminal/style.h"

namespace salvor::cli {

// A line for each step: what it looked at, and what it found.
std::string RenderLook(const v1::Run& run, const Style& style);

struct Refusal {
  std::string what;  // empty: nothing refuses
  std::string hint;
};

// The first guardrail that says no. One that could not look refuses nothing.
Refusal FirstRefusal(const v1::Run& run);

}  // namespace salvor::cli
