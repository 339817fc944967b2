#include "agent/executor/executor.h"

#include "agent/executor/executor_testing.h"

namespace salvor::agent {
namespace {

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

TEST_F(ExecutorTest, ATaskOfADeadAgentEndsAsInterruptedAndIsCleanedUpAfter) {
  executor_->Submit(Waiting("a"));
  while (journal_->Entries()->empty()) std::this_thread::yield();
  Start();  // stops what runs, and its result is lost on purpose
  EXPECT_EQ(cleaned_, std::vector<std::string>{"a"});
  ASSERT_EQ(executor_->Unacknowledged().size(), 1u);
  EXPECT_EQ(executor_->Unacknowledged()[0].result().error().reason(), v1::Error::REASON_INTERRUPTED);
  EXPECT_TRUE(executor_->Unacknowledged()[0].result().error().retryable());
}

// An agent that reports has not died, whatever a server answered it with: only a death is forgiven.
TEST_F(ExecutorTest, AnActionThatSomethingCameBetweenIsNotADeathAndIsCleanedUpAfter) {
  open_ = Aborted("the object has been modified; please apply your changes to the latest version");
  v1::Task task = Task("a");
  task.mutable_action()->mutable_location_open();
  executor_->Submit(task);
  const v1::Report report = sink_.Next();
  EXPECT_EQ(report.result().error().reason(), v1::Error::REASON_DISTURBED);
  EXPECT_TRUE(report.result().error().retryable());
  EXPECT_EQ(cleaned_, std::vector<std::string>{"a"}) << "a tool that a signal ended leaves its lock";
}

TEST_F(ExecutorTest, WorkThatOutlivesADeadAgentIsTakenUpAgainAsTheSameAttempt) {
  v1::Task task = Task("a");
  task.mutable_action()->mutable_velero_backup();
  executor_->Submit(task);
  while (started_ == 0) std::this_thread::yield();
  resumed_ = true;
  Start();
  const v1::Report report = sink_.Next();
  EXPECT_EQ(report.lease().DebugString(), task.lease().DebugString());
  EXPECT_FALSE(report.result().has_error());
  EXPECT_TRUE(cleaned_.empty()) << "what it made is still wanted";
  executor_->Acknowledge(report.lease());
  Start();
  EXPECT_TRUE(executor_->Held().empty());
}

TEST_F(ExecutorTest, WorkElsewhereThatWasDisturbedIsNotCleanedUpAfter) {
  elsewhere_ = Aborted("attempt 2 of this step is at work already");
  v1::Task task = Task("a");
  task.mutable_action()->mutable_velero_backup();
  executor_->Submit(task);
  EXPECT_EQ(sink_.Next().result().error().reason(), v1::Error::REASON_DISTURBED);
  EXPECT_TRUE(cleaned_.empty()) << "whoever took it over keeps under the same tags";
}

TEST_F(ExecutorTest, WorkElsewhereThatWasNotDoneInTimeIsNotCleanedUpAfter) {
  elsewhere_ = DeadlineExceeded("the mover did not end in time");
  v1::Task task = Task("a");
  task.mutable_action()->mutable_velero_backup();
  executor_->Submit(task);
  EXPECT_EQ(sink_.Next().result().error().reason(), v1::Error::REASON_TIMED_OUT);
  EXPECT_TRUE(cleaned_.empty());
}

TEST_F(ExecutorTest, WorkThatWasTakenUpAgainCanBeCancelled) {
  v1::Task task = Task("a");
  task.mutable_action()->mutable_velero_backup();
  executor_->Submit(task);
  while (started_ == 0) std::this_thread::yield();
  Start();
  EXPECT_EQ(executor_->Held().size(), 1u) << "the control plane is told that it is at work";
  while (started_ < 2) std::this_thread::yield();
  executor_->Cancel(task.lease());
  EXPECT_EQ(sink_.Next().result().error().reason(), v1::Error::REASON_CANCELLED);
  EXPECT_EQ(cleaned_, std::vector<std::string>{"a"});
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

TEST_F(ExecutorTest, ProgressIsPacedAndThatAllIsDoneIsSaidAtOnceAndOnce) {
  while_open_ = [](const ActionContext& context) {
    for (const int64_t done : {1, 5, 10, 10}) {
      v1::Progress progress;
      progress.set_bytes_done(done);
      progress.set_bytes_total(10);
      context.progress(progress);
    }
  };
  v1::Task task = Task("open");
  task.mutable_action()->mutable_location_open();
  executor_->Submit(task);
  sink_.Next();
  EXPECT_EQ(sink_.BytesDone(), (std::vector<int64_t>{1, 10}));
}

TEST_F(ExecutorTest, ProgressWithoutAKnownEndIsPaced) {
  while_open_ = [](const ActionContext& context) {
    for (const int64_t done : {1, 5, 10}) {
      v1::Progress progress;
      progress.set_bytes_done(done);
      context.progress(progress);
    }
  };
  v1::Task task = Task("open");
  task.mutable_action()->mutable_location_open();
  executor_->Submit(task);
  sink_.Next();
  EXPECT_EQ(sink_.BytesDone(), std::vector<int64_t>{1});
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

}  // namespace
}  // namespace salvor::agent
