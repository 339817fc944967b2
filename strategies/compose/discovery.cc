#include "strategies/compose/discovery.h"

#include <utility>

#include "base/names.h"
#include "flows/graph/graces.h"
#include "salvor/v1/run.pb.h"
#include "strategies/compose/compile.h"
#include "strategies/compose/places.h"
#include "strategies/interface/steps.h"

namespace salvor::strategies {
namespace {

constexpr int kStartWithin_s = 30;
constexpr int kAttemptTimeout_s = 120;
constexpr int kTimeout_s = 300;

}  // namespace

StatusOr<v1::Flow> CompileDiscovery(const std::string& environment, const v1::KubernetesCluster& cluster,
                                    const std::string& in_namespace) {
  RETURN_IF_ERROR_IN(CheckObjectName(in_namespace), "namespace");
  v1::Step step = MakeStep("discover", v1::PURPOSE_PREFLIGHT, "", "look what runs in " + in_namespace);
  v1::Discover* discover = step.mutable_action()->mutable_discover();
  *discover->mutable_cluster() = cluster;
  discover->set_namespace_(in_namespace);
  Retry(&step, 3, 2, 10);
  SetAttemptTimeout(&step, kAttemptTimeout_s);
  v1::Flow flow;
  *flow.add_steps() = std::move(step);
  Places::OfCluster(environment).Close(&flow);
  flow.mutable_start_within()->set_seconds(kStartWithin_s);
  flow.mutable_timeout()->set_seconds(kTimeout_s);
  *flow.mutable_graces() = flows::DefaultGraces();
  RETURN_IF_ERROR(ValidateFlow(flow, v1::RUN_KIND_INSPECT));
  return flow;
}

}  // namespace salvor::strategies
