#include "controlplane/runs/records.h"

#include <gtest/gtest.h>

namespace salvor::controlplane {
namespace {

v1::Run Drill(std::vector<v1::Check::Verdict> verdicts) {
  v1::Run drill;
  drill.set_phase(v1::RUN_PHASE_SUCCEEDED);
  drill.mutable_header()->set_name("drill-1");
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
  EXPECT_NE(AfterDrill(Complete(), drill)->reason().find("not isolated"), std::string::npos);
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

TEST(Records, ARestoreThatFailsByItselfDisprovesAndOneWithoutSpaceSaysNothing) {
  v1::Run drill = Drill({});
  drill.set_phase(v1::RUN_PHASE_FAILED);
  drill.mutable_steps(0)->set_phase(v1::STEP_PHASE_FAILED);
  drill.mutable_steps(0)->set_action("postgres_restore");
  drill.mutable_steps(0)->mutable_result()->mutable_error()->set_reason(v1::Error::REASON_FAILED);
  EXPECT_EQ(AfterDrill(Complete(), drill)->verification(), v1::Backup::VERIFICATION_DISPROVEN);
  drill.mutable_steps(0)->mutable_result()->mutable_error()->set_reason(v1::Error::REASON_REFUSED);
  EXPECT_FALSE(AfterDrill(Complete(), drill));
}

TEST(Records, CompleteOnlyWhenTheManifestMissesNothing) {
  v1::Run run;
  EXPECT_EQ(FinishBackup({}, run).coverage(), v1::Backup::COVERAGE_FAILED);
  v1::StepStatus* step = run.add_steps();
  step->set_phase(v1::STEP_PHASE_SUCCEEDED);
  v1::Artifact* tree = step->mutable_result()->mutable_manifest()->add_artifacts();
  tree->set_kind(v1::Artifact::KIND_TREE);
  EXPECT_EQ(FinishBackup({}, run).coverage(), v1::Backup::COVERAGE_COMPLETE);
  tree->mutable_coverage()->set_not_covered_total(1);
  EXPECT_EQ(FinishBackup({}, run).coverage(), v1::Backup::COVERAGE_PARTIAL);
  tree->mutable_coverage()->set_not_covered_total(0);
  step->mutable_result()->mutable_manifest()->add_missing()->set_title("database shop");
  EXPECT_EQ(FinishBackup({}, run).coverage(), v1::Backup::COVERAGE_PARTIAL);
}

}  // namespace
}  // namespace salvor::controlplane
