// The graces of a flow: what decides how a run goes beside its steps' own times. They are the flow's and not the
// program's, so that a stored run replays the same under every later version. Pure.
#pragma once

#include <absl/time/time.h>

#include "base/status.h"
#include "salvor/v1/flow.pb.h"

namespace salvor::flows {

struct FlowGraces {
  absl::Duration attempt_report;  // from an attempt's timeout until it is given up without a report
  absl::Duration
      cancel_answer;  // until agents that have not answered a cancel, or done a release, are given up
  int agent_deaths_forgiven;
  absl::Duration retry_initial_delay;
  double retry_delay_factor;
  absl::Duration retry_delay_cap;
  int retry_attempts;
};

// The graces that new flows are written with. Another value here changes runs that are still to come, and no other.
v1::Graces DefaultGraces();

// The graces of a flow; each that it does not have is as 0.1 had it built in.
FlowGraces GracesOf(const v1::Flow& flow);

// InvalidArgument names every value that makes no sense, by its field.
Status CheckGraces(const v1::Graces& graces);

// How many attempts a policy gives, those apart whose agent died and was forgiven.
int AttemptsOf(const FlowGraces& graces, const v1::RetryPolicy& policy);

// How long after its attempt of that number, counted from 1, a step waits for the next; `jitter` is 0..1.
absl::Duration RetryDelay(const FlowGraces& graces, const v1::RetryPolicy& policy, int attempt,
                          double jitter);

}  // namespace salvor::flows
