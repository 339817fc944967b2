// One active run in the engine's memory. Guarded by the engine's lock.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/io/mutex.h"
#include "controlplane/runs/step_holders.h"
#include "controlplane/store/contract/keys.h"
#include "flows/run/reducer.h"
#include "salvor/v1/agent_service.pb.h"
#include "salvor/v1/run.pb.h"

namespace salvor::controlplane {

struct ActiveRun {
  v1::RunHeader header;
  flows::RunState state;
  int64_t next_event = 0;  // its sequence number
  int64_t revision = 0;
  bool finish_is_durable = false;
  v1::Run ended;            // how it is shown once its end is durable; empty before
  absl::Duration began;     // when it was requested, by the clock that nobody sets
  std::string bound_agent;  // who began the steps that never move
  StepHolders holders;      // who was ever granted a step
  std::vector<int> keyed;   // steps with concurrency keys
  std::map<int, v1::Progress> progress;
  v1::EventBatch pending;  // of the call that is under way
  CondVar changed, finished;

  const v1::Step& Step(int step) const { return state.graph->Step(step); }
  const flows::StepState& At(int step) const { return state.steps[static_cast<size_t>(step)]; }
  AgentKey BoundAgent() const { return {header.environment(), bound_agent}; }
  AgentKey Holder(int step) const { return {header.environment(), At(step).agent}; }
  bool Releases(int step) const { return state.graph->At(step).releases >= 0; }
  // From the clock that nobody sets to the run's own time (flows/run/reducer.h) and back.
  absl::Time RunTime(absl::Duration monotonic) const { return state.requested_at + (monotonic - began); }
  absl::Duration Monotonic(absl::Time run_time) const { return began + (run_time - state.requested_at); }
  v1::LeaseKey Lease(int step) const {
    v1::LeaseKey lease;
    lease.set_run(header.name());
    lease.set_step(Step(step).id());
    lease.set_attempt(At(step).attempt);
    lease.set_epoch(At(step).epoch);
    return lease;
  }
};
using RunPointer = std::shared_ptr<ActiveRun>;
using ActiveRuns = std::unordered_map<std::string, RunPointer>;

}  // namespace salvor::controlplane
