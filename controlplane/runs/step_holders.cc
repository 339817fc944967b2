#include "controlplane/runs/step_holders.h"

#include <algorithm>

namespace salvor::controlplane {

void StepHolders::Note(const std::string& step, const std::string& environment, const std::string& agent) {
  for (auto& [known, steps] : steps_by_agent_) {
    if (known.name == agent && known.environment == environment) return steps.push_back(step);
  }
  steps_by_agent_.push_back({{environment, agent}, {step}});
}

bool StepHolders::Had(const std::string& step, const AgentKey& agent) const {
  const std::vector<std::string>* steps = StepsOf(agent);
  return steps != nullptr && std::find(steps->begin(), steps->end(), step) != steps->end();
}

bool StepHolders::HadAny(const AgentKey& agent) const { return StepsOf(agent) != nullptr; }

const std::vector<std::string>* StepHolders::StepsOf(const AgentKey& agent) const {
  for (const auto& [known, steps] : steps_by_agent_) {
    if (known == agent) return &steps;
  }
  return nullptr;
}

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
    if (event.has_step_granted()) holders.Note(granted.step(), environments[granted.step()], granted.agent());
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
