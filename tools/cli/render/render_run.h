// Runs as text. Pure.
#pragma once

#include <string>

#include "salvor/v1/control_service.pb.h"
#include "tools/cli/terminal/style.h"

namespace salvor::cli {

std::string RenderRunTable(const v1::ListRunsResponse& runs, const Style& style);

// Everything about one run: head, step graph by waves, obligations, checks, warnings.
std::string RenderRun(const v1::Run& run, const Style& style);

// A plan says what a dry run would do and by which steps.
std::string RenderPlan(const v1::CreateRunResponse& plan, const Style& style);

// One line of a tool's output.
std::string RenderLogLine(const v1::LogLines& lines, const v1::LogLine& line, bool one_step,
                          const Style& style);

}  // namespace salvor::cli
