#include "tools/cli/render_live.h"

#include <gmock/gmock.h>

#include "base/text.h"
#include "tools/cli/live_region.h"
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
  EXPECT_EQ(log.Update(run, style),
            "10:16:05 db.dump.shop failed 4/5 in 5.0s: pg_dump: out of memory\n"
            "10:15:50 shop may still be paused\n"
            "10:16:06 run failed: db.dump.shop: pg_dump: out of memory\n");
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

}  // namespace
}  // namespace salvor::cli
