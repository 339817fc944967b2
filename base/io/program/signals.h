// Signals of both programs: they start and end alike.
#pragma once

#include <functional>
#include <string>

#include "base/status.h"

namespace salvor {

std::string ProgramVersion();

// SIGINT and SIGTERM call `stop`, once, from a thread of its own. Call before any other thread is started:
// the signals are blocked in all of them. SIGPIPE is ignored.
void StopOnSignals(std::function<void()> stop);

// "error: …", "  hint: …" on stderr; the exit code for it.
int ReportFailure(const Status& status);

}  // namespace salvor
