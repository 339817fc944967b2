#pragma once

#include <cstddef>

#include "base/status.h"
#include "salvor/v1/agent_service.pb.h"

namespace salvor::agent {

// Takes out of what waits the part that goes next: all of it, as long as that has at most `most` bytes. Reports beyond
// them stay behind, in their order, for the next parts; the log goes at once, for it is older than they are. A report
// that is larger by itself goes alone: somebody has to say that it can't be taken. Pure.
v1::AgentMessage TakePart(v1::AgentMessage& waiting, size_t most);

// Whether a stream that ended so speaks against the message that was on its way: a parser refused it, or it is too large.
// A control plane that has no room for anybody just now blames nobody, though gRPC gives that the same code. Pure.
bool BlamesTheMessage(const Status& closed);

}  // namespace salvor::agent
