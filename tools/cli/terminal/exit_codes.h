// The meanings of the program's exit codes. The table is part of the interface: scripts decide by it, and
// `salvor help exit-codes` prints it.
#pragma once

#include <string>

#include "base/status.h"

namespace salvor::cli {

enum class ExitCode {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,
  kPartial = 3,  // a backup or restore that misses something, a drill that could not check everything
  kNotAuthenticated = 4,
  kForbidden = 5,
  kNotFound = 6,
  kConflict = 7,       // a guardrail's refusal included
  kInvalid = 8,        // objects that do not pass validation
  kCancelled = 9,      // the run was cancelled
  kUnreachable = 10,   // no control plane, or no answer from it in time
  kTimedOut = 124,     // --timeout ran out while waiting
  kInterrupted = 130,  // Ctrl-C while waiting
};

// How a call that failed ends the program.
ExitCode ExitCodeOf(const Status& status);

// The table for people.
std::string RenderExitCodes();

}  // namespace salvor::cli
