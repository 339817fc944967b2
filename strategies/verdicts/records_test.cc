#include "strategies/verdicts/records.h"

#include <gtest/gtest.h>

namespace salvor::verdicts {
namespace {

// The record of the backup after the drill; nothing when the drill says nothing about it.
std::optional<v1::Backup> AfterDrill(const v1::Backup& backup, const v1::Run& drill) {
  return RecordsOf(drill, {&backup, nullptr}).backup;
}

v1::Run Drill(std::vector<v1::Check::Verdict> verdicts) {
  v1::Run drill;
  drill.set_phase(v1::RUN_PHASE_SUCCEEDED);
  drill.mutable_header()->set_name("drill-1");
  drill.mutable_header()->set_kind(v1::RUN_KIND_DRILL);
  v1::StepStatus* step = drill.add_steps();
  step->set_phase(v1::STEP_PHASE_SUCCEEDED);
  for (const v1::Check::Verdict verdict : verdicts)
    step->mutable_result()->add_checks()->set_verdict(verdict);
  return drill;
}

v1::Backup Complete() {
  v1::Backup backup;
  backup.set_coverage(v1::Backup::COVERAGE_COMPLETE);
  backup.set_verification(v1::Backup::VERIFICATION_UNPROVEN);
  return backup;
}

TEST(Records, ProvenOnlyWhenEveryCheckPassed) {
  using C = v1::Check;
  EXPECT_EQ(AfterDrill(Complete(), Drill({C::VERDICT_PASSED, C::VERDICT_PASSED}))->verification(),
            v1::Backup::VERIFICATION_PROVEN);
  EXPECT_EQ(AfterDrill(Complete(), Drill({C::VERDICT_PASSED, C::VERDICT_UNVERIFIABLE}))->verification(),
            v1::Backup::VERIFICATION_UNVERIFIABLE);
  EXPECT_EQ(AfterDrill(Complete(), Drill({C::VERDICT_UNVERIFIABLE, C::VERDICT_FAILED}))->verification(),
            v1::Backup::VERIFICATION_DISPROVEN);
}

TEST(Records, IsolationAloneProvesNothingAndItsLackIsNamed) {
  v1::Run drill = Drill({v1::Check::VERDICT_PASSED});
  v1::Check& check = *drill.mutable_steps(0)->mutable_result()->mutable_checks(0);
  check.set_kind("isolation");
  EXPECT_EQ(AfterDrill(Complete(), drill)->verification(), v1::Backup::VERIFICATION_UNVERIFIABLE);
  check.set_verdict(v1::Check::VERDICT_UNVERIFIABLE);
  check.set_compared("not isolated: reaches socket /run/x");
  EXPECT_NE(AfterDrill(Complete(), drill)->verification_reason().find("not isolated"), std::string::npos);
}

TEST(Records, ADrillWithoutChecksProvesNothing) {
  EXPECT_EQ(AfterDrill(Complete(), Drill({}))->verification(), v1::Backup::VERIFICATION_UNVERIFIABLE);
}

TEST(Records, APartialBackupIsNeverProven) {
  v1::Backup partial = Complete();
  partial.set_coverage(v1::Backup::COVERAGE_PARTIAL);
  EXPECT_EQ(AfterDrill(partial, Drill({v1::Check::VERDICT_PASSED}))->verification(),
            v1::Backup::VERIFICATION_UNVERIFIABLE);
}

// Whatever goes wrong around a backup takes nothing away from it.
TEST(Records, OnlyAPositiveFindingDisproves) {
  v1::Run drill = Drill({});
  drill.set_phase(v1::RUN_PHASE_FAILED);
  drill.mutable_steps(0)->set_phase(v1::STEP_PHASE_FAILED);
  drill.mutable_steps(0)->set_action("postgres_restore");
  drill.mutable_steps(0)->mutable_result()->mutable_error()->set_reason(v1::Error::REASON_CORRUPT);
  drill.mutable_steps(0)->set_reason("digest differs");
  v1::Backup complete = Complete();
  complete.set_reason("of the coverage");
  const auto disproven = AfterDrill(complete, drill);
  EXPECT_EQ(disproven->verification(), v1::Backup::VERIFICATION_DISPROVEN);
  EXPECT_NE(disproven->verification_reason().find("digest differs"), std::string::npos);
  EXPECT_EQ(disproven->reason(), "of the coverage") << "two reasons, two fields";
  for (int reason = v1::Error::Reason_MIN; reason <= v1::Error::Reason_MAX; ++reason) {
    if (!v1::Error::Reason_IsValid(reason) || reason == v1::Error::REASON_CORRUPT) continue;
    drill.mutable_steps(0)->mutable_result()->mutable_error()->set_reason(
        static_cast<v1::Error::Reason>(reason));
    EXPECT_FALSE(AfterDrill(Complete(), drill))
        << v1::Error::Reason_Name(static_cast<v1::Error::Reason>(reason));
  }
}

v1::Backup WithDump(int64_t rows, int64_t bytes, const std::string& name) {
  v1::Backup backup = Complete();
  backup.mutable_manifest()->set_backup(name);
  v1::Artifact* dump = backup.mutable_manifest()->add_artifacts();
  dump->set_name("db.dump.shop");
  dump->set_kind(v1::Artifact::KIND_POSTGRES_DUMP);
  dump->set_rows(rows);
  dump->set_bytes(bytes);
  return backup;
}

TEST(Records, ACopyThatShrankBeyondBeliefIsDoubtedAndNoMore) {
  const v1::Manifest last = WithDump(1000, 50 << 20, "last").manifest();
  const auto doubts = [&](int64_t rows, int64_t bytes) {
    return DoubtsAbout(WithDump(rows, bytes, "now").manifest(), last);
  };
  EXPECT_TRUE(doubts(1000, 50 << 20).empty());
  EXPECT_TRUE(doubts(500, 25 << 20).empty()) << "half is still believed";
  ASSERT_EQ(doubts(499, 50 << 20).size(), 1u);
  EXPECT_EQ(doubts(499, 50 << 20)[0], "db.dump.shop has 499 rows, and had 1000 in backup last");
  EXPECT_EQ(doubts(1000, 1 << 20).size(), 1u) << "bytes count too";
  EXPECT_EQ(doubts(0, 0).size(), 1u) << "one doubt an artifact";
  const v1::Manifest small = WithDump(10, 1000, "small").manifest();
  EXPECT_TRUE(DoubtsAbout(WithDump(0, 10, "now").manifest(), small).empty());
}

TEST(Records, ACopyIsWeighedByWhatItSaysThatItCountsFirstAlsoAgainstOneOfAnEarlierVersion) {
  const v1::Manifest last = WithDump(1000, 1000, "last").manifest();
  v1::Manifest now = WithDump(0, 1000, "now").manifest();
  v1::Artifact::Contents* contents = now.mutable_artifacts(0)->mutable_contents();
  const auto count = [&](const std::string& noun, int64_t number) {
    v1::Artifact::Count* one = contents->add_counts();
    one->set_noun(noun);
    one->set_number(number);
  };
  count("row", 499);
  EXPECT_EQ(DoubtsAbout(now, last),
            std::vector<std::string>{"db.dump.shop has 499 rows, and had 1000 in backup last"});
  contents->mutable_counts(0)->set_number(500);
  EXPECT_TRUE(DoubtsAbout(now, last).empty());
  contents->clear_counts();
  count("node", 100);
  count("label", 1000);
  const v1::Manifest before = now;
  contents->mutable_counts(1)->set_number(1);
  EXPECT_TRUE(DoubtsAbout(now, before).empty()) << "only the first";
  contents->mutable_counts(0)->set_number(49);
  EXPECT_EQ(DoubtsAbout(now, before),
            std::vector<std::string>{"db.dump.shop has 49 nodes, and had 100 in backup now"});
}

// The mount is gone: the volume is there, and empty.
TEST(Records, AVolumeIsWeighedByItsBytes) {
  const auto with_volume = [](int64_t bytes) {
    v1::Manifest manifest;
    manifest.set_backup("b" + std::to_string(bytes));
    v1::Artifact& volume = *manifest.add_artifacts();
    volume.set_name("uploads.volume.uploads");
    volume.set_keeper(v1::Artifact::KEEPER_VELERO);
    volume.set_bytes(bytes);
    volume.mutable_contents()->set_word("volume");
    volume.mutable_contents()->add_counts()->set_noun("volume");
    volume.mutable_contents()->mutable_counts(0)->set_number(1);
    return manifest;
  };
  const v1::Manifest last = with_volume(50 << 20);
  EXPECT_TRUE(DoubtsAbout(with_volume(25 << 20), last).empty());
  EXPECT_EQ(DoubtsAbout(with_volume(0), last).size(), 1u);
}

TEST(Records, HowFarACopyMayShrinkIsItsComponentsWord) {
  const v1::Manifest last = WithDump(1000, 50 << 20, "last").manifest();
  const auto doubted = [&](const std::string& below, int64_t rows, int64_t bytes = 50 << 20) {
    v1::Manifest now = WithDump(rows, bytes, "now").manifest();
    now.mutable_artifacts(0)->set_component("db");
    v1::Component* other = now.add_components();
    other->set_name("files");
    other->set_doubt_below("100%");
    v1::Component* component = now.add_components();
    component->set_name("db");
    component->set_doubt_below(below);
    return !DoubtsAbout(now, last).empty();
  };
  EXPECT_FALSE(doubted("", 500));
  EXPECT_TRUE(doubted("", 499));
  EXPECT_TRUE(doubted("100%", 999)) << "whatever is less";
  EXPECT_FALSE(doubted("100%", 1000));
  EXPECT_FALSE(doubted("10%", 100));
  EXPECT_TRUE(doubted("10%", 99));
  EXPECT_TRUE(doubted("10%", 1000, 5 << 19)) << "bytes as rows";
  EXPECT_FALSE(doubted("never", 0, 0));
  EXPECT_FALSE(doubted("0%", 0, 0));
  EXPECT_TRUE(doubted("as of a newer version", 499));
}

TEST(Records, ADoubtedBackupIsProvenOnceSomebodyAcceptsIt) {
  v1::Backup doubted = Complete();
  doubted.set_name("b1");
  doubted.add_doubts("db.dump.shop has 0 rows, and had 1000 in backup b0");
  const v1::Run drill = Drill({v1::Check::VERDICT_PASSED});
  EXPECT_EQ(AfterDrill(doubted, drill)->verification(), v1::Backup::VERIFICATION_UNVERIFIABLE);
  EXPECT_NE(AfterDrill(doubted, drill)->verification_reason().find("salvor backup accept b1"),
            std::string::npos);
  doubted.mutable_acceptance()->set_by("operator");
  EXPECT_EQ(AfterDrill(doubted, drill)->verification(), v1::Backup::VERIFICATION_PROVEN);
}

TEST(Records, CompleteOnlyWhenTheManifestMissesNothing) {
  v1::Run run;
  run.mutable_header()->set_name("backup-1");
  run.mutable_header()->set_kind(v1::RUN_KIND_BACKUP);
  run.set_phase(v1::RUN_PHASE_SUCCEEDED);
  const v1::Backup begun = BeginBackup(run.header(), "vault");
  const auto coverage = [&] { return RecordsOf(run, {&begun, nullptr}).backup->coverage(); };
  EXPECT_EQ(coverage(), v1::Backup::COVERAGE_FAILED);
  v1::StepStatus* step = run.add_steps();
  step->set_phase(v1::STEP_PHASE_SUCCEEDED);
  v1::Artifact* tree = step->mutable_result()->mutable_manifest()->add_artifacts();
  tree->set_kind(v1::Artifact::KIND_TREE);
  EXPECT_EQ(coverage(), v1::Backup::COVERAGE_COMPLETE);
  tree->mutable_coverage()->set_not_covered_total(1);
  EXPECT_EQ(coverage(), v1::Backup::COVERAGE_PARTIAL);
  tree->mutable_coverage()->set_not_covered_total(0);
  step->mutable_result()->mutable_manifest()->add_missing()->set_title("database shop");
  EXPECT_EQ(coverage(), v1::Backup::COVERAGE_PARTIAL);
  step->mutable_result()->mutable_manifest()->clear_artifacts();
  EXPECT_EQ(coverage(), v1::Backup::COVERAGE_FAILED) << "it only says what is missing";
}

TEST(Records, ARunWhoseRecordWasLostFailsTheBackupThatItMade) {
  v1::Run given_up;  // no kind: its header could not be read
  given_up.mutable_header()->set_name("backup-1");
  given_up.set_phase(v1::RUN_PHASE_FAILED);
  v1::Backup begun = Complete();
  begun.set_run("backup-1");
  EXPECT_EQ(RecordsOf(given_up, {&begun, nullptr}).backup->coverage(), v1::Backup::COVERAGE_FAILED);
}

TEST(Records, TheVerdictIsThatOfTheRecordAndARestoreLeavesNone) {
  v1::Run drill = Drill({v1::Check::VERDICT_FAILED});
  const v1::Backup complete = Complete();
  EXPECT_EQ(RecordsOf(drill, {&complete, nullptr}).run.verdict(), v1::VERDICT_DISPROVEN);
  EXPECT_EQ(RecordsOf(drill, {nullptr, nullptr}).run.verdict(), v1::VERDICT_DISPROVEN)
      << "without a record too";
  EXPECT_FALSE(RecordsOf(drill, {nullptr, nullptr}).backup.has_value());
  drill.mutable_header()->set_kind(v1::RUN_KIND_RESTORE);
  const Records restored = RecordsOf(drill, {&complete, nullptr});
  EXPECT_EQ(restored.run.verdict(), v1::VERDICT_FAILED);
  EXPECT_FALSE(restored.backup.has_value());
  EXPECT_TRUE(restored.verifications.empty());
}

TEST(Records, AVerificationStandsBesideTheOneBeforeItAndCountsItsChecks) {
  using C = v1::Check;
  v1::Backup backup = Complete();
  backup.set_name("b1");
  const Records first = RecordsOf(Drill({C::VERDICT_PASSED}), {&backup, nullptr});
  ASSERT_EQ(first.verifications.size(), 1u);
  EXPECT_EQ(first.verifications[0].isolation(), v1::Verification::ISOLATION_UNSPECIFIED);

  v1::Run second = Drill({C::VERDICT_FAILED, C::VERDICT_PASSED, C::VERDICT_UNVERIFIABLE, C::VERDICT_PASSED});
  second.mutable_header()->set_name("drill-2");
  second.mutable_header()->set_backup("b1");
  second.mutable_steps(0)->mutable_result()->mutable_checks(3)->set_kind("isolation");
  const Records both = RecordsOf(second, {&*first.backup, nullptr});
  ASSERT_EQ(both.verifications.size(), 2u);
  EXPECT_EQ(both.verifications[0].run(), "drill-1") << "0.1 kept it in the record alone";
  EXPECT_EQ(both.verifications[0].verdict(), v1::VERDICT_PROVEN);
  const v1::Verification& newest = both.verifications[1];
  EXPECT_EQ(newest.run(), "drill-2");
  EXPECT_EQ(newest.backup(), "b1");
  EXPECT_EQ(newest.verdict(), v1::VERDICT_DISPROVEN);
  EXPECT_EQ(newest.passed(), 2);
  EXPECT_EQ(newest.failed(), 1);
  EXPECT_EQ(newest.unverifiable(), 1);
  EXPECT_EQ(newest.isolation(), v1::Verification::ISOLATION_HELD);
  EXPECT_EQ(both.backup->proven_by(), "drill-2");
  EXPECT_EQ(both.backup->verification(), v1::Backup::VERIFICATION_DISPROVEN);
}

TEST(Records, AVerificationThatTheRecordAloneHasIsListedOnce) {
  v1::Backup backup = Complete();
  EXPECT_TRUE(VerificationsOf(backup, {}).empty());
  backup = *AfterDrill(backup, Drill({v1::Check::VERDICT_FAILED}));
  const std::vector<v1::Verification> alone = VerificationsOf(backup, {});
  ASSERT_EQ(alone.size(), 1u);
  EXPECT_EQ(alone[0].run(), "drill-1");
  EXPECT_EQ(alone[0].verdict(), v1::VERDICT_DISPROVEN);
  EXPECT_EQ(alone[0].reason(), backup.verification_reason());
  v1::Verification stored = alone[0];
  stored.set_failed(1);
  ASSERT_EQ(VerificationsOf(backup, {stored}).size(), 1u);
  EXPECT_EQ(VerificationsOf(backup, {stored})[0].failed(), 1);
  // The newest one's own record may be the one that can't be read: it is the newest all the same.
  v1::Verification before = stored;
  before.set_run("drill-0");
  before.mutable_at()->set_seconds(alone[0].at().seconds() - 60);
  ASSERT_EQ(VerificationsOf(backup, {before}).size(), 2u);
  EXPECT_EQ(VerificationsOf(backup, {before})[1].run(), "drill-1");
}

TEST(Records, ADrillThatSaysNothingLeavesTheRecordAsItIs) {
  v1::Run drill = Drill({v1::Check::VERDICT_PASSED});
  const v1::Backup complete = Complete();
  for (const v1::RunPhase phase : {v1::RUN_PHASE_FAILED, v1::RUN_PHASE_CANCELLED}) {
    drill.set_phase(phase);
    const Records records = RecordsOf(drill, {&complete, nullptr});
    EXPECT_FALSE(records.backup.has_value());
    EXPECT_TRUE(records.verifications.empty());
  }
}

}  // namespace
}  // namespace salvor::verdicts
