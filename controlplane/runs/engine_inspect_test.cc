// Runs that only look go before what waits, leave nothing but their answer, and that for some days.
#include "controlplane/runs/engine_testing.h"

namespace salvor::controlplane {
namespace {

class EngineInspectTest : public EngineTest {
 protected:
  void StartLooking(const std::string& name) {
    v1::RunHeader header;
    header.set_name(name);
    header.set_environment("local");
    header.set_kind(v1::RUN_KIND_INSPECT);
    header.set_backup("b1");
    ASSERT_TRUE(StartRunAndWait(*engine_, header, Chain(1), "").ok());
  }
  absl::StatusCode CodeOf(const std::string& run) {
    EXPECT_TRUE(CommitAndWait(store_, {}).ok());
    return engine_->GetRun(run).status().code();
  }
  // Looks, and ends well or not.
  void Look(const std::string& name, const Agent& agent, const std::string& error = "") {
    StartLooking(name);
    const v1::ControlMessage tasks = Take(agent);
    ASSERT_EQ(tasks.tasks_size(), 1);
    Report(agent, tasks.tasks(0).lease(), error);
  }
};

TEST_F(EngineInspectTest, GoBeforeWhatWaits) {
  const Agent agent = Connect("agent-a", {}, 0);
  Start("r1", Chain(1));
  Start("r2", Chain(1));
  StartLooking("i1");
  EXPECT_EQ(Take(agent).tasks_size(), 0) << "an agent without room gets no more than it has room for";
  v1::AgentMessage room;
  room.set_credits(2);
  engine_->Receive(agent.session, room);
  const v1::ControlMessage tasks = Take(agent);
  ASSERT_EQ(tasks.tasks_size(), 2);
  EXPECT_EQ(tasks.tasks(0).lease().run(), "i1");
  EXPECT_EQ(tasks.tasks(1).lease().run(), "r1");
}

TEST_F(EngineInspectTest, WhatUndoesSomethingGoesBeforeThemStill) {
  const Agent agent = Connect("agent-a", {}, 1);
  Start("r1", WithObligation());
  const v1::ControlMessage opened = Take(agent);
  ASSERT_EQ(opened.tasks_size(), 1);
  StartLooking("i1");
  v1::AgentMessage message;
  *message.add_reports()->mutable_lease() = opened.tasks(0).lease();
  message.mutable_reports(0)->mutable_result();
  message.set_credits(2);
  engine_->Receive(agent.session, message);
  const v1::ControlMessage tasks = Take(agent);
  ASSERT_EQ(tasks.tasks_size(), 2);
  EXPECT_EQ(tasks.tasks(0).lease().run(), "r1");
  EXPECT_EQ(tasks.tasks(1).lease().run(), "i1");
}

// Somebody asks in a loop: there is always a look that waits.
TEST_F(EngineInspectTest, KeepNobodyFromItsTurnForLong) {
  const Agent agent = Connect("agent-a", {}, 1);
  StartLooking("i0");
  Start("r1", Chain(1));
  int looks = 0;
  for (int i = 1; i <= 100; ++i) {
    StartLooking("i" + std::to_string(i));
    const v1::ControlMessage tasks = Take(agent);
    ASSERT_EQ(tasks.tasks_size(), 1);
    if (tasks.tasks(0).lease().run() == "r1") break;
    ++looks;
    clock_.Advance(absl::Seconds(20));
    v1::AgentMessage message;
    *message.add_reports()->mutable_lease() = tasks.tasks(0).lease();
    message.mutable_reports(0)->mutable_result();
    message.set_credits(1);
    engine_->Receive(agent.session, message);
  }
  EXPECT_EQ(looks, 16) << "five minutes of them";
}

TEST_F(EngineInspectTest, LeaveNoRecordButTheirAnswer) {
  PutBackup put;
  put.backup.set_name("b1");
  put.backup.set_application("shop");
  put.backup.set_coverage(v1::Backup::COVERAGE_COMPLETE);
  ASSERT_TRUE(CommitAndWait(store_, {put}).ok());
  Restart();
  const Agent agent = Connect();
  Look("i1", agent, "database shop exists");
  EXPECT_EQ(PhaseOf("i1"), v1::RUN_PHASE_FAILED);
  EXPECT_EQ(engine_->GetRun("i1")->steps(0).result().error().message(), "database shop exists");
  EXPECT_EQ(engine_->FindBackup("b1")->SerializeAsString(), put.backup.SerializeAsString());
  EXPECT_TRUE(store_.ListVerifications("b1")->empty());
}

TEST_F(EngineInspectTest, TheirAnswersExpireAcrossRestartsAndNothingElseDoes) {
  Agent agent = Connect();
  Look("i1", agent);
  Start("r1", Chain(1));
  Report(agent, Take(agent).tasks(0).lease());
  clock_.Advance(absl::Hours(3 * 24));
  Restart();
  agent = Connect();
  Look("i2", agent);
  clock_.Advance(absl::Hours(4 * 24) - absl::Seconds(1));
  engine_->Tick();
  EXPECT_EQ(CodeOf("i1"), absl::StatusCode::kOk);
  clock_.Advance(absl::Seconds(2));
  engine_->Tick();
  EXPECT_EQ(CodeOf("i1"), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOf("i2"), absl::StatusCode::kOk);
  EXPECT_EQ(CodeOf("r1"), absl::StatusCode::kOk);
  clock_.Advance(absl::Hours(3 * 24));
  Restart();
  engine_->Tick();
  EXPECT_EQ(CodeOf("i2"), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOf("r1"), absl::StatusCode::kOk);
  EXPECT_EQ(engine_->ListRuns({}, {})->items.size(), 1u);
}

TEST_F(EngineInspectTest, NoLogLineOutlivesThem) {
  Agent agent = Connect();
  StartLooking("i1");
  Report(agent, Take(agent).tasks(0).lease());
  clock_.Advance(absl::Hours(8 * 24));
  engine_->Tick();
  v1::AgentMessage late;
  v1::LogLines* lines = late.add_logs();
  lines->set_run("i1");
  lines->set_step("a");
  lines->add_lines()->set_text("at last");
  engine_->Receive(agent.session, late);
  EXPECT_EQ(CodeOf("i1"), absl::StatusCode::kNotFound);
  int64_t next = 0;
  EXPECT_TRUE(store_.ReadLog("i1", 0, next)->empty());
}

// One that nobody has begun is no answer yet, however old it is.
TEST_F(EngineInspectTest, OneThatIsNotOverDoesNotExpire) {
  StartLooking("i1");
  clock_.Advance(absl::Hours(30 * 24));
  engine_->Tick();
  Restart();
  engine_->Tick();
  EXPECT_EQ(PhaseOf("i1"), v1::RUN_PHASE_RUNNING);
}

}  // namespace
}  // namespace salvor::controlplane
