#include "strategies/compose/discovery.h"

#include <gmock/gmock.h>

#include "base/text.h"
#include "salvor/v1/run.pb.h"
#include "strategies/compose/compile.h"

namespace salvor::strategies {
namespace {

TEST(Discovery, IsOneStepThatLooksOnAnyExecutorOfTheCluster) {
  v1::KubernetesCluster cluster;
  cluster.set_velero_namespace("velero-a");
  const auto flow = CompileDiscovery("production", cluster, "shop");
  ASSERT_TRUE(flow.ok()) << flow.status();
  EXPECT_TRUE(ValidateFlow(*flow, v1::RUN_KIND_INSPECT).ok());
  ASSERT_EQ(flow->steps_size(), 1);
  const v1::Step& step = flow->steps(0);
  EXPECT_EQ(step.action().discover().ShortDebugString(),
            R"(cluster { velero_namespace: "velero-a" } namespace: "shop")");
  EXPECT_EQ(step.purpose(), v1::PURPOSE_PREFLIGHT);
  EXPECT_EQ(step.title(), "look what runs in shop");
  ASSERT_EQ(flow->places_size(), 1);
  EXPECT_EQ(flow->places(0).environment(), "production");
  EXPECT_EQ(flow->places(0).kind(), v1::AGENT_KIND_EXECUTOR);
  EXPECT_TRUE(flow->places(0).movable());
  EXPECT_TRUE(flow->has_start_within()) << "nobody waits for an agent that does not come";
  EXPECT_TRUE(flow->has_timeout());
  EXPECT_TRUE(flow->has_graces());
}

TEST(Discovery, OfWhatIsNoNamespaceIsRefused) {
  for (const char* name : {"", "Shop", "shop/other", "a.b", "-a"})
    EXPECT_EQ(CompileDiscovery("production", {}, name).status().code(), absl::StatusCode::kInvalidArgument)
        << name;
}

}  // namespace
}  // namespace salvor::strategies
