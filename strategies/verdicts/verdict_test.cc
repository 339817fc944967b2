#include "strategies/verdicts/verdict.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace salvor::verdicts {
namespace {

using C = v1::Check;

// Each of these functions is a case of the tables below: what the one step of a run left.
void Nothing(v1::Run&) {}
void Whole(v1::Run& run) { run.mutable_steps(0)->mutable_result()->mutable_manifest()->add_artifacts(); }
void Gap(v1::Run& run) {
  Whole(run);
  v1::Artifact& tree = *run.mutable_steps(0)->mutable_result()->mutable_manifest()->mutable_artifacts(0);
  tree.set_name("files.tree");
  tree.set_kind(v1::Artifact::KIND_TREE);
  tree.mutable_coverage()->add_not_covered("/srv/x");
  tree.mutable_coverage()->set_not_covered_total(3);
}
// The gap is of a kind that this version does not know.
void GapOfItsOwn(v1::Run& run) {
  Whole(run);
  v1::Artifact& artifact = *run.mutable_steps(0)->mutable_result()->mutable_manifest()->mutable_artifacts(0);
  artifact.set_kind(static_cast<v1::Artifact::Kind>(77));
  artifact.mutable_contents()->set_gaps(1);
}
// A table that is in the dump and can't be compared.
void NotCompared(v1::Run& run) {
  Whole(run);
  v1::Artifact& dump = *run.mutable_steps(0)->mutable_result()->mutable_manifest()->mutable_artifacts(0);
  dump.set_kind(v1::Artifact::KIND_POSTGRES_DUMP);
  dump.mutable_coverage()->add_not_covered("public.blob");
  dump.mutable_coverage()->set_not_covered_total(1);
}
// A tree that says itself that nothing is missing, whatever it does not cover.
void NoGap(v1::Run& run) {
  Gap(run);
  run.mutable_steps(0)->mutable_result()->mutable_manifest()->mutable_artifacts(0)->mutable_contents();
}
void Missing(v1::Run& run) {
  Whole(run);
  v1::MissingArtifact* missing = run.mutable_steps(0)->mutable_result()->mutable_manifest()->add_missing();
  missing->set_component("db");
  missing->set_title("database audit");
  missing->set_why("permission denied");
}
// A manifest that only says what is missing.
void OnlyMissing(v1::Run& run) {
  Missing(run);
  run.mutable_steps(0)->mutable_result()->mutable_manifest()->clear_artifacts();
}
C& AddCheck(v1::Run& run, C::Verdict verdict) {
  C& check = *run.mutable_steps(0)->mutable_result()->add_checks();
  check.set_component("db");
  check.set_kind("rows");
  check.set_subject("orders");
  check.set_compared("3 and 4");
  check.set_verdict(verdict);
  return check;
}
void Passed(v1::Run& run) { AddCheck(run, C::VERDICT_PASSED); }
void Wrong(v1::Run& run) {
  Passed(run);
  AddCheck(run, C::VERDICT_FAILED);
}
void NotMade(v1::Run& run) {
  Passed(run);
  AddCheck(run, C::VERDICT_UNVERIFIABLE);
}
void OfALaterVersion(v1::Run& run) {
  Passed(run);
  AddCheck(run, static_cast<C::Verdict>(77));
}
void LeftOut(v1::Run& run) {
  Passed(run);
  run.mutable_steps(0)->mutable_result()->add_not_built()->set_title("foreign key orders_customer");
  AddCheck(run, C::VERDICT_FAILED).set_not_built(true);
}
void LeftOutAndWrong(v1::Run& run) {
  LeftOut(run);
  AddCheck(run, C::VERDICT_FAILED);
}
void Corrupt(v1::Run& run) {
  v1::StepStatus* step = run.add_steps();
  step->set_phase(v1::STEP_PHASE_FAILED);
  step->mutable_result()->mutable_error()->set_reason(v1::Error::REASON_CORRUPT);
}

struct Row {
  v1::RunKind kind;
  std::function<void(v1::Run&)> left;
  v1::Verdict succeeded, failed, cancelled;  // by the run's phase
};

v1::Run RunOf(const Row& row, v1::RunPhase phase) {
  v1::Run run;
  run.mutable_header()->set_name("r1");
  run.mutable_header()->set_kind(row.kind);
  run.set_phase(phase);
  run.add_steps()->set_phase(v1::STEP_PHASE_SUCCEEDED);
  row.left(run);
  return run;
}

v1::Backup Complete() {
  v1::Backup backup;
  backup.set_coverage(v1::Backup::COVERAGE_COMPLETE);
  return backup;
}

std::vector<Row> Table() {
  constexpr auto kComplete = v1::VERDICT_COMPLETE, kPartial = v1::VERDICT_PARTIAL,
                 kProven = v1::VERDICT_PROVEN, kDisproven = v1::VERDICT_DISPROVEN,
                 kUnverifiable = v1::VERDICT_UNVERIFIABLE, kRestored = v1::VERDICT_RESTORED,
                 kFailed = v1::VERDICT_FAILED, kCancelled = v1::VERDICT_CANCELLED;
  std::vector<Row> table = {
      {v1::RUN_KIND_BACKUP, Nothing, kFailed, kFailed, kCancelled},
      {v1::RUN_KIND_BACKUP, Whole, kComplete, kFailed, kCancelled},
      {v1::RUN_KIND_BACKUP, Gap, kPartial, kPartial, kCancelled},
      {v1::RUN_KIND_BACKUP, GapOfItsOwn, kPartial, kPartial, kCancelled},
      {v1::RUN_KIND_BACKUP, NotCompared, kComplete, kFailed, kCancelled},
      {v1::RUN_KIND_BACKUP, NoGap, kComplete, kFailed, kCancelled},
      {v1::RUN_KIND_BACKUP, Missing, kPartial, kPartial, kCancelled},
      {v1::RUN_KIND_BACKUP, OnlyMissing, kFailed, kFailed, kCancelled},
      {v1::RUN_KIND_DRILL, Nothing, kUnverifiable, kFailed, kCancelled},
      {v1::RUN_KIND_DRILL, Passed, kProven, kFailed, kCancelled},
      {v1::RUN_KIND_DRILL, NotMade, kUnverifiable, kFailed, kCancelled},
      {v1::RUN_KIND_DRILL, OfALaterVersion, kUnverifiable, kFailed, kCancelled},
      {v1::RUN_KIND_DRILL, Wrong, kDisproven, kDisproven, kDisproven},
      {v1::RUN_KIND_DRILL, Corrupt, kDisproven, kDisproven, kDisproven},
      {v1::RUN_KIND_RESTORE, Nothing, kRestored, kFailed, kCancelled},
      {v1::RUN_KIND_RESTORE, Passed, kRestored, kFailed, kCancelled},
      {v1::RUN_KIND_RESTORE, NotMade, kUnverifiable, kFailed, kCancelled},
      {v1::RUN_KIND_RESTORE, OfALaterVersion, kUnverifiable, kFailed, kCancelled},
      {v1::RUN_KIND_RESTORE, Wrong, kFailed, kFailed, kFailed},
      {v1::RUN_KIND_RESTORE, LeftOut, kPartial, kFailed, kCancelled},
      {v1::RUN_KIND_RESTORE, LeftOutAndWrong, kFailed, kFailed, kFailed},
  };
  for (int kind = v1::RunKind_MIN; kind <= v1::RunKind_MAX; ++kind) {
    if (!v1::RunKind_IsValid(kind) || kind == v1::RUN_KIND_BACKUP || kind == v1::RUN_KIND_DRILL ||
        kind == v1::RUN_KIND_RESTORE)
      continue;
    table.push_back({static_cast<v1::RunKind>(kind), Nothing, kComplete, kFailed, kCancelled});
  }
  return table;
}

TEST(Verdict, OfEveryKindAndOutcome) {
  const v1::Backup complete = Complete();
  std::set<v1::Verdict> seen;
  int number = 0;
  for (const Row& row : Table()) {
    SCOPED_TRACE(v1::RunKind_Name(row.kind) + ", row " + std::to_string(number++));
    EXPECT_EQ(Judge(RunOf(row, v1::RUN_PHASE_SUCCEEDED), &complete).verdict, row.succeeded);
    EXPECT_EQ(Judge(RunOf(row, v1::RUN_PHASE_FAILED), &complete).verdict, row.failed);
    EXPECT_EQ(Judge(RunOf(row, v1::RUN_PHASE_CANCELLED), &complete).verdict, row.cancelled);
    seen.insert({row.succeeded, row.failed, row.cancelled});
    for (const v1::RunPhase phase : {v1::RUN_PHASE_UNSPECIFIED, v1::RUN_PHASE_RUNNING,
                                     v1::RUN_PHASE_CANCELLING, v1::RUN_PHASE_QUARANTINED}) {
      EXPECT_EQ(Judge(RunOf(row, phase), &complete).verdict, v1::VERDICT_UNSPECIFIED)
          << v1::RunPhase_Name(phase);
    }
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>(v1::Verdict_ARRAYSIZE - 1)) << "every verdict is some run's";
}

TEST(Verdict, SaysOfACheckOnlyWhatTheCheckSays) {
  const v1::Backup complete = Complete();
  v1::Run run = RunOf({v1::RUN_KIND_DRILL, Wrong, {}, {}, {}}, v1::RUN_PHASE_SUCCEEDED);
  C& wrong = *run.mutable_steps(0)->mutable_result()->mutable_checks(1);
  EXPECT_EQ(Judge(run, &complete).reason, "db rows orders: 3 and 4");
  wrong.clear_compared();
  EXPECT_EQ(Judge(run, &complete).reason, "db rows orders");
  wrong.clear_component();
  EXPECT_EQ(Judge(run, &complete).reason, "rows orders");
  wrong.clear_kind();
  wrong.clear_subject();
  EXPECT_EQ(Judge(run, &complete).reason, "a check") << "never punctuation alone";
  wrong.set_compared("3 and 4");
  EXPECT_EQ(Judge(run, &complete).reason, "a check: 3 and 4");

  run = RunOf({v1::RUN_KIND_DRILL, Corrupt, {}, {}, {}}, v1::RUN_PHASE_FAILED);
  EXPECT_EQ(Judge(run, &complete).reason, "a step");
  run.mutable_steps(1)->set_id("db.restore.shop");
  run.mutable_steps(1)->mutable_result()->mutable_error()->set_message("wrong digest");
  EXPECT_EQ(Judge(run, &complete).reason, "db.restore.shop: wrong digest");
}

TEST(Verdict, EachHasAWordOfItsOwn) {
  std::set<std::string_view> words;
  for (int verdict = 1; verdict < v1::Verdict_ARRAYSIZE; ++verdict) {
    words.insert(WordOf(static_cast<v1::Verdict>(verdict)));
  }
  EXPECT_EQ(words.size(), static_cast<size_t>(v1::Verdict_ARRAYSIZE - 1));
  EXPECT_EQ(words.count(""), 0u);
  EXPECT_EQ(WordOf(v1::VERDICT_UNSPECIFIED), "");
  EXPECT_EQ(WordOf(static_cast<v1::Verdict>(77)), "");
}

TEST(Verdict, ADrillIsNoBetterThanTheBackupIsKnownToBe) {
  const v1::Run drill = RunOf({v1::RUN_KIND_DRILL, Passed, {}, {}, {}}, v1::RUN_PHASE_SUCCEEDED);
  v1::Backup backup = Complete();
  EXPECT_EQ(Judge(drill, &backup).verdict, v1::VERDICT_PROVEN);
  EXPECT_EQ(Judge(drill, nullptr).verdict, v1::VERDICT_UNVERIFIABLE);
  backup.add_doubts("files.tree has 1 files, and had 51 in backup b0");
  EXPECT_EQ(Judge(drill, &backup).verdict, v1::VERDICT_UNVERIFIABLE);
  backup.mutable_acceptance()->set_by("operator");
  EXPECT_EQ(Judge(drill, &backup).verdict, v1::VERDICT_PROVEN);
  backup.set_coverage(v1::Backup::COVERAGE_PARTIAL);
  EXPECT_EQ(Judge(drill, &backup).verdict, v1::VERDICT_UNVERIFIABLE);
}

TEST(Verdict, SaysWhyItIsNoneBetter) {
  const v1::Backup complete = Complete();
  const auto reason = [&](v1::RunKind kind, const std::function<void(v1::Run&)>& left,
                          v1::RunPhase phase = v1::RUN_PHASE_SUCCEEDED) {
    v1::Run run = RunOf({kind, left, {}, {}, {}}, phase);
    run.set_reason("of the run");
    return Judge(run, &complete).reason;
  };
  EXPECT_EQ(reason(v1::RUN_KIND_BACKUP, Missing), "db database audit: permission denied");
  EXPECT_EQ(reason(v1::RUN_KIND_BACKUP, Gap), "/srv/x and 2 more");
  EXPECT_EQ(reason(v1::RUN_KIND_DRILL, Wrong), "db rows orders: 3 and 4");
  EXPECT_EQ(reason(v1::RUN_KIND_RESTORE, Wrong), "db rows orders: 3 and 4");
  EXPECT_EQ(reason(v1::RUN_KIND_RESTORE, LeftOut), "could not be built: foreign key orders_customer");
  for (const v1::RunKind kind : {v1::RUN_KIND_BACKUP, v1::RUN_KIND_DRILL, v1::RUN_KIND_RESTORE})
    EXPECT_EQ(reason(kind, Nothing, v1::RUN_PHASE_FAILED), "of the run");
  EXPECT_EQ(reason(v1::RUN_KIND_BACKUP, Whole), "");
  EXPECT_EQ(reason(v1::RUN_KIND_DRILL, Passed), "");
  EXPECT_EQ(reason(v1::RUN_KIND_RESTORE, Passed), "");
}

TEST(Verdict, TheHintOfAPartialRestoreIsOfWhatIsNotThere) {
  const auto hint = [](const std::function<void(v1::Run&)>& left) {
    return Judge(RunOf({v1::RUN_KIND_RESTORE, left, {}, {}, {}}, v1::RUN_PHASE_SUCCEEDED), nullptr).hint;
  };
  EXPECT_NE(hint(LeftOut).find("build what is named by hand"), std::string::npos);
  const auto of_check = [](const std::string& own) {
    return [own](v1::Run& run) {
      v1::Check& check = AddCheck(run, C::VERDICT_FAILED);
      check.set_not_built(true);
      check.set_hint(own);
    };
  };
  EXPECT_EQ(hint(of_check("Compare it.")), "Compare it.");
  EXPECT_EQ(hint(of_check("")).find("build"), std::string::npos) << "nothing was to be built";
  EXPECT_NE(hint(of_check("")), "");
  const auto both = [&](v1::Run& run) {
    LeftOut(run);
    of_check("Compare it.")(run);
  };
  EXPECT_NE(hint(both).find("build what is named by hand"), std::string::npos) << "as the reason is";
  EXPECT_EQ(hint(Passed), "");
}

// A claim that was planned and not kept: by name, beside what else there is.
TEST(Verdict, ABackupThatLacksAVolumeIsPartialByItsName) {
  v1::Run run = RunOf({v1::RUN_KIND_BACKUP, Whole, {}, {}, {}}, v1::RUN_PHASE_SUCCEEDED);
  v1::Manifest& manifest = *run.mutable_steps(0)->mutable_result()->mutable_manifest();
  manifest.clear_artifacts();
  v1::Artifact& kept = *manifest.add_artifacts();
  kept.set_name("uploads.volume.uploads");
  kept.set_keeper(v1::Artifact::KEEPER_VELERO);
  kept.mutable_contents()->set_word("volume");
  kept.mutable_velero()->set_claim("uploads");
  EXPECT_EQ(Judge(run, nullptr).verdict, v1::VERDICT_COMPLETE);
  v1::MissingArtifact& missing = *manifest.add_missing();
  missing.set_component("uploads");
  missing.set_title("volume logs of shop");
  missing.set_why("no pod has it mounted, and Velero passed over it");
  EXPECT_EQ(Judge(run, nullptr).verdict, v1::VERDICT_PARTIAL);
  EXPECT_EQ(Judge(run, nullptr).reason,
            "uploads volume logs of shop: no pod has it mounted, and Velero passed over it");
  missing.clear_component();
  missing.set_title("objects of namespace shop");
  EXPECT_EQ(Judge(run, nullptr).reason,
            "objects of namespace shop: no pod has it mounted, and Velero passed over it");
}

// A drill whose last step, which writes down what was found, ended so.
v1::Run RecordedDrill(const std::function<void(v1::Run&)>& left, v1::StepPhase recording) {
  const bool recorded = recording == v1::STEP_PHASE_SUCCEEDED;
  v1::Run run = RunOf({v1::RUN_KIND_DRILL, left, {}, {}, {}},
                      recorded ? v1::RUN_PHASE_SUCCEEDED : v1::RUN_PHASE_FAILED);
  v1::StepStatus& record = *run.add_steps();
  record.set_id("verification.write");
  record.set_purpose(v1::PURPOSE_RECORD);
  record.set_phase(recording);
  return run;
}

TEST(Verdict, IsTheSameWhereItCouldNotBeWrittenDownAndTheRunWarnsOfThat) {
  const v1::Backup complete = Complete();
  const std::vector<std::pair<std::function<void(v1::Run&)>, v1::Verdict>> table = {
      {Passed, v1::VERDICT_PROVEN}, {NotMade, v1::VERDICT_UNVERIFIABLE}, {Wrong, v1::VERDICT_DISPROVEN}};
  for (const auto& [left, verdict] : table) {
    const v1::Run kept = Judged(RecordedDrill(left, v1::STEP_PHASE_SUCCEEDED), &complete);
    EXPECT_EQ(kept.verdict(), verdict);
    EXPECT_EQ(kept.steps(1).result().warnings_size(), 0);
    const v1::Run lost = Judged(RecordedDrill(left, v1::STEP_PHASE_FAILED), &complete);
    EXPECT_EQ(lost.verdict(), verdict);
    EXPECT_EQ(lost.verdict_reason(), kept.verdict_reason());
    ASSERT_EQ(lost.steps(1).result().warnings_size(), 1);
    EXPECT_NE(lost.steps(1).result().warnings(0).find("by the control plane only"), std::string::npos);
  }
}

TEST(Verdict, OnlyWhatCouldNotBeWrittenDownIsForgiven) {
  const v1::Backup complete = Complete();
  v1::Run run = RecordedDrill(Passed, v1::STEP_PHASE_FAILED);
  run.mutable_steps(0)->set_phase(v1::STEP_PHASE_FAILED);
  EXPECT_EQ(Judged(run, &complete).verdict(), v1::VERDICT_FAILED) << "another step failed as well";
  run = RecordedDrill(Passed, v1::STEP_PHASE_FAILED);
  run.add_obligations()->set_released_early(true);
  EXPECT_EQ(Judged(run, &complete).verdict(), v1::VERDICT_FAILED) << "the scratch place was gone meanwhile";
  EXPECT_EQ(Judged(run, &complete).steps(1).result().warnings_size(), 0) << "there is no finding to be lost";
  run = RecordedDrill(Passed, v1::STEP_PHASE_FAILED);
  run.mutable_steps(0)->set_purpose(v1::PURPOSE_RECORD);
  run.mutable_header()->set_kind(v1::RUN_KIND_BACKUP);
  EXPECT_EQ(Judged(run, &complete).verdict(), v1::VERDICT_FAILED) << "a backup without its manifest is none";
  EXPECT_EQ(Judged(run, &complete).steps(1).result().warnings_size(), 0);
}

TEST(Verdict, ADrillThatHadOnlyToWriteDownWhatItFoundKeepsThatWhenItIsCancelled) {
  const v1::Backup complete = Complete();
  for (const v1::StepPhase recording :
       {v1::STEP_PHASE_CANCELLED, v1::STEP_PHASE_FAILED, v1::STEP_PHASE_SUCCEEDED}) {
    SCOPED_TRACE(v1::StepPhase_Name(recording));
    v1::Run run = RecordedDrill(Passed, recording);
    run.set_phase(v1::RUN_PHASE_CANCELLED);
    EXPECT_EQ(Judged(run, &complete).verdict(), v1::VERDICT_PROVEN);
    EXPECT_EQ(Judged(run, &complete).steps(1).result().warnings_size(),
              recording == v1::STEP_PHASE_SUCCEEDED ? 0 : 1);
    run.mutable_steps(0)->set_phase(v1::STEP_PHASE_CANCELLED);
    EXPECT_EQ(Judged(run, &complete).verdict(), v1::VERDICT_CANCELLED) << "it was in the middle of its work";
  }
}

TEST(Verdict, ALookThatFoundAFaultHasNotCompletedWell) {
  v1::Run run = RunOf({v1::RUN_KIND_INSPECT, Passed, {}, {}, {}}, v1::RUN_PHASE_SUCCEEDED);
  EXPECT_EQ(Judged(run, nullptr).verdict(), v1::VERDICT_COMPLETE);
  run.mutable_steps(0)->mutable_result()->add_checks()->set_verdict(v1::Check::VERDICT_UNVERIFIABLE);
  EXPECT_EQ(Judged(run, nullptr).verdict(), v1::VERDICT_COMPLETE);
  run.mutable_steps(0)->mutable_result()->add_checks()->set_verdict(v1::Check::VERDICT_FAILED);
  EXPECT_EQ(Judged(run, nullptr).verdict(), v1::VERDICT_FAILED);
}

TEST(Verdict, TheReasonIsOfTheCheckThatFailedFirstByWhateverOrderTheStepsAreKnown) {
  std::map<std::string, v1::ActionResult> results;
  v1::Run run = RunOf({v1::RUN_KIND_DRILL, Nothing, {}, {}, {}}, v1::RUN_PHASE_SUCCEEDED);
  run.clear_steps();
  int64_t at_s = 100;
  for (const char* id : {"manifest.check", "db.verify"}) {
    v1::StepStatus& step = *run.add_steps();
    step.set_id(id);
    step.set_phase(v1::STEP_PHASE_SUCCEEDED);
    step.mutable_result()->mutable_started_at()->set_seconds(++at_s);
    v1::Check& check = *step.mutable_result()->add_checks();
    check.set_verdict(v1::Check::VERDICT_FAILED);
    check.set_subject(id);
    results[id] = step.result();
  }
  const auto itself = FindingOf(DrillSoFar("r1", "b1", results), "");
  const auto afterwards = FindingOf(run, "");
  ASSERT_TRUE(itself.has_value() && afterwards.has_value());
  EXPECT_EQ(itself->reason(), afterwards->reason());
  EXPECT_NE(itself->reason().find("manifest.check"), std::string::npos) << itself->reason();
}

// A damaged repository in the way of the record is no word about what was restored from it before.
TEST(Verdict, TheStepThatWritesDownWhatWasFoundFindsNothingItself) {
  const v1::Backup complete = Complete();
  v1::Run run = RecordedDrill(Passed, v1::STEP_PHASE_FAILED);
  run.mutable_steps(1)->mutable_result()->mutable_error()->set_reason(v1::Error::REASON_CORRUPT);
  EXPECT_EQ(Judged(run, &complete).verdict(), v1::VERDICT_PROVEN);
}

TEST(Verdict, ADrillJudgesItselfByItsResultsAsItIsJudgedAfterwards) {
  const v1::Backup complete = Complete();
  const std::vector<std::function<void(v1::Run&)>> all = {Nothing, Passed, NotMade, Wrong, Corrupt};
  for (size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE(i);
    v1::Run run = RecordedDrill(all[i], v1::STEP_PHASE_SUCCEEDED);
    std::map<std::string, v1::ActionResult> results;
    for (int step = 0; step < run.steps_size(); ++step) {
      if (run.steps(step).purpose() == v1::PURPOSE_RECORD) continue;
      run.mutable_steps(step)->set_id("step-" + std::to_string(step));
      results[run.steps(step).id()] = run.steps(step).result();
    }
    const auto itself = FindingOf(DrillSoFar("r1", "", results), WhyNotProvable(&complete));
    const auto afterwards = FindingOf(run, &complete);
    ASSERT_TRUE(itself.has_value() && afterwards.has_value());
    EXPECT_EQ(itself->SerializeAsString(), afterwards->SerializeAsString());
  }
  std::map<std::string, v1::ActionResult> failed;
  failed["scratch.start"].mutable_error()->set_message("no room");
  failed["db.verify"].mutable_error()->set_message("scratch.start failed");
  EXPECT_FALSE(FindingOf(DrillSoFar("r1", "b1", failed), "").has_value()) << "it could not be made";
}

}  // namespace
}  // namespace salvor::verdicts
