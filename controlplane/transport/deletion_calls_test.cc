// People delete backups through the API: who may, what is refused and why, and what a dry run says.
#include "controlplane/transport/transport_testing.h"
#include "strategies/interface/strategy_testing.h"

namespace salvor::controlplane {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Stub = v1::ControlService::Stub;

class DeletionCallsTest : public ServicesTest {
 protected:
  void Declare(v1::Runtime runtime = v1::RUNTIME_HOST) {
    std::vector<v1::Object> objects(2);
    objects[0].mutable_metadata()->set_name("vault");
    *objects[0].mutable_location()->mutable_restic() = strategies::Vault();
    objects[1].mutable_metadata()->set_name("host-a");
    objects[1].mutable_environment()->set_runtime(runtime);
    objects[1].mutable_environment()->set_location("vault");
    const auto applied = catalog_->Apply(objects, false);
    ASSERT_TRUE(applied.ok()) << applied.status();
    ASSERT_TRUE(applied->problems.empty()) << applied->problems[0].DebugString();
  }
  void Keep(const std::string& name, bool proven = false, const std::string& environment = "host-a") {
    PutBackup put;
    put.backup.set_name(name);
    put.backup.set_run("backup-" + name);
    put.backup.set_application("shop");
    put.backup.set_environment(environment);
    put.backup.set_location("vault");
    put.backup.set_coverage(v1::Backup::COVERAGE_COMPLETE);
    put.backup.set_verification(proven ? v1::Backup::VERIFICATION_PROVEN : v1::Backup::VERIFICATION_UNPROVEN);
    *put.backup.mutable_manifest() = strategies::AManifest({strategies::FilesComponent()});
    ASSERT_TRUE(CommitAndWait(store_, {put}).ok());
    Start();
  }
  StatusOr<v1::CreateRunResponse> Delete(const std::string& name, bool dry_run = false, bool by_name = false,
                                         const std::string& token = kPeople) {
    v1::DeleteBackupRequest request;
    request.set_name(name);
    request.set_dry_run(dry_run);
    request.set_last_proven(by_name);
    request.set_last_usable(by_name);
    return Call(&Stub::DeleteBackup, request, token);
  }
  static std::vector<std::string> Refusals(const v1::CreateRunResponse& plan) {
    std::vector<std::string> refusals;
    for (const v1::PlannedEffect& effect : plan.effects()) {
      if (effect.verb() == "refuse") refusals.push_back(effect.subject());
    }
    return refusals;
  }
  std::vector<std::string> Listed(bool include_deleted) {
    v1::ListBackupsRequest request;
    request.set_include_deleted(include_deleted);
    std::vector<std::string> names;
    const auto listed = Call(&Stub::ListBackups, request);
    EXPECT_TRUE(listed.ok()) << listed.status();
    for (const v1::Backup& backup : listed->backups()) names.push_back(backup.name());
    return names;
  }
};

TEST_F(DeletionCallsTest, ARunBeginsAndTheBackupIsMarkedAndNothingReadsIt) {
  Declare();
  Keep("shop-1");
  Keep("shop-2");
  const auto started = Delete("shop-1");
  ASSERT_TRUE(started.ok()) << started.status();
  EXPECT_THAT(started->run(), HasSubstr("delete-shop-"));
  EXPECT_EQ(engine_->GetRun(started->run())->header().kind(), v1::RUN_KIND_DELETE);
  EXPECT_EQ(engine_->FindBackup("shop-1")->deletion().by(), "root");
  v1::CreateDrillRequest drill;
  drill.set_backup("shop-1");
  EXPECT_EQ(MessageOf(Call(&Stub::CreateDrill, drill).status()),
            "backup shop-1 is being deleted by " + started->run());
  drill.set_backup("latest:shop");
  EXPECT_EQ(Call(&Stub::CreateDrill, drill)->backup(), "shop-2");
}

TEST_F(DeletionCallsTest, ADryRunSaysWhatGoesAndWhatSpeaksAgainstItAndChangesNothing) {
  Declare();
  Keep("shop-1", true);
  const auto plan = Delete("shop-1", true);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->effects(0).subject(), "backup shop-1");
  EXPECT_THAT(Refusals(*plan), ElementsAre("it is the last proven backup of shop",
                                           "it is the last backup that shop could be restored from"));
  EXPECT_THAT(Refusals(*Delete("shop-1", true, true)), IsEmpty());
  EXPECT_FALSE(engine_->FindBackup("shop-1")->has_deletion());
  const auto refused = Delete("shop-1");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(refused.status()),
              HasSubstr("the last proven backup of shop; it is the last backup"));
  EXPECT_THAT(HintOf(refused.status()), HasSubstr("--last-usable"));
  EXPECT_TRUE(Delete("shop-1", false, true).ok());
}

TEST_F(DeletionCallsTest, OnlyAdministratorsDelete) {
  Declare();
  Keep("shop-1");
  for (const v1::TokenClass each : {v1::TOKEN_CLASS_VIEW, v1::TOKEN_CLASS_OPERATE, v1::TOKEN_CLASS_APPROVE}) {
    const std::string token = MakeUserToken("of-class-" + std::to_string(each), each);
    EXPECT_EQ(Delete("shop-1", true, true, token).status().code(), absl::StatusCode::kPermissionDenied)
        << each;
    EXPECT_EQ(Delete("shop-1", false, true, token).status().code(), absl::StatusCode::kPermissionDenied)
        << each;
  }
  EXPECT_FALSE(engine_->FindBackup("shop-1")->has_deletion());
}

TEST_F(DeletionCallsTest, OnlyByItsNameAndByTheEnvironmentThatMadeIt) {
  Declare();
  Keep("shop-1");
  EXPECT_EQ(Delete("latest:shop").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Delete("shop-9").status().code(), absl::StatusCode::kNotFound);
  Keep("web-1", false, "gone");
  const auto refused = Delete("web-1");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(refused.status()), HasSubstr("environment gone is not declared"));
}

TEST_F(DeletionCallsTest, WhatIsDeletedIsListedWhenAskedFor) {
  Declare();
  Keep("shop-1");
  v1::Backup deleted = *engine_->FindBackup("shop-1");
  deleted.set_name("shop-0");
  deleted.mutable_deletion()->set_state(v1::Deletion::STATE_DELETED);
  ASSERT_TRUE(CommitAndWait(store_, {PutBackup{deleted}}).ok());
  Start();
  EXPECT_THAT(Listed(false), ElementsAre("shop-1"));
  EXPECT_THAT(Listed(true), ElementsAre("shop-0", "shop-1"));
}

}  // namespace
}  // namespace salvor::controlplane
