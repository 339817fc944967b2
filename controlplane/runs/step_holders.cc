#include "controlplane/runs/step_holders.h"

namespace salvor::controlplane {

StepHolders HoldersIn(const std::vector<v1::Event>& events) {
  StepHolders holders;
  for (const v1::Event& event : events) {
    if (event.has_step_granted()) holders.insert({event.step_granted().step(), event.step_granted().agent()});
  }
  return holders;
}

const FinishedHolders::Kept* FinishedHolders::Find(const std::string& run) const {
  const auto found = kept_.find(run);
  return found == kept_.end() ? nullptr : &found->second;
}

void FinishedHolders::Put(const std::string& run, Kept kept) {
  if (kept_.insert_or_assign(run, std::move(kept)).second) order_.push_back(run);
  while (order_.size() > kMostRuns) {
    kept_.erase(order_.front());
    order_.pop_front();
  }
}

}  // namespace salvor::controlplane
