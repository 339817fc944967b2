#include "tools/cli/render/render_live.h"

#include <gmock/gmock.h>

#include "base/text.h"
#include "tools/cli/terminal/live_region.h"
#include "tools/cli/testing/samples.h"

namespace salvor::cli {
namespace {

using ::testing::HasSubstr;

TEST(LiveFrame, ShowsStepsProgressRateAndTimeLeft) {
  LiveFrame frame;
  frame.Observe(RunningBackup());
  ExpectGolden("live_80.txt", Join(frame.Draw(RunningBackup(), 24, "", StyleOf(80)), "\n") + "\n");
  ExpectGolden("live_120.txt", Join(frame.Draw(RunningBackup(), 24, "", StyleOf(120)), "\n") + "\n");
}

TEST(LiveFrame, NeverWrapsAndNeverScrollsOnAnyTerminal) {
  v1::Run run = PartialBackup();
  run.set_phase(v1::RUN_PHASE_RUNNING);
  run.mutable_steps(1)->set_reason(std::string(300, 'r'));
  for (int i = 0; i < 60; ++i) {
    v1::StepStatus* step = run.add_steps();
    step->set_id("files.a-step-with-a-long-name-" + std::to_string(i));
    step->set_phase(i % 2 == 0 ? v1::STEP_PHASE_SUCCEEDED : v1::STEP_PHASE_PENDING);
  }
  Style style = StyleOf(80);
  style.color = true;
  for (int columns = 20; columns <= 200; columns += 7) {
    for (const int rows : {2, 3, 10, 24}) {
      style.width = columns;
      const std::vector<std::string> lines = LiveFrame().Draw(run, rows, std::string(150, 'n'), style);
      EXPECT_LE(static_cast<int>(lines.size()), std::max(3, rows)) << columns << "x" << rows;
      for (const std::string& line : lines) EXPECT_LE(VisibleWidth(line), columns) << line;
    }
  }
}

TEST(LiveFrame, KeepsWhatNeedsEyesWhenTheScreenIsTooLow) {
  v1::Run run = PartialBackup();
  for (int i = 0; i < 40; ++i) run.add_steps()->set_id("z." + std::to_string(i));
  const std::string text = Join(LiveFrame().Draw(run, 5, "", StyleOf(80)), "\n");
  EXPECT_THAT(text, HasSubstr("db.dump.audit"));
  EXPECT_THAT(text, HasSubstr("… 40 steps more"));
}

TEST(LiveFrame, MeasuresTheRateWhenTheAgentReportsNone) {
  v1::Run run = RunningBackup();
  LiveFrame frame;
  v1::Progress* progress = run.mutable_steps(3)->mutable_progress();
  progress->set_bytes_per_second(0);
  frame.Observe(run);
  progress->set_bytes_done(progress->bytes_done() + (100 << 20));
  progress->mutable_at()->set_seconds(progress->at().seconds() + 1);
  frame.Observe(run);
  EXPECT_THAT(Join(frame.Draw(run, 24, "", StyleOf(120)), "\n"), HasSubstr("100 MiB/s, ETA 19s"));
}

TEST(ChangeLog, SaysEachChangeOnceAndProgressEveryTenSeconds) {
  ChangeLog log;
  Style style = StyleOf(0);
  v1::Run run = RunningBackup();
  ExpectGolden("changes_first.txt", log.Update(run, style));
  EXPECT_EQ(log.Update(run, style), "");
  style.now += absl::Seconds(9);
  EXPECT_EQ(log.Update(run, style), "");
  style.now += absl::Seconds(1);
  EXPECT_EQ(log.Update(run, style), "10:15:50 db.dump.shop 1.20 GiB of 3.10 GiB, 38%, 105 MiB/s, ETA 19s\n");
  EXPECT_EQ(log.Update(run, style), "");

  v1::StepStatus* dump = run.mutable_steps(3);
  dump->set_phase(v1::STEP_PHASE_BACKOFF);
  dump->mutable_result()->mutable_error()->set_message("pg_dump: server closed the connection");
  EXPECT_EQ(log.Update(run, style),
            "10:15:50 db.dump.shop failed, will try again: pg_dump: server closed the connection\n");
  dump->set_phase(v1::STEP_PHASE_RUNNING);
  dump->set_attempt(2);
  dump->clear_result();
  dump->clear_progress();
  dump->mutable_started_at()->set_seconds(1795256160);
  EXPECT_EQ(log.Update(run, style), "10:16:00 db.dump.shop running (attempt 2)\n");
  dump->set_phase(v1::STEP_PHASE_FAILED);
  dump->set_reason("pg_dump: out of memory");
  dump->mutable_finished_at()->set_seconds(1795256165);
  run.set_phase(v1::RUN_PHASE_FAILED);
  run.set_reason("db.dump.shop: pg_dump: out of memory");
  run.mutable_finished_at()->set_seconds(1795256166);
  run.mutable_obligations(0)->set_phase(v1::ObligationStatus::PHASE_UNCONFIRMED);
  run.mutable_obligations(0)->mutable_settled_at()->set_seconds(1795256164);
  EXPECT_EQ(log.Update(run, style),
            "10:16:05 db.dump.shop failed 4/5 in 5.0s: pg_dump: out of memory\n"
            "10:16:04 shop may still be paused\n"
            "10:16:06 run failed: db.dump.shop: pg_dump: out of memory\n");
}

TEST(ChangeLog, SaysWhenSomethingWasUndoneAndNotWhenItWasSeen) {
  v1::Run run = SucceededDrill();
  v1::ObligationStatus* scratch = run.mutable_obligations(0);
  scratch->mutable_settled_at()->set_seconds(1795256139);
  EXPECT_THAT(ChangeLog().Update(run, StyleOf(0)), HasSubstr("10:15:39 scratch place removed\n"));
  scratch->clear_settled_at();  // as 0.1 says it
  EXPECT_THAT(ChangeLog().Update(run, StyleOf(0)), HasSubstr("10:15:40 scratch place removed\n"));
  scratch->set_phase(v1::ObligationStatus::PHASE_OPEN);
  EXPECT_THAT(ChangeLog().Update(run, StyleOf(0)), HasSubstr("10:14:30 scratch place in use\n"));
}

TEST(LiveFrame, SaysWhoUsesWhatAStepWaitsFor) {
  v1::Run run = RunningBackup();
  run.mutable_steps(4)->set_phase(v1::STEP_PHASE_READY);
  run.mutable_steps(4)->set_reason("db.dump of backup-wiki is using this PostgreSQL server");
  EXPECT_THAT(Join(LiveFrame().Draw(run, 24, "", StyleOf(120)), "\n"),
              HasSubstr("waiting: db.dump of backup-wiki is using this PostgreSQL server"));
}

TEST(ChangeLog, SaysWhatAStepWaitsForWhenThatChanges) {
  v1::Run run;
  run.set_phase(v1::RUN_PHASE_RUNNING);
  v1::StepStatus* step = run.add_steps();
  step->set_id("db.dump");
  step->set_phase(v1::STEP_PHASE_READY);
  ChangeLog log;
  EXPECT_EQ(log.Update(run, StyleOf(0)), "");
  step->set_reason("no agent of vps-1 is connected");
  EXPECT_EQ(log.Update(run, StyleOf(0)), "10:15:40 db.dump waiting: no agent of vps-1 is connected\n");
  EXPECT_EQ(log.Update(run, StyleOf(0)), "");
}

// A run of one step that is ready, and why.
v1::Run WaitingRun(const std::string& why, int64_t since_s = 0) {
  v1::Run run;
  run.mutable_header()->set_kind(v1::RUN_KIND_BACKUP);
  run.mutable_header()->set_application("shop");
  run.mutable_header()->mutable_requested_at()->set_seconds(1795256100);
  run.set_phase(v1::RUN_PHASE_RUNNING);
  v1::StepStatus* step = run.add_steps();
  step->set_id("location.open");
  step->set_phase(v1::STEP_PHASE_READY);
  step->set_reason(why);
  if (since_s > 0) step->mutable_waits_since()->set_seconds(since_s);
  return run;
}

constexpr int64_t kThisMorning = 1795255320;  // 10:02:00 of the day that StyleOf's now is in

TEST(ChangeLog, SaysAtOnceThatNobodyIsThereAndSinceWhen) {
  ChangeLog log;
  EXPECT_EQ(log.Update(WaitingRun("no agent serves environment vps-1", kThisMorning), StyleOf(0)),
            "10:15:40 location.open waiting: no agent serves environment vps-1 since 10:02\n");
  Style later = StyleOf(0);
  later.now += absl::Hours(3);
  EXPECT_EQ(log.Update(WaitingRun("no agent serves environment vps-1", kThisMorning), later), "")
      << "time alone is no news";
  later.now += absl::Hours(21);
  EXPECT_EQ(log.Update(WaitingRun("no agent serves environment vps-1", kThisMorning), later), "")
      << "nor is midnight, although the time is written with its day then";
  ChangeLog other;
  EXPECT_EQ(other.Update(WaitingRun("no agent serves environment vps-1", kThisMorning - 86400), StyleOf(0)),
            "10:15:40 location.open waiting: no agent serves environment vps-1 since 2026-11-20 10:02\n");
  EXPECT_EQ(ChangeLog().Update(WaitingRun("no agent serves environment vps-1"), StyleOf(0)),
            "10:15:40 location.open waiting: no agent serves environment vps-1\n")
      << "nobody was ever there";
}

TEST(ChangeLog, OneLineForWhatSeveralStepsWaitForAndOneWhenTheyGoOn) {
  ChangeLog log;
  v1::Run run;
  run.set_phase(v1::RUN_PHASE_RUNNING);
  for (const char* id : {"db.dump.a", "db.dump.b", "files.backup"}) {
    v1::StepStatus* step = run.add_steps();
    step->set_id(id);
    step->set_phase(v1::STEP_PHASE_RUNNING);
    step->set_attempt(1);
    step->mutable_started_at()->set_seconds(kThisMorning);
  }
  log.Update(run, StyleOf(0));
  v1::Run away = run;
  for (v1::StepStatus& step : *away.mutable_steps()) {
    step.set_reason("agent vps-1 is not connected; its result is awaited");
    step.mutable_waits_since()->set_seconds(kThisMorning);
  }
  EXPECT_EQ(
      log.Update(away, StyleOf(0)),
      "10:15:40 db.dump.a and 2 more waiting: agent vps-1 is not connected; its result is awaited since 10:02\n");
  EXPECT_EQ(log.Update(away, StyleOf(0)), "");
  EXPECT_EQ(log.Update(run, StyleOf(0)), "10:15:40 db.dump.a and 2 more go on\n");
}

TEST(ChangeLog, AStepThatBeginsHasItsOwnLineAndAnotherReasonIsNews) {
  ChangeLog log;
  log.Update(WaitingRun("no agent serves environment vps-1"), StyleOf(0));
  EXPECT_EQ(log.Update(WaitingRun("no agent has room for one more task"), StyleOf(0)),
            "10:15:40 location.open waiting: no agent has room for one more task\n");
  v1::Run running = WaitingRun("");
  running.mutable_steps(0)->set_phase(v1::STEP_PHASE_RUNNING);
  running.mutable_steps(0)->set_attempt(1);
  EXPECT_EQ(log.Update(running, StyleOf(0)), "10:15:40 location.open running\n");
}

TEST(LiveFrame, SaysInALineOfItsOwnWhatARunThatStandsStillWaitsFor) {
  const std::string environment(31, 'e');
  const v1::Run run = WaitingRun("no agent serves environment " + environment, kThisMorning);
  const std::vector<std::string> lines = LiveFrame().Draw(run, 24, "", StyleOf(80));
  EXPECT_EQ(lines.front(), "backup of shop waiting 40s, 0 of 1 step");
  EXPECT_EQ(lines.back(), "waiting: no agent serves environment " + environment + " since 10:02");
  EXPECT_EQ(LiveFrame().Draw(run, 24, "control plane not reachable, waiting", StyleOf(80)).back(),
            "control plane not reachable, waiting");
  for (const int rows : {2, 3}) EXPECT_LE(LiveFrame().Draw(run, rows, "", StyleOf(80)).size(), 3u);
}

TEST(LiveFrame, ARunOfWhichSomethingGoesOnStandsNotStill) {
  v1::Run run = RunningBackup();
  run.mutable_steps(4)->set_phase(v1::STEP_PHASE_READY);
  run.mutable_steps(4)->set_reason("db.dump of backup-wiki is using this PostgreSQL server");
  EXPECT_THAT(LiveFrame().Draw(run, 24, "", StyleOf(80)).back(), HasSubstr("manifest.write"));
  run.mutable_steps(3)->set_reason("agent vps-1 is not connected; its result is awaited");
  EXPECT_THAT(LiveFrame().Draw(run, 24, "", StyleOf(120)).back(),
              testing::StartsWith("waiting: agent vps-1 is not connected"));
}

}  // namespace
}  // namespace salvor::cli
