#include "strategies/compose/verification.h"

#include <set>
#include <string>

#include "strategies/interface/steps.h"

namespace salvor::strategies {
namespace {

constexpr int kStepTimeout_s = 600;
// The drill's verdict does not wait for longer: not for an agent that is away or full, nor for a Location that hangs.
constexpr int kQueueTimeout_s = 900;

}  // namespace

v1::Step WriteVerification(const RestoreRequest& drill, const v1::Flow& flow) {
  const v1::Manifest& manifest = drill.recorded != nullptr ? *drill.recorded : *drill.manifest;
  v1::Step step = MakeStep("verification.write", v1::PURPOSE_RECORD, "", "keep verification");
  v1::VerificationWrite* write = step.mutable_action()->mutable_verification_write();
  *write->mutable_target() = MakeTarget(drill.location, manifest.backup(), "", "verification");
  write->set_application(manifest.application());
  write->set_environment(manifest.environment());
  write->set_manifest_run(manifest.run());
  write->set_manifest_snapshot(manifest.snapshot());
  write->set_not_provable(drill.not_provable);

  std::set<std::string> waited_for;
  for (const v1::Step& earlier : flow.steps()) {
    for (const v1::Edge& edge : earlier.after()) waited_for.insert(edge.step());
  }
  const std::string& opening = flow.steps(0).id();  // the Location's
  After(&step, opening);
  for (const v1::Step& earlier : flow.steps()) {
    if (earlier.id() == opening) continue;
    step.add_inputs(earlier.id());
    if (waited_for.count(earlier.id()) == 0) After(&step, earlier.id(), v1::Edge::CONDITION_FINISHED);
  }
  UseLocation(&step, drill.location);
  Retry(&step, 10, 2, 60);
  step.mutable_retry()->mutable_budget()->set_seconds(kQueueTimeout_s);
  SetAttemptTimeout(&step, kStepTimeout_s);
  step.mutable_queue_timeout()->set_seconds(kQueueTimeout_s);
  return step;
}

}  // namespace salvor::strategies
