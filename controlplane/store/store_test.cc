// The same suite for every store.
#include "controlplane/store/store.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "base/io/files.h"
#include "base/io/mutex.h"
#include "base/io/sqlite/database.h"
#include "controlplane/store/memory_store.h"
#include "controlplane/store/sqlite_schema.h"
#include "controlplane/store/sqlite_store.h"

namespace salvor::controlplane {
namespace {

PutRun Begin(const std::string& name, const std::string& application = "shop") {
  PutRun put;
  put.header.set_name(name);
  put.header.set_application(application);
  put.flow.add_steps()->set_id("a");
  return put;
}

AppendEvents Granted(const std::string& run, int64_t first, const std::string& agent = "agent-a") {
  AppendEvents append{run, first, {}};
  append.events.add_events()->mutable_step_granted()->set_agent(agent);
  return append;
}

class StoreTest : public testing::TestWithParam<bool> {
 protected:
  StoreTest() : directory_(testing::TempDir() + "storeXXXXXX") {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    Open();
  }
  ~StoreTest() override {
    store_.reset();
    EXPECT_TRUE(RemoveTree(directory_).ok());
  }
  void Open() {
    store_.reset();
    if (GetParam()) {
      auto opened = OpenSqliteStore(directory_);
      ASSERT_TRUE(opened.ok()) << opened.status();
      store_ = *std::move(opened);
    } else {
      store_ = std::make_unique<MemoryStore>();
    }
  }

  std::string directory_;
  std::unique_ptr<Store> store_;
};

TEST_P(StoreTest, ARunIsItsFlowAndItsEventsInOrder) {
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r1"), Granted("r1", 0, "a"), Granted("r1", 1, "b")}).ok());
  const auto run = store_->LoadRun("r1");
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_EQ(run->events.size(), 2u);
  EXPECT_EQ(run->events[1].step_granted().agent(), "b");
  EXPECT_EQ(run->flow.steps(0).id(), "a");
  EXPECT_EQ(store_->LoadRun("r2").status().code(), absl::StatusCode::kNotFound);
}

TEST_P(StoreTest, FinishedRunsAreNotActiveAndKeepTheirSummary) {
  FinishRun finish;
  finish.summary.mutable_header()->set_name("r1");
  finish.summary.mutable_header()->set_application("shop");
  finish.summary.set_reason("disk full");
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r1"), Begin("r2", "other"), finish}).ok());
  EXPECT_EQ(*store_->ActiveRuns(), std::vector<std::string>{"r2"});
  const auto all = store_->ListRuns("", 10);
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].header().name(), "r2") << "newest first";
  EXPECT_EQ((*all)[1].reason(), "disk full");
  EXPECT_EQ(store_->ListRuns("shop", 10)->size(), 1u);
  EXPECT_EQ(store_->ListRuns("", 1)->size(), 1u);
}

TEST_P(StoreTest, CallbacksComeInOrderAndAfterTheWrite) {
  std::vector<int> order;
  Mutex mutex;
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r1")}).ok());
  for (int i = 0; i < 500; ++i) {
    store_->Commit({Granted("r1", i)}, [&order, &mutex, i](const Status& status) {
      EXPECT_TRUE(status.ok());
      MutexLock lock(mutex);
      order.push_back(i);
    });
  }
  ASSERT_TRUE(CommitAndWait(*store_, {}).ok());
  MutexLock lock(mutex);
  ASSERT_EQ(order.size(), 500u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(store_->LoadRun("r1")->events.size(), 500u);
  EXPECT_EQ(store_->Statistics().events, 500);
}

TEST_P(StoreTest, RecordsReplaceAndVanish) {
  PutObject object;
  object.object.mutable_metadata()->set_name("local");
  object.object.mutable_environment();
  PutBackup backup;
  backup.backup.set_name("b1");
  PutObligation obligation;
  obligation.agent = "agent-a";
  obligation.obligation.set_run("r1");
  obligation.obligation.set_name("scratch");
  ASSERT_TRUE(CommitAndWait(*store_, {object, backup, obligation}).ok());
  backup.backup.set_reason("proven");
  ASSERT_TRUE(
      CommitAndWait(*store_, {backup, EraseObject{"Environment", "local"}, EraseObligation{"r1", "scratch"}})
          .ok());
  EXPECT_TRUE(store_->ListObjects()->empty());
  EXPECT_TRUE(store_->ListObligations()->empty());
  ASSERT_EQ(store_->ListBackups()->size(), 1u);
  EXPECT_EQ((*store_->ListBackups())[0].reason(), "proven");
}

TEST_P(StoreTest, LogsGoOnWhereTheReaderWas) {
  AppendLog log;
  log.lines.set_run("r1");
  log.lines.add_lines()->set_text("one");
  ASSERT_TRUE(CommitAndWait(*store_, {log}).ok());
  int64_t next = 0;
  EXPECT_EQ(store_->ReadLog("r1", 0, next)->size(), 1u);
  EXPECT_TRUE(store_->ReadLog("r1", next, next)->empty());
  log.lines.mutable_lines(0)->set_text("two");
  ASSERT_TRUE(CommitAndWait(*store_, {log}).ok());
  const auto more = store_->ReadLog("r1", next, next);
  ASSERT_EQ(more->size(), 1u);
  EXPECT_EQ((*more)[0].lines(0).text(), "two");
}

TEST_P(StoreTest, EachRecordOfALogSaysWhereReadingGoesOnBehindIt) {
  for (const char* run : {"r1", "r2", "r1", "r1", "r2"}) {
    AppendLog log;
    log.lines.set_run(run);
    log.lines.set_next(99);  // what an agent says of it counts for nothing
    log.lines.add_lines();
    ASSERT_TRUE(CommitAndWait(*store_, {log}).ok());
  }
  int64_t end = 0;
  const auto all = store_->ReadLog("r1", 0, end);
  ASSERT_EQ(all->size(), 3u);
  EXPECT_EQ(all->back().next(), end);
  for (size_t i = 0; i < all->size(); ++i) {
    int64_t next = 0;
    const auto rest = store_->ReadLog("r1", (*all)[i].next(), next);
    EXPECT_EQ(rest->size(), all->size() - i - 1);
    EXPECT_EQ(next, end);
  }
}

TEST_P(StoreTest, TokensAreKeptByNameAndTheLastWordCounts) {
  PutToken one, two;
  one.record.mutable_token()->set_name("web");
  one.record.set_sha256(std::string("\0digest", 7));
  two.record.mutable_token()->set_name("db");
  ASSERT_TRUE(CommitAndWait(*store_, {one, two}).ok());
  one.record.mutable_token()->set_revoked_by("anna");
  ASSERT_TRUE(CommitAndWait(*store_, {one}).ok());
  Open();
  if (!GetParam()) return;  // memory forgets
  const auto tokens = store_->ListTokens();
  ASSERT_EQ(tokens->size(), 2u);
  EXPECT_EQ((*tokens)[0].token().name(), "db");
  EXPECT_EQ((*tokens)[1].token().revoked_by(), "anna");
  EXPECT_EQ((*tokens)[1].sha256(), one.record.sha256());
}

TEST_P(StoreTest, EventsOfARunHaveNoGapsAndNoDoubles) {
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r1"), Granted("r1", 0)}).ok());
  EXPECT_FALSE(CommitAndWait(*store_, {Granted("r1", 0)}).ok());
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreTest, testing::Bool(),
                         [](const auto& store) { return store.param ? "Sqlite" : "Memory"; });

class SqliteStoreTest : public StoreTest {
 protected:
  // What a bad disk, or somebody with an editor, does to the file while nobody has it open.
  void ChangeOnDisk(const std::string& sql) {
    store_.reset();
    {
      auto database = SqliteDatabase::Open(directory_ + "/salvor.db", SqliteDatabase::Mode::kDurable);
      ASSERT_TRUE(database.ok()) << database.status();
      const Status changed = (*database)->Execute(sql);
      ASSERT_TRUE(changed.ok()) << changed;
    }
    Open();
  }
};
INSTANTIATE_TEST_SUITE_P(Sqlite, SqliteStoreTest, testing::Values(true));

TEST_P(SqliteStoreTest, IsThereAgainAfterOpening) {
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r1"), Granted("r1", 0)}).ok());
  Open();
  EXPECT_EQ(store_->LoadRun("r1")->events.size(), 1u);
  ASSERT_TRUE(CommitAndWait(*store_, {Granted("r1", 1)}).ok());
  EXPECT_EQ(store_->LoadRun("r1")->events.size(), 2u);
}

TEST_P(SqliteStoreTest, AnEventThatChangedOnTheDiskIsNeverReadAsAnother) {
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r1"), Granted("r1", 0, "agent-a"), Begin("r2")}).ok());
  // It still parses: as the grant of another agent.
  ChangeOnDisk(
      "UPDATE journal SET events = CAST(replace(CAST(events AS TEXT), 'agent-a', 'agent-b') AS BLOB)");
  EXPECT_EQ(store_->LoadRun("r1").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(MessageOf(store_->LoadRun("r1").status()).find("event 0 of run r1"), std::string::npos);
  EXPECT_TRUE(store_->LoadRun("r2").ok());
}

TEST_P(SqliteStoreTest, AnEventThatIsCutOffOrMissingIsNoShorterHistory) {
  ASSERT_TRUE(
      CommitAndWait(*store_, {Begin("r1"), Granted("r1", 0), Granted("r1", 1), Begin("r2"), Granted("r2", 0)})
          .ok());
  ChangeOnDisk(
      "DELETE FROM journal WHERE run = 1 AND first = 0; UPDATE journal SET events = x'' WHERE run = 2");
  EXPECT_EQ(store_->LoadRun("r1").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(store_->LoadRun("r2").status().code(), absl::StatusCode::kDataLoss);
}

TEST_P(SqliteStoreTest, ARunWhoseRecordIsDamagedIsListedAsSuch) {
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r1"), Begin("r2")}).ok());
  ChangeOnDisk("UPDATE run SET flow = x'0a0161' WHERE name = CAST('r1' AS BLOB)");
  const auto runs = store_->ListRuns("", 10);
  ASSERT_EQ(runs->size(), 2u);
  EXPECT_EQ((*runs)[1].header().name(), "r1");
  EXPECT_EQ((*runs)[1].phase(), v1::RUN_PHASE_QUARANTINED);
  EXPECT_EQ((*runs)[0].phase(), v1::RUN_PHASE_UNSPECIFIED);
  ASSERT_EQ(store_->DamagedRecords().size(), 1u);
  EXPECT_EQ(store_->DamagedRecords()[0].name, "r1");
}

TEST_P(SqliteStoreTest, ADamagedRecordIsLeftOutAndNamedAndItsNeighboursStay) {
  PutBackup one, two;
  one.backup.set_name("b1");
  two.backup.set_name("b2");
  PutObligation obligation;
  obligation.agent = "agent-a";
  obligation.obligation.set_run("r1");
  obligation.obligation.set_name("scratch");
  AppendLog log;
  log.lines.set_run("r1");
  log.lines.add_lines()->set_text("one");
  PutToken token;
  token.record.mutable_token()->set_name("web");
  ASSERT_TRUE(CommitAndWait(*store_, {one, two, obligation, log, token}).ok());
  ChangeOnDisk(
      "UPDATE backup SET body = x'ff' WHERE number = 1; UPDATE obligation SET body = x'ff';"
      "UPDATE log SET body = x'ff'; UPDATE token SET body = x'0a0164'");
  EXPECT_TRUE(store_->ListTokens()->empty()) << "a token that changed admits nobody";
  ASSERT_EQ(store_->ListBackups()->size(), 1u);
  EXPECT_EQ((*store_->ListBackups())[0].name(), "b2");
  ASSERT_EQ(store_->ListObligations()->size(), 1u) << "what is open stays open";
  EXPECT_EQ((*store_->ListObligations())[0].obligation.run(), "r1");
  int64_t next = 0;
  const auto lines = store_->ReadLog("r1", 0, next);
  ASSERT_EQ(lines->size(), 1u);
  EXPECT_NE((*lines)[0].lines(0).text().find("can't be read"), std::string::npos);
  EXPECT_EQ(store_->DamagedRecords().size(), 4u);
}

TEST_P(SqliteStoreTest, AStoreOf01IsMigratedAndItsRowsAreTaken) {
  store_.reset();
  ASSERT_TRUE(RemoveTree(directory_).ok());
  ASSERT_TRUE(MakeDirectories(directory_, 0700).ok());
  {
    auto database = SqliteDatabase::Open(directory_ + "/salvor.db", SqliteDatabase::Mode::kDurable);
    ASSERT_TRUE((*database)->Execute(StoreMigrations()[0].sql).ok());
    ASSERT_TRUE(
        (*database)
            ->Execute("PRAGMA user_version = 1; INSERT INTO backup(name, body) VALUES(x'6231', x'0a026231')")
            .ok());
  }
  Open();
  ASSERT_EQ(store_->ListBackups()->size(), 1u);
  EXPECT_EQ((*store_->ListBackups())[0].name(), "b1");
  EXPECT_TRUE(store_->DamagedRecords().empty());
}

// Logs write no events, and must not fill the disk with what waits for a checkpoint.
TEST_P(SqliteStoreTest, TheWriteAheadLogStaysBoundedUnderLogsAlone) {
  AppendLog log;
  log.lines.set_run("r1");
  log.lines.add_lines()->set_text(std::string(1 << 20, 'x'));
  for (int i = 0; i < 160; ++i) ASSERT_TRUE(CommitAndWait(*store_, {log}).ok());
  EXPECT_LT(std::filesystem::file_size(directory_ + "/salvor.db-wal"), 100u << 20);
}

TEST_P(SqliteStoreTest, RefusesASecondProcess) {
  EXPECT_EQ(OpenSqliteStore(directory_).status().code(), absl::StatusCode::kFailedPrecondition);
}

// What was acknowledged before a kill -9 is there, and what was not is there wholly or not at all.
TEST_P(SqliteStoreTest, AcknowledgedMeansThereAfterAKill) {
  store_.reset();
  int acknowledged[2];
  ASSERT_EQ(::pipe(acknowledged), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto store = OpenSqliteStore(directory_);
    (*store)->Commit({Begin("r1")}, [](const Status&) {});
    for (int64_t i = 0;; ++i) {
      if (!CommitAndWait(**store, {Granted("r1", i)}).ok()) ::_exit(1);
      if (::write(acknowledged[1], "x", 1) != 1) ::_exit(1);
    }
  }
  char byte;
  for (int i = 0; i < 200; ++i) ASSERT_EQ(::read(acknowledged[0], &byte, 1), 1);
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ::close(acknowledged[1]);
  size_t count = 200;
  while (::read(acknowledged[0], &byte, 1) == 1) ++count;
  ::close(acknowledged[0]);
  Open();
  EXPECT_GE(store_->LoadRun("r1")->events.size(), count);
}

}  // namespace
}  // namespace salvor::controlplane
