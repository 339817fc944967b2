// The room that a driver's own program works in, for one action: on the host, as a user without privileges, for
// what has to reach the application; in the sandbox of a drill, on scratch data and without a network, for
// everything of a drill.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "agent/engines/action/program.h"
#include "agent/engines/action/run_program.h"
#include "agent/process/sandbox.h"
#include "agent/scratch/scratch_state.h"
#include "agent/work/action.h"
#include "salvor/v1/action.pb.h"

namespace salvor::agent {

// Used by one thread. What is in its folder goes with it, but for a drill's: that is the drill's to remove.
class ProgramRoom {
 public:
  // A folder that was made anew.
  static StatusOr<ProgramRoom> OnHost(const v1::ActionComponent& component, const ActionContext& context);
  // Of the drill's place. `again`: with what an earlier step of the drill left in it; else it is empty.
  static StatusOr<ProgramRoom> InDrill(const v1::ActionComponent& component, const std::string& scratch,
                                       bool again, const ActionContext& context);

  // Lays the artifacts into the folder, each held to its size and digest, and tells the request of them. DataLoss
  // names the one that is not what was kept. Before the program has been in there.
  Status Lay(const google::protobuf::RepeatedPtrField<v1::Artifact>& artifacts,
             const v1::ResticLocation& location, const ActionContext& context, ActionRequest* request) const;

  // A request of this room with what all verbs are told.
  StatusOr<ActionRequest> Request(ActionVerb verb, const std::string& operation,
                                  const ActionContext& context) const;

  // Runs the verb, once everything was laid: the folder becomes the program's.
  StatusOr<ActionOutcome> Run(ActionRequest request, std::map<std::string, ProcessSpec> consumers,
                              ActionContext& context) const;

  const OpenedProgram& Program() const { return *program_; }
  const std::string& Folder() const { return folder_; }  // as it is outside
  uid_t Owner() const;                                   // of what the program makes

 private:
  ProgramRoom() = default;
  StatusOr<ProcessSpec> Enclose(ProcessSpec spec, const ActionContext& context) const;

  v1::ActionComponent component_;
  std::unique_ptr<OpenedProgram> program_;
  std::unique_ptr<WorkFolder> own_;
  std::string folder_, inside_;  // the same folder as it is outside, and for the program
  std::optional<SandboxUser> user_;
  std::optional<ScratchState> drill_;
};

// The name of an artifact in the backup: the component's, and the program's for it.
std::string ArtifactName(const std::string& component, const std::string& name);

// The record, as it was kept.
StatusOr<v1::ProgramRecord> LoadRecord(const v1::Artifact& record, const v1::ResticLocation& location,
                                       const ActionContext& context);

// Says it when the program is another one than at the backup, and what it warns of.
void AddWarnings(const OpenedProgram& program, const v1::Artifact* record, const ActionEvents& events,
                 v1::ActionResult* result);

}  // namespace salvor::agent
