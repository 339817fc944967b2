// A drill of a backup of a cluster restores into namespaces of its own, which it removes.
#include <gmock/gmock.h>

#include <set>

#include "strategies/compose/compile.h"
#include "strategies/compose/compile_testing.h"
#include "strategies/interface/strategy_testing.h"
#include "strategies/registry.h"

namespace salvor::strategies {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

// The manifest of a claim in each of these namespaces, which are a Backup of Velero's each.
v1::Manifest KeptOf(const std::vector<std::string>& namespaces) {
  v1::Manifest manifest = AHeader();
  manifest.set_backup("shop-20261121-101500-4f2a");
  manifest.set_environment("cluster-a");
  for (const std::string& name : namespaces) {
    v1::Component& component = *manifest.add_components();
    component.set_name("files-" + name);
    component.set_namespace_(name);
    component.mutable_disk()->add_claims("uploads");
    v1::Artifact& artifact = *manifest.add_artifacts();
    artifact.set_component(component.name());
    artifact.set_name(component.name() + ".volume.uploads");
    artifact.set_keeper(v1::Artifact::KEEPER_VELERO);
    artifact.set_bytes(4096);
    artifact.mutable_consistent_at()->set_seconds(1795256100);  // 2026-11-21T10:15:00Z
    artifact.mutable_velero()->set_backup("v-" + name);
    artifact.mutable_velero()->set_namespace_(name);
    artifact.mutable_velero()->set_claim("uploads");
    artifact.mutable_velero()->set_method(v1::VOLUME_METHOD_FILE_SYSTEM);
    manifest.add_velero()->set_backup("v-" + name);
  }
  return manifest;
}

class ClusterDrill : public testing::Test {
 protected:
  ClusterDrill() { Keep({"shop"}); }

  void Keep(const std::vector<std::string>& namespaces) {
    manifest_ = KeptOf(namespaces);
    request_ = ARestoreRequest(manifest_, "drill-shop-1");
    request_.environment = "cluster-a";
    request_.to_cluster = true;
    request_.cluster = FromText<v1::KubernetesCluster>(R"(velero_namespace: "velero-a")");
  }
  StatusOr<RestorePlan> Compile() { return CompileDrill(BuiltInStrategies(), request_); }
  RestorePlan Compiled() {
    StatusOr<RestorePlan> plan = Compile();
    EXPECT_TRUE(plan.ok()) << plan.status();
    return plan.ok() ? *plan : RestorePlan();
  }

  v1::Manifest manifest_;
  RestoreRequest request_;
};

std::vector<std::string> EdgesOf(const v1::Step& step) {
  std::vector<std::string> edges;
  for (const v1::Edge& edge : step.after()) edges.push_back(edge.step());
  return edges;
}

TEST_F(ClusterDrill, OfOneVolume) {
  const RestorePlan plan = Compiled();
  ExpectGolden("cluster-drill", plan.flow, plan.effects);
}

TEST_F(ClusterDrill, MakesAWalledNamespaceBeforeAnythingIsRestoredIntoIt) {
  request_.require_isolation = true;
  const RestorePlan plan = Compiled();
  const v1::Step& start = StepOf(plan.flow, "scratch.start.shop");
  EXPECT_EQ(start.action().scratch_namespace_start().DebugString(), FromText<v1::ScratchNamespaceStart>(R"(
      cluster { velero_namespace: "velero-a" } name: "salvor-drill-shop-1" run: "drill-shop-1"
      backup: "shop-20261121-101500-4f2a" application: "shop" environment: "cluster-a"
      require_isolation: true)")
                                                                        .DebugString());
  EXPECT_THAT(EdgesOf(StepOf(plan.flow, "volumes.check-target.shop")), ElementsAre("scratch.start.shop"));
  const v1::Step& restore = StepOf(plan.flow, "volumes.restore.shop");
  EXPECT_THAT(EdgesOf(restore), Contains("volumes.check-target.shop"));
  const v1::VeleroRestore& action = restore.action().velero_restore();
  EXPECT_TRUE(action.scratch());
  EXPECT_EQ(action.target_namespace(), "salvor-drill-shop-1");
  EXPECT_EQ(action.name(), "drill-shop-1");
  EXPECT_EQ(action.application(), "shop");
  ASSERT_EQ(restore.keys_size(), 1);
  EXPECT_EQ(restore.keys(0).name(), "velero:cluster-a");
  EXPECT_TRUE(restore.keys(0).exclusive()) << "it is a restore like any other";
}

TEST_F(ClusterDrill, OwesTheNamespacesEndFromBeforeItIsThere) {
  const RestorePlan plan = Compiled();
  ASSERT_EQ(plan.flow.obligations_size(), 1);
  const v1::Obligation& owed = plan.flow.obligations(0);
  EXPECT_EQ(owed.opened_by(), "scratch.start.shop");
  EXPECT_EQ(owed.released_by(), "scratch.stop.shop");
  EXPECT_EQ(owed.undo().scratch_namespace_stop().DebugString(), FromText<v1::ScratchNamespaceStop>(R"(
      cluster { velero_namespace: "velero-a" } name: "salvor-drill-shop-1" run: "drill-shop-1"
      restore: "drill-shop-1")")
                                                                    .DebugString());
  EXPECT_THAT(owed.guards(), ElementsAre("volumes.check-target.shop", "volumes.restore.shop"))
      << "it is removed when nothing works in it any more";
  EXPECT_EQ(StepOf(plan.flow, "scratch.stop.shop").purpose(), v1::PURPOSE_UNDO);
  EXPECT_THAT(EdgesOf(StepOf(plan.flow, "verification.write")), Contains("scratch.stop.shop"));
}

TEST_F(ClusterDrill, OfTwoNamespacesHasOneForEach) {
  Keep({"shop", "post"});
  const RestorePlan plan = Compiled();
  std::set<std::string> targets, names;
  for (const char* id : {"volumes.restore.shop", "volumes.restore.post"}) {
    const v1::VeleroRestore& action = StepOf(plan.flow, id).action().velero_restore();
    targets.insert(action.target_namespace());
    names.insert(action.name());
  }
  EXPECT_THAT(targets, ElementsAre("salvor-drill-shop-1-post", "salvor-drill-shop-1-shop"));
  EXPECT_THAT(names, ElementsAre("drill-shop-1-post", "drill-shop-1-shop"));
  EXPECT_EQ(plan.flow.obligations_size(), 2);
  // Whichever is begun first, all walls stand.
  EXPECT_THAT(EdgesOf(StepOf(plan.flow, "volumes.check-target.post")),
              testing::UnorderedElementsAre("scratch.start.post", "scratch.start.shop"));
}

TEST_F(ClusterDrill, HasANamespaceOfAValidNameHoweverLongTheRunsIs) {
  Keep({std::string(60, 'n'), "post"});
  request_.run = "drill-" + std::string(57, 'a');
  const RestorePlan plan = Compiled();
  for (const v1::Step& step : plan.flow.steps()) {
    if (!step.action().has_scratch_namespace_start()) continue;
    EXPECT_LE(step.action().scratch_namespace_start().name().size(), 63u);
    EXPECT_EQ(step.action().scratch_namespace_start().name().rfind("salvor-drill-", 0), 0u);
  }
}

TEST_F(ClusterDrill, IsDoneByTheExecutorOfTheCluster) {
  const RestorePlan plan = Compiled();
  ASSERT_EQ(plan.flow.places_size(), 2);
  for (const v1::Place& place : plan.flow.places()) {
    EXPECT_EQ(place.kind(), v1::AGENT_KIND_EXECUTOR);
    EXPECT_EQ(place.environment(), "cluster-a");
  }
  EXPECT_TRUE(plan.flow.places(0).movable());
  EXPECT_FALSE(plan.flow.places(1).movable()) << "who made the namespace removes it";
  for (const v1::Step& step : plan.flow.steps()) {
    const bool is_owed = step.id() == "scratch.start.shop" || step.id() == "scratch.stop.shop";
    EXPECT_EQ(step.place(), plan.flow.places(is_owed ? 1 : 0).name()) << step.id();
  }
}

TEST_F(ClusterDrill, NamesWhatThePartialBackupLacks) {
  Keep({"shop", "post"});
  manifest_.mutable_artifacts()->RemoveLast();
  const RestorePlan plan = Compiled();
  EXPECT_THAT(EffectsText(plan.effects), HasSubstr("volume uploads of post of files-post"));
}

TEST_F(ClusterDrill, RunsOnNoHostsAndNothingOfAHostInIt) {
  request_.to_cluster = false;
  request_.cluster.reset();
  EXPECT_THAT(
      ErrorText(Compile().status()),
      HasSubstr("backup 'shop-20261121-101500-4f2a' is of a cluster, and environment 'cluster-a' is a "
                "set of hosts"));
  const v1::Manifest of_host = AManifest({FilesComponent()});
  RestoreRequest request = ARestoreRequest(of_host, "drill-shop-1");
  request.environment = "cluster-a";
  request.to_cluster = true;
  EXPECT_THAT(
      ErrorText(CompileDrill(BuiltInStrategies(), request).status()),
      HasSubstr("environment 'cluster-a' is a cluster, and a drill there of what Velero does not keep"));
}

}  // namespace
}  // namespace salvor::strategies
