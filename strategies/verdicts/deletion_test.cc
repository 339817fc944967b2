#include "strategies/verdicts/deletion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strategies/verdicts/records.h"

namespace salvor::verdicts {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

v1::Backup Usable(const std::string& name, bool proven = false) {
  v1::Backup backup;
  backup.set_name(name);
  backup.set_application("shop");
  backup.set_run("backup-" + name);
  backup.set_coverage(v1::Backup::COVERAGE_COMPLETE);
  backup.set_verification(proven ? v1::Backup::VERIFICATION_PROVEN : v1::Backup::VERIFICATION_UNPROVEN);
  backup.mutable_manifest()->add_artifacts()->set_name("db.dump");
  return backup;
}

v1::RunHeader DeleteHeader(const std::string& name = "delete-shop-1") {
  v1::RunHeader header;
  header.set_name(name);
  header.set_kind(v1::RUN_KIND_DELETE);
  header.set_requested_by("ann");
  header.set_backup("a");
  header.mutable_requested_at()->set_seconds(100);
  return header;
}

struct Case {
  std::string title;
  v1::Backup backup;
  std::vector<BackupUse> uses = {};
  std::vector<v1::Backup> others = {};
  DeletionTerms terms = {};
  std::vector<std::string> why = {};
};

std::vector<std::string> WhyNot(const Case& one) {
  std::vector<const v1::Backup*> all = {&one.backup};
  for (const v1::Backup& other : one.others) all.push_back(&other);
  std::vector<std::string> why;
  for (const Objection& objection : ObjectionsTo(one.backup, one.uses, all, one.terms)) {
    why.push_back(objection.why);
    EXPECT_FALSE(objection.next.empty()) << objection.why;
  }
  return why;
}

TEST(Deletion, IsRefusedForEachReasonAtOnce) {
  const std::string last_proven = "it is the last proven backup of shop";
  const std::string last_usable = "it is the last backup that shop could be restored from";
  v1::Backup disproven = Usable("a"), deleting = Usable("b", true), failed = Usable("a"),
             deleted = Usable("a");
  disproven.set_verification(v1::Backup::VERIFICATION_DISPROVEN);
  deleting.mutable_deletion()->set_state(v1::Deletion::STATE_DELETING);
  failed.mutable_deletion()->set_state(v1::Deletion::STATE_FAILED);
  deleted.mutable_deletion()->set_state(v1::Deletion::STATE_DELETED);
  deleted.mutable_deletion()->set_by("bob");
  v1::Backup nothing_kept = Usable("a");
  nothing_kept.set_coverage(v1::Backup::COVERAGE_FAILED);
  const std::vector<BackupUse> drill = {{"drill-1", v1::RUN_KIND_DRILL}};
  for (const Case& one : std::vector<Case>{
           {"one of two", Usable("a"), {}, {Usable("b")}},
           {"the last proven of two", Usable("a", true), {}, {Usable("b")}, {}, {last_proven}},
           {"by name", Usable("a", true), {}, {Usable("b")}, {.last_proven = true}},
           {"one of two proven", Usable("a", true), {}, {Usable("b", true)}},
           {"the last of all", Usable("a", true), {}, {}, {}, {last_proven, last_usable}},
           {"one name is not the other", Usable("a", true), {}, {}, {.last_proven = true}, {last_usable}},
           {"both by name", Usable("a", true), {}, {}, {true, true}},
           {"one that goes already does not count",
            Usable("a", true),
            {},
            {deleting},
            {},
            {last_proven, last_usable}},
           {"one of which nothing can be restored", disproven},
           {"one that kept nothing", nothing_kept},
           {"once more", failed},
           {"for good", deleted, {}, {}, {}, {"it was deleted already, by bob"}},
           {"in use", Usable("a"), drill, {Usable("b")}, {}, {"drill-1 reads it"}},
           {"in use, whatever was said by name", Usable("a"), drill, {}, {true, true}, {"drill-1 reads it"}},
           {"all at once",
            Usable("a", true),
            {{"restore-1", v1::RUN_KIND_RESTORE},
             {"delete-1", v1::RUN_KIND_DELETE},
             {"backup-a", v1::RUN_KIND_BACKUP},
             {"lost", v1::RUN_KIND_DRILL, true}},
            {},
            {},
            {"restore-1 reads it", "delete-1 deletes it already", "backup-a still makes it",
             "run lost, whose records can't be read, may use it", last_proven, last_usable}},
       }) {
    EXPECT_EQ(WhyNot(one), one.why) << one.title;
  }
}

TEST(Deletion, TheRefusalSaysEachStepOnce) {
  EXPECT_TRUE(RefuseDeletion(Usable("a"), {}).ok());
  const Status status = RefuseDeletion(Usable("a"), {{"one", "Wait."}, {"two", "Wait."}, {"three", "Act."}});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(MessageOf(status), "backup a is not deleted: one; two; three");
  EXPECT_EQ(HintOf(status), "Wait. Act.");
}

class DeletionEnds : public testing::Test {
 protected:
  v1::StepStatus& Step(const std::string& id, v1::StepPhase phase, int attempt = 1) {
    v1::StepStatus& step = *run_.add_steps();
    step.set_id(id);
    step.set_phase(phase);
    step.set_attempt(attempt);
    return step;
  }
  v1::Backup End(v1::RunPhase phase, const v1::Backup& begun) {
    *run_.mutable_header() = DeleteHeader();
    run_.set_phase(phase);
    run_.mutable_finished_at()->set_seconds(200);
    const Records records = RecordsOf(run_, {&begun, nullptr});
    EXPECT_TRUE(records.backup.has_value());
    EXPECT_THAT(records.verifications, IsEmpty());
    return records.backup.value_or(begun);
  }
  v1::Backup End(v1::RunPhase phase) { return End(phase, BeginDeletion(Usable("a", true), DeleteHeader())); }

  v1::Run run_;
};

TEST_F(DeletionEnds, FromTheBeginningNothingIsRestoredFromIt) {
  const v1::Backup begun = BeginDeletion(Usable("a", true), DeleteHeader());
  EXPECT_FALSE(IsUsable(begun));
  EXPECT_EQ(begun.deletion().by(), "ann");
  EXPECT_EQ(begun.deletion().requested_at().seconds(), 100);
  EXPECT_EQ(MessageOf(CheckNotDeleted(begun)), "backup a is being deleted by delete-shop-1");
  EXPECT_TRUE(CheckNotDeleted(Usable("a")).ok());
}

TEST_F(DeletionEnds, AsDeletedWhenAllStepsSucceeded) {
  Step("location.forget", v1::STEP_PHASE_SUCCEEDED);
  const v1::Backup ended = End(v1::RUN_PHASE_SUCCEEDED);
  EXPECT_EQ(ended.deletion().state(), v1::Deletion::STATE_DELETED);
  EXPECT_EQ(ended.deletion().finished_at().seconds(), 200);
  EXPECT_EQ(ended.deletion().by(), "ann");
  EXPECT_TRUE(ended.has_manifest()) << "what it was stays on record";
  EXPECT_EQ(MessageOf(CheckNotDeleted(ended)), "backup a was deleted by ann");
}

TEST_F(DeletionEnds, AsFailedWithWhatIsLeft) {
  Step("location.forget", v1::STEP_PHASE_SUCCEEDED);
  v1::StepStatus& velero = Step("volumes.delete", v1::STEP_PHASE_FAILED, 3);
  velero.mutable_result()->mutable_error()->set_reason(v1::Error::REASON_UNAVAILABLE);
  velero.mutable_result()->mutable_deletion()->add_left("Velero's backup shop-1");
  run_.set_reason("volumes.delete: bucket is read-only");
  const v1::Backup ended = End(v1::RUN_PHASE_FAILED);
  EXPECT_EQ(ended.deletion().state(), v1::Deletion::STATE_FAILED);
  EXPECT_EQ(ended.deletion().reason(), "volumes.delete: bucket is read-only");
  EXPECT_THAT(ended.deletion().left(), ElementsAre("Velero's backup shop-1"));
  EXPECT_THAT(MessageOf(CheckNotDeleted(ended)), HasSubstr("a part of its data may be gone"));
  EXPECT_FALSE(IsUsable(ended));
}

TEST_F(DeletionEnds, AsFailedWhereNobodyKnowsHowFarItCame) {
  Step("location.forget", v1::STEP_PHASE_CANCELLED, 1);
  Step("volumes.delete", v1::STEP_PHASE_SKIPPED, 0);
  const v1::Backup ended = End(v1::RUN_PHASE_CANCELLED);
  EXPECT_EQ(ended.deletion().state(), v1::Deletion::STATE_FAILED);
  EXPECT_THAT(ended.deletion().left(),
              ElementsAre("what step location.forget was to remove, or a part of it",
                          "what step volumes.delete was to remove, or a part of it"));
}

TEST_F(DeletionEnds, AsItWasBeforeWhereNothingWasBegun) {
  Step("location.forget", v1::STEP_PHASE_CANCELLED, 0);
  const v1::Backup ended = End(v1::RUN_PHASE_CANCELLED);
  EXPECT_EQ(ended.SerializeAsString(), Usable("a", true).SerializeAsString());
  EXPECT_TRUE(IsUsable(ended));
}

TEST_F(DeletionEnds, AsItWasBeforeWhereTheFirstAttemptWasRefused) {
  v1::StepStatus& step = Step("location.forget", v1::STEP_PHASE_FAILED);
  step.mutable_result()->mutable_error()->set_reason(v1::Error::REASON_REFUSED);
  Step("volumes.delete", v1::STEP_PHASE_SKIPPED, 0);
  EXPECT_TRUE(IsUsable(End(v1::RUN_PHASE_FAILED)));
}

TEST_F(DeletionEnds, AsFailedWhereALaterAttemptWasRefused) {
  v1::StepStatus& step = Step("location.forget", v1::STEP_PHASE_FAILED, 2);
  step.mutable_result()->mutable_error()->set_reason(v1::Error::REASON_REFUSED);
  EXPECT_EQ(End(v1::RUN_PHASE_FAILED).deletion().state(), v1::Deletion::STATE_FAILED)
      << "the attempt before may have removed something";
}

TEST_F(DeletionEnds, OnceMoreAndNotBegunLeavesItFailed) {
  v1::Backup torn = BeginDeletion(Usable("a"), DeleteHeader("delete-shop-0"));
  torn.mutable_deletion()->set_state(v1::Deletion::STATE_FAILED);
  Step("location.forget", v1::STEP_PHASE_CANCELLED, 0);
  const v1::Backup ended = End(v1::RUN_PHASE_CANCELLED, BeginDeletion(torn, DeleteHeader()));
  EXPECT_EQ(ended.deletion().state(), v1::Deletion::STATE_FAILED);
  EXPECT_EQ(ended.deletion().run(), "delete-shop-1");
}

TEST_F(DeletionEnds, GivenUpUnreadIsFailed) {
  run_.set_reason("given up by ann");
  EXPECT_EQ(End(v1::RUN_PHASE_FAILED).deletion().state(), v1::Deletion::STATE_FAILED);
}

}  // namespace
}  // namespace salvor::verdicts
