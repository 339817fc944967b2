#include "strategies/compose/deletion.h"

#include <gmock/gmock.h>

#include "strategies/compose/compile_testing.h"
#include "strategies/interface/strategy_testing.h"

namespace salvor::strategies {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

v1::Backup ABackup() {
  v1::Backup backup = FromText<v1::Backup>(R"(
    name: "shop-20261121-101500-4f2a" application: "shop" environment: "host-a" location: "vault"
    run: "backup-shop-20261121-101500-4f2a" coverage: COVERAGE_COMPLETE verification: VERIFICATION_PROVEN
    proven_by: "drill-shop-1" created_at { seconds: 1795256100 })");
  *backup.mutable_manifest() = AManifest({FilesComponent()});
  backup.mutable_manifest()->set_snapshot(std::string(64, 'e'));
  backup.mutable_manifest()->mutable_artifacts(1)->set_snapshot(std::string(64, 'd'));
  return backup;
}

v1::Backup OfACluster() {
  v1::Backup backup = ABackup();
  for (const char* space : {"shop", "web"}) {
    v1::Artifact* volume = backup.mutable_manifest()->add_artifacts();
    *volume = FromText<v1::Artifact>(
        R"(component: "files" name: "files.volume.uploads" bytes: 2147483648 keeper: KEEPER_VELERO)");
    volume->mutable_velero()->set_backup(std::string("shop-1-") + space);
    volume->mutable_velero()->set_namespace_(space);
  }
  v1::VeleroReport* report = backup.mutable_manifest()->add_velero();
  report->set_backup("shop-1-web");
  report->add_namespaces("web");
  return backup;
}

StatusOr<BackupPlan> Compile(const v1::Backup& backup, bool cluster = false) {
  DeletionRequest request;
  request.backup = &backup;
  request.location = Vault();
  if (cluster) request.cluster = v1::KubernetesCluster();
  return CompileDeletion(request);
}

TEST(Deletion, OfAHost) {
  const auto plan = Compile(ABackup());
  ASSERT_TRUE(plan.ok()) << plan.status();
  ExpectGolden("deletion", plan->flow, plan->effects);
  const v1::LocationForget& forget = plan->flow.steps(0).action().location_forget();
  EXPECT_THAT(std::vector<std::string>(forget.snapshots().begin(), forget.snapshots().end()),
              ElementsAre(std::string(64, 'e'), "1a2b3c4d" + std::string(56, '0'), std::string(64, 'd')));
  EXPECT_EQ(forget.run(), "backup-shop-20261121-101500-4f2a");
  EXPECT_EQ(forget.environment(), "host-a");
  EXPECT_TRUE(plan->flow.steps(0).keys(0).exclusive()) << "restic forgets for itself alone";
  EXPECT_TRUE(plan->flow.has_graces());
}

TEST(Deletion, OfACluster) {
  const auto plan = Compile(OfACluster(), true);
  ASSERT_TRUE(plan.ok()) << plan.status();
  ExpectGolden("deletion-cluster", plan->flow, plan->effects);
  const v1::VeleroDelete& velero = StepOf(plan->flow, "volumes.delete").action().velero_delete();
  EXPECT_EQ(velero.name(), "") << "all that the run made go, also what failed and no manifest names";
  EXPECT_THAT(std::vector<std::string>(velero.expected().begin(), velero.expected().end()),
              ElementsAre("shop-1-shop", "shop-1-web"));
  EXPECT_EQ(velero.environment(), "host-a");
  EXPECT_EQ(plan->flow.places(0).kind(), v1::AGENT_KIND_EXECUTOR);
}

TEST(Deletion, IsDoneOnTheHostThatTheRunBeganOn) {
  v1::Backup backup = ABackup();
  for (const char* host : {"web-1", "db-1"}) {
    v1::Component* component = backup.mutable_manifest()->add_components();
    *component = FilesComponent();
    component->set_host(host);
  }
  backup.mutable_manifest()->mutable_components()->DeleteSubrange(0, 1);
  const auto plan = Compile(backup);
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_EQ(plan->flow.places_size(), 1);
  EXPECT_EQ(plan->flow.places(0).agent(), "web-1");
}

TEST(Deletion, OfOneThatKeptNothingTakesWhatItsRunLeft) {
  v1::Backup backup = ABackup();
  backup.clear_manifest();
  backup.set_coverage(v1::Backup::COVERAGE_FAILED);
  const auto plan = Compile(backup, true);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->flow.steps_size(), 3);
  EXPECT_THAT(plan->effects[0].detail(), HasSubstr("what its run left goes"));
}

TEST(Deletion, OfAVeryLargeOneNamesWhatHasRoom) {
  v1::Backup backup = ABackup();
  for (int i = 0; i < 2000; ++i) {
    v1::Artifact* artifact = backup.mutable_manifest()->add_artifacts();
    artifact->set_snapshot(fmt::format("{:064x}", i));
  }
  const auto plan = Compile(backup);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const v1::LocationForget& forget = plan->flow.steps(0).action().location_forget();
  EXPECT_EQ(forget.snapshots_size() + forget.snapshots_left_out(), 2003);
  EXPECT_GT(forget.snapshots_left_out(), 0);
}

TEST(Deletion, OfAClusterThatIsNoneAnyMoreIsRefused) {
  const auto plan = Compile(OfACluster());
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(plan.status()), HasSubstr("is of a cluster"));
}

}  // namespace
}  // namespace salvor::strategies
