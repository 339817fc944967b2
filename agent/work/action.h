// An action's context and result. There is one function per kind of Action (registry.h), all of them in
// agent/host_actions.h.
//
// An action looks first at what is already there (names are deterministic; adopt or replace what an earlier
// attempt of the same run left), acts, and answers. It may be asked to stop at any time and then leaves
// nothing half done that the next attempt would mistake for whole.
#pragma once

#include <absl/time/time.h>

#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>

#include "agent/process/tool_runner.h"
#include "agent/restic/restic.h"
#include "agent/work/policy.h"
#include "base/status.h"
#include "base/steady_time.h"
#include "salvor/v1/action.pb.h"
#include "salvor/v1/agent_service.pb.h"

namespace salvor::agent {

class ScratchPlaces;  // agent/scratch/scratch_places.h

// Fixed for the life of the agent.
struct AgentConfig {
  std::string name;
  std::string environment;
  v1::Runtime runtime = v1::RUNTIME_HOST;
  v1::AgentKind kind = v1::AGENT_KIND_HOST;
  std::map<std::string, std::string> labels;  // for people; nothing is decided by them
  std::string state_directory;                // journal, scratch, caches; 0700
  std::map<std::string, std::string>
      program_folders;       // by the kind of engine; one not named has its own default
  std::string scratch_user;  // who runs scratch servers when the agent is root; empty: a user id of nobody
  int max_parallel = 8;      // tasks at once
  std::string action_work_directory = "/var/tmp";  // where drivers' own programs get their work folders
  AgentPolicy policy;
};

// Everything of one attempt. Lives as long as the attempt; used from its thread, sinks from any.
struct ActionContext {
  const AgentConfig& config;
  ToolRunner& tools;
  const v1::Task& task;
  std::stop_token stop;
  SteadyTime deadline = SteadyTime::InfiniteFuture();
  std::function<void(const v1::Progress&)> progress;                        // cheap; rate-limited behind it
  std::function<void(std::string_view source, std::string_view line)> log;  // one line of a tool's output
  ScratchPlaces* scratch = nullptr;  // borrowed, the agent's; null where no action may need a scratch server

  Restic Repository(const v1::ResticLocation& location) const;

  // Tags of one artifact of this run: salvor, run, backup, artifact, and its component where it is of one.
  std::map<std::string, std::string> Tags(const v1::ArtifactTarget& target) const;

  // "pg_dump | restic: 4402341478 bytes in 61.234 s (68.6 MiB/s)" into the run's log.
  void LogTransfer(std::string_view way, int64_t bytes, absl::Duration took) const;
};

// A status that ends the attempt becomes ActionResult.error; a partial answer is made by filling both.
using ActionFunction = std::function<StatusOr<v1::ActionResult>(const v1::Action&, ActionContext&)>;

struct ActionEntry {
  ActionFunction run;
  // Nothing in the world changes by it, and it is as quick as a function call: run in place, never journaled.
  bool instant = false;
  // Removes what an attempt of this kind that was cut short left on this host or on servers; null for nothing. What is in
  // the Location is cleaned up for all kinds alike (clean_up.h).
  std::function<Status(const v1::Action&, ActionContext&)> clean_up = nullptr;
  // Its work is done elsewhere and outlives this agent: an attempt that a dead predecessor left is not interrupted, but run
  // again as the same attempt, which finds what it began and goes on with that.
  bool resumable = false;
};

// The actions that an agent can do, by the name of the field in Action ("postgres_dump").
using ActionRegistry = std::map<std::string, ActionEntry>;

// Codes to reasons: Unavailable and Aborted are retryable, FailedPrecondition is a refusal, and so on. No code says that
// the agent itself died (REASON_INTERRUPTED), which is forgiven and does not count as a try: any server may answer with
// any code.
v1::Error ToError(const Status& status);

}  // namespace salvor::agent
