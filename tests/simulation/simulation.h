// A control plane, its agents, their machines and the network between them in one thread, on bad days: what a seed decides
// happens, and happens again for the same seed.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/runs/engine.h"
#include "tests/simulation/simulated_agent.h"
#include "tests/simulation/simulated_store.h"
#include "tests/simulation/stream.h"

namespace salvor::simulation {

struct Outcome {
  int events = 0, events_with_faults = 0, faults = 0, runs = 0, succeeded = 0;
  absl::Duration simulated;
  std::vector<std::string> broken;  // empty: all is well
  std::vector<std::string> trace;   // when asked for
};

struct SimulationOptions {
  uint64_t seed = 0;
  bool traces = false;
  int least_events = 2000, least_faults = 100;  // before the faults stop
  std::string directory;                        // for journals; ought to be in memory
};

Outcome Simulate(const SimulationOptions& options);

}  // namespace salvor::simulation
