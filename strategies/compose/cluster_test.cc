// An application on a cluster: its volumes are kept by one Backup of Velero's each namespace.
#include <gmock/gmock.h>

#include "strategies/compose/compile.h"
#include "strategies/compose/compile_testing.h"
#include "strategies/interface/strategy_testing.h"
#include "strategies/registry.h"

namespace salvor::strategies {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

v1::Component Claims(const std::string& name, const std::string& in_namespace,
                     const std::vector<std::string>& claims) {
  v1::Component component;
  component.set_name(name);
  component.set_namespace_(in_namespace);
  for (const std::string& claim : claims) component.mutable_disk()->add_claims(claim);
  return component;
}

v1::Manifest Header() {
  v1::Manifest header = AHeader();
  header.set_backup("shop-20261121-101500-4f2a");
  header.set_environment("cluster-a");
  return header;
}

BackupRequest Request() {
  BackupRequest request = ABackupRequest();
  request.backup = "shop-20261121-101500-4f2a";
  request.cluster =
      FromText<v1::KubernetesCluster>(R"(velero_namespace: "velero-a" storage_location: "bucket")");
  return request;
}

StatusOr<BackupPlan> Compile(const std::vector<v1::Component>& components) {
  return CompileBackup(BuiltInStrategies(), components, Header(), Request());
}

TEST(ClusterBackup, OfOneVolume) {
  const auto plan = Compile({Claims("uploads", "shop", {"uploads"})});
  ASSERT_TRUE(plan.ok()) << plan.status();
  ExpectGolden("cluster", plan->flow, plan->effects);
}

TEST(ClusterBackup, OfTwoComponentsInOneNamespaceIsOneBackupAfterAllElse) {
  v1::Component mail = Claims("mail", "shop", {"spool", "attic.2026"});
  mail.mutable_disk()->set_method(v1::VOLUME_METHOD_SNAPSHOT_MOVED);
  const auto plan = Compile({Claims("uploads", "shop", {"uploads"}), DummyChain(), mail});
  ASSERT_TRUE(plan.ok()) << plan.status();
  ExpectGolden("cluster-two", plan->flow, plan->effects);
}

v1::Component Database(const std::string& in_namespace) {
  v1::Component component = FromText<v1::Component>(R"(
    name: "db"
    postgres { connection { service: "db" secret { name: "db-login" user_key: "user" } }
               databases: "shop" claims: "data-db-0" })");
  component.set_namespace_(in_namespace);
  return component;
}

TEST(ClusterBackup, OfADatabaseBesideAVolumeDumpsFirstAndLeavesTheDatabasesDiskOut) {
  const auto plan = Compile({Claims("uploads", "shop", {"uploads"}), Database("shop")});
  ASSERT_TRUE(plan.ok()) << plan.status();
  ExpectGolden("cluster-database", plan->flow, plan->effects);
  const v1::VeleroBackup& kept = StepOf(plan->flow, "volumes.backup.shop").action().velero_backup();
  ASSERT_EQ(kept.volumes_size(), 2);
  EXPECT_EQ(kept.volumes(1).claim(), "data-db-0");
  EXPECT_EQ(kept.volumes(1).skip(), "covered by the dump of component db");
  EXPECT_EQ(kept.volumes(1).artifact(), "") << "nothing is promised of it";
}

TEST(ClusterBackup, OfADatabaseAloneAsksNothingOfVelero) {
  const auto plan = Compile({Database("shop")});
  ASSERT_TRUE(plan.ok()) << plan.status();
  for (const v1::Step& step : plan->flow.steps()) EXPECT_FALSE(step.action().has_velero_backup());
  const v1::PostgresDump& dump = StepOf(plan->flow, "db.dump.shop").action().postgres_dump();
  EXPECT_EQ(dump.component().connection().DebugString(), FromText<v1::PostgresConnection>(R"(
      host: "db.shop.svc" secret { name: "db-login" user_key: "user" namespace: "shop" })")
                                                             .DebugString());
  EXPECT_EQ(StepOf(plan->flow, "db.dump.shop").place(), "cluster");
}

TEST(ClusterBackup, RefusesADatabasesDiskThatIsKeptAsAVolumeToo) {
  EXPECT_THAT(ErrorText(Compile({Claims("data", "shop", {"data-db-0"}), Database("shop")}).status()),
              HasSubstr("components 'data' and 'db' both have volume data-db-0 of shop"));
}

TEST(ClusterBackup, OfTwoNamespacesIsABackupOfEach) {
  const auto plan = Compile({Claims("uploads", "shop", {"uploads"}), Claims("mail", "post", {"spool"})});
  ASSERT_TRUE(plan.ok()) << plan.status();
  const v1::VeleroBackup& post = StepOf(plan->flow, "volumes.backup.post").action().velero_backup();
  const v1::VeleroBackup& shop = StepOf(plan->flow, "volumes.backup.shop").action().velero_backup();
  EXPECT_EQ(post.name(), "shop-20261121-101500-4f2a-post");
  EXPECT_EQ(shop.name(), "shop-20261121-101500-4f2a-shop");
  EXPECT_THAT(shop.namespaces(), ElementsAre("shop"));
  ASSERT_EQ(shop.volumes_size(), 1);
  EXPECT_EQ(shop.volumes(0).component(), "uploads");
  const v1::VeleroPreflight& both = StepOf(plan->flow, "volumes.preflight").action().velero_preflight();
  EXPECT_THAT(both.namespaces(), ElementsAre("post", "shop"));
  EXPECT_EQ(both.volumes_size(), 2);
}

TEST(ClusterBackup, OfAnApplicationThatIsHeldStill) {
  v1::Component files = Claims("uploads", "shop", {"uploads"});
  *files.mutable_quiesce() = FromText<v1::Quiesce>(
      R"(command: "pause" release: "resume" deadline: "45s" labels { key: "app" value: "web" })");
  const auto plan = Compile({files, DummyChain()});
  ASSERT_TRUE(plan.ok()) << plan.status();
  ExpectGolden("cluster-quiesce", plan->flow, plan->effects);
  ASSERT_EQ(plan->flow.obligations_size(), 1);
  EXPECT_EQ(plan->flow.obligations(0).name(), "quiesce");
  ASSERT_EQ(plan->flow.places_size(), 2);
  EXPECT_TRUE(plan->flow.places(0).movable());
  EXPECT_FALSE(plan->flow.places(1).movable())
      << "one that is cut off and one that takes over would hold both";
  EXPECT_EQ(plan->flow.places(1).kind(), v1::AGENT_KIND_EXECUTOR);
  EXPECT_EQ(StepOf(plan->flow, "volumes.snapshot.shop").place(), plan->flow.places(1).name());
  EXPECT_EQ(StepOf(plan->flow, "volumes.release.shop").place(), plan->flow.places(1).name());
  EXPECT_EQ(StepOf(plan->flow, "volumes.backup.shop").place(), plan->flow.places(0).name());
}

TEST(ClusterBackup, TellsVeleroWhereAndWhose) {
  const auto plan = Compile({Claims("uploads", "shop", {"uploads"})});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(StepOf(plan->flow, "volumes.backup.shop").action().velero_backup().DebugString(),
            FromText<v1::VeleroBackup>(R"(
      cluster { velero_namespace: "velero-a" storage_location: "bucket" }
      name: "shop-20261121-101500-4f2a" namespaces: "shop"
      volumes { component: "uploads" namespace: "shop" claim: "uploads" method: VOLUME_METHOD_AUTO
                artifact: "uploads.volume.uploads" }
      run: "backup-shop-20261121-101500-4f2a" backup: "shop-20261121-101500-4f2a"
      application: "shop" environment: "cluster-a")")
                .DebugString());
}

TEST(ClusterBackup, IsDoneWhereverTheClustersApiIs) {
  const auto plan = Compile({Claims("uploads", "shop", {"uploads"})});
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_EQ(plan->flow.places_size(), 1);
  EXPECT_EQ(plan->flow.places(0).DebugString(), FromText<v1::Place>(R"(
      name: "cluster" environment: "cluster-a" runtime: RUNTIME_KUBERNETES kind: AGENT_KIND_EXECUTOR movable: true)")
                                                    .DebugString());
  for (const v1::Step& step : plan->flow.steps()) EXPECT_EQ(step.place(), "cluster") << step.id();
  EXPECT_EQ(StepOf(plan->flow, "volumes.preflight").purpose(), v1::PURPOSE_PREFLIGHT);
  EXPECT_EQ(StepOf(plan->flow, "volumes.backup.shop").purpose(), v1::PURPOSE_CAPTURE);
}

TEST(ClusterBackup, PromisesEachClaimByNameToTheManifest) {
  const auto plan =
      Compile({Claims("uploads", "shop", {"uploads", "a.b", "a-b"}), Claims("mail", "post", {"uploads"})});
  ASSERT_TRUE(plan.ok()) << plan.status();
  const v1::Step& write = StepOf(plan->flow, "manifest.write");
  std::vector<std::string> planned;
  for (const v1::PlannedArtifact& one : write.action().manifest_write().planned())
    planned.push_back(one.step() + " " + one.component() + " " + one.artifact() + " " + one.title());
  EXPECT_THAT(planned,
              ElementsAre("volumes.backup.post mail mail.volume.uploads volume uploads of post",
                          "volumes.backup.shop uploads uploads.volume.uploads volume uploads of shop",
                          "volumes.backup.shop uploads uploads.volume.a-b volume a.b of shop",
                          "volumes.backup.shop uploads uploads.volume.a-b-2 volume a-b of shop"));
  EXPECT_THAT(write.inputs(), ElementsAre("volumes.backup.post", "volumes.backup.shop"));
}

TEST(ClusterBackup, OfComponentsWithoutVolumesAsksNothingOfVelero) {
  const auto plan = Compile({DummyChain()});
  ASSERT_TRUE(plan.ok()) << plan.status();
  for (const v1::Step& step : plan->flow.steps()) EXPECT_FALSE(step.action().has_velero_backup());
  EXPECT_EQ(plan->flow.places(0).kind(), v1::AGENT_KIND_EXECUTOR);
}

TEST(ClusterBackup, RefusesWhatIsOfHostsAndOnHostsWhatIsOfAClusterAndTwiceTheSame) {
  EXPECT_THAT(ErrorText(Compile({FilesComponent()}).status()), HasSubstr("component 'files': disk.paths: "));
  EXPECT_THAT(ErrorText(Compile({DatabaseComponent()}).status()),
              HasSubstr("component 'db': postgres.connection.socketDirectory: is of a host"));
  v1::Component on_host = Claims("uploads", "shop", {"uploads"});
  on_host.set_host("web-1");
  EXPECT_THAT(ErrorText(Compile({on_host}).status()), HasSubstr("component 'uploads': host: "));
  EXPECT_THAT(ErrorText(CompileBackup(BuiltInStrategies(), {Claims("uploads", "", {"uploads"})}, AHeader(),
                                      ABackupRequest())
                            .status()),
              HasSubstr("component 'uploads': disk.claims: are volumes of a cluster"));
  EXPECT_EQ(
      ErrorText(
          Compile({Claims("a", "shop", {"uploads"}), Claims("b", "shop", {"logs", "uploads"})}).status()),
      "components 'a' and 'b' both have volume uploads of shop | Leave the claim to one of them.");
}

}  // namespace
}  // namespace salvor::strategies
