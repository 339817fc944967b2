// The room that a command check runs in: without privileges, in a sandbox, with the copy's address and nothing else in
// its environment. In a drill that is the drill's own isolation. In a restore, a sandbox of its own, from which
// the declared server and the restored files are seen and nothing else of the host.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/process/sandbox.h"
#include "agent/process/tool_runner.h"
#include "agent/work/action.h"
#include "agent/work/copy_probes.h"

namespace salvor::agent {

// True for a copy that lies beside its original: the running application does not use it.
bool IsBesideTheOriginal(const v1::ApplicationChecks& action, const CopyPlace& place);

// "" or why this command would not look at the copy: it names a database that was restored under another name,
// or one that was not restored. Pure.
std::string WhyItMissesTheCopy(const v1::ApplicationChecks& action, const v1::CommandCheck& probe);

class CheckRoom {
 public:
  // Made for a copy at that place, which is reached as `copy` says; null for one of files alone. An error says what is
  // lacking to run any command here. `action`, `copy` and `context` must outlive the room.
  static StatusOr<std::unique_ptr<CheckRoom>> Make(const v1::ApplicationChecks& action, CopyPlace place,
                                                   const CopyProbes* copy, const ActionContext& context);
  ~CheckRoom();  // removes what it wrote
  // Removes what rooms of an agent that died have left. Called at start, before any is made.
  static Status RemoveLeftovers(const std::string& state_directory);
  CheckRoom(const CheckRoom&) = delete;
  CheckRoom& operator=(const CheckRoom&) = delete;

  StatusOr<ProcessSpec> Spec(const v1::CommandCheck& probe) const;

  // Names what could not be had of the isolation; only a drill goes on without.
  const std::string& NotIsolated() const { return not_isolated_; }

  // A file of the copy that the check's user cannot read; empty when there is none.
  std::string FirstClosedFile() const;

 private:
  CheckRoom(const v1::ApplicationChecks& action, CopyPlace place, const CopyProbes* copy,
            const ActionContext& context)
      : action_(action), place_(std::move(place)), copy_(copy), context_(context) {}
  Status EnterDrill();
  Status EnterRestore();
  Status ChooseUser();
  Status AddFiles(const std::string& prefix);
  Status AddServer();

  const v1::ApplicationChecks& action_;
  const CopyPlace place_;
  const CopyProbes* copy_;
  std::string socket_directory_, password_file_;  // as the copy is reached from inside
  const ActionContext& context_;
  std::string directory_;  // of a restore's check: its passwd and group, and a password file
  SandboxUser user_;
  Sandbox sandbox_;  // of a restore
  std::vector<Sandbox::Mount> files_;
  std::string files_inside_ = "/scratch/files";
  std::string not_isolated_;
};

}  // namespace salvor::agent
