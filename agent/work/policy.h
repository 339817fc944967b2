// The policy of this host: what the control plane may do here, beyond the work itself. The control plane names paths
// and programs; who holds its token must not by that become the user that the agent runs as. docs/security.md says what
// is left to them.
//
// Everything is refused that the operator of the host did not allow, when the agent was started.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "salvor/v1/action.pb.h"

namespace salvor::agent {

// One program of a driver's own that this host allows.
struct ActionProgram {
  std::string name;  // the last part of its path, by which components name it
  std::string path;  // absolute
  std::string
      user;  // who runs it when the agent is root; empty: a user id of nobody. "root" only where it is said
};

struct AgentPolicy {
  std::vector<std::string> action_programs;  // "PATH" or "PATH:USER", of programs that components may name
  std::vector<std::string> check_programs;   // absolute paths that a command check may run
  std::vector<std::string> write_below;      // folders below which restores, dumps and caches may be written
  std::vector<std::string> environment_files;  // that a Location may name
  std::vector<std::string> restic_options;     // keys of -o, besides the harmless ones
  std::string check_user;  // who runs command checks of restores, when the agent is root; empty: a user id of
                           // nobody

  // Asked at start. FailedPrecondition for an entry that would allow everything (a shell, an interpreter), that
  // others could replace, or that is no absolute path.
  Status Validate() const;

  // Asked before an action runs. FailedPrecondition, naming the path or option and how to allow it.
  Status Permit(const v1::Action& action) const;

  // The allowed program of that name. It is looked at again: FailedPrecondition once others could change it.
  StatusOr<ActionProgram> FindActionProgram(const std::string& name) const;

  // Whether one command check may run its program.
  Status PermitCheckProgram(const std::string& path) const;
};

// "" or what kind of program a path of this name is that runs whatever it is told: "a shell". Pure.
std::string InterpreterKind(const std::string& path);

}  // namespace salvor::agent
