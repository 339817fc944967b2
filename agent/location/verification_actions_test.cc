#include "agent/location/verification_actions.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "agent/restic/restic_testing.h"
#include "agent/work/action_testing.h"
#include "agent/work/clean_up.h"
#include "base/io/sha256.h"
#include "base/io/steady_clock.h"
#include "base/text.h"
#include "salvor/v1/run.pb.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;

constexpr char kDrill[] = "drill-shop-1";
constexpr char kManifest[] = R"({"format": 1, "backup": "shop-1"})";

class VerificationWriteTest : public testing::Test {
 protected:
  void SetUp() override {
    repository_.Make();
    ASSERT_TRUE(repository_.Open().StoreText("manifest.json", kManifest, ManifestTags("backup-shop-1")).ok());
    manifest_ = Only(ManifestTags("backup-shop-1"));
    v1::VerificationWrite& write = Write();
    *write.mutable_target()->mutable_location() = repository_.Location();
    write.mutable_target()->set_backup("shop-1");
    write.mutable_target()->set_artifact("verification");
    write.set_application("shop");
    write.set_environment("local");
    write.set_manifest_run("backup-shop-1");
    write.set_manifest_snapshot(manifest_);
    Check(v1::Check::VERDICT_PASSED, "12 rows equal");
  }

  v1::VerificationWrite& Write() { return *attempt_.Action().mutable_verification_write(); }
  v1::ActionResult& Input(const std::string& step) { return (*attempt_.task.mutable_inputs())[step]; }
  void Check(v1::Check::Verdict verdict, const std::string& compared) {
    v1::Check& check = *Input("db.verify.shop").add_checks();
    check.set_component("db");
    check.set_kind("rows");
    check.set_subject("shop.public.orders");
    check.set_verdict(verdict);
    check.set_compared(compared);
  }

  static std::map<std::string, std::string> ManifestTags(const std::string& run) {
    return {{"salvor", ""}, {"kind", "manifest"}, {"backup", "shop-1"}, {"run", run}};
  }
  static std::map<std::string, std::string> Tags() {
    return {{"salvor", ""}, {"kind", "verification"}, {"backup", "shop-1"}, {"run", kDrill}};
  }
  std::vector<ResticSnapshot> Found(const std::map<std::string, std::string>& tags) {
    const auto found = repository_.Open().Find(tags);
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() ? *found : std::vector<ResticSnapshot>();
  }
  std::string Only(const std::map<std::string, std::string>& tags) {
    const auto found = Found(tags);
    EXPECT_EQ(found.size(), 1u);
    return found.empty() ? "" : found.front().id;
  }
  // The content of the one snapshot of the drill, as somebody reads it who has nothing but restic.
  v1::KeptVerification Kept() {
    v1::Artifact artifact;
    artifact.set_snapshot(Only(Tags()));
    artifact.set_path("/verification.json");
    const auto json = repository_.Open().LoadText(artifact);
    EXPECT_TRUE(json.ok()) << json.status();
    v1::KeptVerification kept;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json.ok() ? *json : "", &kept).ok());
    return kept;
  }
  void Run() {
    const auto result = attempt_.Run(RunVerificationWrite);
    ASSERT_TRUE(result.ok()) << result.status();
    note_ = result->note();
  }

  ResticRepositoryForTest repository_;
  AttemptForTest attempt_{repository_.Path() + "/state", kDrill};
  std::string manifest_, note_;
};

TEST_F(VerificationWriteTest, AProvenBackupSaysSoBesideItsManifest) {
  Input("scratch.stop");
  Run();
  EXPECT_THAT(note_, HasSubstr("proven: kept beside the manifest as snapshot " + Only(Tags()).substr(0, 8)));
  const v1::KeptVerification kept = Kept();
  EXPECT_EQ(kept.format(), 1);
  EXPECT_EQ(kept.verification().verdict(), v1::VERDICT_PROVEN);
  EXPECT_EQ(kept.verification().backup(), "shop-1");
  EXPECT_EQ(kept.verification().run(), kDrill);
  EXPECT_EQ(kept.verification().passed(), 1);
  EXPECT_GT(kept.verification().at().seconds(), 0);
  EXPECT_EQ(kept.application(), "shop");
  EXPECT_EQ(kept.manifest_snapshot(), manifest_);
  EXPECT_EQ(kept.manifest_sha256(), ToHex(Sha256::Of(kManifest)));
  EXPECT_EQ(kept.not_passed_size(), 0);
}

TEST_F(VerificationWriteTest, ADisprovenOneNamesWhatDisprovesIt) {
  for (int i = 0; i < 150; ++i) Check(v1::Check::VERDICT_UNVERIFIABLE, "the time was over");
  Check(v1::Check::VERDICT_FAILED, "3 rows are missing");
  Run();
  const v1::KeptVerification kept = Kept();
  EXPECT_EQ(kept.verification().verdict(), v1::VERDICT_DISPROVEN);
  EXPECT_THAT(kept.verification().reason(), HasSubstr("3 rows are missing"));
  ASSERT_EQ(kept.not_passed_size(), 100);
  EXPECT_EQ(kept.not_passed(0).compared(), "3 rows are missing");
  EXPECT_EQ(kept.not_passed_left_out(), 51);
}

TEST_F(VerificationWriteTest, WhatIsInDoubtIsNotProven) {
  Write().set_not_provable("files.tree has 1 files, and had 51 in backup b0");
  Run();
  EXPECT_EQ(Kept().verification().verdict(), v1::VERDICT_UNVERIFIABLE);
  EXPECT_EQ(Kept().verification().reason(), "files.tree has 1 files, and had 51 in backup b0");
}

TEST_F(VerificationWriteTest, ADrillThatCouldNotBeMadeKeepsNothing) {
  Input("scratch.stop").mutable_error()->set_message("the folder is busy");
  Run();
  EXPECT_THAT(note_, HasSubstr("nothing is kept"));
  EXPECT_TRUE(Found(Tags()).empty());
}

// That is what disproves the backup, and no reason not to write it down.
TEST_F(VerificationWriteTest, ALostManifestIsNamedWithoutItsDigest) {
  ASSERT_TRUE(repository_.Open().Forget({manifest_}).ok());
  Check(v1::Check::VERDICT_FAILED, "the Location does not hold the manifest");
  Run();
  EXPECT_EQ(Kept().manifest_snapshot(), manifest_);
  EXPECT_EQ(Kept().manifest_sha256(), "");
  EXPECT_EQ(Kept().verification().verdict(), v1::VERDICT_DISPROVEN);
}

TEST_F(VerificationWriteTest, TheManifestOfABackupThatDoesNotSayWhichIsFoundByItsRun) {
  Write().clear_manifest_snapshot();
  ASSERT_TRUE(repository_.Open().StoreText("manifest.json", "{}", ManifestTags("backup-shop-2")).ok());
  Run();
  EXPECT_EQ(Kept().manifest_snapshot(), manifest_);
}

TEST_F(VerificationWriteTest, ASecondAttemptReplacesTheFirstAndNoOtherDrills) {
  std::map<std::string, std::string> other = Tags();
  other["run"] = "drill-shop-0";
  other["artifact"] = "verification";
  ASSERT_TRUE(repository_.Open().StoreText("verification.json", "{}", other).ok());
  Run();
  const std::string first = Only(Tags());
  attempt_.task.mutable_lease()->set_attempt(2);
  Run();
  EXPECT_NE(Only(Tags()), first);
  EXPECT_EQ(Found(other).size(), 1u);
  EXPECT_EQ(Only(ManifestTags("backup-shop-1")), manifest_);
}

TEST_F(VerificationWriteTest, AnAttemptThatWasCutShortLeavesNeitherLockNorSnapshot) {
  Run();
  LeaveExclusiveLock(repository_.Location());
  AgentConfig config;
  config.state_directory = repository_.Path() + "/state";
  const Status cleaned = CleanUpAfter(attempt_.task, config, Tools(), absl::Minutes(1));
  ASSERT_TRUE(cleaned.ok()) << cleaned;
  EXPECT_TRUE(Found(Tags()).empty());
  EXPECT_EQ(Only(ManifestTags("backup-shop-1")), manifest_);
  Run();
  EXPECT_EQ(Found(Tags()).size(), 1u);
}

TEST_F(VerificationWriteTest, WhatAKilledResticLeftIsNoHindrance) {
  LeaveExclusiveLock(repository_.Location());
  Run();
  EXPECT_EQ(Found(Tags()).size(), 1u);
}

TEST_F(VerificationWriteTest, ItWaitsForALivingResticAndSaysForWhom) {
  const LivingExclusiveLock lock(repository_.Location());
  AgentConfig config;
  config.state_directory = repository_.Path() + "/state";
  ActionContext context{config,  Tools(), attempt_.task, {}, SteadyNow() + absl::Seconds(20),
                        nullptr, nullptr};  // no time to wait in
  const Status refused = RunVerificationWrite(Write(), context).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable) << refused;
  context.deadline = SteadyTime::InfiniteFuture();
  std::string said;
  context.log = [&](std::string_view, std::string_view line) {
    said = line;
    lock.LetGo();
  };
  const auto written = RunVerificationWrite(Write(), context);
  EXPECT_TRUE(written.ok()) << written.status();
  EXPECT_THAT(said, HasSubstr("waiting for the repository: it is locked by restic of "));
}

TEST_F(VerificationWriteTest, ARepositoryThatIsGoneIsAnErrorOfTheStepAlone) {
  Write().mutable_target()->mutable_location()->set_repository(repository_.Path() + "/elsewhere");
  const auto result = attempt_.Run(RunVerificationWrite);
  EXPECT_FALSE(result.ok());
}

}  // namespace
}  // namespace salvor::agent
