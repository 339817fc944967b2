// Deleting a backup: what is asked before, what is shown, and how it ends.
#include "tools/cli/testing/cli_fixture.h"
#include "tools/cli/testing/samples.h"

namespace salvor::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kBackup[] = "shop-20261121-101500-4f2a";
constexpr char kRun[] = "delete-shop-20261121-103000-77aa";

class CliDeleteTest : public CliTest {
 protected:
  static v1::Run Ended(v1::Verdict verdict) {
    v1::Run run;
    run.mutable_header()->set_name(kRun);
    run.mutable_header()->set_kind(v1::RUN_KIND_DELETE);
    run.mutable_header()->set_application("shop");
    run.mutable_header()->set_backup(kBackup);
    run.set_phase(verdict == v1::VERDICT_COMPLETE ? v1::RUN_PHASE_SUCCEEDED : v1::RUN_PHASE_FAILED);
    run.set_verdict(verdict);
    v1::StepStatus* step = run.add_steps();
    step->set_id("location.forget");
    step->set_purpose(v1::PURPOSE_DELETE);
    if (verdict == v1::VERDICT_COMPLETE) {
      step->set_phase(v1::STEP_PHASE_SUCCEEDED);
      step->mutable_result()->set_note("forgot 5 snapshots, 1 were gone already");
    } else {
      step->set_phase(v1::STEP_PHASE_FAILED);
      step->mutable_result()->mutable_error()->set_message("the repository is locked");
      step->mutable_result()->mutable_error()->set_hint("Wait until it is done.");
      step->mutable_result()->mutable_deletion()->add_left("2 snapshots in the repository /srv/vault");
    }
    return run;
  }
  static v1::CreateRunResponse Plan(bool refused) {
    v1::CreateRunResponse plan;
    const auto add = [&](const char* verb, const char* subject, const char* detail) {
      v1::PlannedEffect* effect = plan.add_effects();
      effect->set_verb(verb);
      effect->set_subject(subject);
      effect->set_detail(detail);
    };
    add("delete", "5 snapshots", "in location vault");
    if (refused) {
      add("refuse", "it is the last proven backup of shop", "Add --last-proven.");
      add("refuse", "drill-shop-1 reads it", "Wait for it.");
    }
    return plan;
  }
};

TEST_F(CliDeleteTest, NeedsYesWhereNobodyCanBeAsked) {
  const Result refused = Run({"backup", "delete", kBackup});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("cause: not a terminal, cannot ask for confirmation\n"),
                                 HasSubstr("Add --yes when you mean it")));
  EXPECT_THAT(control_.deletions(), IsEmpty());
  control_.AddScript({Ended(v1::VERDICT_COMPLETE)});
  const Result started = Run({"backup", "delete", kBackup, "--yes"});
  EXPECT_EQ(started.code, 0) << started.err;
  EXPECT_EQ(started.out, std::string("started ") + kRun + "\n");
  ASSERT_THAT(control_.deletions(), SizeIs(1));
  EXPECT_FALSE(control_.deletions()[0].last_proven());
}

TEST_F(CliDeleteTest, ShowsOnATerminalWhatGoesAndWantsTheName) {
  tty_ = true;
  control_.SetPlan(Plan(false));
  control_.AddScript({Ended(v1::VERDICT_COMPLETE)});
  input_ = "shop\n";
  const Result other = Run({"backup", "delete", kBackup});
  EXPECT_EQ(other.code, 2);
  EXPECT_THAT(other.err, AllOf(HasSubstr("5 snapshots"), HasSubstr("Nothing was deleted.")));
  ASSERT_THAT(control_.deletions(), SizeIs(1));
  EXPECT_TRUE(control_.deletions()[0].dry_run());
  input_ = std::string(kBackup) + "\n";
  const Result meant = Run({"backup", "delete", kBackup, "--last-proven", "--last-usable"});
  EXPECT_EQ(meant.code, 0) << meant.err;
  ASSERT_THAT(control_.deletions(), SizeIs(3));
  EXPECT_FALSE(control_.deletions()[2].dry_run());
  EXPECT_TRUE(control_.deletions()[2].last_proven());
  EXPECT_TRUE(control_.deletions()[2].last_usable());
}

TEST_F(CliDeleteTest, ARefusalShowsEveryReasonAndAsksNothing) {
  control_.SetPlan(Plan(true));
  for (const bool tty : {true, false}) {
    tty_ = tty;
    const Result refused =
        tty ? Run({"backup", "delete", kBackup}) : Run({"backup", "delete", kBackup, "--dry-run"});
    EXPECT_EQ(refused.code, 7);
    EXPECT_THAT(refused.out + refused.err,
                AllOf(HasSubstr("it is the last proven backup of shop"), HasSubstr("drill-shop-1 reads it"),
                      Not(HasSubstr("Type its name"))));
  }
}

TEST_F(CliDeleteTest, TheAccountSaysWhatWentAndWhatIsLeft) {
  control_.AddScript({Ended(v1::VERDICT_COMPLETE)});
  control_.AddScript({Ended(v1::VERDICT_FAILED)});
  const Result done = Run({"backup", "delete", kBackup, "--yes", "--wait"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr("forgot 5 snapshots, 1 were gone already"));
}

TEST_F(CliDeleteTest, OneThatFailedSaysHowToGoOn) {
  control_.AddScript({Ended(v1::VERDICT_FAILED)});
  const Result failed = Run({"backup", "delete", kBackup, "--yes", "--wait"});
  EXPECT_EQ(failed.code, 1);
  EXPECT_THAT(failed.out, HasSubstr("left: 2 snapshots in the repository /srv/vault"));
  EXPECT_THAT(failed.err,
              AllOf(HasSubstr("the repository is locked"), HasSubstr("hint: Wait until it is done."),
                    HasSubstr(std::string("next: salvor backup delete ") + kBackup)));
}

TEST_F(CliDeleteTest, TheListHasWhatIsDeletedWhenAskedAndWhatCouldNotBeAlways) {
  v1::Backup deleted = CompleteBackup(), failed = CompleteBackup();
  deleted.set_name("shop-1");
  deleted.mutable_deletion()->set_state(v1::Deletion::STATE_DELETED);
  deleted.mutable_deletion()->set_by("ann");
  failed.set_name("shop-2");
  failed.mutable_deletion()->set_state(v1::Deletion::STATE_FAILED);
  failed.mutable_deletion()->set_reason("bucket is read-only");
  failed.mutable_deletion()->add_left("Velero's backup shop-2");
  control_.PutBackup(deleted);
  control_.PutBackup(failed);
  EXPECT_THAT(Run({"backup", "list"}).out, AllOf(HasSubstr("delete failed"), Not(HasSubstr("shop-1"))));
  for (const char* flag : {"--all", "--deleted"})
    EXPECT_THAT(Run({"backup", "list", flag}).out, HasSubstr("deleted")) << flag;
  EXPECT_THAT(Run({"backup", "show", "shop-1"}).out, HasSubstr("deleted by ann"));
  EXPECT_THAT(Run({"backup", "show", "shop-2"}).out,
              AllOf(HasSubstr("bucket is read-only"), HasSubstr("Velero's backup shop-2")));
}

}  // namespace
}  // namespace salvor::cli
