// People say things about backups through the API: that a doubt is unfounded, and by which checks a drill judges.
#include "base/text.h"
#include "controlplane/store/contract/held_up_store_testing.h"
#include "controlplane/transport/transport_testing.h"
#include "proto/time.h"
#include "strategies/interface/strategy_testing.h"

namespace salvor::controlplane {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Stub = v1::ControlService::Stub;

class BackupCallsTest : public ServicesTest {
 protected:
  // An application "shop" whose newest-migration check expects `expect` today.
  void Declare(const std::string& expect) {
    std::vector<v1::Object> objects(3);
    objects[0].mutable_metadata()->set_name("vault");
    *objects[0].mutable_location()->mutable_restic() = strategies::Vault();
    objects[1].mutable_metadata()->set_name("host-a");
    objects[1].mutable_environment()->set_runtime(v1::RUNTIME_HOST);
    objects[1].mutable_environment()->set_location("vault");
    objects[2].mutable_metadata()->set_name("shop");
    objects[2].mutable_application()->set_environment("host-a");
    *objects[2].mutable_application()->add_components() = Database(expect);
    const auto applied = catalog_->Apply(objects, false);
    ASSERT_TRUE(applied.ok()) << applied.status();
    ASSERT_TRUE(applied->problems.empty()) << applied->problems[0].DebugString();
  }

  static v1::Component Database(const std::string& expect) {
    v1::Component database = strategies::DatabaseComponent();
    database.mutable_checks(0)->mutable_sql()->set_expect(expect);
    return database;
  }

  // A finished backup whose checks expect `expect`.
  void Keep(const std::string& name, const std::string& expect, const std::vector<std::string>& doubts = {}) {
    PutBackup put;
    put.backup.set_name(name);
    put.backup.set_application("shop");
    put.backup.set_environment("host-a");
    put.backup.set_location("vault");
    put.backup.set_coverage(v1::Backup::COVERAGE_COMPLETE);
    put.backup.set_verification(v1::Backup::VERIFICATION_UNPROVEN);
    *put.backup.mutable_manifest() = strategies::AManifest({Database(expect)});
    for (const std::string& doubt : doubts) put.backup.add_doubts(doubt);
    ASSERT_TRUE(CommitAndWait(store_, {put}).ok());
    Start();
  }

  StatusOr<v1::Backup> Accept(const std::string& name, const std::string& reason) {
    v1::AcceptBackupRequest request;
    request.set_name(name);
    request.set_reason(reason);
    return Call(&Stub::AcceptBackup, request);
  }

  // The run of a request for a backup of shop; "+" before it when none was started for it.
  std::string Back(absl::Duration start_within = absl::ZeroDuration()) {
    v1::CreateBackupRequest request;
    request.set_application("shop");
    if (start_within > absl::ZeroDuration()) *request.mutable_start_within() = ToProto(start_within);
    const auto made = Call(&Stub::CreateBackup, request);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? (made->existing() ? "+" : "") + made->run() : "";
  }

  // The checks that the drill of this backup would make, as text.
  std::string ChecksOfDrill(const std::string& backup, bool current) {
    v1::CreateDrillRequest request;
    request.set_backup(backup);
    request.set_dry_run(true);
    request.set_current_checks(current);
    const auto planned = Call(&Stub::CreateDrill, request);
    EXPECT_TRUE(planned.ok()) << planned.status();
    std::string checks;
    if (!planned.ok()) return checks;
    for (const v1::Step& step : planned->flow().steps()) {
      if (step.action().has_application_checks()) checks += step.action().application_checks().DebugString();
    }
    return checks;
  }
};

TEST_F(BackupCallsTest, AnAcceptedDoubtIsKeptWithWhoAndWhyAndStaysAfterARestart) {
  Keep("shop-1", "t", {"db.dump.shop has 3 rows, and had 900 in backup shop-0"});
  const auto accepted = Accept("shop-1", "archived");
  ASSERT_TRUE(accepted.ok()) << accepted.status();
  Start();
  v1::GetBackupRequest request;
  request.set_name("latest:shop");
  const auto backup = Call(&Stub::GetBackup, request);
  ASSERT_TRUE(backup.ok()) << backup.status();
  EXPECT_EQ(backup->acceptance().reason(), "archived");
  EXPECT_EQ(backup->acceptance().by(), "root");
  EXPECT_EQ(backup->doubts_size(), 1) << "what was doubted stays on record";
  EXPECT_EQ(backup->verification(), v1::Backup::VERIFICATION_UNPROVEN) << "to accept is not to prove";
}

TEST_F(BackupCallsTest, ABackupShowsAllItsVerificationsAndAListNone) {
  Keep("shop-1", "t");
  v1::GetBackupRequest request;
  request.set_name("shop-1");
  EXPECT_EQ(Call(&Stub::GetBackup, request)->verifications_size(), 0);
  PutVerification one, two, other;
  one.verification.set_backup("shop-1");
  one.verification.set_run("drill-1");
  one.verification.set_verdict(v1::VERDICT_DISPROVEN);
  two = one;
  two.verification.set_run("drill-2");
  other = one;
  other.verification.set_backup("shop-2");
  ASSERT_TRUE(CommitAndWait(store_, {one, two, other}).ok());
  const auto backup = Call(&Stub::GetBackup, request);
  ASSERT_EQ(backup->verifications_size(), 2);
  EXPECT_EQ(backup->verifications(0).run(), "drill-1");
  EXPECT_EQ(backup->verifications(1).verdict(), v1::VERDICT_DISPROVEN);
  EXPECT_EQ(Call(&Stub::ListBackups, v1::ListBackupsRequest())->backups(0).verifications_size(), 0);
}

TEST_F(BackupCallsTest, WhatIsNotInDoubtIsNotAccepted) {
  Keep("shop-1", "t");
  const auto refused = Accept("shop-1", "archived");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(MessageOf(refused.status()), "backup shop-1 is not in doubt: there is nothing to accept");
  EXPECT_FALSE(engine_->FindBackup("shop-1")->has_acceptance());
}

TEST_F(BackupCallsTest, ADrillOfADoubtedBackupKnowsThatItCanNotProveItUntilSomebodyAccepts) {
  Declare("t");
  Keep("shop-1", "t", {"it shrank"});
  const auto not_provable = [&] {
    v1::CreateDrillRequest request;
    request.set_backup("shop-1");
    request.set_dry_run(true);
    const auto drill = Call(&Stub::CreateDrill, request);
    EXPECT_TRUE(drill.ok()) << drill.status();
    if (!drill.ok() || drill->flow().steps().empty()) return std::string("no flow");
    return drill->flow().steps().rbegin()->action().verification_write().not_provable();
  };
  EXPECT_THAT(not_provable(), HasSubstr("it shrank"));
  ASSERT_TRUE(Accept("shop-1", "archived").ok());
  EXPECT_EQ(not_provable(), "");
}

TEST_F(BackupCallsTest, NeitherIsWhatDoesNotExist) {
  Keep("shop-1", "t", {"it shrank"});
  EXPECT_EQ(Accept("shop-2", "archived").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Accept("latest:wiki", "archived").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Accept("", "archived").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(BackupCallsTest, NothingIsAcceptedWithoutAReason) {
  Keep("shop-1", "t", {"it shrank"});
  for (const char* none : {"", " ", "\n\t "}) {
    const auto refused = Accept("shop-1", none);
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(HintOf(refused.status()), HasSubstr("--reason"));
  }
  EXPECT_FALSE(engine_->FindBackup("shop-1")->has_acceptance());
}

TEST_F(BackupCallsTest, ADrillJudgesByTheRecordedChecksUnlessTodaysAreAskedFor) {
  Declare("declared-today");
  Keep("shop-1", "of-its-day");
  EXPECT_THAT(ChecksOfDrill("shop-1", false), HasSubstr("of-its-day"));
  EXPECT_THAT(ChecksOfDrill("shop-1", false), Not(HasSubstr("declared-today")));
  EXPECT_THAT(ChecksOfDrill("shop-1", true), HasSubstr("declared-today"));
  EXPECT_THAT(ChecksOfDrill("shop-1", true), Not(HasSubstr("of-its-day")));
  EXPECT_THAT(engine_->FindBackup("shop-1")->manifest().DebugString(), HasSubstr("of-its-day"))
      << "the record stays as it is";
}

TEST_F(BackupCallsTest, TodaysChecksNeedADeclarationAndTheRecordedOnesNone) {
  Keep("shop-1", "of-its-day");
  Start();
  // The Location is needed in any case.
  v1::Object vault;
  vault.mutable_metadata()->set_name("vault");
  *vault.mutable_location()->mutable_restic() = strategies::Vault();
  ASSERT_TRUE(catalog_->Apply({vault}, false).ok());
  EXPECT_THAT(ChecksOfDrill("shop-1", false), HasSubstr("of-its-day"));
  v1::CreateDrillRequest request;
  request.set_backup("shop-1");
  request.set_current_checks(true);
  EXPECT_EQ(Call(&Stub::CreateDrill, request).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(engine_->ListRuns({}, {})->items.empty()) << "nothing was started";
}

TEST_F(BackupCallsTest, AWaitingBackupAnswersARequestThatGivesUpWhenItDoes) {
  Declare("t");
  const std::string patient = Back(absl::Hours(1));
  EXPECT_EQ(Back(absl::Hours(1)), "+" + patient);
  const std::string hasty = Back(absl::Minutes(5));
  EXPECT_NE(hasty[0], '+')
      << "whoever asked wants to know in five minutes, and the waiting one says nothing then";
  const std::string endless = Back();
  EXPECT_NE(endless[0], '+') << "the waiting one would give up, and this one must not";
  EXPECT_EQ(Back(), "+" + endless) << "the one that fits, of three";
  EXPECT_EQ(engine_->ListRuns({.application = "shop", .active_only = true}, {})->items.size(), 3u);
}

TEST_F(BackupCallsTest, ListsComeInPagesAndWithoutASizeAsTheyAlwaysDid) {
  Declare("t");
  for (const char* name : {"shop-1", "shop-2", "shop-3"}) Keep(name, "t");
  v1::ListBackupsRequest backups;
  EXPECT_EQ(Call(&Stub::ListBackups, backups)->backups_size(), 3);
  backups.set_page_size(2);
  const auto first = Call(&Stub::ListBackups, backups);
  ASSERT_EQ(first->backups_size(), 2);
  backups.set_page_token(first->next_page_token());
  const auto second = Call(&Stub::ListBackups, backups);
  ASSERT_EQ(second->backups_size(), 1);
  EXPECT_EQ(second->next_page_token(), "");
  backups.set_location("elsewhere");
  const Status foreign = Call(&Stub::ListBackups, backups).status();
  EXPECT_EQ(foreign.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(HintOf(foreign), HasSubstr("keep the filters"));

  Back();
  v1::ListRunsRequest runs;
  runs.set_limit(1);  // as a client of 0.1 asks
  const auto newest = Call(&Stub::ListRuns, runs);
  ASSERT_EQ(newest->runs_size(), 1);
  runs.set_kind(v1::RUN_KIND_DRILL);
  EXPECT_EQ(Call(&Stub::ListRuns, runs)->runs_size(), 0);
  runs.set_kind(v1::RUN_KIND_BACKUP);
  runs.add_phases(v1::RUN_PHASE_RUNNING);
  runs.set_environment("host-a");
  EXPECT_EQ(Call(&Stub::ListRuns, runs)->runs(0).header().name(), newest->runs(0).header().name());
}

TEST_F(BackupCallsTest, TheStartDeadlineIsOfTheRunAndStaysWithIt) {
  Declare("t");
  const std::string run = Back(absl::Minutes(90));
  EXPECT_EQ(FromProto(store_.LoadRun(run)->flow.start_within()), absl::Minutes(90));
  v1::CreateBackupRequest request;
  request.set_application("shop");
  request.set_dry_run(true);
  EXPECT_FALSE(Call(&Stub::CreateBackup, request)->flow().has_start_within())
      << "none unless it is asked for";
  request.mutable_start_within()->set_seconds(-1);
  EXPECT_EQ(Call(&Stub::CreateBackup, request).status().code(), absl::StatusCode::kInvalidArgument);
  request.mutable_start_within()->set_seconds(0);
  EXPECT_EQ(Call(&Stub::CreateBackup, request).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(BackupCallsTest, ADryRunOfARestoreLooksAtItsTargetWhereThatIsAskedFor) {
  Declare("t");
  Keep("shop-1", "t");
  v1::CreateRestoreRequest restore;
  restore.set_backup("shop-1");
  restore.set_to("shop");
  restore.set_dry_run(true);
  EXPECT_EQ(Call(&Stub::CreateRestore, restore)->run(), "");
  EXPECT_TRUE(engine_->ListRuns({}, {})->items.empty()) << "nothing was started";
  restore.set_look(true);
  const auto planned = Call(&Stub::CreateRestore, restore);
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_GT(planned->effects_size(), 0);
  const auto run = engine_->GetRun(planned->run());
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->header().kind(), v1::RUN_KIND_INSPECT);
  EXPECT_EQ(run->header().backup(), "shop-1");
  EXPECT_LT(run->steps_size(), planned->flow().steps_size());
  for (const v1::StepStatus& step : run->steps())
    EXPECT_TRUE(step.purpose() == v1::PURPOSE_GUARD || step.purpose() == v1::PURPOSE_VERIFY) << step.id();
  restore.set_dry_run(false);
  EXPECT_EQ(engine_->GetRun(Call(&Stub::CreateRestore, restore)->run())->header().kind(),
            v1::RUN_KIND_RESTORE);
}

TEST_F(BackupCallsTest, DrillsAndRestoresHaveOneToo) {
  Declare("t");
  Keep("shop-1", "t");
  v1::CreateDrillRequest drill;
  drill.set_backup("shop-1");
  drill.set_dry_run(true);
  drill.mutable_start_within()->set_seconds(60);
  EXPECT_EQ(Call(&Stub::CreateDrill, drill)->flow().start_within().seconds(), 60);
  v1::CreateRestoreRequest restore;
  restore.set_backup("shop-1");
  restore.set_to("shop");
  restore.set_dry_run(true);
  restore.mutable_start_within()->set_seconds(60);
  EXPECT_EQ(Call(&Stub::CreateRestore, restore)->flow().start_within().seconds(), 60);
}

TEST_F(BackupCallsTest, ARestoreHasTheOptionsOfEachComponentAndThoseForAll) {
  Declare("t");
  Keep("shop-1", "t");
  v1::CreateRestoreRequest restore;
  restore.set_backup("shop-1");
  restore.set_to("shop");
  restore.set_dry_run(true);
  // The databases that it would make.
  const auto databases = [&] {
    std::vector<std::string> names;
    const auto planned = Call(&Stub::CreateRestore, restore);
    EXPECT_TRUE(planned.ok()) << planned.status();
    if (!planned.ok()) return names;
    for (const v1::Step& step : planned->flow().steps()) {
      if (step.action().has_postgres_restore())
        names.push_back(step.action().postgres_restore().database().name());
    }
    return names;
  };
  (*restore.mutable_rename_databases())["shop"] = "shop_copy";
  EXPECT_EQ(databases(), (std::vector<std::string>{"shop_copy", "Shop"}));
  auto& own = *(*restore.mutable_options())["db"].mutable_postgres()->mutable_rename_databases();
  own["Shop"] = "shop_too";
  EXPECT_EQ(databases(), (std::vector<std::string>{"shop_copy", "shop_too"}));
  own["shop"] = "shop_own";
  EXPECT_EQ(databases(), (std::vector<std::string>{"shop_own", "shop_too"}));
  (*restore.mutable_options())["files"].mutable_disk()->set_root("/srv");
  const Status refused = Call(&Stub::CreateRestore, restore).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(MessageOf(refused), HasSubstr("has no component 'files', it has db"));
}

TEST_F(BackupCallsTest, WhoIsToldThatARequestWaitsAlreadyMayRelyOnIt) {
  Declare("t");
  const std::string first = Back();
  std::string second;
  HeldUpStore held_up(store_);
  EXPECT_TRUE(held_up.Delays([&] { second = Back(); }));
  EXPECT_EQ(second, "+" + first);
}

}  // namespace
}  // namespace salvor::controlplane
