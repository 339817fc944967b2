// An action that is not done here but by a mover: a Job in Salvor's own namespace, which has the Location's secrets and may
// have the application's, neither of which an executor reads.
//
// The Job is named after run, step and attempt. An executor that was killed takes its attempt up again, finds the Job, and
// goes on waiting for it; an attempt that comes after another one ends that one's Job first, and takes nothing from it. The
// Job is removed however the attempt ends, cancel included; what nobody is left to remove ends by its own deadline, and goes
// a day after that.
#pragma once

#include <absl/time/time.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/kubernetes/client/kubernetes.h"
#include "agent/work/action.h"
#include "base/io/steady_clock.h"

namespace salvor::movers {

struct MoverOptions {
  std::function<StatusOr<std::shared_ptr<kubernetes::Kubernetes>>()> cluster;
  std::string name_space = "salvor";          // Salvor's own
  std::string pod_template = "salvor-mover";  // name of a PodTemplate there
  absl::Duration look_every = absl::Seconds(2);
  absl::Duration start_within = absl::Minutes(10);  // from the Job to its running container
  absl::Duration away_within = absl::Minutes(10);   // how long the API server may give no answer
  absl::Duration gone_within = absl::Seconds(40);   // of a Job that was deleted; its pod has 20 s to end well
  absl::Duration last_lines_within = absl::Seconds(20);  // of the log of a mover that has ended
  std::function<SteadyTime()> now = SteadyNow;
};

// The mover's own result, or why there is none. Unavailable and Aborted are worth another attempt.
StatusOr<v1::ActionResult> RunInMover(const v1::Action& action, agent::ActionContext& context,
                                      const MoverOptions& options);

// Registers these kinds of Action so.
void RegisterMovers(agent::ActionRegistry& registry, const std::vector<std::string>& kinds,
                    const MoverOptions& options);

}  // namespace salvor::movers
