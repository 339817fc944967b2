// An obligation is undone: by a step, on order, at its deadline, after a crash.
#include "agent/executor/executor.h"
#include "agent/executor/executor_testing.h"

namespace salvor::agent {
namespace {

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
  stop.mutable_action()->mutable_scratch_stop()->set_name("r1");
  executor_->Submit(stop);
  sink_.Next();
  EXPECT_TRUE(executor_->Obligations().empty());
}

TEST_F(ExecutorTest, AStepThatSucceedsClosesTheObligationThatItUndoesAndNoOtherOfTheRun) {
  for (const char* name : {"one", "other"}) Open(name);
  ASSERT_EQ(executor_->Obligations().size(), 2u);
  v1::Task stop = Task("stop");
  stop.mutable_action()->mutable_scratch_stop()->set_name("one");
  executor_->Submit(stop);
  sink_.Next();
  ASSERT_EQ(executor_->Obligations().size(), 1u);
  EXPECT_EQ(executor_->Obligations()[0].name(), "other");
  Start();
  ASSERT_EQ(executor_->Obligations().size(), 1u) << "in the journal too";
}

TEST_F(ExecutorTest, TwoObligationsThatAreUndoneAlikeAreClosedEachByItsOwnStep) {
  for (const char* name : {"one", "other"}) Open(name, 0, "the same");
  v1::Task stop = Task("stop");
  stop.mutable_action()->mutable_scratch_stop()->set_name("the same");
  stop.set_releases("other");
  executor_->Submit(stop);
  sink_.Next();
  ASSERT_EQ(executor_->Obligations().size(), 1u);
  EXPECT_EQ(executor_->Obligations()[0].name(), "one");
}

TEST_F(ExecutorTest, AnObligationThatCantBeReadIsUndoneByNoGuessAndByAnOrderThatSaysHow) {
  Open("one", 3600, "the place of one");
  StartWithDamagedObligations();
  v1::HeldObligation order;
  order.set_run("r1");
  order.set_name("one");
  clock_.Advance(absl::Hours(2));
  executor_->ReleaseExpired();
  executor_->Release(order);
  Start();  // waits for what was begun
  EXPECT_TRUE(released_.empty());
  ASSERT_EQ(executor_->Obligations().size(), 1u);
  order.mutable_undo()->mutable_scratch_stop()->set_name("the place of one");
  executor_->Release(order);
  sink_.WaitForHoldings();
  EXPECT_EQ(released_, std::vector<std::string>{"the place of one"});
  EXPECT_TRUE(executor_->Obligations().empty());
}

TEST_F(ExecutorTest, AnObligationThatCantBeReadIsClosedByTheStepThatSaysThatItUndoesIt) {
  Open("one");
  StartWithDamagedObligations();
  v1::Task stop = Task("stop");
  stop.mutable_action()->mutable_scratch_stop()->set_name("one");
  stop.set_releases("one");
  executor_->Submit(stop);
  sink_.Next();
  EXPECT_TRUE(executor_->Obligations().empty());
}

TEST_F(ExecutorTest, AStepThatFailsToUndoAnObligationLeavesItOpen) {
  Open("one");
  stays_ = "one";
  v1::Task stop = Task("stop");
  stop.mutable_action()->mutable_scratch_stop()->set_name("one");
  executor_->Submit(stop);
  EXPECT_TRUE(sink_.Next().result().has_error());
  EXPECT_EQ(executor_->Obligations().size(), 1u);
}

TEST_F(ExecutorTest, OfTwoObligationsThatWhoseDeadlinePassedIsUndoneAlone) {
  Open("one", 3600);
  Open("other", 7200);
  clock_.Advance(absl::Minutes(61));
  executor_->ReleaseExpired();
  EXPECT_EQ(sink_.NextEarlyRelease().name(), "one");
  EXPECT_EQ(released_, std::vector<std::string>{"one"});
  ASSERT_EQ(executor_->Obligations().size(), 1u);
  EXPECT_EQ(executor_->Obligations()[0].name(), "other");
}

TEST_F(ExecutorTest, AfterACrashTheJournalAloneSaysHowAnObligationIsUndone) {
  Open("one", 3600);
  Start();
  clock_.Advance(absl::Minutes(61));
  executor_->ReleaseExpired();  // no control plane has said a word
  EXPECT_EQ(sink_.NextEarlyRelease().name(), "one");
  EXPECT_EQ(released_, std::vector<std::string>{"one"});
}

TEST_F(ExecutorTest, TheJournalsUndoCountsAndNotThatOfTheOrder) {
  Open("one");
  v1::HeldObligation order = executor_->Obligations().at(0);
  order.mutable_undo()->mutable_scratch_stop()->set_name("of another");
  executor_->Release(order);
  sink_.WaitForHoldings();
  EXPECT_EQ(released_, std::vector<std::string>{"one"});
}

TEST_F(ExecutorTest, AnUndoThatFailsIsTriedAgainAndTheObligationStandsMeanwhile) {
  Open("one", 3600);
  stays_ = "one";
  clock_.Advance(absl::Minutes(61));
  executor_->ReleaseExpired();
  while (released_.empty()) std::this_thread::yield();
  EXPECT_EQ(executor_->Obligations().size(), 1u);
  executor_.reset();  // waits for what was begun
  stays_.clear();
  Start();
  executor_->ReleaseExpired();
  EXPECT_EQ(sink_.NextEarlyRelease().name(), "one");
  EXPECT_TRUE(executor_->Obligations().empty());
}

TEST_F(ExecutorTest, AnUndoThatThisVersionCantDoLeavesTheObligationOpen) {
  v1::Task start = Task("start");
  start.mutable_action()->mutable_scratch_start();
  start.set_obligation("one");
  start.mutable_obligation_deadline()->set_seconds(3600);
  start.mutable_undo()->mutable_postgres_verify();
  executor_->Submit(start);
  sink_.Next();
  clock_.Advance(absl::Minutes(61));
  executor_->ReleaseExpired();
  executor_.reset();  // waits for what was begun
  EXPECT_EQ(journal_->Obligations()->size(), 1u);
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

TEST_F(ExecutorTest, ALeftoverIsNamedAndUndoneOnOrderButNotUnderARunningAttempt) {
  v1::HeldObligation left;
  left.set_run("r1");
  left.set_name("files of shop");
  left.mutable_undo()->mutable_scratch_stop()->set_name("r1");
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
  Open("r1");
  v1::Task task = Task("dump");
  task.mutable_action()->mutable_postgres_dump();
  executor_->Submit(task);
  while (started_ == 0) std::this_thread::yield();
  executor_->Release(executor_->Obligations().at(0));
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

}  // namespace
}  // namespace salvor::agent
