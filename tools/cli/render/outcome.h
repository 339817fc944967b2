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

// `backup` is the record of the run's backup as it stands after the run; null when it could not be had.
Outcome OutcomeOf(const v1::Run& run, const v1::Backup* backup, const Style& style);

// What a run means, in one word, for lists and headlines: complete, partial, proven, disproven, unverifiable,
// restored, failed, cancelled; its phase while it goes on. A drill that did all of its steps and found a fault
// is "disproven". "finished" where neither steps nor a record of it are known, as for an older drill in a list.
Worded VerdictWord(const v1::Run& run, const v1::Backup* backup);

// What a drill's checks say, and what the control plane recorded for this very drill; the worse counts.
// Without a single check nothing is proven.
v1::Backup::Verification VerdictOf(const v1::Run& run, const v1::Backup* backup);

}  // namespace salvor::cli
