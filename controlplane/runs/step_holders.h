// The holders of a run are the agents that were ever granted a step of it: they alone may write into its log.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/store/contract/keys.h"
#include "salvor/v1/flow.pb.h"
#include "salvor/v1/run.pb.h"

namespace salvor::controlplane {

// A grant is noted for each step of each run, and hardly ever looked for: they are listed by agent, who are few.
class StepHolders {
 public:
  void Note(const std::string& step, const std::string& environment, const std::string& agent);
  bool Had(const std::string& step, const AgentKey& agent) const;
  bool HadAny(const AgentKey& agent) const;

 private:
  const std::vector<std::string>* StepsOf(const AgentKey& agent) const;

  std::vector<std::pair<AgentKey, std::vector<std::string>>> steps_by_agent_;
};

// The agents that the events grant steps of that flow to. Places that name no environment are in that of the run.
StepHolders HoldersIn(const std::string& environment, const v1::Flow& flow,
                      const std::vector<v1::Event>& events);

// Keeps the holders of the newest finished runs, since their last log lines come late; the rest can be read from the
// store. One thread at a time.
class FinishedHolders {
 public:
  static constexpr size_t kMostRuns = 256;

  const StepHolders* Find(const std::string& run) const;  // null: not kept
  void Put(const std::string& run, StepHolders holders);
  void Forget(const std::string& run);

 private:
  std::map<std::string, StepHolders> kept_;
  std::deque<std::string> order_;
};

}  // namespace salvor::controlplane
