// The agent's journal while its disk is full, and after.
#include <gmock/gmock.h>

#include "agent/journal/journal.h"
#include "base/io/small_disk_testing.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;

v1::Task TaskOf(const std::string& step) {
  v1::Task task;
  task.mutable_lease()->set_run("r1");
  task.mutable_lease()->set_step(step);
  task.mutable_lease()->set_attempt(1);
  return task;
}

class JournalOnAFullDisk : public testing::Test {
 protected:
  std::unique_ptr<Journal> Open() {
    auto journal = Journal::Open(disk_.Path());
    EXPECT_TRUE(journal.ok()) << journal.status();
    return journal.ok() ? *std::move(journal) : nullptr;
  }

  SmallDisk disk_;
};

TEST_F(JournalOnAFullDisk, TakesNothingSaysWhyAndLosesNothingThatItTook) {
  v1::ActionResult result;
  result.set_note("done");
  auto journal = Open();
  ASSERT_TRUE(journal->Begin(TaskOf("a"), {}).ok());
  ASSERT_TRUE(journal->Finish(TaskOf("a").lease(), result).ok());
  disk_.Fill();
  v1::HeldObligation held;
  held.set_run("r1");
  held.set_name("scratch");
  const Status refused = journal->Begin(TaskOf("b"), held);
  EXPECT_FALSE(refused.ok());
  EXPECT_THAT(HintOf(refused), HasSubstr("disk of the state directory"));
  EXPECT_FALSE(journal->Finish(TaskOf("a").lease(), {}).ok());
  EXPECT_FALSE(journal->Forget(TaskOf("a").lease()).ok());
  EXPECT_EQ(journal->Entries()->size(), 1u) << "neither b, nor half of it";
  EXPECT_TRUE(journal->Obligations()->empty());
  journal.reset();
  disk_.MakeRoom();
  journal = Open();
  const auto entries = journal->Entries();
  ASSERT_EQ(entries->size(), 1u);
  EXPECT_EQ((*entries)[0].result->note(), "done");
}

TEST_F(JournalOnAFullDisk, GoesOnByItselfWhenThereIsRoom) {
  auto journal = Open();
  ASSERT_TRUE(journal->Begin(TaskOf("a"), {}).ok());
  disk_.Fill();
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(journal->Begin(TaskOf("b"), {}).ok());
  disk_.MakeRoom();
  EXPECT_TRUE(journal->Begin(TaskOf("b"), {}).ok());
  EXPECT_TRUE(journal->Forget(TaskOf("a").lease()).ok());
  journal.reset();
  ASSERT_EQ(Open()->Entries()->size(), 1u);
}

TEST_F(JournalOnAFullDisk, DoesNotOpenAndSaysWhatToDo) {
  ASSERT_TRUE(Open()->Begin(TaskOf("a"), {}).ok());
  disk_.Fill();
  const Status refused = Journal::Open(disk_.Path()).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(MessageOf(refused), HasSubstr("full"));
  EXPECT_THAT(HintOf(refused), HasSubstr("Free space"));
  disk_.MakeRoom();
  EXPECT_EQ(Open()->Entries()->size(), 1u);
}

}  // namespace
}  // namespace salvor::agent
