// The decorator fails as a real store does.
#include <gtest/gtest.h>

#include "controlplane/store/contract/failing_store_testing.h"
#include "controlplane/store/contract/store_testing.h"
#include "controlplane/store/memory/memory_store.h"

namespace salvor::controlplane {
namespace {

TEST(FailingStoreTest, ACommitThatFailsBeforeIsNotThereAndOneThatFailsAfterIs) {
  for (const auto when : {FailingStore::When::kBefore, FailingStore::When::kAfter}) {
    MemoryStore inner;
    FailingStore store(inner, 1, when);
    ASSERT_TRUE(CommitAndWait(store, {Begin("r1")}).ok());
    CommitOutcome outcome;
    store.Commit({Begin("r2")}, [&outcome](const CommitOutcome& told) { outcome = told; });
    EXPECT_FALSE(CommitAndWait(store, {Begin("r3")}).ok()) << "it has ended";
    EXPECT_EQ(outcome.kind, CommitOutcome::Kind::kUnknown);
    EXPECT_EQ(inner.LoadRun("r2").ok(), when == FailingStore::When::kAfter);
    EXPECT_FALSE(inner.LoadRun("r3").ok());
    EXPECT_FALSE(store.LoadRun("r1").ok());
  }
}

TEST(FailingStoreTest, AReadThatFailsCanBeMadeAgain) {
  MemoryStore inner;
  FailingStore store(inner, 1, FailingStore::When::kBefore);
  ASSERT_TRUE(CommitAndWait(store, {Begin("r1")}).ok());
  EXPECT_EQ(store.LoadRun("r1").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(store.LoadRun("r1").ok());
  EXPECT_TRUE(CommitAndWait(store, {Granted("r1", 0)}).ok());
  EXPECT_EQ(store.Calls(), 4);
}

}  // namespace
}  // namespace salvor::controlplane
