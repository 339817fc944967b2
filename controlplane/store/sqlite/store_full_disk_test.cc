// The control plane's store while its disk is full, and after.
#include <gmock/gmock.h>

#include "base/io/small_disk_testing.h"
#include "controlplane/store/contract/store_testing.h"
#include "controlplane/store/sqlite/sqlite_store.h"

namespace salvor::controlplane {
namespace {

using testing::HasSubstr;

class StoreOnAFullDisk : public testing::Test {
 protected:
  std::unique_ptr<Store> Open() {
    auto store = OpenSqliteStore(disk_.Path());
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }

  // Appends events of r1 from `first` on until one is refused, and tells how many r1 has by then: the log of the
  // database has some room of its own, left from the start.
  static size_t FillUp(Store& store, size_t first, Status& refused) {
    for (size_t next = first;; ++next) {
      refused = CommitAndWait(store, {Granted("r1", static_cast<int64_t>(next))});
      if (!refused.ok() || next > 10'000) return next;
    }
  }

  SmallDisk disk_;
};

TEST_F(StoreOnAFullDisk, WhatWasAcknowledgedIsThereAndWhatWasRefusedIsNot) {
  auto store = Open();
  ASSERT_TRUE(CommitAndWait(*store, {Begin("r1"), Granted("r1", 0)}).ok());
  disk_.Fill();
  Status refused;
  const size_t acknowledged = FillUp(*store, 1, refused);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(HintOf(refused), HasSubstr("disk of the state directory"));
  EXPECT_EQ(store->LoadRun("r1")->events.size(), acknowledged) << "reading goes on";
  store.reset();
  disk_.MakeRoom();
  store = Open();
  EXPECT_EQ(store->LoadRun("r1")->events.size(), acknowledged);
  ASSERT_TRUE(CommitAndWait(*store, {Granted("r1", static_cast<int64_t>(acknowledged)), Begin("r2")}).ok());
  EXPECT_EQ(store->LoadRun("r1")->events.size(), acknowledged + 1);
  EXPECT_TRUE(store->DamagedRecords().empty());
}

TEST_F(StoreOnAFullDisk, ABatchThatDoesNotFitIsNotThereInParts) {
  auto store = Open();
  ASSERT_TRUE(CommitAndWait(*store, {Begin("r1")}).ok());
  disk_.Fill();
  AppendLog log;
  log.lines.set_run("r2");
  log.lines.add_lines()->set_text(std::string(4 << 20, 'x'));
  EXPECT_FALSE(CommitAndWait(*store, {Begin("r2"), Granted("r2", 0), log}).ok());
  store.reset();
  disk_.MakeRoom();
  store = Open();
  EXPECT_EQ(store->LoadRun("r2").status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(store->LoadRun("r1").ok());
}

TEST_F(StoreOnAFullDisk, AfterARefusalNothingIsTakenAnyMoreUntilTheNextStart) {
  auto store = Open();
  ASSERT_TRUE(CommitAndWait(*store, {Begin("r1")}).ok());
  disk_.Fill();
  Status refused;
  const size_t acknowledged = FillUp(*store, 0, refused);
  ASSERT_FALSE(refused.ok());
  disk_.MakeRoom();
  EXPECT_FALSE(CommitAndWait(*store, {Granted("r1", static_cast<int64_t>(acknowledged) + 1)}).ok())
      << "memory is ahead of the disk: a gap would follow";
  store.reset();
  store = Open();
  EXPECT_EQ(store->LoadRun("r1")->events.size(), acknowledged);
  EXPECT_TRUE(CommitAndWait(*store, {Granted("r1", static_cast<int64_t>(acknowledged))}).ok());
}

TEST_F(StoreOnAFullDisk, DoesNotOpenAndSaysWhatToDo) {
  {
    auto store = Open();
    ASSERT_TRUE(CommitAndWait(*store, {Begin("r1"), Granted("r1", 0)}).ok());
  }
  disk_.Fill();
  const Status refused = OpenSqliteStore(disk_.Path()).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(MessageOf(refused), HasSubstr("full"));
  EXPECT_THAT(HintOf(refused), HasSubstr("Free space"));
  disk_.MakeRoom();
  EXPECT_EQ(Open()->LoadRun("r1")->events.size(), 1u);
}

}  // namespace
}  // namespace salvor::controlplane
