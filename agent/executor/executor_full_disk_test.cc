// The agent while the disk of its journal is full, and after: what it says, and what it must not say yet.
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "agent/executor/executor.h"
#include "agent/process/process.h"
#include "agent/process/process_testing.h"
#include "base/io/small_disk_testing.h"
#include "base/io/system_clock.h"

namespace salvor::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Reports, and nothing else.
class Reports final : public ReportSink {
 public:
  void Report(const v1::Report& report) override {
    MutexLock lock(mutex_);
    reports_.push_back(report);
  }
  void Progress(const v1::ProgressReport&) override {}
  void Log(const v1::LeaseKey&, const v1::LogLine&) override {}
  void HoldingsChanged() override {}
  void RoomChanged() override {}
  void ReleasedEarly(const v1::EarlyRelease&) override {}
  std::vector<v1::Report> Take() {
    MutexLock lock(mutex_);
    return std::exchange(reports_, {});
  }

 private:
  Mutex mutex_;
  std::vector<v1::Report> reports_ ABSL_GUARDED_BY(mutex_);
};

class ExecutorOnAFullDisk : public testing::Test {
 protected:
  ExecutorOnAFullDisk() { Start(); }

  void Start() {
    executor_.reset();
    journal_.reset();
    auto journal = Journal::Open(disk_.Path());
    ASSERT_TRUE(journal.ok()) << journal.status();
    journal_ = *std::move(journal);
    ExecutorOptions options;
    options.config = &config_;
    options.clock = &clock_;
    options.journal = journal_.get();
    options.tools = &tools_;
    // The backup itself fills the disk, or somebody else does meanwhile.
    options.actions["disk_backup"] = {[this](const v1::Action&, ActionContext&) {
      disk_.Fill();
      v1::ActionResult result;
      result.set_note("kept");
      return result;
    }};
    options.actions["location_open"] = {[](const v1::Action&, ActionContext&) { return v1::ActionResult(); }};
    options.clean_up = [this](const v1::Task& task, absl::Duration) {
      cleaned_.push_back(task.lease().step());
    };
    options.actions["scratch_stop"] = {[this](const v1::Action&, ActionContext&) {
      ++released_;
      return v1::ActionResult();
    }};
    options.undo_of_0_1 = [](const v1::HeldObligation& held) {
      v1::Action undo;
      undo.mutable_scratch_stop()->set_name(held.run());
      return undo;
    };
    executor_ = std::make_unique<Executor>(std::move(options));
    executor_->SetSink(&sink_);
    ASSERT_TRUE(executor_->Recover().ok());
  }

  static v1::Task Task(const std::string& step, int attempt = 1) {
    v1::Task task;
    task.mutable_lease()->set_run("r1");
    task.mutable_lease()->set_step(step);
    task.mutable_lease()->set_attempt(attempt);
    task.mutable_lease()->set_epoch(attempt);
    task.mutable_action()->mutable_location_open();
    return task;
  }
  static v1::Task Filling(const std::string& step) {
    v1::Task task = Task(step);
    task.mutable_action()->mutable_disk_backup();
    return task;
  }
  void AwaitEnd() {
    while (executor_->Running() > 0) std::this_thread::yield();
  }
  // As the agent's watchdog calls it.
  v1::Report NextReport() {
    std::vector<v1::Report> reports;
    EXPECT_TRUE(Eventually([&] {
      reports = sink_.Take();
      if (reports.empty()) executor_->ReleaseExpired();
      return !reports.empty();
    }));
    return reports.empty() ? v1::Report() : reports.front();
  }

  SmallDisk disk_;
  AgentConfig config_;
  SupervisedTools tools_{"none"};  // nothing is started here
  SystemClock clock_;
  Reports sink_;
  std::vector<std::string> cleaned_;
  std::atomic<int> released_ = 0;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Executor> executor_;
};

TEST_F(ExecutorOnAFullDisk, AResultIsReportedWhenItIsOnTheDiskAndNotBefore) {
  executor_->Submit(Filling("dump"));
  AwaitEnd();
  for (int i = 0; i < 3; ++i) executor_->ReleaseExpired();
  EXPECT_THAT(sink_.Take(), IsEmpty());
  EXPECT_THAT(executor_->Unacknowledged(), IsEmpty());
  EXPECT_EQ(executor_->Held().size(), 1u) << "it is neither lost nor tried again";
  disk_.MakeRoom();
  EXPECT_EQ(NextReport().result().note(), "kept");
  ASSERT_EQ(journal_->Entries()->size(), 1u);
  EXPECT_EQ((*journal_->Entries())[0].result->note(), "kept");
  executor_->Acknowledge(Task("dump").lease());
  EXPECT_THAT(*journal_->Entries(), IsEmpty());
}

TEST_F(ExecutorOnAFullDisk, WhatIsUndoneIsNotUndoneAgainUntilTheJournalCanSaySo) {
  v1::Task task = Task("start");
  task.set_obligation("scratch");
  task.mutable_obligation_deadline()->set_seconds(0);
  executor_->Submit(task);
  NextReport();
  const int before = released_;  // its deadline may have passed already
  disk_.Fill();
  for (int i = 0; i < 5; ++i) {
    executor_->ReleaseExpired();
    AwaitEnd();
  }
  EXPECT_LE(released_, before + 1);
  disk_.MakeRoom();
  EXPECT_TRUE(Eventually([&] {
    executor_->ReleaseExpired();
    return !executor_->EarlyReleases().empty();
  }));
  EXPECT_EQ(released_, 1);
}

TEST_F(ExecutorOnAFullDisk, WhatTheControlPlaneHasHeardIsForgottenOnceTheJournalCan) {
  v1::Task task = Task("start");
  task.set_obligation("scratch");
  task.mutable_obligation_deadline()->set_seconds(0);
  executor_->Submit(task);
  NextReport();
  EXPECT_TRUE(Eventually([&] {
    executor_->ReleaseExpired();
    return !executor_->EarlyReleases().empty();
  }));
  disk_.Fill();
  executor_->AcknowledgeEarlyRelease(executor_->EarlyReleases().front());
  EXPECT_EQ(executor_->EarlyReleases().size(), 1u) << "the journal has no room to forget it";
  executor_->ReleaseExpired();
  disk_.MakeRoom();
  executor_->ReleaseExpired();
  EXPECT_THAT(executor_->EarlyReleases(), IsEmpty());
}

TEST_F(ExecutorOnAFullDisk, AnAgentThatDiesThenHasToldNobodyAndCleansUp) {
  executor_->Submit(Filling("dump"));
  AwaitEnd();
  executor_->ReleaseExpired();
  EXPECT_THAT(sink_.Take(), IsEmpty());
  executor_.reset();
  journal_.reset();
  disk_.MakeRoom();
  Start();
  EXPECT_THAT(cleaned_, ElementsAre("dump"));
  ASSERT_EQ(executor_->Unacknowledged().size(), 1u);
  EXPECT_EQ(executor_->Unacknowledged()[0].result().error().reason(), v1::Error::REASON_INTERRUPTED);
}

TEST_F(ExecutorOnAFullDisk, NewTasksAreRefusedWithWhatToDoAndTakenAgainWhenThereIsRoom) {
  disk_.Fill();
  executor_->Submit(Task("open"));
  const v1::Error refused = NextReport().result().error();
  EXPECT_EQ(refused.reason(), v1::Error::REASON_UNAVAILABLE);
  EXPECT_TRUE(refused.retryable());
  EXPECT_THAT(refused.message(), HasSubstr("agent journal"));
  EXPECT_THAT(refused.hint(), HasSubstr("disk of the state directory"));
  executor_->Acknowledge(Task("open").lease());
  disk_.MakeRoom();
  executor_->Submit(Task("open", 2));
  EXPECT_FALSE(NextReport().result().has_error());
}

TEST_F(ExecutorOnAFullDisk, WhatASupersededAttemptLeftInTheJournalDoesNotUndoTheNextOne) {
  executor_->Submit(Task("open", 1));
  NextReport();
  executor_->Submit(Filling("dump"));
  AwaitEnd();
  executor_->Supersede(Task("dump").lease());  // its row can't be removed now
  executor_->Submit(Task("dump", 2));
  EXPECT_TRUE(NextReport().result().has_error()) << "nothing begins beside that row";
  executor_->Acknowledge(Task("dump", 2).lease());
  disk_.MakeRoom();
  executor_->Submit(Task("dump", 3));
  EXPECT_FALSE(NextReport().result().has_error());
  executor_->Acknowledge(Task("dump", 3).lease());
  Start();
  EXPECT_THAT(cleaned_, IsEmpty());
}

}  // namespace
}  // namespace salvor::agent
