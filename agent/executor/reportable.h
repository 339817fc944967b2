// The one gate that every text passes before it is journalled or sent. Tools, servers and files bring any bytes; what
// leaves the agent is valid UTF-8 (a protobuf parser refuses a message for one byte that is not), holds no secret and no
// row of the application, and has a bound. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/io/grpc/limits.h"  // kLargestResult
#include "base/redact.h"          // ReportableText
#include "salvor/v1/action.pb.h"
#include "salvor/v1/agent_service.pb.h"

namespace salvor::agent {

inline constexpr size_t kLongestText = 8 << 10;     // of an error, a hint, what was compared …
inline constexpr size_t kLongestLogLine = 4 << 10;  // as LogLine has it

// A result that is too large even so becomes the error that says it.
void MakeReportable(v1::ActionResult& result);
void MakeReportable(v1::Progress& progress);

}  // namespace salvor::agent
