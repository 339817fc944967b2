// The heart of the engine: (state, event) -> (state, effects). Pure and deterministic: now, jitter and every
// outcome come in with the event, so that replaying a run's stored events gives its state again. All times of a state
// are on the run's own time: when it was requested, and how long ago that is by a clock that nobody sets.
//
// The caller stores the event durably before it acts on the effects. Effects name (step, attempt), so acting
// on one twice is harmless; Outstanding() gives all that are due for a state, which is what a restart needs.
#pragma once

#include <absl/time/time.h>

#include <memory>
#include <variant>
#include <vector>

#include "base/status.h"
#include "flows/run/run_state.h"

namespace salvor::flows {

struct StepReady {  // may be granted now
  int step;
};
struct StartTimer {  // feed TimerFired at this time
  int step;          // -1: the run's own
  int attempt;
  v1::TimerFired::Kind kind;
  absl::Time at;
};
struct CancelStep {  // tell the step's agent to stop this attempt
  int step;
};
struct RunFinished {};
using Effect = std::variant<StepReady, StartTimer, CancelStep, RunFinished>;
using Effects = std::vector<Effect>;

// A run before its first event.
RunState NewRun(std::shared_ptr<const Graph> graph);

// Applies a fact and appends what follows from it. FailedPrecondition: the event cannot happen in this state
// (a report behind the fence, a grant of a step that is not ready); the state is unchanged then. A timer that
// has been overtaken is no error and changes nothing.
Status Reduce(RunState& state, const v1::Event& event, Effects& effects);

// Whether any step was ever granted.
bool HasBegun(const RunState& state);

// The word on a report, before it is stored.
enum class Fence { kAccept, kDuplicate, kSuperseded };
Fence CheckReport(const RunState& state, const std::string& step, int attempt, int64_t epoch);

// Everything that is due for this state, for a restart.
Effects Outstanding(const RunState& state);

}  // namespace salvor::flows
