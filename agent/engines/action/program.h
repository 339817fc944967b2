// A driver's own program, opened once: what was looked at and hashed is what runs, whatever the path leads to by
// then.
#pragma once

#include <optional>
#include <string>

#include "agent/process/sandbox.h"
#include "agent/process/tool_runner.h"
#include "agent/work/action.h"
#include "base/io/files.h"
#include "base/status.h"
#include "salvor/v1/manifest.pb.h"
#include "salvor/v1/object.pb.h"

namespace salvor::agent {

// Movable, immutable; used by one thread.
class OpenedProgram {
 public:
  // By the name that a component gives it. FailedPrecondition: it is not allowed here, others could change it, or
  // it is written for another version of the contract.
  static StatusOr<OpenedProgram> Open(const v1::ActionComponent& component, const AgentConfig& config);

  const v1::ProgramFacts& Facts() const { return facts_; }
  const std::string& Name() const { return facts_.program(); }
  const std::string& User() const { return user_; }  // as the host's operator names it; empty: nobody

  // Lets the spec run the program, by its descriptor.
  Status PassTo(ProcessSpec* spec) const;

 private:
  UniqueFd fd_;
  std::string user_;
  v1::ProgramFacts facts_;
};

// "" or that the program is another one than that which made the backup.
std::string OtherProgram(const v1::ProgramFacts& now, const v1::ProgramFacts& then);

// The user that a program runs as outside of a sandbox; none when the agent is not root, and stays who it is.
StatusOr<std::optional<SandboxUser>> UserOfProgram(const OpenedProgram& program, const std::string& run);

// A folder of its own for one run of a program, which goes with this object. On the host, outside of all that is
// Salvor's.
class WorkFolder {
 public:
  static StatusOr<WorkFolder> Make(const AgentConfig& config);
  // Removes the folders that an agent with this state directory left when it was killed. Called at start, before
  // any is made.
  static Status RemoveLeftovers(const AgentConfig& config);
  ~WorkFolder();
  WorkFolder(WorkFolder&&) = default;
  WorkFolder& operator=(WorkFolder&&) = delete;

  // All that is in it by now becomes the user's.
  Status GiveTo(const std::optional<SandboxUser>& user) const;
  const std::string& Path() const { return *path_; }

 private:
  explicit WorkFolder(std::string path) : path_(std::make_unique<std::string>(std::move(path))) {}
  std::unique_ptr<std::string> path_;  // null once it was moved away
};

// Makes the folder and everything in it the user's, who has not been in it yet.
Status GiveAway(const std::string& folder, const SandboxUser& user);

// A file that a program wrote below its work folder, opened without following any link on the way.
// FailedPrecondition for what is no regular file of the owner's own.
StatusOr<UniqueFd> OpenBelow(const std::string& folder, const std::string& path, uid_t owner);

}  // namespace salvor::agent
