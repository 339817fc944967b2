// How a run ended: the exit code, the compact account after --wait, and what to do next. Pure.
#pragma once

#include <string>
#include <vector>

#include "salvor/v1/run.pb.h"
#include "tools/cli/terminal/exit_codes.h"
#include "tools/cli/terminal/style.h"
#include "tools/cli/words/words.h"

namespace salvor::cli {

struct Outcome {
  ExitCode code = ExitCode::kFailed;
  std::string text;   // for stdout
  std::string error;  // what failed; empty when nothing did
  std::string cause, hint;
  std::vector<std::string> next;  // commands
};

// Whether a restore, or the look that goes before one, was refused because of what stands in its place, and not because the
// Location could not be read.
bool RefusedByGuardrail(const v1::Run& run, const v1::StepStatus& step);

// Exit code and headline are the run's verdict. `backup` is the record of the backup that it made, for the account;
// null when it could not be had.
Outcome OutcomeOf(const v1::Run& run, const v1::Backup* backup, const Style& style);

}  // namespace salvor::cli
