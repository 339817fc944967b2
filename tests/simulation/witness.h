// Sees what is durable, what is said and what is done, and says what must never be. It keeps its own picture of every run
// from the stored events alone, and believes nothing that the engine says of itself. One thread.
#pragma once

#include <absl/time/time.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "agent/executor/executor.h"
#include "controlplane/store/contract/journal.h"
#include "controlplane/store/contract/keys.h"
#include "flows/run/run_state.h"
#include "tests/simulation/world.h"

namespace salvor::simulation {

using controlplane::AgentKey;
using Lease = std::tuple<std::string, std::string, int, int64_t>;  // run, step, attempt, epoch
Lease LeaseOf(const v1::LeaseKey& lease);
std::string Text(const v1::LeaseKey& lease);
std::string Text(const AgentKey& agent);

// One attempt at work in one process.
struct Work {
  int process;
  AgentKey agent;
  v1::LeaseKey lease;
  std::function<bool()> is_stopped;
};

// A connected agent: since when it is, and since when it has had room all the while, if it has.
struct Available {
  AgentKey agent;
  absl::Duration connected_since;
  std::optional<absl::Duration> room_since;
};

class Witness {
 public:
  explicit Witness(World& world) : world_(world) {}

  // ---- the store
  void OnDurable(const controlplane::Batch& batch, absl::Duration committed_at);
  void OnControlPlaneStarts() { ++control_planes_; }
  // It has read the store, and says this of an active run.
  void OnRecovered(const v1::Run& run);
  void OnStartIsDurable(const std::string& run);
  void OnCancelIsDurable(const std::string& run);

  // ---- the streams
  void OnSent(const AgentKey& agent, const v1::ControlMessage& message);
  void OnCancelArrives(int process, const v1::LeaseKey& lease);
  // Looks for steps that could have been granted long ago.
  void LookForForgotten(const std::vector<Available>& available);

  // ---- the agents
  void OnBegins(Work work, const std::vector<v1::EarlyRelease>& released_early);
  void OnEnds(int process, const v1::LeaseKey& lease, bool succeeded);
  void OnDies(int process);
  // A process undoes without a step for it what it made so long ago.
  void OnUndoneByItself(const AgentKey& agent, const std::string& run, const std::string& what,
                        absl::Duration age);

  // ---- for those who decide what happens next
  int Succeeded() const { return succeeded_; }
  std::vector<std::string> ActiveRuns() const;
  // Those with a step that may be taken over from its agent, which is silent, and that nobody has taken yet.
  std::vector<std::string> AbandonedRuns() const;
  // A step that an agent other than `agent` holds, if there is one.
  std::optional<v1::LeaseKey> HeldByAnother(const AgentKey& agent);
  // Who shall work at some place of the run from now on, as a result may say; mostly somebody who may.
  std::optional<v1::Binding> DrawBinding(const std::string& run);
  // Whether a step that never moves waits for this agent, or is at it.
  bool NeedsAgent(const std::string& run, const AgentKey& agent) const;
  std::string Describe(const std::string& run) const;

 private:
  struct Grant {
    int attempt = 0;
    int64_t epoch = 0;
    std::string agent;
    absl::Duration committed_at;
    int control_plane = 0;
  };
  struct Run {
    v1::RunHeader header;
    flows::RunState state;
    std::map<std::string, Grant> grants;  // the latest, by step
    std::set<Lease> reported;
    std::map<std::string, std::string> bound;   // the agent of each place, by its name
    std::map<int, absl::Duration> ready_since;  // by step: it may be granted since then

    const flows::StepState& At(int step) const { return state.steps[static_cast<size_t>(step)]; }
    const std::string& EnvironmentOf(const v1::Place& place) const {
      return place.environment().empty() ? header.environment() : place.environment();
    }
    const std::string& EnvironmentOf(int step) const { return EnvironmentOf(state.graph->PlaceOf(step)); }
    // Empty as long as the step's place is nobody's.
    std::string BoundAt(int step) const {
      const auto found = bound.find(state.graph->PlaceOf(step).name());
      return found == bound.end() ? "" : found->second;
    }
  };

  void Begin(const controlplane::PutRun& put);
  void Apply(Run& run, const v1::Event& event, absl::Duration committed_at);
  void CheckReport(Run& run, const v1::StepReported& reported);
  void TakeBindings(Run& run, const v1::StepReported& reported);
  void CheckTimer(Run& run, const v1::TimerFired& fired, absl::Duration committed_at);
  void CheckKeys();
  void CheckRun(Run& run);
  void LookForForgotten(const Run& run, int step, absl::Duration since,
                        const std::vector<Available>& available);
  void CheckAnswer(const AgentKey& agent, const v1::LeaseKey& lease, bool is_acknowledged);
  bool ReleasedBefore(const v1::LeaseKey& lease, const std::vector<v1::EarlyRelease>& released_early) const;

  World& world_;
  std::map<std::string, Run> runs_;
  std::set<std::string> active_;
  int control_planes_ = 0, succeeded_ = 0;
  std::map<AgentKey, absl::Duration> last_connected_;
  std::map<std::pair<int, Lease>, Work> at_work_;
  std::map<std::pair<int, Lease>, bool> cancelled_;
  std::map<Lease, std::string> performed_;  // with success, by whom
  std::set<Lease> in_vain_;                 // begun after what it relied on was undone
};

}  // namespace salvor::simulation
