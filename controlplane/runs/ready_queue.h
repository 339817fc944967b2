// The queue of the steps that wait for an agent, oldest first, and the choice of who gets one. One thread at a time:
// the engine's lock guards it.
#pragma once

#include <absl/time/time.h>

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "controlplane/runs/active_run.h"
#include "controlplane/runs/agent_sessions.h"
#include "flows/admission/admission.h"

namespace salvor::controlplane {

struct ReadyStep {
  RunPointer run;
  int step;
};

class ReadyQueue {
 public:
  void Push(const RunPointer& run, int step) { queues_[run->EnvironmentOf(step)].push_back({run, step}); }

  // Grants a step to an agent, at once: the next one is judged with it granted. False when that was refused, and nothing
  // has changed.
  using Grant = std::function<bool(const ReadyStep& ready, const SessionPointer& session)>;

  // Grants everything that can be granted now: the agent of its place, or one that may become that, has room and can do
  // it, and its concurrency keys are free. The rest stays. What releases an obligation goes first, and to an agent
  // without room too: what it undoes may hold up an application. Then come runs that only look, and then the others; those
  // that were overtaken for minutes go before them. `now` is by the clock that nobody sets.
  void Assign(const std::string& environment, const AgentSessions& sessions, const ActiveRuns& runs,
              absl::Duration now, const Grant& grant);

  // Adds those where an agent could begin what only a key holds back. Found at the last Assign of each.
  void AddHeldBack(std::set<std::string>& environments) const;

  // How long the one that waits longest has waited; zero when none waits. `now` is by the clock that nobody sets.
  absl::Duration OldestAge(absl::Duration now) const;

 private:
  std::map<std::string, std::deque<ReadyStep>> queues_;  // by environment
  std::set<std::string> held_back_;                      // environments, see AddHeldBack
};

// The thing that a step waits for, in words for people, and since when that is so, where it is known.
struct Waiting {
  std::string why;
  std::optional<absl::Time> since;
};

// Says what a ready step waits for.
Waiting WhyItWaits(const ActiveRun& run, int step, const AgentSessions& sessions, const ActiveRuns& runs);

}  // namespace salvor::controlplane
