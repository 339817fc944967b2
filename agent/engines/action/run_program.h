// One run of a driver's own program: what it is asked goes in on its stdin, what it tells comes on a descriptor of
// its own, what it streams goes into the Location, and it ends within its time, whatever it does.
//
// The uploaders of its streams see their end only once the program has exited 0 and told all: the `done` event, and
// of each stream as many bytes as came (agent/process/pipe_owner.h has the rules). On anything else they keep
// nothing.
#pragma once

#include <absl/time/time.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/engines/action/contract.h"
#include "agent/engines/action/events.h"
#include "agent/engines/action/program.h"
#include "agent/process/pipe_owner.h"
#include "agent/process/sandbox.h"
#include "agent/work/action.h"
#include "base/status.h"

namespace salvor::agent {

// Sees to it that the secrets of a request are in no text that leaves.
class SecretCleaner {
 public:
  explicit SecretCleaner(const std::map<std::string, std::string>& secrets);
  std::string Clean(std::string_view text) const;

 private:
  std::vector<std::string> secrets_;  // the longest first
};

// How the program is closed in. The spec that comes in runs it as it stands.
using Encloser = std::function<StatusOr<ProcessSpec>(ProcessSpec spec)>;

struct ActionRun {
  const OpenedProgram* program = nullptr;  // borrowed
  ActionRequest request;                   // its streams and deadline are set here
  std::string directory;  // in which it starts, as it is outside; the request's work is as inside
  absl::Duration timeout = absl::Hours(6);
  Encloser enclose;
  // Backup: for each stream, by its name, who reads it: `restic backup --stdin`.
  std::map<std::string, ProcessSpec> consumers;
};

struct ActionOutcome {
  std::unique_ptr<ActionEvents> events;
  std::map<std::string, PipeOutcome> streams;  // by name
};

// The context's stop and deadline hold; its log gets what the program says, its progress what it tells of that.
// Unavailable for a temporary failure, DataLoss for damage that the program found, Internal for what it did against
// the contract.
StatusOr<ActionOutcome> RunAction(ActionRun run, ActionContext& context);

}  // namespace salvor::agent
