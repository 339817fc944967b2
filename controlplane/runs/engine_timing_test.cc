// The engine under bad timing and bad records: what comes late, twice, from the wrong one, or can't be read.
#include <stdlib.h>

#include "base/io/files.h"
#include "base/io/sqlite/database.h"
#include "controlplane/runs/engine_testing.h"
#include "controlplane/store/contract/held_up_store_testing.h"
#include "controlplane/store/sqlite/sqlite_store.h"

namespace salvor::controlplane {
namespace {

TEST_F(EngineTest, ARunThatDoesNotReplayIsQuarantinedAndNamedAndTheOthersGoOn) {
  Agent agent = Connect();
  Start("r1", Chain(1));
  Start("r2", Chain(1));
  const v1::ControlMessage granted = Take(agent);
  ASSERT_EQ(granted.tasks_size(), 2);
  AppendEvents alien{"r1", 2, {}};
  alien.events.add_events()->mutable_step_reported()->set_step("of-another-flow");
  ASSERT_TRUE(CommitAndWait(store_, {alien}).ok());

  Restart();
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_QUARANTINED);
  EXPECT_THAT(engine_->GetRun("r1")->reason(), testing::HasSubstr("of-another-flow"));
  EXPECT_THAT(engine_->GetRun("r1")->hint(), testing::HasSubstr("salvor run cancel r1"));
  EXPECT_EQ(engine_->ListRuns({.active_only = true}, {})->items.size(), 2u) << "it is not over";
  EXPECT_EQ(engine_->WaitForChange("r1", -2, absl::ZeroDuration())->phase(), v1::RUN_PHASE_QUARANTINED);

  agent = Connect("agent-a", {granted.tasks(0).lease(), granted.tasks(1).lease()});
  Report(agent, granted.tasks(0).lease());
  Report(agent, granted.tasks(1).lease());
  const v1::ControlMessage answer = Take(agent);
  EXPECT_EQ(PhaseOf("r2"), v1::RUN_PHASE_SUCCEEDED);
  ASSERT_GE(answer.superseded_size(), 1);
  EXPECT_EQ(answer.superseded(0).run(), "r1") << "its agent is told that nobody takes the result";

  ASSERT_TRUE(CancelRunAndWait(*engine_, "r1", "operator", "gone").ok());
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_FAILED);
  Restart();
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_FAILED);
  EXPECT_THAT(engine_->GetRun("r1")->reason(), testing::HasSubstr("given up by operator, gone"));
  EXPECT_TRUE(engine_->ListRuns({.active_only = true}, {})->items.empty());
}

TEST_F(EngineTest, ARunThatIsGivenUpIsShownAsItWasUntilItsEndIsOnRecordAndThenAsItEnded) {
  Start("r1", Chain(1));
  AppendEvents alien{"r1", 1, {}};
  alien.events.add_events()->mutable_step_reported()->set_step("of-another-flow");
  ASSERT_TRUE(CommitAndWait(store_, {alien}).ok());
  Restart();
  std::vector<Status> given_up;
  {
    HeldUpStore held_up(store_);
    for (const char* by : {"zoe", "zoe's colleague"}) {
      const Status begun =
          engine_->CancelRun("r1", by, "", [&](const Status& it) { given_up.push_back(it); });
      EXPECT_TRUE(begun.ok()) << begun;
    }
    EXPECT_EQ(engine_->GetRun("r1")->phase(), v1::RUN_PHASE_QUARANTINED);
    EXPECT_EQ(engine_->ActiveRunCount(), 1);
  }
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_FAILED);
  EXPECT_EQ(given_up, std::vector<Status>(2));
  EXPECT_EQ(engine_->ActiveRunCount(), 0);
  EXPECT_EQ(engine_->CancelRun("r1", "zoe", "", nullptr).code(), absl::StatusCode::kFailedPrecondition);
  const StatusOr<v1::Run> view = store_.LoadRunView("r1");
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_THAT(view->reason(), testing::StartsWith("given up by zoe: "));
  EXPECT_EQ(view->verdict(), v1::VERDICT_FAILED);
}

TEST_F(EngineTest, ANameIsTakenOnceAlsoByARunThatIsOver) {
  const Agent agent = Connect();
  Start("r1", Chain(1));
  v1::RunHeader header;
  header.set_name("r1");
  header.set_environment("local");
  EXPECT_EQ(StartRunAndWait(*engine_, header, Chain(1), "").code(), absl::StatusCode::kAlreadyExists);
  Report(agent, Take(agent).tasks(0).lease());
  ASSERT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
  EXPECT_EQ(StartRunAndWait(*engine_, header, Chain(1), "").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
}

TEST_F(EngineTest, WhoIsToldThatARunExistsMayRelyOnIt) {
  v1::RunHeader header;
  header.set_name("r1");
  header.set_environment("local");
  HeldUpStore held_up(store_);
  ASSERT_TRUE(engine_->StartRun(header, Chain(1), "", [](const Status&) {}).ok());
  Status second;
  EXPECT_TRUE(held_up.Delays([&] { second = StartRunAndWait(*engine_, header, Chain(1), ""); }));
  EXPECT_EQ(second.code(), absl::StatusCode::kAlreadyExists) << second;
}

TEST_F(EngineTest, WhoIsToldThatARunIsOverMayRelyOnIt) {
  const Agent agent = Connect();
  Start("r1", Chain(1));
  const v1::LeaseKey lease = Take(agent).tasks(0).lease();
  HeldUpStore held_up(store_);
  Report(agent, lease);
  Status cancelled;
  EXPECT_TRUE(held_up.Delays([&] { cancelled = CancelRunAndWait(*engine_, "r1", "me", ""); }));
  EXPECT_EQ(cancelled.code(), absl::StatusCode::kFailedPrecondition) << cancelled;
}

TEST_F(EngineTest, ALateSuccessIsNoDuplicateOfAnEarlierAttemptsFailure) {
  const Agent agent = Connect();
  v1::Flow flow = Chain(2, 5);
  flow.mutable_steps(0)->mutable_attempt_timeout()->set_seconds(60);
  Start("r1", flow);
  Report(agent, Take(agent).tasks(0).lease(), "disk full", true);
  KeepConnected(agent, absl::Seconds(10));
  const v1::LeaseKey second = Take(agent).tasks(0).lease();
  EXPECT_EQ(second.attempt(), 2);
  KeepConnected(agent, absl::Seconds(90));  // its time and the grace, and not its backoff
  ASSERT_EQ(engine_->GetRun("r1")->steps(0).phase(), v1::STEP_PHASE_BACKOFF);
  Take(agent);
  Report(agent, second);
  EXPECT_EQ(engine_->GetRun("r1")->steps(0).phase(), v1::STEP_PHASE_SUCCEEDED);
  const v1::ControlMessage next = Take(agent);
  ASSERT_EQ(next.tasks_size(), 1) << "and nothing of the first step is granted again";
  EXPECT_EQ(next.tasks(0).lease().step(), "b");
}

TEST_F(EngineTest, AnAttemptThatEndedByADeathIsGrantedAgainAtOnceAndNotCounted) {
  Agent agent = Connect();
  Start("r1", Chain(1, 1));
  for (int death = 1; death <= 3; ++death) {
    ASSERT_EQ(Take(agent).tasks_size(), 1);
    engine_->Disconnect(agent.session);
    agent = Connect();
  }
  const v1::LeaseKey lease = Take(agent).tasks(0).lease();
  EXPECT_EQ(lease.attempt(), 4);
  Report(agent, lease, "no such table", true);
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_FAILED) << "the tool's own failure counts";
}

TEST_F(EngineTest, AStepThatKillsItsAgentEachTimeComesToAnEnd) {
  Agent agent = Connect();
  Start("r1", Chain(1, 1));
  int deaths = 0;
  while (PhaseOf("r1") == v1::RUN_PHASE_RUNNING && deaths < 100) {
    engine_->Disconnect(agent.session);
    agent = Connect();
    ++deaths;
  }
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_FAILED);
  EXPECT_LT(deaths, 10);
}

TEST_F(EngineTest, AClockThatIsSetChangesNoDuration) {
  for (const absl::Duration jump : {absl::Hours(1), -absl::Hours(1)}) {
    const std::string name = jump > absl::ZeroDuration() ? "forward" : "back";
    const Agent agent = Connect();
    v1::Flow flow = Chain(1, 3);
    flow.mutable_steps(0)->mutable_attempt_timeout()->set_seconds(600);
    flow.mutable_steps(0)->mutable_retry()->mutable_budget()->set_seconds(300);
    Start(name, flow);
    const v1::LeaseKey first = Take(agent).tasks(0).lease();
    clock_.Set(clock_.Now() + jump);
    engine_->Tick();
    EXPECT_TRUE(agent.link->Closed().empty()) << "its session goes on";
    EXPECT_EQ(engine_->GetRun(name)->steps(0).phase(), v1::STEP_PHASE_RUNNING) << "no time has passed";
    Report(agent, first, "disk full", true);
    KeepConnected(agent, absl::Minutes(1));
    const v1::ControlMessage again = Take(agent);
    ASSERT_EQ(again.tasks_size(), 1) << "its budget is not used up, and its backoff has passed";
    Report(agent, again.tasks(0).lease());
    EXPECT_EQ(PhaseOf(name), v1::RUN_PHASE_SUCCEEDED);
  }
}

TEST_F(EngineTest, AReportIsTakenFromTheHolderOfTheLeaseAlone) {
  const Agent holder = Connect("agent-a");
  Start("r1", Chain(1));
  const v1::LeaseKey lease = Take(holder).tasks(0).lease();
  const Agent other = Connect("agent-b", {lease});
  EXPECT_EQ(Take(other).superseded_size(), 1) << "it says that it holds what another one does";
  Report(other, lease, "a lie");
  EXPECT_EQ(engine_->GetRun("r1")->steps(0).phase(), v1::STEP_PHASE_RUNNING);
  v1::AgentMessage progress;
  *progress.add_progress()->mutable_lease() = lease;
  progress.mutable_progress(0)->mutable_progress()->set_bytes_done(7);
  v1::LogLines* lines = progress.add_logs();
  lines->set_run("r1");
  lines->set_step("a");
  lines->add_lines()->set_text("a lie");
  engine_->Receive(other.session, progress);
  EXPECT_FALSE(engine_->GetRun("r1")->steps(0).has_progress());
  ASSERT_TRUE(CommitAndWait(store_, {}).ok());
  int64_t next = 0;
  EXPECT_TRUE(store_.ReadLog("r1", 0, next)->empty());
  Report(holder, lease);
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
}

TEST_F(EngineTest, TwoProcessesOfOneNameDoNotShareTheirWork) {
  const auto connect = [&](const std::string& instance) {
    v1::AgentHello hello;
    hello.set_agent("agent-a");
    hello.set_environment("local");
    hello.set_protocol(1);
    hello.set_instance(instance);
    return engine_->Connect(hello, std::make_shared<RecordedLink>());
  };
  const auto first = connect("one");
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(connect("two").status().code(), absl::StatusCode::kAlreadyExists);
  const auto again = connect("one");
  ASSERT_TRUE(again.ok()) << "the same process reconnects: " << again.status();
  clock_.Advance(absl::Seconds(31));
  EXPECT_TRUE(connect("two").ok()) << "the first has been silent for a lease";
}

TEST_F(EngineTest, RoomIsAnAbsoluteNumber) {
  const Agent agent = Connect("agent-a", {}, 0);
  v1::Flow flow;
  for (const char* id : {"a", "b", "c"}) {
    flow.add_steps()->set_id(id);
    flow.mutable_steps(flow.steps_size() - 1)->mutable_action()->mutable_noop();
  }
  Start("r1", flow);
  v1::AgentMessage message;
  message.set_task_limit(1);
  engine_->Receive(agent.session, message);
  EXPECT_EQ(Take(agent).tasks_size(), 1);
  engine_->Receive(agent.session, message);  // said again: it is no more than before
  EXPECT_EQ(Take(agent).tasks_size(), 0);
  message.set_task_limit(3);
  engine_->Receive(agent.session, message);
  EXPECT_EQ(Take(agent).tasks_size(), 2);
}

TEST_F(EngineTest, AReleaseGoesToABusyAgentToo) {
  v1::Flow flow = WithObligation();
  const Agent agent = Connect("agent-a", {}, 1);
  Start("r1", flow);
  const v1::LeaseKey opener = Take(agent).tasks(0).lease();
  v1::AgentMessage report;  // done, and no room for more
  *report.add_reports()->mutable_lease() = opener;
  report.mutable_reports(0)->mutable_result();
  engine_->Receive(agent.session, report);
  const v1::ControlMessage release = Take(agent);
  ASSERT_EQ(release.tasks_size(), 1);
  EXPECT_EQ(release.tasks(0).lease().step(), "b");
}

TEST_F(EngineTest, AnEarlyReleaseFailsTheRunAndIsAcknowledged) {
  v1::Flow flow = WithObligation();
  const Agent agent = Connect();
  Start("r1", flow);
  Take(agent);
  v1::AgentMessage message;
  v1::EarlyRelease* release = message.add_early_releases();
  release->set_run("r1");
  release->set_name("scratch");
  release->set_reason("its deadline has passed");
  engine_->Receive(agent.session, message);
  const v1::ControlMessage answer = Take(agent);
  EXPECT_EQ(answer.early_release_acks_size(), 1);
  EXPECT_THAT(engine_->GetRun("r1")->reason(), testing::HasSubstr("released early: its deadline has passed"));
}

TEST_F(EngineTest, AResultThatIsTooLargeIsRejectedAndTheStepSaysSo) {
  const Agent agent = Connect();
  Start("r1", Chain(1));
  const v1::LeaseKey lease = Take(agent).tasks(0).lease();
  v1::AgentMessage message;
  *message.add_reports()->mutable_lease() = lease;
  message.mutable_reports(0)->mutable_result()->set_note(std::string(9 << 20, 'x'));
  engine_->Receive(agent.session, message);
  const v1::ControlMessage answer = Take(agent);
  EXPECT_EQ(answer.acks_size(), 0);
  ASSERT_EQ(answer.rejected_size(), 1);
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_FAILED);
  EXPECT_THAT(engine_->GetRun("r1")->reason(), testing::HasSubstr(answer.rejected(0).why()));
}

TEST_F(EngineTest, AWatchersRevisionsGrowToTheEndAndAcrossARestart) {
  Agent agent = Connect();
  Start("r1", Chain(2));
  int64_t seen = engine_->GetRun("r1")->revision();
  const v1::ControlMessage first = Take(agent);
  clock_.Advance(absl::Milliseconds(1));
  Restart();
  EXPECT_GT(engine_->GetRun("r1")->revision(), seen);
  seen = engine_->GetRun("r1")->revision();
  agent = Connect("agent-a", {first.tasks(0).lease()});
  Report(agent, first.tasks(0).lease());
  Report(agent, Take(agent).tasks(0).lease());
  ASSERT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
  EXPECT_GT(engine_->GetRun("r1")->revision(), seen);
}

// Each control plane says more than its events do: agents come and go.
TEST_F(EngineTest, AWatchersRevisionsGrowAcrossRestartsAlthoughTheClockIsSetBack) {
  Agent agent = Connect();
  Start("r1", Chain(3));
  int64_t seen = 0;
  const auto expect_growth = [&](const std::string& when) {
    const int64_t now = engine_->GetRun("r1")->revision();
    EXPECT_GT(now, seen) << when;
    seen = now;
  };
  const auto report_progress = [&](const v1::LeaseKey& lease) {
    for (int i = 1; i <= 1000; ++i) {
      v1::AgentMessage message;
      *message.add_progress()->mutable_lease() = lease;
      message.mutable_progress(0)->mutable_progress()->set_bytes_done(i);
      engine_->Receive(agent.session, message);
    }
    expect_growth("progress");
  };
  expect_growth("it began");
  v1::LeaseKey lease = Take(agent).tasks(0).lease();
  for (const absl::Duration back : {absl::Hours(24), absl::Hours(1)}) {
    report_progress(lease);
    clock_.Set(clock_.Now() - back);
    Restart();
    expect_growth("it was read again");
    agent = Connect("agent-a", {lease});
    clock_.Advance(absl::Seconds(1));
    Report(agent, lease);
    lease = Take(agent).tasks(0).lease();
    expect_growth("the next step began");
  }
  Report(agent, lease);
  ASSERT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
  expect_growth("it is over");
  Restart();
  EXPECT_EQ(engine_->GetRun("r1")->revision(), seen) << "as it ended";
}

TEST_F(EngineTest, ARunThatIsQuarantinedAndGivenUpHasLaterRevisionsThanBefore) {
  Start("r1", Chain(1));
  const int64_t begun = engine_->GetRun("r1")->revision();
  AppendEvents alien{"r1", 1, {}};
  alien.events.add_events()->mutable_step_reported()->set_step("of-another-flow");
  ASSERT_TRUE(CommitAndWait(store_, {alien}).ok());
  Restart();
  const int64_t quarantined = engine_->GetRun("r1")->revision();
  EXPECT_GT(quarantined, begun);
  ASSERT_TRUE(CancelRunAndWait(*engine_, "r1", "operator", "").ok());
  EXPECT_GT(engine_->GetRun("r1")->revision(), quarantined);
}

TEST_F(EngineTest, ARequestThatHasNotBegunIsFound) {
  v1::RunHeader header;
  header.set_name("backup-1");
  header.set_kind(v1::RUN_KIND_BACKUP);
  header.set_application("shop");
  header.set_environment("local");
  ASSERT_TRUE(StartRunAndWait(*engine_, header, Chain(1), "").ok());
  ASSERT_EQ(engine_->FindWaiting(v1::RUN_KIND_BACKUP, "shop").size(), 1u);
  EXPECT_EQ(engine_->FindWaiting(v1::RUN_KIND_BACKUP, "shop")[0].header.name(), "backup-1");
  EXPECT_TRUE(engine_->FindWaiting(v1::RUN_KIND_BACKUP, "other").empty());
  EXPECT_TRUE(engine_->FindWaiting(v1::RUN_KIND_DRILL, "shop").empty());
  Connect();
  EXPECT_TRUE(engine_->FindWaiting(v1::RUN_KIND_BACKUP, "shop").empty())
      << "it has begun: what changed since is not in it";
}

TEST_F(EngineTest, ActiveRunsAreFoundBehindAnyNumberOfOthers) {
  Start("old", Chain(2));
  const Agent agent = Connect();
  const v1::LeaseKey old = Take(agent).tasks(0).lease();
  for (int i = 0; i < 5; ++i) {
    Start("r" + std::to_string(i), Chain(1));
    Report(agent, Take(agent).tasks(0).lease());
  }
  ASSERT_EQ(PhaseOf("r4"), v1::RUN_PHASE_SUCCEEDED);
  const auto active = engine_->ListRuns({.active_only = true}, {2, ""});
  ASSERT_EQ(active->items.size(), 1u);
  EXPECT_EQ(active->items.front().header().name(), "old");
}

// The record itself is lost, header and all; what the person said must not be.
TEST(EngineOnADamagedDisk, ARunThatWasGivenUpStaysOver) {
  std::string directory = testing::TempDir() + "engineXXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  FakeClock clock(absl::FromUnixSeconds(1795256100));
  const auto with_engine = [&](const std::function<void(Engine&)>& use) {
    auto store = OpenSqliteStore(directory);
    ASSERT_TRUE(store.ok()) << store.status();
    auto engine = Engine::Create(**store, clock, {}, nullptr);
    ASSERT_TRUE(engine.ok()) << engine.status();
    use(**engine);
  };
  with_engine([](Engine& engine) {
    v1::RunHeader header;
    header.set_name("backup-b1");
    header.set_kind(v1::RUN_KIND_BACKUP);
    header.set_backup("b1");
    v1::Flow flow;
    flow.add_steps()->set_id("a");
    flow.mutable_steps(0)->mutable_action()->mutable_noop();
    ASSERT_TRUE(StartRunAndWait(engine, header, flow, "vault").ok());
  });
  {
    auto database = SqliteDatabase::Open(directory + "/salvor.db", SqliteDatabase::Mode::kDurable);
    ASSERT_TRUE((*database)->Execute("UPDATE run SET header = x'0a0161'").ok());
  }
  with_engine([](Engine& engine) {
    EXPECT_EQ(engine.GetRun("backup-b1")->phase(), v1::RUN_PHASE_QUARANTINED);
    ASSERT_TRUE(CancelRunAndWait(engine, "backup-b1", "operator", "").ok());
    EXPECT_EQ(engine.GetRun("backup-b1")->phase(), v1::RUN_PHASE_FAILED);
    EXPECT_EQ(engine.FindBackup("b1")->coverage(), v1::Backup::COVERAGE_FAILED);
  });
  with_engine([](Engine& engine) {
    EXPECT_EQ(engine.GetRun("backup-b1")->phase(), v1::RUN_PHASE_FAILED);
    EXPECT_EQ(engine.ListRuns({}, {})->items[0].phase(), v1::RUN_PHASE_FAILED);
  });
  EXPECT_TRUE(RemoveTree(directory).ok());
}

}  // namespace
}  // namespace salvor::controlplane
