#include "agent/executor/executor.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <thread>

#include "agent/process/process.h"
#include "agent/work/noop_action.h"
#include "agent/work/registry.h"
#include "base/io/files.h"
#include "base/io/sqlite/database.h"
#include "base/io/steady_clock.h"

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
  void Log(const v1::LeaseKey&, const v1::LogLine& line) override {
    MutexLock lock(mutex_);
    lines_.push_back(line);
  }
  std::vector<v1::LogLine> Lines() {
    MutexLock lock(mutex_);
    return lines_;
  }
  void HoldingsChanged() override {
    MutexLock lock(mutex_);
    ++holdings_changed_;
    changed_.NotifyAll();
  }
  void RoomChanged() override {
    MutexLock lock(mutex_);
    ++room_changed_;
    changed_.NotifyAll();
  }
  void ReleasedEarly(const v1::EarlyRelease& release) override {
    MutexLock lock(mutex_);
    early_.push_back(release);
    changed_.NotifyAll();
  }
  v1::EarlyRelease NextEarlyRelease() {
    MutexLock lock(mutex_);
    while (early_.empty()) changed_.Wait(mutex_);
    v1::EarlyRelease release = early_.front();
    early_.erase(early_.begin());
    return release;
  }
  void WaitForRoom() {
    MutexLock lock(mutex_);
    while (room_changed_ == 0) changed_.Wait(mutex_);
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
  std::vector<v1::LogLine> lines_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::Report> reports_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::EarlyRelease> early_ ABSL_GUARDED_BY(mutex_);
  int holdings_changed_ ABSL_GUARDED_BY(mutex_) = 0;
  int room_changed_ ABSL_GUARDED_BY(mutex_) = 0;
};

// How long the last task took, as the metrics have it.
class Took final : public ExecutorObserver {
 public:
  void OnTask(const std::string&, bool, absl::Duration took) override {
    MutexLock lock(mutex_);
    took_ = took;
  }
  void OnProgress(const std::string&, int64_t) override {}
  void OnRunning(int) override {}
  absl::Duration Last() {
    MutexLock lock(mutex_);
    return took_;
  }

 private:
  Mutex mutex_;
  absl::Duration took_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();
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
    options.tools = &tools_;
    Register(options.actions, RunNoop, true);
    options.actions["location_open"] = {[this](const v1::Action&, ActionContext& context) {
      ++opened_;
      if (while_open_) while_open_(context);
      return v1::ActionResult();
    }};
    options.actions["scratch_start"] = {[](const v1::Action&, ActionContext&) { return v1::ActionResult(); }};
    options.actions["scratch_stop"] = {[](const v1::Action&, ActionContext&) { return v1::ActionResult(); }};
    // A tool that says what it likes: bytes that are no UTF-8, in every place.
    options.actions["disk_backup"] = {
        [](const v1::Action&, ActionContext& context) -> StatusOr<v1::ActionResult> {
          context.log("tool",
                      "gr\xf6\xdf"
                      "e");
          v1::Progress progress;
          progress.set_message("\xe9");
          context.progress(progress);
          return Unavailable(
              "relation \"gr\xf6\xdf"
              "e\" is gone");
        }};
    // Ends only when it was stopped and told that it may.
    options.actions["postgres_dump"] = {
        [this](const v1::Action&, ActionContext& context) -> StatusOr<v1::ActionResult> {
          started_.fetch_add(1);
          running_now_.fetch_add(1);
          most_at_once_ = std::max(most_at_once_.load(), running_now_.load());
          while (!context.stop.stop_requested() || !may_end_) std::this_thread::yield();
          running_now_.fetch_sub(1);
          return Cancelled("stopped");
        }};
    options.observer = &took_;
    options.clean_up = [this](const v1::Task& task, absl::Duration) {
      cleaned_.push_back(task.lease().step());
    };
    options.release = [this](const v1::HeldObligation& held) {
      released_.push_back(held.run());
      return OkStatus();
    };
    options.leftovers = [this] {
      MutexLock lock(leftovers_mutex_);
      return leftovers_;
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
  SupervisedTools tools_{"none"};  // nothing is started here
  FakeClock clock_{absl::FromUnixSeconds(1795256100)};
  Collected sink_;
  Took took_;
  std::function<void(ActionContext&)> while_open_;  // set before a task is submitted
  std::atomic<int> started_ = 0, running_now_ = 0, most_at_once_ = 0;
  std::atomic<bool> may_end_ = false;
  std::vector<std::string> cleaned_, released_;
  std::atomic<int> opened_ = 0;
  Mutex leftovers_mutex_;
  std::vector<v1::HeldObligation> leftovers_ ABSL_GUARDED_BY(leftovers_mutex_);
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

TEST_F(ExecutorTest, TheTimeOfATaskDoesNotMoveWhenSomebodySetsTheClock) {
  for (const absl::Duration by : {-absl::Hours(24), absl::Hours(24)}) {
    absl::Duration left;
    while_open_ = [&](ActionContext& context) {
      clock_.Set(clock_.Now() + by);
      left = context.deadline - SteadyNow();
    };
    v1::Task task = Task(by > absl::ZeroDuration() ? "ahead" : "back");
    task.mutable_action()->mutable_location_open();
    task.mutable_timeout()->set_seconds(3600);
    executor_->Submit(task);
    EXPECT_FALSE(sink_.Next().result().has_error());
    EXPECT_LE(left, absl::Hours(1));
    EXPECT_GT(left, absl::Minutes(30));
    EXPECT_GE(took_.Last(), absl::ZeroDuration());
    EXPECT_LT(took_.Last(), absl::Hours(1));
  }
}

TEST_F(ExecutorTest, ATaskWithoutATimeoutHasNoDeadline) {
  SteadyTime deadline = SteadyTime::InfinitePast();
  while_open_ = [&](ActionContext& context) { deadline = context.deadline; };
  v1::Task task = Task("a");
  task.mutable_action()->mutable_location_open();
  executor_->Submit(task);
  EXPECT_FALSE(sink_.Next().result().has_error());
  EXPECT_EQ(deadline, SteadyTime::InfiniteFuture());
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

TEST_F(ExecutorTest, WhatAToolSaysIsJournalledAndSentSoThatItCanBeRead) {
  v1::Task task = Task("a");
  task.mutable_action()->mutable_disk_backup();
  executor_->Submit(task);
  const v1::Report report = sink_.Next();
  EXPECT_EQ(report.result().error().message(), "relation \"gr\\xF6\\xDFe\" is gone");
  ASSERT_EQ(sink_.Lines().size(), 1u);
  EXPECT_EQ(sink_.Lines()[0].text(), "gr\\xF6\\xDFe");
  Start();
  ASSERT_EQ(executor_->Unacknowledged().size(), 1u);
  EXPECT_EQ(executor_->Unacknowledged()[0].result().error().message(), report.result().error().message());
}

TEST_F(ExecutorTest, ALaterAttemptOfAStepWaitsForTheEndOfTheEarlier) {
  v1::Task first = Task("dump");
  first.mutable_action()->mutable_postgres_dump();
  v1::Task second = first;
  second.mutable_lease()->set_attempt(2);
  executor_->Submit(first);
  while (started_ == 0) std::this_thread::yield();
  executor_->Submit(second);  // nobody cancelled the first: it is stopped now
  may_end_ = true;
  EXPECT_EQ(sink_.Next().lease().attempt(), 1);
  executor_->Cancel(second.lease());
  EXPECT_EQ(sink_.Next().lease().attempt(), 2);
  EXPECT_EQ(started_, 2);
  EXPECT_EQ(most_at_once_, 1);
}

TEST_F(ExecutorTest, ASupersededAttemptIsWaitedForTooAndItsRoomComesBack) {
  v1::Task first = Task("dump");
  first.mutable_action()->mutable_postgres_dump();
  v1::Task second = first;
  second.mutable_lease()->set_attempt(2);
  executor_->Submit(first);
  while (started_ == 0) std::this_thread::yield();
  executor_->Supersede(first.lease());
  EXPECT_EQ(executor_->Running(), 1) << "it has not ended yet";
  executor_->Submit(second);
  may_end_ = true;
  sink_.WaitForRoom();
  executor_->Cancel(second.lease());
  EXPECT_EQ(sink_.Next().lease().attempt(), 2);
  EXPECT_EQ(most_at_once_, 1);
  EXPECT_EQ(executor_->Running(), 0);
}

TEST_F(ExecutorTest, WhatIsSupersededWhileItWaitsNeverBegins) {
  v1::Task first = Task("dump");
  first.mutable_action()->mutable_postgres_dump();
  v1::Task second = first;
  second.mutable_lease()->set_attempt(2);
  executor_->Submit(first);
  while (started_ == 0) std::this_thread::yield();
  executor_->Submit(second);
  executor_->Supersede(second.lease());
  may_end_ = true;
  EXPECT_EQ(sink_.Next().lease().attempt(), 1);
  sink_.WaitForRoom();
  EXPECT_EQ(started_, 1);
  EXPECT_EQ(journal_->Entries()->size(), 1u) << "of the first, until it is acknowledged";
}

TEST_F(ExecutorTest, ALeftoverIsNamedAndUndoneOnOrderButNotUnderARunningAttempt) {
  v1::HeldObligation left;
  left.set_run("r1");
  left.set_name("files of shop");
  left.set_kind("restore-folders");
  {
    MutexLock lock(leftovers_mutex_);
    leftovers_ = {left};
  }
  ASSERT_EQ(executor_->Obligations().size(), 1u);
  EXPECT_EQ(executor_->Obligations()[0].name(), "files of shop");
  v1::Task task = Task("dump");
  task.mutable_action()->mutable_postgres_dump();
  executor_->Submit(task);
  while (started_ == 0) std::this_thread::yield();
  executor_->Release(left);  // of a run that was given up while its agent works on
  executor_->Cancel(task.lease());
  may_end_ = true;
  sink_.Next();
  EXPECT_TRUE(released_.empty());
  executor_->Release(left);
  sink_.WaitForHoldings();
  EXPECT_EQ(released_, std::vector<std::string>{"r1"});
}

TEST_F(ExecutorTest, AScratchServerIsUndoneUnderARunningAttemptWhichMayHangInIt) {
  v1::Task task = Task("dump");
  task.mutable_action()->mutable_postgres_dump();
  executor_->Submit(task);
  while (started_ == 0) std::this_thread::yield();
  v1::HeldObligation scratch;
  scratch.set_run("r1");
  scratch.set_name("scratch");
  executor_->Release(scratch);
  sink_.WaitForHoldings();
  EXPECT_EQ(released_, std::vector<std::string>{"r1"});
  executor_->Cancel(task.lease());
  may_end_ = true;
  sink_.Next();
}

TEST_F(ExecutorTest, AnObligationPastItsDeadlineIsUndoneAndSaidUntilItIsHeard) {
  v1::Task start = Task("start");
  start.mutable_action()->mutable_scratch_start();
  start.set_obligation("scratch");
  start.mutable_obligation_deadline()->set_seconds(3600);
  executor_->Submit(start);
  sink_.Next();
  executor_->ReleaseExpired();
  clock_.Set(clock_.Now() + absl::Hours(5));  // somebody sets the clock: no time has passed
  executor_->ReleaseExpired();
  EXPECT_EQ(executor_->Obligations().size(), 1u);
  clock_.Advance(absl::Minutes(61));
  executor_->ReleaseExpired();
  const v1::EarlyRelease release = sink_.NextEarlyRelease();
  EXPECT_EQ(release.run(), "r1");
  EXPECT_EQ(release.name(), "scratch");
  EXPECT_EQ(released_, std::vector<std::string>{"r1"});
  EXPECT_TRUE(executor_->Obligations().empty()) << "it does not stand any more";
  Start();
  ASSERT_EQ(executor_->EarlyReleases().size(), 1u) << "nobody has heard it yet";
  executor_->ReleaseExpired();
  executor_->AcknowledgeEarlyRelease(release);
  EXPECT_TRUE(executor_->EarlyReleases().empty());
  EXPECT_EQ(released_.size(), 1u) << "it was undone once";
}

TEST_F(ExecutorTest, ADeadlineHoldsAcrossTheAgentsRestart) {
  v1::Task start = Task("start");
  start.mutable_action()->mutable_scratch_start();
  start.set_obligation("scratch");
  start.mutable_obligation_deadline()->set_seconds(3600);
  executor_->Submit(start);
  sink_.Next();
  Start();
  clock_.Advance(absl::Minutes(59));
  executor_->ReleaseExpired();
  EXPECT_EQ(executor_->Obligations().size(), 1u);
  clock_.Advance(absl::Minutes(2));
  executor_->ReleaseExpired();
  EXPECT_EQ(sink_.NextEarlyRelease().name(), "scratch");
}

TEST_F(ExecutorTest, AResultThatNobodyCanTakeIsPutAsideAndTheErrorReportedInItsPlace) {
  v1::Task task = Waiting("a");
  executor_->Submit(task);
  executor_->Cancel(task.lease());
  sink_.Next();
  executor_->ReplaceUnreportable(task.lease(), "the control plane could not take it");
  Start();
  ASSERT_EQ(executor_->Unacknowledged().size(), 1u);
  EXPECT_EQ(executor_->Unacknowledged()[0].result().error().message(), "the control plane could not take it");
  executor_->Reject(task.lease(), "nor this");
  EXPECT_TRUE(executor_->Held().empty());
  Start();
  EXPECT_TRUE(executor_->Held().empty());
}

// A disk that changes a byte: the attempt is lost or has no result, and never another one than it had.
TEST_F(ExecutorTest, AJournalThatChangedOnTheDiskIsNotBelieved) {
  for (const char* step : {"a", "b"}) {
    executor_->Submit(Waiting(step));
    executor_->Cancel(Task(step).lease());
    sink_.Next();
  }
  executor_.reset();
  journal_.reset();
  {
    auto database = SqliteDatabase::Open(directory_ + "/agent.db", SqliteDatabase::Mode::kDurable);
    ASSERT_TRUE((*database)
                    ->Execute("UPDATE attempt SET result = x'' WHERE CAST(lease AS TEXT) LIKE '%a%';"
                              "UPDATE attempt SET task = x'0a00' WHERE CAST(lease AS TEXT) LIKE '%b%'")
                    .ok());
  }
  Start();
  ASSERT_EQ(executor_->Unacknowledged().size(), 1u)
      << "b is lost: the control plane hears that it is not held";
  const v1::Report report = executor_->Unacknowledged()[0];
  EXPECT_EQ(report.lease().step(), "a");
  EXPECT_EQ(report.result().error().reason(), v1::Error::REASON_INTERRUPTED)
      << "an empty result would be a success";
  EXPECT_NE(report.result().error().message().find("checksum"), std::string::npos);
}

TEST_F(ExecutorTest, AnUnknownActionIsNotDone) {
  v1::Task task = Task("a");
  task.mutable_action()->mutable_disk_verify();
  executor_->Submit(task);
  EXPECT_EQ(sink_.Next().result().error().message(), "this agent can't do disk_verify");
}

}  // namespace
}  // namespace salvor::agent
