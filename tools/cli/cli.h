// The program `salvor` without its main: words in, text and an exit code out.
#pragma once

#include <string>
#include <vector>

#include "tools/cli/commands/command.h"

namespace salvor::cli {

// `arguments` without the program's name. Never throws.
int RunCli(const std::vector<std::string>& arguments, Environment& environment);

// All commands, nothing parsed yet.
void BuildCommandLine(CommandLine& line);

// Fills line.chosen, or says on stdout (help) or stderr (usage) what there is to say and gives the exit code.
// kOk with an empty line.chosen: help was asked for.
ExitCode Parse(CommandLine& line, const std::vector<std::string>& arguments, Environment& environment);

}  // namespace salvor::cli
