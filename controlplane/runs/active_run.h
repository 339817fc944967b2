// One active run in the engine's memory. Guarded by the engine's lock.
#pragma once

#include <algorithm>
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
  // How it is shown once its end is durable. It is not changed any more once a batch has it.
  std::shared_ptr<v1::Run> ended;
  absl::Duration began;    // when it was requested, by the clock that nobody sets
  StepHolders holders;     // who was ever granted a step
  std::vector<int> keyed;  // steps with concurrency keys
  std::map<int, v1::Progress> progress;
  v1::EventBatch pending;  // of the call that is under way
  CondVar changed, finished;

  const v1::Step& Step(int step) const { return state.graph->Step(step); }
  const flows::StepState& At(int step) const { return state.steps[static_cast<size_t>(step)]; }
  const v1::Place& PlaceOf(int step) const { return state.graph->PlaceOf(step); }
  // The places of a flow of 0.1 name none: they are in the run's.
  const std::string& EnvironmentOf(const v1::Place& place) const {
    return place.environment().empty() ? header.environment() : place.environment();
  }
  const std::string& EnvironmentOf(int step) const { return EnvironmentOf(PlaceOf(step)); }
  bool IsIn(const std::string& environment) const {
    const std::vector<v1::Place>& places = state.graph->Places();
    return std::any_of(places.begin(), places.end(),
                       [&](const v1::Place& place) { return EnvironmentOf(place) == environment; });
  }
  // The agent that the step's place is bound to; without a name as long as that is nobody.
  AgentKey BoundAt(int step) const { return {EnvironmentOf(step), state.BoundAt(step)}; }
  AgentKey Holder(int step) const { return {EnvironmentOf(step), At(step).agent}; }
  bool IsHeldBy(int step, const std::string& environment, const std::string& agent) const {
    return At(step).agent == agent && EnvironmentOf(step) == environment;
  }
  // Who made what the obligation undoes.
  AgentKey ObligationHolder(size_t obligation) const {
    return Holder(state.graph->Obligations()[obligation].opened_by);
  }
  bool Releases(int step) const { return state.graph->At(step).releases >= 0; }
  // The clock that nobody sets as the run's own time (flows/run/reducer.h) and back.
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
