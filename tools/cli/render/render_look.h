// The answer of a run that only looks. Pure.
#pragma once

#include <optional>
#include <string>

#include "salvor/v1/run.pb.h"
#include "tools/cli/terminal/style.h"

namespace salvor::cli {

// A line for each step: what it looked at, and what it found.
std::string RenderLook(const v1::Run& run, const Style& style);

// Why a restore would not come to a good end.
struct Objection {
  bool by_guardrail = false;  // nothing would be written
  std::string what, hint;
};

// The first step that would fail, or whose check does; nothing when none would. One that could not look objects to nothing.
std::optional<Objection> FirstObjection(const v1::Run& run);

}  // namespace salvor::cli
