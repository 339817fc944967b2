// When what a run waits for is over. One computation: the reducer starts a timer as its wait begins, and a restart starts
// those of all waits again. Pure.
#pragma once

#include "flows/run/reducer.h"

namespace salvor::flows {

// The run's own: timeout and start deadline or, once it is being cancelled, the grace of what was told to stop.
void AddRunTimers(const RunState& state, Effects& effects);

// The step's, by the phase that it is in: queue timeout, backoff or attempt timeout.
void AddStepTimer(const RunState& state, int step, Effects& effects);

// A release whose turn came while the run was being cancelled is waited for from then on, be it granted or not.
void AddReleaseTimer(const RunState& state, int step, Effects& effects);

}  // namespace salvor::flows
