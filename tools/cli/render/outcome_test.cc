#include "tools/cli/render/outcome.h"

#include <gmock/gmock.h>

#include <map>

#include "tools/cli/testing/samples.h"

namespace salvor::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// The run as if it had ended in this phase.
v1::Run WithPhase(v1::Run run, v1::RunPhase phase) {
  run.set_phase(phase);
  return AsJudged(std::move(run));
}

// A backup run that ended so.
v1::Run BackupRun(v1::RunPhase phase, v1::Verdict verdict) {
  v1::Run run = PartialBackup();
  run.set_phase(phase);
  run.set_verdict(verdict);
  run.clear_verdict_reason();
  return run;
}

// The outcome of a run that is over, whatever stands in a record.
Outcome OutcomeOf(const v1::Run& run) { return OutcomeOf(run, nullptr, StyleOf(80)); }

TEST(BackupOutcome, ACompleteBackupIsZeroAndTheNextStepIsADrill) {
  const v1::Backup backup = CompleteBackup();
  const Outcome outcome =
      OutcomeOf(BackupRun(v1::RUN_PHASE_SUCCEEDED, v1::VERDICT_COMPLETE), &backup, StyleOf(80));
  EXPECT_EQ(outcome.code, ExitCode::kOk);
  EXPECT_THAT(outcome.next,
              ElementsAre("salvor drill create --backup backup-shop-20261121-101500-4f2a --wait"));
  ExpectGolden("outcome_backup_complete_80.txt", outcome.text);
}

TEST(BackupOutcome, ADoubtAndAWarningAreSaidAtOnce) {
  v1::Backup backup = CompleteBackup();
  backup.add_doubts("files.tree has 1 files, and had 51 in backup shop-1");
  backup.mutable_manifest()->add_warnings("component db: doubtBelow is never");
  const v1::Run run = BackupRun(v1::RUN_PHASE_SUCCEEDED, v1::VERDICT_COMPLETE);
  Outcome outcome = OutcomeOf(run, &backup, StyleOf(80));
  EXPECT_EQ(outcome.code, ExitCode::kOk) << "it is complete";
  EXPECT_THAT(outcome.text, HasSubstr("in doubt: files.tree has 1 files, and had 51 in backup shop-1\n"));
  EXPECT_THAT(outcome.text, HasSubstr("warning: component db: doubtBelow is never\n"));
  EXPECT_THAT(outcome.next,
              ElementsAre("salvor backup accept backup-shop-20261121-101500-4f2a --reason TEXT"));
  backup.mutable_acceptance()->set_reason("the archive moved");
  outcome = OutcomeOf(run, &backup, StyleOf(80));
  EXPECT_THAT(outcome.text, testing::Not(HasSubstr("in doubt")));
  EXPECT_THAT(outcome.next, ElementsAre(HasSubstr("salvor drill create")));
}

TEST(BackupOutcome, APartialBackupIsThreeAndNamesWhatIsMissing) {
  const v1::Backup backup = PartialBackupRecord();
  const Outcome outcome = OutcomeOf(PartialBackup(), &backup, StyleOf(80));
  EXPECT_EQ(outcome.code, ExitCode::kPartial);
  EXPECT_EQ(outcome.error, "the backup of shop is incomplete");
  EXPECT_EQ(outcome.cause, "db.dump.audit: pg_dump: permission denied for table entries");
  EXPECT_EQ(outcome.hint, "Grant SELECT on audit.entries to the role salvor.");
  ExpectGolden("outcome_backup_partial_80.txt", outcome.text);
}

TEST(BackupOutcome, OfAClusterLeadsToNoDrillYet) {
  v1::Backup backup = CompleteBackup();
  backup.mutable_manifest()->add_velero()->set_backup("shop-1");
  const v1::Run run = BackupRun(v1::RUN_PHASE_SUCCEEDED, v1::VERDICT_COMPLETE);
  const Outcome outcome = OutcomeOf(run, &backup, StyleOf(80));
  ASSERT_EQ(outcome.next.size(), 1u);
  EXPECT_EQ(outcome.next[0], "salvor backup show " + run.header().backup());
}

TEST(BackupOutcome, NeedsNoRecordForItsVerdict) {
  const Outcome outcome = OutcomeOf(BackupRun(v1::RUN_PHASE_SUCCEEDED, v1::VERDICT_COMPLETE));
  EXPECT_EQ(outcome.code, ExitCode::kOk);
  EXPECT_THAT(outcome.text, StartsWith("backup of shop: complete in "));
}

TEST(BackupOutcome, ThatKeptNothingSaysSo) {
  v1::Backup backup = CompleteBackup();
  backup.set_coverage(v1::Backup::COVERAGE_FAILED);
  const Outcome outcome =
      OutcomeOf(BackupRun(v1::RUN_PHASE_SUCCEEDED, v1::VERDICT_FAILED), &backup, StyleOf(80));
  EXPECT_EQ(outcome.error, "the backup of shop kept nothing");
  EXPECT_THAT(outcome.text, HasSubstr("\nnothing was kept\n"));
}

TEST(DrillOutcome, IsProvenWhenEveryCheckPassed) {
  const Outcome outcome = OutcomeOf(SucceededDrill());
  EXPECT_EQ(outcome.code, ExitCode::kOk);
  ExpectGolden("outcome_drill_proven_80.txt", outcome.text);
}

TEST(DrillOutcome, SaysNotIsolatedInItsFirstLineAndBesideItsVerdict) {
  v1::Run run = SucceededDrill();
  EXPECT_EQ(OutcomeOf(AsJudged(run)).text.find("not isolated"), std::string::npos);
  v1::Check& check = *run.mutable_steps(0)->mutable_result()->add_checks();
  check.set_kind("isolation");
  check.set_verdict(v1::Check::VERDICT_UNVERIFIABLE);
  check.set_compared("not isolated: reaches socket /run/x");
  const Outcome outcome = OutcomeOf(AsJudged(run));
  EXPECT_EQ(outcome.code, ExitCode::kPartial);
  EXPECT_NE(outcome.text.substr(0, outcome.text.find('\n')).find(", not isolated"), std::string::npos);
  EXPECT_NE(outcome.text.substr(outcome.text.find("verdict:")).find(", not isolated ("), std::string::npos);
}

TEST(DrillOutcome, SaysWhereItsProofIsOnlyInTheControlPlane) {
  v1::Run run = SucceededDrill();
  v1::StepStatus& record = *run.add_steps();
  record.set_id("verification.write");
  record.set_purpose(v1::PURPOSE_RECORD);
  record.set_phase(v1::STEP_PHASE_FAILED);
  run.set_phase(v1::RUN_PHASE_FAILED);
  run.set_reason("verification.write: the repository cannot be written");
  const Outcome outcome = OutcomeOf(AsJudged(run));
  EXPECT_EQ(outcome.code, ExitCode::kOk) << "proven is proven";
  EXPECT_THAT(outcome.text, HasSubstr("verdict: proven"));
  EXPECT_THAT(outcome.text, HasSubstr("warning: the drill's finding is kept by the control plane only"));
}

TEST(DrillOutcome, IsolationAloneProvesNothing) {
  v1::Run run = SucceededDrill();
  for (v1::StepStatus& step : *run.mutable_steps()) step.mutable_result()->clear_checks();
  v1::Check& check = *run.mutable_steps(0)->mutable_result()->add_checks();
  check.set_kind("isolation");
  check.set_verdict(v1::Check::VERDICT_PASSED);
  EXPECT_EQ(OutcomeOf(AsJudged(run)).code, ExitCode::kPartial);
}

TEST(DrillOutcome, IsOneAndNamesTheChecksThatFailed) {
  const Outcome outcome = OutcomeOf(DisprovenDrill());
  EXPECT_EQ(outcome.code, ExitCode::kFailed);
  EXPECT_EQ(outcome.error, "drill of backup-shop-20261121-101500-4f2a: 1 check failed");
  EXPECT_EQ(outcome.cause, "db rows shop.public.orders");
  ExpectGolden("outcome_drill_disproven_80.txt", outcome.text);
}

TEST(DrillOutcome, AFailedCheckCountsEvenWhenTheRunCallsItselfSucceeded) {
  EXPECT_EQ(OutcomeOf(WithPhase(DisprovenDrill(), v1::RUN_PHASE_SUCCEEDED)).code, ExitCode::kFailed);
}

TEST(DrillOutcome, IsThreeWhenACheckCouldNotBeMadeOrNoneWasMade) {
  v1::Run run = WithPhase(DisprovenDrill(), v1::RUN_PHASE_SUCCEEDED);
  run.mutable_steps(1)->mutable_result()->mutable_checks(1)->set_verdict(v1::Check::VERDICT_PASSED);
  const Outcome some = OutcomeOf(AsJudged(run));
  EXPECT_EQ(some.code, ExitCode::kPartial);
  EXPECT_EQ(some.cause, "1 check could not be made");
  for (v1::StepStatus& step : *run.mutable_steps()) step.mutable_result()->clear_checks();
  const Outcome none = OutcomeOf(AsJudged(run));
  EXPECT_EQ(none.code, ExitCode::kPartial);
  EXPECT_EQ(none.cause, "no check was made");
}

TEST(DrillOutcome, AVerdictThisVersionDoesNotKnowIsNotAPass) {
  v1::Run run = SucceededDrill();
  run.mutable_steps(1)->mutable_result()->mutable_checks(0)->set_verdict(static_cast<v1::Check::Verdict>(77));
  EXPECT_EQ(OutcomeOf(AsJudged(run)).code, ExitCode::kPartial);
}

TEST(DrillOutcome, OfADoubtedBackupSaysWhyItIsUnverifiable) {
  v1::Run run = SucceededDrill();
  run.set_verdict(v1::VERDICT_UNVERIFIABLE);
  run.set_verdict_reason("files.tree has 1 files, and had 51 in backup shop-1");
  const Outcome outcome = OutcomeOf(run);
  EXPECT_EQ(outcome.code, ExitCode::kPartial);
  EXPECT_EQ(outcome.cause, "files.tree has 1 files, and had 51 in backup shop-1");
  EXPECT_THAT(outcome.text, HasSubstr("\nverdict: unverifiable (4 checks: 4 passed)\n"));
}

TEST(DrillOutcome, OfBytesThatAreWrongIsOneWithoutAFailedCheck) {
  v1::Run run = SucceededDrill();
  run.mutable_steps(1)->set_phase(v1::STEP_PHASE_FAILED);
  run.mutable_steps(1)->mutable_result()->mutable_error()->set_reason(v1::Error::REASON_CORRUPT);
  const Outcome outcome = OutcomeOf(WithPhase(run, v1::RUN_PHASE_FAILED));
  EXPECT_EQ(outcome.code, ExitCode::kFailed);
  EXPECT_THAT(outcome.error, HasSubstr("the backup is disproven"));
}

TEST(DrillOutcome, ADrillThatDidNotFinishGivesNoVerdict) {
  const Outcome outcome = OutcomeOf(WithPhase(SucceededDrill(), v1::RUN_PHASE_FAILED));
  EXPECT_EQ(outcome.code, ExitCode::kFailed);
  EXPECT_THAT(outcome.text, HasSubstr("verdict: none, the drill did not finish (4 checks: 4 passed)"));
}

TEST(RestoreOutcome, SaysWhatWasRestoredAndFailsWithItsChecks) {
  v1::Run run = SucceededDrill();
  run.mutable_header()->set_kind(v1::RUN_KIND_RESTORE);
  run.mutable_header()->set_application("shop-copy");
  run.mutable_steps(0)->set_purpose(v1::PURPOSE_RESTORE);
  run.mutable_steps(0)->set_title("restore database shop");
  run.mutable_steps(0)->mutable_result()->set_note("3.10 GiB, 42 tables");
  const Outcome good = OutcomeOf(AsJudged(run));
  EXPECT_EQ(good.code, ExitCode::kOk);
  ExpectGolden("outcome_restore_80.txt", good.text);
  run.mutable_steps(1)->mutable_result()->mutable_checks(0)->set_verdict(v1::Check::VERDICT_FAILED);
  const Outcome bad = OutcomeOf(AsJudged(run));
  EXPECT_EQ(bad.code, ExitCode::kFailed);
  EXPECT_EQ(bad.cause, "db schema shop");
}

TEST(RestoreOutcome, IsThreeWhenACheckCouldNotBeMadeAsItsDrillWouldBe) {
  v1::Run run = SucceededDrill();
  run.mutable_header()->set_kind(v1::RUN_KIND_RESTORE);
  run.mutable_steps(1)->mutable_result()->mutable_checks(0)->set_verdict(v1::Check::VERDICT_UNVERIFIABLE);
  const Outcome outcome = OutcomeOf(AsJudged(run));
  EXPECT_EQ(outcome.code, ExitCode::kPartial);
  EXPECT_EQ(outcome.cause, "1 check could not be made");
}

TEST(RestoreOutcome, IsThreeAndPartialAndNamesWhatCouldNotBeBuilt) {
  const v1::Run run = PartialRestore();
  EXPECT_EQ(VerdictWord(AsJudged(run)).text, "partial");
  const Outcome outcome = OutcomeOf(AsJudged(run), nullptr, StyleOf(0));
  EXPECT_EQ(outcome.code, ExitCode::kPartial);
  EXPECT_EQ(outcome.error, "the restore of backup-shop-20261121-101500-4f2a to shop is partial");
  EXPECT_EQ(
      outcome.cause,
      "could not be built: rows of table public.vouchers, foreign key public.orders orders_customer_fkey");
  EXPECT_THAT(outcome.text, StartsWith("restore of backup-shop-20261121-101500-4f2a to shop: partial in "));
  EXPECT_THAT(
      outcome.text,
      HasSubstr("\ncould not be built\n"
                "  db shop, rows of table public.vouchers: new row for relation \"vouchers\" violates "
                "check constraint \"still_valid\"\n"
                "  db shop, foreign key public.orders orders_customer_fkey: insert or update on table "
                "\"orders\" violates foreign key constraint\n"));
  EXPECT_THAT(outcome.text, HasSubstr("6 checks: 4 passed, 2 failed"));
  EXPECT_EQ(outcome.text.find("\nfailed\n"), std::string::npos) << "each is named once\n" << outcome.text;
}

TEST(RestoreOutcome, IsOneWhenMoreIsWrongThanWhatCouldNotBeBuilt) {
  v1::Run run = PartialRestore();
  run.mutable_steps(1)->mutable_result()->mutable_checks(1)->set_verdict(v1::Check::VERDICT_FAILED);
  const Outcome outcome = OutcomeOf(AsJudged(run), nullptr, StyleOf(0));
  EXPECT_EQ(outcome.code, ExitCode::kFailed);
  EXPECT_EQ(outcome.error, "restore of backup-shop-20261121-101500-4f2a to shop: 1 check failed");
  EXPECT_EQ(outcome.cause, "db rows shop.public.orders");
  EXPECT_EQ(VerdictWord(AsJudged(run)).text, "failed");
  EXPECT_THAT(outcome.text, HasSubstr("could not be built"));
}

// The objects of a namespace, or the isolation of a place, are of no one component.
TEST(RestoreOutcome, ACheckOfNoComponentIsOfAllOfThem) {
  v1::Run run = SucceededDrill();
  run.mutable_header()->set_kind(v1::RUN_KIND_RESTORE);
  v1::Check& objects = *run.mutable_steps(1)->mutable_result()->add_checks();
  objects.set_kind("objects");
  objects.set_subject("namespace shop-copy");
  objects.set_verdict(v1::Check::VERDICT_FAILED);
  const Outcome outcome = OutcomeOf(AsJudged(run), nullptr, StyleOf(0));
  EXPECT_THAT(outcome.text, HasSubstr("\n(all)      objects       0       1             0\n"));
  EXPECT_THAT(outcome.text, HasSubstr("\n  objects namespace shop-copy\n"));
  EXPECT_THAT(outcome.text, HasSubstr("\ndb         schema "));
}

TEST(RestoreOutcome, ThatDidNotFinishIsFailedWhateverItLeftOut) {
  const v1::Run run = WithPhase(PartialRestore(), v1::RUN_PHASE_FAILED);
  EXPECT_EQ(OutcomeOf(AsJudged(run)).code, ExitCode::kFailed);
  EXPECT_EQ(VerdictWord(AsJudged(run)).text, "failed");
}

TEST(RestoreOutcome, IsSevenWhenAGuardrailRefusedIt) {
  v1::Run run = WithPhase(SucceededDrill(), v1::RUN_PHASE_FAILED);
  run.mutable_header()->set_kind(v1::RUN_KIND_RESTORE);
  v1::StepStatus* guardrail = run.mutable_steps(0);
  guardrail->set_phase(v1::STEP_PHASE_FAILED);
  guardrail->mutable_result()->mutable_error()->set_reason(v1::Error::REASON_REFUSED);
  guardrail->mutable_result()->mutable_error()->set_message("database shop exists");
  guardrail->set_purpose(v1::PURPOSE_GUARD);
  EXPECT_EQ(OutcomeOf(AsJudged(run)).code, ExitCode::kConflict);
  guardrail->set_purpose(v1::PURPOSE_PREPARE);
  EXPECT_EQ(OutcomeOf(AsJudged(run)).code, ExitCode::kFailed) << "a wrong password is no guardrail";
  guardrail->set_purpose(v1::PURPOSE_GUARD);
  guardrail->mutable_result()->mutable_error()->set_reason(v1::Error::REASON_FAILED);
  EXPECT_EQ(OutcomeOf(AsJudged(run)).code, ExitCode::kFailed);
}

TEST(AnyOutcome, CauseAndHintAreOfTheSameStepAndTheOthersAreNamed) {
  v1::Run run = WithPhase(SucceededDrill(), v1::RUN_PHASE_FAILED);
  run.mutable_header()->set_kind(v1::RUN_KIND_RESTORE);
  const auto fail = [&](int step, int64_t at_s, const std::string& message, const std::string& hint) {
    run.mutable_steps(step)->set_phase(v1::STEP_PHASE_FAILED);
    run.mutable_steps(step)->mutable_finished_at()->set_seconds(at_s);
    run.mutable_steps(step)->clear_result();
    run.mutable_steps(step)->mutable_result()->mutable_error()->set_message(message);
    run.mutable_steps(step)->mutable_result()->mutable_error()->set_hint(hint);
  };
  fail(1, 1795256112, "the later one", "Do this for the later one.");
  fail(2, 1795256111, "the first one", "");
  const Outcome without = OutcomeOf(AsJudged(run));
  EXPECT_EQ(without.cause, "files.verify: the first one (also failed: db.verify.shop)");
  EXPECT_EQ(without.hint, "") << "another step's hint would mislead";
  fail(2, 1795256111, "the first one", "Do this for the first one.");
  EXPECT_EQ(OutcomeOf(AsJudged(run)).hint, "Do this for the first one.");
}

TEST(AnyOutcome, ACancelledRunIsNineUnlessItFoundAFault) {
  for (const v1::RunKind kind : {v1::RUN_KIND_BACKUP, v1::RUN_KIND_RESTORE, v1::RUN_KIND_DRILL}) {
    v1::Run run = WithPhase(SucceededDrill(), v1::RUN_PHASE_CANCELLED);
    run.mutable_header()->set_kind(kind);
    EXPECT_EQ(OutcomeOf(AsJudged(run)).code, ExitCode::kCancelled);
    EXPECT_EQ(VerdictWord(AsJudged(run)).text, "cancelled");
  }
  const v1::Run found = WithPhase(DisprovenDrill(), v1::RUN_PHASE_CANCELLED);
  EXPECT_EQ(OutcomeOf(found, nullptr, StyleOf(80)).code, ExitCode::kFailed);
  EXPECT_EQ(VerdictWord(found).text, "disproven");
}

TEST(AnyOutcome, ItsExitCodeIsItsVerdict) {
  const std::map<v1::Verdict, ExitCode> codes = {
      {v1::VERDICT_COMPLETE, ExitCode::kOk},          {v1::VERDICT_PROVEN, ExitCode::kOk},
      {v1::VERDICT_RESTORED, ExitCode::kOk},          {v1::VERDICT_PARTIAL, ExitCode::kPartial},
      {v1::VERDICT_UNVERIFIABLE, ExitCode::kPartial}, {v1::VERDICT_DISPROVEN, ExitCode::kFailed},
      {v1::VERDICT_FAILED, ExitCode::kFailed},        {v1::VERDICT_CANCELLED, ExitCode::kCancelled}};
  EXPECT_EQ(codes.size(), static_cast<size_t>(v1::Verdict_ARRAYSIZE - 1));
  for (int kind = v1::RunKind_MIN; kind <= v1::RunKind_MAX; ++kind) {
    for (const auto& [verdict, code] : codes) {
      v1::Run run = SucceededDrill();
      run.mutable_header()->set_kind(static_cast<v1::RunKind>(kind));
      run.set_verdict(verdict);
      SCOPED_TRACE(v1::Verdict_Name(verdict) + " of kind " + std::to_string(kind));
      EXPECT_EQ(OutcomeOf(run).code, code) << "whatever its steps and its phase say";
      EXPECT_EQ(OutcomeOf(run).error.empty(), code == ExitCode::kOk);
      EXPECT_THAT(OutcomeOf(run).text, HasSubstr(": " + VerdictWord(run).text + " in "));
    }
  }
}

TEST(AnyOutcome, WithoutAVerdictIsNoSuccess) {
  v1::Run run = SucceededDrill();
  run.clear_verdict();
  for (const v1::RunKind kind :
       {v1::RUN_KIND_BACKUP, v1::RUN_KIND_RESTORE, v1::RUN_KIND_DRILL, v1::RUN_KIND_COPY}) {
    run.mutable_header()->set_kind(kind);
    const Outcome outcome = OutcomeOf(run);
    EXPECT_EQ(outcome.code, ExitCode::kFailed);
    EXPECT_THAT(outcome.error, HasSubstr(" finished, but its verdict is not known"));
    EXPECT_THAT(outcome.text, HasSubstr(": finished in "));
  }
}

TEST(VerdictWord, IsThePhaseWhileTheRunGoesOn) {
  v1::Run run = RunningBackup();
  EXPECT_EQ(VerdictWord(run).text, "running");
  run.set_phase(v1::RUN_PHASE_CANCELLING);
  EXPECT_EQ(VerdictWord(run).text, "cancelling");
  run.set_phase(v1::RUN_PHASE_QUARANTINED);
  EXPECT_EQ(VerdictWord(run).text, "quarantined");
  run.set_verdict(static_cast<v1::Verdict>(77));
  EXPECT_EQ(VerdictWord(run).text, "unknown") << "of a newer control plane";
}

TEST(DrillOutcome, NamesAFailedCheckByWhatItSays) {
  v1::Run run = DisprovenDrill();
  v1::Check* failed = run.mutable_steps(1)->mutable_result()->mutable_checks(1);
  failed->clear_component();
  EXPECT_EQ(OutcomeOf(AsJudged(run)).cause, "rows shop.public.orders");
  failed->clear_kind();
  failed->clear_subject();
  EXPECT_EQ(OutcomeOf(AsJudged(run)).cause, "a check");
}

TEST(AnyOutcome, SaysWhenAReleaseIsUnconfirmed) {
  v1::Run run = WithPhase(SucceededDrill(), v1::RUN_PHASE_CANCELLED);
  run.mutable_obligations(0)->set_phase(v1::ObligationStatus::PHASE_UNCONFIRMED);
  EXPECT_THAT(OutcomeOf(AsJudged(run)).text,
              HasSubstr("scratch place may be left; the agent is asked until"));
}

TEST(AnyOutcome, SaysFirstThatAnApplicationMayStillBePaused) {
  v1::Run run = WithPhase(SucceededDrill(), v1::RUN_PHASE_CANCELLED);
  run.mutable_obligations(0)->set_name("quiesce");
  run.mutable_obligations(0)->set_phase(v1::ObligationStatus::PHASE_UNCONFIRMED);
  EXPECT_THAT(OutcomeOf(AsJudged(run)).text,
              StartsWith("shop may still be paused; the agent is asked until"));
}

TEST(AnyOutcome, OfAnUnknownKindIsDecidedByItsPhase) {
  v1::Run run = SucceededDrill();
  run.mutable_header()->set_kind(v1::RUN_KIND_COPY);
  EXPECT_EQ(OutcomeOf(AsJudged(run)).code, ExitCode::kOk);
  EXPECT_EQ(OutcomeOf(WithPhase(run, v1::RUN_PHASE_FAILED)).code, ExitCode::kFailed);
  EXPECT_THAT(OutcomeOf(AsJudged(run)).text, StartsWith("copy of shop: complete in "));
}

}  // namespace
}  // namespace salvor::cli
