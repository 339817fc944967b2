// Which agents were ever granted a step of a run: they alone may write into its log.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "salvor/v1/run.pb.h"

namespace salvor::controlplane {

using StepHolders = std::set<std::pair<std::string, std::string>>;  // step, agent

StepHolders HoldersIn(const std::vector<v1::Event>& events);

// Those of runs that are over, whose last lines are still on their way. The newest are kept, the rest can be read from
// the store. One thread at a time.
class FinishedHolders {
 public:
  static constexpr size_t kKept = 256;  // runs

  const StepHolders* Find(const std::string& run) const;  // null: not kept
  void Put(const std::string& run, StepHolders holders);

 private:
  std::map<std::string, StepHolders> holders_;
  std::deque<std::string> order_;
};

}  // namespace salvor::controlplane
