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

// Keeps the holders of the newest finished runs, since their last log lines come late; the rest can be read from the
// store. One thread at a time.
class FinishedHolders {
 public:
  static constexpr size_t kMostRuns = 256;

  struct Kept {
    std::string environment;  // of the run, and so of its agents
    StepHolders holders;
  };
  const Kept* Find(const std::string& run) const;  // null: not kept
  void Put(const std::string& run, Kept kept);

 private:
  std::map<std::string, Kept> kept_;
  std::deque<std::string> order_;
};

}  // namespace salvor::controlplane
