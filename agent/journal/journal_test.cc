#include "agent/journal/journal.h"

#include <gtest/gtest.h>
#include <stdlib.h>

namespace salvor::agent {
namespace {

v1::Task TaskOf(const std::string& step, int attempt = 1) {
  v1::Task task;
  task.mutable_lease()->set_run("r1");
  task.mutable_lease()->set_step(step);
  task.mutable_lease()->set_attempt(attempt);
  return task;
}

class JournalTest : public testing::Test {
 protected:
  JournalTest() : directory_(testing::TempDir() + "journalXXXXXX") {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    Reopen();
  }
  ~JournalTest() override {
    journal_.reset();
    EXPECT_TRUE(RemoveTree(directory_).ok());
  }
  void Reopen() {
    journal_.reset();
    auto journal = Journal::Open(directory_);
    ASSERT_TRUE(journal.ok()) << journal.status();
    journal_ = *std::move(journal);
  }

  std::string directory_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(JournalTest, RemembersWhatWasBegunAndWhatCameOfIt) {
  ASSERT_TRUE(journal_->Begin(TaskOf("a"), {}).ok());
  ASSERT_TRUE(journal_->Begin(TaskOf("b"), {}).ok());
  v1::ActionResult result;
  result.set_note("done");
  ASSERT_TRUE(journal_->Finish(TaskOf("b").lease(), result).ok());
  Reopen();
  const auto entries = journal_->Entries();
  ASSERT_EQ(entries->size(), 2u);
  EXPECT_FALSE((*entries)[0].result);
  EXPECT_EQ((*entries)[1].result->note(), "done");
  ASSERT_TRUE(journal_->Forget(TaskOf("b").lease()).ok());
  EXPECT_EQ(journal_->Entries()->size(), 1u);
}

TEST_F(JournalTest, AnEmptyResultIsAResult) {
  ASSERT_TRUE(journal_->Begin(TaskOf("a"), {}).ok());
  ASSERT_TRUE(journal_->Finish(TaskOf("a").lease(), {}).ok());
  EXPECT_TRUE((*journal_->Entries())[0].result);
}

TEST_F(JournalTest, ObligationsOutliveTheirAttempt) {
  v1::HeldObligation held;
  held.set_run("r1");
  held.set_name("scratch");
  ASSERT_TRUE(journal_->Begin(TaskOf("a"), held).ok());
  ASSERT_TRUE(journal_->Forget(TaskOf("a").lease()).ok());
  Reopen();
  ASSERT_EQ(journal_->Obligations()->size(), 1u);
  ASSERT_TRUE(journal_->CloseObligation("r1", "scratch").ok());
  EXPECT_TRUE(journal_->Obligations()->empty());
}

// It is asked after every task, and the journal remembers that there was none.
TEST_F(JournalTest, AnObligationThatComesAfterALookIsSeen) {
  ASSERT_TRUE(journal_->Obligations()->empty());
  ASSERT_TRUE(journal_->Obligations()->empty());
  v1::HeldObligation obligation;
  obligation.set_run("r1");
  obligation.set_name("scratch");
  ASSERT_TRUE(journal_->Begin(v1::Task(), obligation).ok());
  ASSERT_EQ(journal_->Obligations()->size(), 1u);
  ASSERT_TRUE(journal_->CloseObligation("r1", "scratch").ok());
  EXPECT_TRUE(journal_->Obligations()->empty());
  ASSERT_TRUE(journal_->Begin(v1::Task(), obligation).ok());
  EXPECT_EQ(journal_->Obligations()->size(), 1u);
}

TEST_F(JournalTest, BelongsToOneAgent) {
  EXPECT_EQ(Journal::Open(directory_).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace salvor::agent
