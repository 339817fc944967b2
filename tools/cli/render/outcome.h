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

// Exit code and headline are the run's verdict. `backup` is the record of the backup that it made, for the account;
// null when it could not be had.
Outcome OutcomeOf(const v1::Run& run, const v1::Backup* backup, const Style& style);

}  // namespace salvor::cli
