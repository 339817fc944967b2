// The state of a run is all that is known of it: its flow with its events reduced over it. Plain values.
#pragma once

#include <absl/time/time.h>

#include <memory>
#include <string>
#include <vector>

#include "flows/graph/graph.h"
#include "proto/phase.h"
#include "salvor/v1/run.pb.h"

namespace salvor::flows {

struct StepState {
  v1::StepPhase phase = v1::STEP_PHASE_PENDING;
  int attempt = 0;             // of the last grant; 0: never granted
  int64_t epoch = 0;           // the fence: a report is accepted with this epoch only
  std::string agent;           // of the last grant
  bool lease_expired = false;  // another grant is permitted; the fence has not moved yet
  bool must_fail = false;      // what it depended on was let go early: its success is none
  absl::Time ready_at = absl::InfinitePast();
  absl::Time first_granted_at = absl::InfinitePast();
  absl::Time granted_at = absl::InfinitePast();
  absl::Time finished_at = absl::InfinitePast();
  absl::Time retry_at = absl::InfinitePast();
  std::shared_ptr<const v1::ActionResult> result;  // of the last reported attempt
  int result_attempt = 0;                          // which one that is
  int deaths =
      0;  // attempts that ended because the agent or a supervisor died: they don't count as the tool's
  std::string reason;  // why it is where it is, for people
};

struct ObligationState {
  v1::ObligationStatus::Phase phase = v1::ObligationStatus::PHASE_PENDING;
  absl::Time opened_at = absl::InfinitePast();
  absl::Time settled_at = absl::InfinitePast();  // released, or over without a confirmation
  bool released_early = false;                   // before its own step
};

struct RunState {
  std::shared_ptr<const Graph> graph;
  v1::RunPhase phase = v1::RUN_PHASE_UNSPECIFIED;
  std::vector<StepState> steps;
  std::vector<ObligationState> obligations;
  std::vector<std::string> bound;  // by place: the agent it is bound to; empty: nobody yet
  absl::Time requested_at = absl::InfinitePast();
  absl::Time finished_at = absl::InfinitePast();
  absl::Time cancel_at = absl::InfinitePast();
  std::string reason;  // of the outcome
  int open_steps = 0;  // not terminal yet
  bool timed_out = false;
  bool released_early = false;

  const std::string& BoundAt(int step) const { return bound[static_cast<size_t>(graph->At(step).place)]; }

  bool Finished() const { return IsOver(phase); }
};

inline bool IsTerminal(v1::StepPhase phase) {
  return phase == v1::STEP_PHASE_SUCCEEDED || phase == v1::STEP_PHASE_FAILED ||
         phase == v1::STEP_PHASE_SKIPPED || phase == v1::STEP_PHASE_CANCELLED;
}

}  // namespace salvor::flows
