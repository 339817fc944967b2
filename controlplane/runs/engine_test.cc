// The engine with real stores, a clock that stands still, and an agent made of a list of messages.
#include "controlplane/runs/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/io/mutex.h"
#include "controlplane/store/memory_store.h"
#include "proto/time.h"

namespace salvor::controlplane {
namespace {

// What was sent to one agent, in order.
class RecordedLink final : public AgentLink {
 public:
  void Send(v1::ControlMessage message) override {
    MutexLock lock(mutex_);
    all_.MergeFrom(message);
    ++messages_;
  }
  void Close(const std::string& why) override {
    MutexLock lock(mutex_);
    closed_ = why;
  }
  // What came since the last call.
  v1::ControlMessage Take() {
    MutexLock lock(mutex_);
    v1::ControlMessage taken;
    taken.Swap(&all_);
    return taken;
  }
  std::string Closed() {
    MutexLock lock(mutex_);
    return closed_;
  }

 private:
  Mutex mutex_;
  v1::ControlMessage all_ ABSL_GUARDED_BY(mutex_);
  int messages_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string closed_ ABSL_GUARDED_BY(mutex_);
};

struct Agent {
  int64_t session = 0;
  std::shared_ptr<RecordedLink> link;
};

class EngineTest : public testing::Test {
 protected:
  EngineTest() { Restart(); }

  void Restart() {
    engine_.reset();
    auto engine = Engine::Create(
        store_, clock_,
        {.version = "test", .random = [] { return 0.0; }, .on_fatal = [](const Status&) { FAIL(); }},
        nullptr);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }

  // "a" then "b" after it, and so on.
  static v1::Flow Chain(int length, int attempts = 1) {
    v1::Flow flow;
    for (int i = 0; i < length; ++i) {
      v1::Step* step = flow.add_steps();
      step->set_id(std::string(1, static_cast<char>('a' + i)));
      step->mutable_action()->mutable_noop();
      step->mutable_retry()->set_attempts(attempts);
      if (i > 0) step->add_after()->set_step(flow.steps(i - 1).id());
    }
    return flow;
  }

  void Start(const std::string& name, v1::Flow flow) {
    v1::RunHeader header;
    header.set_name(name);
    header.set_environment("local");
    ASSERT_TRUE(engine_->StartRun(header, std::move(flow), "").ok());
  }

  // "a" opens the obligation "scratch", which "b" releases.
  static v1::Flow WithObligation() {
    v1::Flow flow;
    for (const char* id : {"a", "b"}) {
      flow.add_steps()->set_id(id);
      flow.mutable_steps(flow.steps_size() - 1)->mutable_action()->mutable_noop();
    }
    v1::Obligation* obligation = flow.add_obligations();
    obligation->set_name("scratch");
    obligation->set_opened_by("a");
    obligation->set_released_by("b");
    return flow;
  }

  // Time passes for an agent that is heard from all the while.
  void KeepConnected(const Agent& agent, absl::Duration time) {
    for (absl::Duration passed; passed < time; passed += absl::Seconds(10)) {
      clock_.Advance(absl::Seconds(10));
      v1::AgentMessage heartbeat;
      heartbeat.set_heartbeat(true);
      engine_->Receive(agent.session, heartbeat);
      engine_->Tick();
    }
  }

  Agent Connect(const std::string& name = "agent-a", std::vector<v1::LeaseKey> held = {}, int credits = 8) {
    v1::AgentHello hello;
    hello.set_agent(name);
    hello.set_environment("local");
    hello.set_protocol(1);
    hello.add_capabilities("noop");
    for (const v1::LeaseKey& lease : held) *hello.add_held() = lease;
    Agent agent;
    agent.link = std::make_shared<RecordedLink>();
    agent.session = *engine_->Connect(hello, agent.link);
    v1::AgentMessage message;
    message.set_credits(credits);
    engine_->Receive(agent.session, message);
    return agent;
  }

  v1::ControlMessage Take(const Agent& agent) {
    EXPECT_TRUE(CommitAndWait(store_, {}).ok());  // everything before it has been sent now
    return agent.link->Take();
  }

  void Report(const Agent& agent, const v1::LeaseKey& lease, const std::string& error = "",
              bool retryable = false) {
    v1::AgentMessage message;
    v1::Report* report = message.add_reports();
    *report->mutable_lease() = lease;
    report->mutable_result();
    if (!error.empty()) {
      report->mutable_result()->mutable_error()->set_message(error);
      report->mutable_result()->mutable_error()->set_retryable(retryable);
    }
    message.set_credits(1);
    engine_->Receive(agent.session, message);
  }

  v1::RunPhase PhaseOf(const std::string& run) {
    EXPECT_TRUE(CommitAndWait(store_, {}).ok());
    return engine_->GetRun(run)->phase();
  }

  MemoryStore store_;
  FakeClock clock_{absl::FromUnixSeconds(1795256100)};
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, TheNextStepTravelsWithTheAcknowledgement) {
  const Agent agent = Connect();
  Start("r1", Chain(2));
  const v1::ControlMessage first = Take(agent);
  ASSERT_EQ(first.tasks_size(), 1);
  EXPECT_EQ(first.tasks(0).lease().step(), "a");
  const int64_t commits = store_.Statistics().commits;
  Report(agent, first.tasks(0).lease());
  EXPECT_EQ(store_.Statistics().commits, commits + 1) << "one commit: a is done, b is ready, b is leased";
  const v1::ControlMessage second = Take(agent);
  ASSERT_EQ(second.acks_size(), 1);
  ASSERT_EQ(second.tasks_size(), 1);
  EXPECT_EQ(second.tasks(0).lease().step(), "b");
  Report(agent, second.tasks(0).lease());
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
}

TEST_F(EngineTest, GoesOnAfterARestartWhereItWas) {
  Agent agent = Connect();
  Start("r1", Chain(3));
  const v1::LeaseKey a = Take(agent).tasks(0).lease();
  Report(agent, a);
  const v1::LeaseKey b = Take(agent).tasks(0).lease();
  Restart();
  agent = Connect("agent-a", {b});  // it still works on b
  EXPECT_EQ(Take(agent).tasks_size(), 0) << "b is not granted twice";
  Report(agent, b);
  const v1::ControlMessage next = Take(agent);
  ASSERT_EQ(next.tasks_size(), 1);
  EXPECT_EQ(next.tasks(0).lease().step(), "c");
  Report(agent, next.tasks(0).lease());
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
}

TEST_F(EngineTest, AReportIsAcknowledgedAgainWhenItComesAgain) {
  Agent agent = Connect();
  Start("r1", Chain(1));
  const v1::LeaseKey a = Take(agent).tasks(0).lease();
  Report(agent, a);
  EXPECT_EQ(Take(agent).acks_size(), 1);
  Restart();
  agent = Connect("agent-a", {a});
  Report(agent, a);
  const v1::ControlMessage answer = Take(agent);
  EXPECT_EQ(answer.acks_size() + answer.superseded_size(), 2) << "the hello and the report are answered";
  EXPECT_EQ(engine_->GetRun("r1")->phase(), v1::RUN_PHASE_SUCCEEDED);
}

TEST_F(EngineTest, AnAgentThatForgotAnAttemptLosesIt) {
  Agent agent = Connect();
  Start("r1", Chain(1, 2));
  Take(agent);
  engine_->Disconnect(agent.session);
  EXPECT_EQ(engine_->GetRun("r1")->steps(0).reason(),
            "agent agent-a is not connected; its result is awaited");
  agent = Connect();  // and holds nothing: it is granted again at once
  const v1::ControlMessage again = Take(agent);
  ASSERT_EQ(again.tasks_size(), 1);
  EXPECT_EQ(again.tasks(0).lease().attempt(), 2);
}

TEST_F(EngineTest, ALateResultIsWelcomeAsLongAsNobodyElseWasGranted) {
  Agent agent = Connect();
  Start("r1", Chain(1));
  const v1::LeaseKey a = Take(agent).tasks(0).lease();
  engine_->Disconnect(agent.session);
  clock_.Advance(absl::Hours(6));
  engine_->Tick();
  const Agent other = Connect("agent-b");
  EXPECT_EQ(Take(other).tasks_size(), 0) << "a step that is bound to its host never moves";
  agent = Connect("agent-a", {a});
  Report(agent, a);
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
}

TEST_F(EngineTest, AMovableStepMovesAndTheLateReportIsSuperseded) {
  Agent agent = Connect();
  v1::Flow flow = Chain(1, 2);
  flow.mutable_steps(0)->set_movable(true);
  Start("r1", flow);
  const v1::LeaseKey first = Take(agent).tasks(0).lease();
  const Agent other = Connect("agent-b");
  engine_->Disconnect(agent.session);
  clock_.Advance(absl::Minutes(1));
  v1::AgentMessage alive;
  alive.set_heartbeat(true);
  engine_->Receive(other.session, alive);
  engine_->Tick();
  const v1::ControlMessage moved = Take(other);
  ASSERT_EQ(moved.tasks_size(), 1);
  agent = Connect("agent-a", {first});
  EXPECT_EQ(Take(agent).superseded_size(), 1) << "the agent must stop";
  Report(other, moved.tasks(0).lease());
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
}

TEST_F(EngineTest, ASilentAgentIsDisconnected) {
  const Agent agent = Connect();
  clock_.Advance(absl::Minutes(1));
  engine_->Tick();
  EXPECT_EQ(agent.link->Closed(), "no heartbeat");
  ASSERT_EQ(engine_->ListAgents().size(), 1u);
  EXPECT_FALSE(engine_->ListAgents()[0].connected());
}

TEST_F(EngineTest, ANewerConnectionOfAnAgentClosesTheOlder) {
  const Agent older = Connect();
  Connect();
  EXPECT_EQ(older.link->Closed(), "the agent opened a newer connection");
}

TEST_F(EngineTest, ExclusiveKeysHoldBackAndARoomThatIsFreeIsTakenAtOnce) {
  const Agent agent = Connect();
  v1::Flow flow = Chain(1);
  v1::ConcurrencyKey* key = flow.mutable_steps(0)->add_keys();
  key->set_name("location:vault");
  key->set_exclusive(true);
  Start("r1", flow);
  Start("r2", flow);
  const v1::ControlMessage first = Take(agent);
  ASSERT_EQ(first.tasks_size(), 1);
  EXPECT_EQ(engine_->GetRun("r2")->steps(0).reason(), "a of r1 is using location:vault");
  Report(agent, first.tasks(0).lease());
  const v1::ControlMessage second = Take(agent);
  ASSERT_EQ(second.tasks_size(), 1);
  EXPECT_EQ(second.tasks(0).lease().run(), "r2");
}

TEST_F(EngineTest, CreditsBoundWhatAnAgentGets) {
  const Agent agent = Connect("agent-a", {}, 1);
  Start("r1", Chain(1));
  Start("r2", Chain(1));
  const v1::ControlMessage first = Take(agent);
  ASSERT_EQ(first.tasks_size(), 1);
  EXPECT_EQ(engine_->GetRun("r2")->steps(0).reason(), "no agent has room for one more task");
  Report(agent, first.tasks(0).lease());
  EXPECT_EQ(Take(agent).tasks_size(), 1);
}

TEST_F(EngineTest, SaysWhyAStepWaits) {
  Start("r1", Chain(1));
  EXPECT_EQ(engine_->GetRun("r1")->steps(0).reason(), "no agent of environment local is connected");
}

TEST_F(EngineTest, CancelTellsTheAgentAndAgainWhenItComesBack) {
  Agent agent = Connect();
  Start("r1", Chain(2));
  const v1::LeaseKey a = Take(agent).tasks(0).lease();
  engine_->Disconnect(agent.session);
  ASSERT_TRUE(engine_->CancelRun("r1", "operator", "wrong one").ok());
  agent = Connect("agent-a", {a});
  ASSERT_EQ(Take(agent).cancels_size(), 1);
  Report(agent, a, "stopped");
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_CANCELLED);
  EXPECT_EQ(engine_->GetRun("r1")->reason(), "cancelled by operator: wrong one");
  EXPECT_EQ(engine_->CancelRun("r1", "operator", "").code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(EngineTest, AnObligationOutlivesItsRunAndIsReleasedWhenTheAgentComesBack) {
  v1::Flow flow = Chain(2);
  flow.mutable_steps(1)->clear_after();
  v1::Obligation* obligation = flow.add_obligations();
  obligation->set_name("scratch");
  obligation->set_opened_by("a");
  obligation->set_released_by("b");
  Agent agent = Connect();
  Start("r1", flow);
  const v1::ControlMessage first = Take(agent);
  EXPECT_EQ(first.tasks(0).obligation(), "scratch");
  engine_->Disconnect(agent.session);
  ASSERT_TRUE(engine_->CancelRun("r1", "operator", "").ok());
  for (int i = 0; i < 2; ++i) {
    clock_.Advance(absl::Minutes(2));
    engine_->Tick();
  }
  ASSERT_EQ(PhaseOf("r1"), v1::RUN_PHASE_CANCELLED);
  EXPECT_THAT(engine_->GetRun("r1")->reason(), testing::HasSubstr("release unconfirmed"));
  EXPECT_EQ(engine_->OpenObligationCount(), 1);
  Restart();
  EXPECT_EQ(engine_->OpenObligationCount(), 1);
  v1::AgentHello hello;
  hello.set_agent("agent-a");
  hello.set_environment("local");
  hello.set_protocol(1);
  v1::HeldObligation* held = hello.add_obligations();
  held->set_run("r1");
  held->set_name("scratch");
  agent.link = std::make_shared<RecordedLink>();
  agent.session = *engine_->Connect(hello, agent.link);
  ASSERT_EQ(Take(agent).release_size(), 1);
  hello.clear_obligations();
  v1::AgentMessage released;
  *released.mutable_hello() = hello;
  engine_->Receive(agent.session, released);
  EXPECT_EQ(engine_->OpenObligationCount(), 0);
}

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
  EXPECT_EQ(engine_->ListRuns("", 10, true)->size(), 2u) << "it is not over";
  EXPECT_EQ(engine_->WaitForChange("r1", -2, absl::ZeroDuration())->phase(), v1::RUN_PHASE_QUARANTINED);

  agent = Connect("agent-a", {granted.tasks(0).lease(), granted.tasks(1).lease()});
  Report(agent, granted.tasks(0).lease());
  Report(agent, granted.tasks(1).lease());
  const v1::ControlMessage answer = Take(agent);
  EXPECT_EQ(PhaseOf("r2"), v1::RUN_PHASE_SUCCEEDED);
  ASSERT_GE(answer.superseded_size(), 1);
  EXPECT_EQ(answer.superseded(0).run(), "r1") << "its agent is told that nobody takes the result";

  ASSERT_TRUE(engine_->CancelRun("r1", "operator", "gone").ok());
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_FAILED);
  Restart();
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_FAILED);
  EXPECT_THAT(engine_->GetRun("r1")->reason(), testing::HasSubstr("given up by operator, gone"));
  EXPECT_TRUE(engine_->ListRuns("", 10, true)->empty());
}

TEST_F(EngineTest, ANameIsTakenOnceAlsoByARunThatIsOver) {
  const Agent agent = Connect();
  Start("r1", Chain(1));
  v1::RunHeader header;
  header.set_name("r1");
  header.set_environment("local");
  EXPECT_EQ(engine_->StartRun(header, Chain(1), "").code(), absl::StatusCode::kAlreadyExists);
  Report(agent, Take(agent).tasks(0).lease());
  ASSERT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
  EXPECT_EQ(engine_->StartRun(header, Chain(1), "").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
}

// Attempt 1 failed, attempt 2 was given up for its time: the result of 1 must not stand for that of 2.
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

TEST_F(EngineTest, ARequestThatHasNotBegunIsFound) {
  v1::RunHeader header;
  header.set_name("backup-1");
  header.set_kind(v1::RUN_KIND_BACKUP);
  header.set_application("shop");
  header.set_environment("local");
  ASSERT_TRUE(engine_->StartRun(header, Chain(1), "").ok());
  ASSERT_TRUE(engine_->FindWaiting(v1::RUN_KIND_BACKUP, "shop"));
  EXPECT_EQ(engine_->FindWaiting(v1::RUN_KIND_BACKUP, "shop")->name(), "backup-1");
  EXPECT_FALSE(engine_->FindWaiting(v1::RUN_KIND_BACKUP, "other"));
  EXPECT_FALSE(engine_->FindWaiting(v1::RUN_KIND_DRILL, "shop"));
  Connect();
  EXPECT_FALSE(engine_->FindWaiting(v1::RUN_KIND_BACKUP, "shop"))
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
  const auto active = engine_->ListRuns("", 2, true);
  ASSERT_EQ(active->size(), 1u);
  EXPECT_EQ(active->front().header().name(), "old");
}

TEST_F(EngineTest, InputsTravelWithTheTask) {
  const Agent agent = Connect();
  v1::Flow flow = Chain(2);
  flow.mutable_steps(1)->mutable_after(0)->set_condition(v1::Edge::CONDITION_FINISHED);
  flow.mutable_steps(1)->add_inputs("a");
  Start("r1", flow);
  Report(agent, Take(agent).tasks(0).lease(), "disk full");
  const v1::ControlMessage next = Take(agent);
  ASSERT_EQ(next.tasks_size(), 1);
  EXPECT_EQ(next.tasks(0).inputs().at("a").error().message(), "disk full");
}

TEST_F(EngineTest, WatchersSeeTheOutcomeOnceItIsDurable) {
  const Agent agent = Connect();
  Start("r1", Chain(1));
  EXPECT_FALSE(engine_->WaitUntilFinished("r1", absl::ZeroDuration()));
  Report(agent, Take(agent).tasks(0).lease());
  EXPECT_TRUE(engine_->WaitUntilFinished("r1", absl::Seconds(10)));
  EXPECT_EQ(engine_->WaitForChange("r1", 0, absl::Seconds(10))->phase(), v1::RUN_PHASE_SUCCEEDED);
  EXPECT_EQ((*engine_->ListRuns("", 10, false))[0].phase(), v1::RUN_PHASE_SUCCEEDED);
}

}  // namespace
}  // namespace salvor::controlplane
