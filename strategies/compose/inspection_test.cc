#include "strategies/compose/inspection.h"

#include <gmock/gmock.h>

#include "base/text.h"
#include "strategies/compose/compile.h"
#include "strategies/interface/strategy_testing.h"
#include "strategies/registry.h"

namespace salvor::strategies {
namespace {

using testing::ElementsAre;

std::vector<std::string> Lines(const v1::Flow& flow) {
  std::vector<std::string> lines;
  for (const v1::Step& step : flow.steps()) {
    std::string line = step.id();
    for (const v1::Edge& edge : step.after()) line += " " + edge.step();
    lines.push_back(line);
  }
  return lines;
}

v1::Flow Restore(const v1::Component& database = DatabaseComponent()) {
  const v1::Manifest manifest = AManifest({DatabaseComponent(), FilesComponent()});
  const auto plan = CompileRestore(BuiltInStrategies(), ARestoreRequest(manifest),
                                   {{"db", database}, {"files", FilesComponent()}}, {});
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? plan->flow : v1::Flow();
}

TEST(Inspection, OfARestoreAsksItsGuardrailsAndWritesNothing) {
  const auto looking = WhatOnlyLooks(Restore());
  ASSERT_TRUE(looking.ok()) << looking.status();
  EXPECT_THAT(Lines(*looking), ElementsAre("manifest.check", "db.check-target manifest.check",
                                           "files.check-target manifest.check"));
  EXPECT_TRUE(ValidateFlow(*looking, v1::RUN_KIND_INSPECT).ok());
  EXPECT_TRUE(looking->has_start_within()) << "nobody waits for an agent that does not come";
  EXPECT_TRUE(looking->has_timeout());
  EXPECT_TRUE(looking->has_graces());
}

TEST(Inspection, LooksOnEveryHostThatTheTargetNames) {
  v1::Component elsewhere = DatabaseComponent();
  elsewhere.set_host("db-1");
  const auto looking = WhatOnlyLooks(Restore(elsewhere));
  ASSERT_TRUE(looking.ok()) << looking.status();
  EXPECT_TRUE(ValidateFlow(*looking, v1::RUN_KIND_INSPECT).ok()) << ValidateFlow(*looking);
  ASSERT_EQ(looking->steps_size(), 3);
  EXPECT_EQ(looking->steps(1).place(), "host:db-1");
  for (const v1::Step& step : looking->steps())
    EXPECT_EQ(step.queue_timeout().seconds(), looking->start_within().seconds()) << "a host may be away";
}

// A drill's guardrails look at a place that only a drill makes.
TEST(Inspection, OfADrillLooksAtItsManifestAlone) {
  const v1::Manifest manifest = AManifest({DatabaseComponent(), FilesComponent()});
  const auto drill = CompileDrill(BuiltInStrategies(), ARestoreRequest(manifest, "drill-shop-1"));
  ASSERT_TRUE(drill.ok()) << drill.status();
  const auto looking = WhatOnlyLooks(drill->flow);
  ASSERT_TRUE(looking.ok()) << looking.status();
  EXPECT_THAT(Lines(*looking), ElementsAre("manifest.check"));
  EXPECT_TRUE(looking->obligations().empty());
}

TEST(Inspection, OfNothingThatLooksIsRefused) {
  v1::Flow flow;
  flow.add_steps()->set_id("a");
  flow.mutable_steps(0)->set_purpose(v1::PURPOSE_RESTORE);
  EXPECT_FALSE(WhatOnlyLooks(flow).ok());
}

TEST(ValidateFlow, ARunThatOnlyLooksHasNoStepThatDoesMore) {
  const v1::Flow looking = *WhatOnlyLooks(Restore());
  for (int purpose = v1::Purpose_MIN; purpose <= v1::Purpose_MAX; ++purpose) {
    if (!v1::Purpose_IsValid(purpose)) continue;
    v1::Flow flow = looking;
    flow.mutable_steps(0)->set_purpose(static_cast<v1::Purpose>(purpose));
    const bool looks = purpose == v1::PURPOSE_PREFLIGHT || purpose == v1::PURPOSE_GUARD ||
                       purpose == v1::PURPOSE_CHECK || purpose == v1::PURPOSE_VERIFY;
    const Status valid = ValidateFlow(flow, v1::RUN_KIND_INSPECT);
    EXPECT_EQ(valid.ok(), looks) << v1::Purpose_Name(static_cast<v1::Purpose>(purpose)) << ": " << valid;
    EXPECT_TRUE(ValidateFlow(flow, v1::RUN_KIND_RESTORE).ok());
  }
  v1::Flow leaves = looking;
  v1::Obligation* obligation = leaves.add_obligations();
  obligation->set_name("scratch");
  EXPECT_EQ(MessageOf(ValidateFlow(leaves, v1::RUN_KIND_INSPECT)),
            "obligation 'scratch' is in a run that only looks");
}

}  // namespace
}  // namespace salvor::strategies
