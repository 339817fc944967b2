// The folder that a drill has on the agent's host, and the servers that run in it. Pure.
#pragma once

#include "strategies/interface/strategy.h"

namespace salvor::strategies {

// The folder alone. A strategy whose server runs in it says so in `start`, and names it with NameServer.
ScratchPlace ScratchFolder(const RestoreRequest& request, int64_t bytes);

// What people read of a folder with a server in it.
void NameServer(ScratchPlace* place);

}  // namespace salvor::strategies
