// A run that is over leaves its view, its verdict and its records.
#include "controlplane/runs/finished_runs.h"

#include <gmock/gmock.h>

#include "controlplane/runs/engine_testing.h"
#include "controlplane/store/contract/failing_store_testing.h"
#include "proto/time.h"

namespace salvor::controlplane {
namespace {

class FinishedRunsTest : public EngineTest {
 protected:
  // A run of one step that ends with this result.
  void Run(v1::RunKind kind, const std::string& name, const v1::ActionResult& result) {
    v1::RunHeader header;
    header.set_name(name);
    header.set_kind(kind);
    header.set_application("shop");
    header.set_environment("local");
    header.set_backup("b1");
    *header.mutable_requested_at() = ToProto(clock_.Now());
    ASSERT_TRUE(StartRunAndWait(*engine_, header, Chain(1), kind == v1::RUN_KIND_BACKUP ? "vault" : "").ok());
    const Agent agent = Connect();
    v1::AgentMessage message;
    v1::Report* report = message.add_reports();
    *report->mutable_lease() = Take(agent).tasks(0).lease();
    *report->mutable_result() = result;
    engine_->Receive(agent.session, message);
    Take(agent);
    clock_.Advance(absl::Seconds(1));
  }
  void Backup() {
    v1::ActionResult kept;
    kept.mutable_manifest()->add_artifacts()->set_name("db.dump.shop");
    Run(v1::RUN_KIND_BACKUP, "backup-b1", kept);
  }
  void Drill(const std::string& name, v1::Check::Verdict verdict) {
    v1::ActionResult checked;
    checked.add_checks()->set_verdict(verdict);
    Run(v1::RUN_KIND_DRILL, name, checked);
  }

  // As 0.1 ended it.
  void TakeBackViewAndVerdict(const std::string& name) {
    v1::Run summary = *store_.LoadRunSummary(name);
    summary.clear_verdict();
    summary.clear_verdict_reason();
    ASSERT_TRUE(CommitAndWait(store_, {FinishRun{summary, {}}}).ok());
  }

  v1::Run Listed(const std::string& name) {
    const auto runs = engine_->ListRuns({}, {100, ""});
    for (const v1::Run& run : runs->items) {
      if (run.header().name() == name) return run;
    }
    ADD_FAILURE() << name << " is not listed";
    return {};
  }
};

TEST_F(FinishedRunsTest, ARunReadsAsItEndedWhateverTodaysReducerWouldSay) {
  Drill("drill-1", v1::Check::VERDICT_PASSED);
  const v1::Run ended = *engine_->GetRun("drill-1");
  EXPECT_EQ(ended.SerializeAsString(), store_.LoadRunView("drill-1")->SerializeAsString());
  // Another reducer ended it, and judged by other rules.
  v1::Run shown = ended;
  shown.set_verdict(v1::VERDICT_DISPROVEN);
  shown.mutable_steps(0)->set_phase(v1::STEP_PHASE_SKIPPED);
  shown.mutable_steps(0)->set_reason("as it was said then");
  FinishRun finish{*store_.LoadRunSummary("drill-1"), std::make_shared<v1::Run>(shown)};
  finish.summary.set_verdict(v1::VERDICT_DISPROVEN);
  ASSERT_TRUE(CommitAndWait(store_, {finish}).ok());
  for (const char* when : {"at once", "after a restart"}) {
    SCOPED_TRACE(when);
    EXPECT_EQ(engine_->GetRun("drill-1")->SerializeAsString(), shown.SerializeAsString());
    EXPECT_EQ(engine_->WaitForChange("drill-1", -2, absl::ZeroDuration())->steps(0).reason(),
              "as it was said then");
    EXPECT_EQ(Listed("drill-1").verdict(), v1::VERDICT_DISPROVEN);
    Restart();
  }
}

TEST_F(FinishedRunsTest, WhoWatchesAndWhoAsksLaterReadTheSame) {
  Start("r1", Chain(1));
  const Agent agent = Connect();
  const v1::LeaseKey lease = Take(agent).tasks(0).lease();
  EXPECT_EQ(engine_->GetRun("r1")->verdict(), v1::VERDICT_UNSPECIFIED) << "it is not over";
  Report(agent, lease, "no such table");
  ASSERT_TRUE(engine_->WaitUntilFinished("r1", absl::Seconds(60)));
  const v1::Run run = *engine_->GetRun("r1");
  EXPECT_EQ(run.verdict(), v1::VERDICT_FAILED);
  EXPECT_THAT(run.verdict_reason(), testing::HasSubstr("no such table"));
  EXPECT_EQ(Listed("r1").verdict(), v1::VERDICT_FAILED);
  EXPECT_EQ(Listed("r1").verdict_reason(), run.verdict_reason());
  EXPECT_EQ(Listed("r1").steps_size(), 0);
}

// The store fails at each of its calls in turn, once: the next look at the run is not the worse for it.
TEST_F(FinishedRunsTest, AReadThatFailedIsNotRememberedAsAVerdictThatNobodyKnows) {
  Drill("drill-1", v1::Check::VERDICT_FAILED);
  TakeBackViewAndVerdict("drill-1");
  const v1::Run summary = *store_.LoadRunSummary("drill-1");
  int64_t fail_at = 0;
  for (bool has_failed = true; has_failed; ++fail_at) {
    FailingStore failing(store_, fail_at, FailingStore::When::kBefore);
    FinishedRuns finished(failing, [](const std::string&) { return std::optional<v1::Backup>(); });
    v1::Run first = summary, second = summary;
    finished.FillVerdict(first);
    has_failed = failing.Calls() > fail_at;
    finished.FillVerdict(second);
    EXPECT_EQ(second.verdict(), v1::VERDICT_DISPROVEN) << "after call " << fail_at << " failed";
  }
  EXPECT_EQ(fail_at, 4) << "the view, the events, the summary, and none";
}

TEST_F(FinishedRunsTest, ARunThatAnEarlierVersionEndedIsJudgedWhenItIsRead) {
  Backup();
  Drill("drill-1", v1::Check::VERDICT_FAILED);
  Drill("drill-2", v1::Check::VERDICT_PASSED);
  for (const char* name : {"backup-b1", "drill-1", "drill-2"}) TakeBackViewAndVerdict(name);
  Restart();
  for (const char* when : {"first", "again"}) {
    SCOPED_TRACE(when);
    EXPECT_EQ(Listed("backup-b1").verdict(), v1::VERDICT_COMPLETE);
    EXPECT_EQ(Listed("drill-1").verdict(), v1::VERDICT_DISPROVEN)
        << "a later drill does not change what it found";
    EXPECT_EQ(Listed("drill-2").verdict(), v1::VERDICT_PROVEN);
  }
  EXPECT_EQ(engine_->GetRun("drill-1")->verdict(), v1::VERDICT_DISPROVEN);
  EXPECT_EQ(engine_->GetRun("drill-1")->steps_size(), 1);
}

TEST_F(FinishedRunsTest, AVerdictIsAskedForAlsoOfRunsThatStoredNoneAndAppliesBeforeTheSizeOfAPage) {
  Backup();
  for (int i = 0; i < 4; ++i)
    Drill("drill-" + std::to_string(i), i < 2 ? v1::Check::VERDICT_FAILED : v1::Check::VERDICT_PASSED);
  for (const char* name : {"drill-0", "drill-2"}) TakeBackViewAndVerdict(name);
  Start("going", Chain(1));
  const auto names = [this](std::vector<v1::Verdict> verdicts, int size) {
    std::vector<std::string> all;
    RunFilter filter;
    filter.verdicts = std::move(verdicts);
    const auto page = engine_->ListRuns(filter, {size, ""});
    EXPECT_TRUE(page.ok()) << page.status();
    for (const v1::Run& run : page->items) all.push_back(run.header().name());
    return all;
  };
  using testing::ElementsAre;
  for (const char* when : {"at once", "after a restart"}) {
    SCOPED_TRACE(when);
    EXPECT_THAT(names({v1::VERDICT_DISPROVEN}, 9), ElementsAre("drill-1", "drill-0"));
    EXPECT_THAT(names({v1::VERDICT_DISPROVEN}, 1), ElementsAre("drill-1"));
    EXPECT_THAT(names({v1::VERDICT_COMPLETE}, 1), ElementsAre("backup-b1")) << "of the oldest run";
    EXPECT_THAT(names({v1::VERDICT_COMPLETE, v1::VERDICT_PROVEN}, 9),
                ElementsAre("drill-3", "drill-2", "backup-b1"));
    EXPECT_THAT(names({v1::VERDICT_RESTORED}, 9), testing::IsEmpty());
    EXPECT_EQ(names({}, 9).size(), 6u);
    Restart();
  }
}

TEST_F(FinishedRunsTest, WhatAPersonAcceptedLaterDoesNotChangeWhatADrillFound) {
  Backup();
  v1::Backup doubted = *engine_->FindBackup("b1");
  doubted.add_doubts("files.tree has 1 files, and had 51 in backup b0");
  ASSERT_TRUE(CommitAndWait(store_, {PutBackup{doubted}}).ok());
  Restart();
  Drill("drill-1", v1::Check::VERDICT_PASSED);
  ASSERT_TRUE(AcceptBackupAndWait(*engine_, "b1", "operator", "the archive moved").ok());
  TakeBackViewAndVerdict("drill-1");
  Restart();
  EXPECT_EQ(Listed("drill-1").verdict(), v1::VERDICT_UNVERIFIABLE);
  clock_.Advance(absl::Seconds(1));
  Drill("drill-2", v1::Check::VERDICT_PASSED);
  TakeBackViewAndVerdict("drill-2");
  EXPECT_EQ(engine_->GetRun("drill-2")->verdict(), v1::VERDICT_PROVEN);
}

TEST_F(FinishedRunsTest, ARunWhoseStepsAreLostHasNoBetterVerdictThanItsPhase) {
  Drill("drill-1", v1::Check::VERDICT_FAILED);
  TakeBackViewAndVerdict("drill-1");
  AppendEvents alien{"drill-1", 3, {}};
  alien.events.add_events()->mutable_step_reported()->set_step("of-another-flow");
  ASSERT_TRUE(CommitAndWait(store_, {alien}).ok());
  Restart();
  EXPECT_EQ(Listed("drill-1").verdict(), v1::VERDICT_UNSPECIFIED)
      << "that it succeeded says nothing about its backup";
  EXPECT_THAT(engine_->GetRun("drill-1")->reason(), testing::HasSubstr("its steps can't be read"));
}

TEST_F(FinishedRunsTest, EveryDrillLeavesAVerificationAndTheRecordSaysTheNewest) {
  Backup();
  Drill("drill-1", v1::Check::VERDICT_PASSED);
  Drill("drill-2", v1::Check::VERDICT_FAILED);
  Drill("drill-3", v1::Check::VERDICT_PASSED);
  for (const char* when : {"at once", "after a restart"}) {
    SCOPED_TRACE(when);
    const auto verifications = store_.ListVerifications("b1");
    ASSERT_EQ(verifications->size(), 3u);
    EXPECT_EQ((*verifications)[0].verdict(), v1::VERDICT_PROVEN);
    EXPECT_EQ((*verifications)[1].verdict(), v1::VERDICT_DISPROVEN);
    EXPECT_EQ((*verifications)[1].failed(), 1) << "as it was counted, not as the record has it";
    EXPECT_EQ((*verifications)[2].run(), "drill-3");
    EXPECT_EQ(engine_->FindBackup("b1")->verification(), v1::Backup::VERIFICATION_PROVEN);
    EXPECT_EQ(engine_->FindBackup("b1")->proven_by(), "drill-3");
    Restart();
  }
}

}  // namespace
}  // namespace salvor::controlplane
