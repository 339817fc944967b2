// Everything that an agent on a plain host can do: the one list of its engines.
#pragma once

#include <map>
#include <string>

#include "agent/process/tool_runner.h"
#include "agent/scratch/scratch_engine.h"
#include "agent/work/action.h"

namespace salvor::agent {

// All kinds of Action that it can run.
ActionRegistry HostActions();

// The folder of each engine's programs, where nobody names another.
std::map<std::string, std::string> HostProgramFolders();

// All kinds of servers that a drill on such a host can have. `tools` is borrowed.
ScratchEngines HostScratchEngines(const AgentConfig& config, ToolRunner& tools);

}  // namespace salvor::agent
