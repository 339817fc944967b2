#include "agent/executor/executor.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <thread>

#include "agent/actions/noop_action.h"
#include "base/io/files.h"
#include "base/io/system_clock.h"

namespace salvor::agent {
namespace {

// Collects what would be sent.
class Collected final : public ReportSink {
 public:
  void Report(const v1::Report& report) override {
    MutexLock lock(mutex_);
    reports_.push_back(report);
    changed_.NotifyAll();
  }
  void Progress(const v1::ProgressReport&) override {}
  void Log(const v1::LeaseKey&, const v1::LogLine&) override {}
  void HoldingsChanged() override {
    MutexLock lock(mutex_);
    ++holdings_changed_;
    changed_.NotifyAll();
  }
  v1::Report Next() {
    MutexLock lock(mutex_);
    while (reports_.empty()) changed_.Wait(mutex_);
    v1::Report report = reports_.front();
    reports_.erase(reports_.begin());
    return report;
  }
  void WaitForHoldings() {
    MutexLock lock(mutex_);
    while (holdings_changed_ == 0) changed_.Wait(mutex_);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::vector<v1::Report> reports_ ABSL_GUARDED_BY(mutex_);
  int holdings_changed_ ABSL_GUARDED_BY(mutex_) = 0;
};

class ExecutorTest : public testing::Test {
 protected:
  ExecutorTest() : directory_(testing::TempDir() + "executorXXXXXX") {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    Start();
  }
  ~ExecutorTest() override {
    executor_.reset();
    journal_.reset();
    EXPECT_TRUE(RemoveTree(directory_).ok());
  }

  void Start() {
    executor_.reset();
    journal_.reset();
    journal_ = *Journal::Open(directory_);
    ExecutorOptions options;
    options.config = &config_;
    options.clock = &clock_;
    options.journal = journal_.get();
    options.actions["noop"] = {RunNoop, true};
    options.actions["location_open"] = {[this](const v1::Action&, ActionContext&) {
      ++opened_;
      return v1::ActionResult();
    }};
    options.actions["scratch_start"] = {[](const v1::Action&, ActionContext&) { return v1::ActionResult(); }};
    options.actions["scratch_stop"] = {[](const v1::Action&, ActionContext&) { return v1::ActionResult(); }};
    options.clean_up = [this](const v1::Task& task, absl::Duration) {
      cleaned_.push_back(task.lease().step());
    };
    options.release = [this](const v1::HeldObligation& held) {
      released_.push_back(held.run());
      return OkStatus();
    };
    executor_ = std::make_unique<Executor>(std::move(options));
    executor_->SetSink(&sink_);
    ASSERT_TRUE(executor_->Recover().ok());
  }

  static v1::Task Task(const std::string& step) {
    v1::Task task;
    task.mutable_lease()->set_run("r1");
    task.mutable_lease()->set_step(step);
    task.mutable_lease()->set_attempt(1);
    task.mutable_lease()->set_epoch(1);
    task.mutable_action()->mutable_noop();
    return task;
  }
  static v1::Task Waiting(const std::string& step) {
    v1::Task task = Task(step);
    task.mutable_action()->mutable_noop()->set_wait_for_cancel(true);
    return task;
  }

  std::string directory_;
  AgentConfig config_;
  SystemClock clock_;
  Collected sink_;
  std::vector<std::string> cleaned_, released_;
  std::atomic<int> opened_ = 0;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Executor> executor_;
};

TEST_F(ExecutorTest, AResultIsHeldUntilItIsAcknowledged) {
  executor_->Submit(Task("a"));
  const v1::Report report = sink_.Next();
  EXPECT_FALSE(report.result().has_error());
  EXPECT_EQ(executor_->Held().size(), 1u);
  EXPECT_EQ(executor_->Unacknowledged().size(), 1u);
  executor_->Acknowledge(report.lease());
  EXPECT_TRUE(executor_->Held().empty());
}

// Whatever its kind, and before anything of it ran.
TEST_F(ExecutorTest, WhatTheHostDoesNotAllowIsRefused) {
  v1::Task task = Task("a");
  v1::ResticLocation& location = *task.mutable_action()->mutable_location_open()->mutable_location();
  location.set_environment_file("/tmp/planted");
  executor_->Submit(task);
  const v1::Report refused = sink_.Next();
  EXPECT_EQ(refused.result().error().reason(), v1::Error::REASON_REFUSED);
  EXPECT_NE(refused.result().error().hint().find("--allow-environment-file"), std::string::npos);
  EXPECT_EQ(opened_, 0);
  config_.policy.environment_files = {"/tmp/planted"};
  task.mutable_lease()->set_step("b");
  executor_->Submit(task);
  EXPECT_FALSE(sink_.Next().result().has_error());
  EXPECT_EQ(opened_, 1);
}

TEST_F(ExecutorTest, CancelStopsATask) {
  executor_->Submit(Waiting("a"));
  executor_->Cancel(Task("a").lease());
  EXPECT_EQ(sink_.Next().result().error().reason(), v1::Error::REASON_CANCELLED);
  EXPECT_EQ(cleaned_, std::vector<std::string>{"a"}) << "before it is reported";
}

TEST_F(ExecutorTest, WhatFailedByItselfIsNotCleanedUpAfter) {
  v1::Task task = Task("a");
  task.mutable_action()->mutable_noop()->set_fail_with("no such table");
  executor_->Submit(task);
  EXPECT_EQ(sink_.Next().result().error().reason(), v1::Error::REASON_FAILED);
  EXPECT_TRUE(cleaned_.empty());
}

TEST_F(ExecutorTest, ATaskPastItsTimeIsStopped) {
  v1::Task task = Waiting("a");
  task.mutable_timeout()->set_nanos(1);
  executor_->Submit(task);
  EXPECT_EQ(sink_.Next().result().error().reason(), v1::Error::REASON_TIMED_OUT);
  EXPECT_EQ(cleaned_, std::vector<std::string>{"a"});
}

TEST_F(ExecutorTest, ATaskOfADeadAgentEndsAsInterruptedAndIsCleanedUpAfter) {
  executor_->Submit(Waiting("a"));
  while (journal_->Entries()->empty()) std::this_thread::yield();
  Start();  // stops what runs, and its result is lost on purpose
  EXPECT_EQ(cleaned_, std::vector<std::string>{"a"});
  ASSERT_EQ(executor_->Unacknowledged().size(), 1u);
  EXPECT_EQ(executor_->Unacknowledged()[0].result().error().reason(), v1::Error::REASON_INTERRUPTED);
  EXPECT_TRUE(executor_->Unacknowledged()[0].result().error().retryable());
}

TEST_F(ExecutorTest, AResultThatWasNotAcknowledgedIsThereAfterARestart) {
  executor_->Submit(Waiting("a"));
  executor_->Cancel(Task("a").lease());
  sink_.Next();
  cleaned_.clear();
  Start();
  ASSERT_EQ(executor_->Unacknowledged().size(), 1u);
  EXPECT_TRUE(cleaned_.empty());
  executor_->Acknowledge(Task("a").lease());
  Start();
  EXPECT_TRUE(executor_->Held().empty());
}

TEST_F(ExecutorTest, ASupersededTaskIsStoppedAndReportsNothing) {
  executor_->Submit(Waiting("a"));
  executor_->Supersede(Task("a").lease());
  executor_->Submit(Task("b"));
  EXPECT_EQ(sink_.Next().lease().step(), "b");
  EXPECT_EQ(executor_->Held().size(), 1u);
}

TEST_F(ExecutorTest, TheSameTaskTwiceRunsOnce) {
  executor_->Submit(Task("a"));
  sink_.Next();
  executor_->Submit(Task("a"));
  EXPECT_EQ(executor_->Unacknowledged().size(), 1u);
}

TEST_F(ExecutorTest, AnObligationStandsInTheJournalUntilItsReleaseSucceeded) {
  v1::Task start = Task("start");
  start.mutable_action()->mutable_scratch_start();
  start.set_obligation("scratch");
  executor_->Submit(start);
  sink_.Next();
  ASSERT_EQ(executor_->Obligations().size(), 1u);
  Start();
  ASSERT_EQ(executor_->Obligations().size(), 1u) << "it outlives the agent";
  v1::Task stop = Task("stop");
  stop.mutable_action()->mutable_scratch_stop();
  executor_->Submit(stop);
  sink_.Next();
  EXPECT_TRUE(executor_->Obligations().empty());
}

TEST_F(ExecutorTest, ReleasesOnOrder) {
  v1::Task start = Task("start");
  start.mutable_action()->mutable_scratch_start();
  start.set_obligation("scratch");
  executor_->Submit(start);
  sink_.Next();
  executor_->Release(executor_->Obligations()[0]);
  sink_.WaitForHoldings();
  EXPECT_EQ(released_, std::vector<std::string>{"r1"});
  EXPECT_TRUE(executor_->Obligations().empty());
}

TEST_F(ExecutorTest, AnUnknownActionIsNotDone) {
  v1::Task task = Task("a");
  task.mutable_action()->mutable_disk_verify();
  executor_->Submit(task);
  EXPECT_EQ(sink_.Next().result().error().message(), "this agent can't do disk_verify");
}

}  // namespace
}  // namespace salvor::agent
