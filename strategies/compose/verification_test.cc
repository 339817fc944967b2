// The last step of a drill: whatever became of the others, it writes down what they found.
#include "strategies/compose/verification.h"

#include <gmock/gmock.h>

#include <set>

#include "strategies/compose/compile.h"
#include "strategies/interface/strategy_testing.h"
#include "strategies/registry.h"

namespace salvor::strategies {
namespace {

v1::Flow Drill(RestoreRequest request) {
  auto plan = CompileDrill(BuiltInStrategies(), request);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? std::move(plan->flow) : v1::Flow();
}

TEST(Verification, IsTheLastStepAndGoesOnFromAllTheOthers) {
  const v1::Manifest manifest = AManifest({DatabaseComponent(), FilesComponent()});
  const v1::Flow flow = Drill(ARestoreRequest(manifest, "drill-shop-1"));
  const v1::Step& last = *flow.steps().rbegin();
  EXPECT_EQ(last.id(), "verification.write");
  EXPECT_EQ(last.purpose(), v1::PURPOSE_RECORD);
  std::set<std::string> others, inputs(last.inputs().begin(), last.inputs().end());
  for (const v1::Step& step : flow.steps()) {
    if (&step != &last && step.id() != "location.open") others.insert(step.id());
  }
  EXPECT_EQ(inputs, others);
  for (const v1::Edge& edge : last.after())
    EXPECT_EQ(edge.condition() == v1::Edge::CONDITION_SUCCEEDED, edge.step() == "location.open")
        << edge.step() << ": whatever became of it, once there is a Location to write to";
  EXPECT_TRUE(last.has_queue_timeout()) << "an agent that cannot do it holds up no verdict";
  for (const v1::Obligation& obligation : flow.obligations())
    EXPECT_THAT(obligation.guards(), testing::Not(testing::Contains("verification.write")))
        << "nothing waits for it to be removed";
}

TEST(Verification, NamesTheManifestThatIsDrilledThoughTodaysChecksAreLaidOverIt) {
  v1::Manifest recorded = AManifest({FilesComponent()});
  recorded.set_snapshot("5a");
  v1::Manifest current = recorded;
  current.mutable_components(0)->add_checks()->set_name("new");
  current.mutable_components(0)->mutable_checks(0)->mutable_http()->set_url("http://127.0.0.1/");
  RestoreRequest request = ARestoreRequest(current, "drill-shop-1");
  request.recorded = &recorded;
  request.not_provable = "it shrank";
  const v1::Flow flow = Drill(request);
  const v1::VerificationWrite& write = flow.steps().rbegin()->action().verification_write();
  EXPECT_EQ(write.target().backup(), recorded.backup());
  EXPECT_EQ(write.target().location().repository(), request.location.repository());
  EXPECT_EQ(write.manifest_snapshot(), "5a");
  EXPECT_EQ(write.manifest_run(), recorded.run());
  EXPECT_EQ(write.application(), recorded.application());
  EXPECT_EQ(write.not_provable(), "it shrank");
}

TEST(Verification, ARestoreWritesNone) {
  const v1::Manifest manifest = AManifest({FilesComponent()});
  const auto plan =
      CompileRestore(BuiltInStrategies(), ARestoreRequest(manifest), {{"files", FilesComponent()}}, {});
  ASSERT_TRUE(plan.ok()) << plan.status();
  for (const v1::Step& step : plan->flow.steps()) EXPECT_FALSE(step.action().has_verification_write());
}

}  // namespace
}  // namespace salvor::strategies
