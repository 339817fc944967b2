// The groups of commands. Each adds its own to a command line.
#pragma once

#include "tools/cli/commands/command.h"

namespace salvor::cli {

void AddApplyCommands(CommandLine& line);   // apply, validate
void AddObjectCommands(CommandLine& line);  // get, delete
void AddDiscoverCommands(CommandLine& line);
void AddBackupCommands(CommandLine& line);
void AddBackupDeleteCommand(CommandLine& line, CLI::App& noun);  // of the noun backup
void AddRestoreCommands(CommandLine& line);
void AddDrillCommands(CommandLine& line);
void AddRunCommands(CommandLine& line);
void AddAgentCommands(CommandLine& line);
void AddAgentTokenCommands(CommandLine& line);
void AddTokenCommands(CommandLine& line);
void AddInfoCommands(CommandLine& line);  // version, help

}  // namespace salvor::cli
