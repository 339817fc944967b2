#include "controlplane/runs/step_holders.h"

#include <algorithm>

namespace salvor::controlplane {

StepHolders HoldersIn(const std::string& environment, const v1::Flow& flow,
                      const std::vector<v1::Event>& events) {
  std::map<std::string, std::string> elsewhere;  // by place and then by step
  for (const v1::Place& place : flow.places()) elsewhere[place.name()] = place.environment();
  std::map<std::string, std::string> environments;
  for (const v1::Step& step : flow.steps()) {
    const std::string& named = elsewhere[step.place()];
    environments[step.id()] = named.empty() ? environment : named;
  }
  StepHolders holders;
  for (const v1::Event& event : events) {
    const v1::StepGranted& granted = event.step_granted();
    if (event.has_step_granted())
      holders.insert({granted.step(), AgentKey{environments[granted.step()], granted.agent()}});
  }
  return holders;
}

const StepHolders* FinishedHolders::Find(const std::string& run) const {
  const auto found = kept_.find(run);
  return found == kept_.end() ? nullptr : &found->second;
}

void FinishedHolders::Put(const std::string& run, StepHolders holders) {
  if (kept_.insert_or_assign(run, std::move(holders)).second) order_.push_back(run);
  while (order_.size() > kMostRuns) {
    kept_.erase(order_.front());
    order_.pop_front();
  }
}

void FinishedHolders::Forget(const std::string& run) {
  if (kept_.erase(run) > 0) order_.erase(std::find(order_.begin(), order_.end(), run));
}

}  // namespace salvor::controlplane
