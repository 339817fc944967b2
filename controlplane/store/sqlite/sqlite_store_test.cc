// The store on SQLite keeps what the suite of all stores (contract/store_test.cc) does not ask: damage, migrations, a
// kill, the files.
#include "controlplane/store/sqlite/sqlite_store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "base/io/files.h"
#include "base/io/sqlite/database.h"
#include "controlplane/store/contract/store_testing.h"
#include "controlplane/store/sqlite/sqlite_schema.h"

namespace salvor::controlplane {
namespace {

class SqliteStoreTest : public testing::Test {
 protected:
  SqliteStoreTest() { Open(); }
  void Open() {
    store_.reset();
    auto opened = OpenSqliteStore(directory_.Path());
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }
  // Does what a bad disk, or somebody with an editor, does to the file while nobody has it open.
  void ChangeOnDisk(const std::string& sql) {
    store_.reset();
    {
      auto database = SqliteDatabase::Open(directory_.Path() + "/salvor.db", SqliteDatabase::Mode::kDurable);
      ASSERT_TRUE(database.ok()) << database.status();
      const Status changed = (*database)->Execute(sql);
      ASSERT_TRUE(changed.ok()) << changed;
    }
    Open();
  }

  StoreDirectory directory_;
  std::unique_ptr<Store> store_;
};

TEST_F(SqliteStoreTest, IsThereAgainAfterOpening) {
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r1"), Granted("r1", 0)}).ok());
  Open();
  EXPECT_EQ(store_->LoadRun("r1")->events.size(), 1u);
  ASSERT_TRUE(CommitAndWait(*store_, {Granted("r1", 1)}).ok());
  EXPECT_EQ(store_->LoadRun("r1")->events.size(), 2u);
}

TEST_F(SqliteStoreTest, AnEventThatChangedOnTheDiskIsNeverReadAsAnother) {
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r1"), Granted("r1", 0, "agent-a"), Begin("r2")}).ok());
  // It still parses: as the grant of another agent.
  ChangeOnDisk(
      "UPDATE journal SET events = CAST(replace(CAST(events AS TEXT), 'agent-a', 'agent-b') AS BLOB)");
  EXPECT_EQ(store_->LoadRun("r1").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(MessageOf(store_->LoadRun("r1").status()).find("event 0 of run r1"), std::string::npos);
  EXPECT_TRUE(store_->LoadRun("r2").ok());
}

TEST_F(SqliteStoreTest, AnEventThatIsCutOffOrMissingIsNoShorterHistory) {
  ASSERT_TRUE(
      CommitAndWait(*store_, {Begin("r1"), Granted("r1", 0), Granted("r1", 1), Begin("r2"), Granted("r2", 0)})
          .ok());
  ChangeOnDisk(
      "DELETE FROM journal WHERE run = 1 AND first = 0; UPDATE journal SET events = x'' WHERE run = 2");
  EXPECT_EQ(store_->LoadRun("r1").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(store_->LoadRun("r2").status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(SqliteStoreTest, ARunWhoseRecordIsDamagedIsListedAsSuch) {
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r1"), Begin("r2")}).ok());
  ChangeOnDisk(
      "UPDATE run SET header = x'0a027232' WHERE name = CAST('r1' AS BLOB)");  // it parses, as that of r2
  const auto runs = ReadAllRuns(*store_, {});
  ASSERT_EQ(runs->size(), 2u);
  EXPECT_EQ((*runs)[1].header().name(), "r1");
  EXPECT_EQ((*runs)[1].phase(), v1::RUN_PHASE_QUARANTINED);
  EXPECT_EQ((*runs)[0].phase(), v1::RUN_PHASE_UNSPECIFIED);
  ASSERT_EQ(store_->DamagedRecords().size(), 1u);
  EXPECT_EQ(store_->DamagedRecords()[0].name, "r1");
}

TEST_F(SqliteStoreTest, AFlowThatChangedOnTheDiskIsFoundWhereItIsReadAndNotByLists) {
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r1"), Begin("r2")}).ok());
  ChangeOnDisk("UPDATE run SET flow = x'0a0161' WHERE name = CAST('r1' AS BLOB)");
  EXPECT_EQ(store_->LoadRun("r1").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(store_->LoadRun("r2").ok());
  const auto runs = ReadAllRuns(*store_, {});
  ASSERT_EQ(runs->size(), 2u);
  EXPECT_EQ((*runs)[1].phase(), v1::RUN_PHASE_UNSPECIFIED);
  EXPECT_TRUE(store_->LoadRunSummary("r1").ok());

  // The checksum of the whole row was all there was before the header had one of its own.
  ChangeOnDisk("UPDATE run SET header_checksum = NULL");
  EXPECT_EQ((*ReadAllRuns(*store_, {}))[1].phase(), v1::RUN_PHASE_QUARANTINED);
  EXPECT_EQ((*ReadAllRuns(*store_, {}))[0].phase(), v1::RUN_PHASE_UNSPECIFIED);
}

TEST_F(SqliteStoreTest, AViewThatChangedOnTheDiskIsNotShownAndAVerificationIsLeftOut) {
  FinishRun finish;
  finish.summary.mutable_header()->set_name("r1");
  finish.view = std::make_shared<v1::Run>(finish.summary);
  PutVerification one, two;
  one.verification.set_backup("b1");
  one.verification.set_run("d1");
  two.verification.set_backup("b1");
  two.verification.set_run("d2");
  ASSERT_TRUE(CommitAndWait(*store_, {Begin("r1"), finish, one, two}).ok());
  ChangeOnDisk("UPDATE run SET view = x'1004'; UPDATE verification SET body = x'1004' WHERE number = 1");
  EXPECT_EQ(store_->LoadRunView("r1").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(store_->LoadRunSummary("r1").ok()) << "it has a checksum of its own";
  ASSERT_EQ(store_->ListVerifications("b1")->size(), 1u);
  EXPECT_EQ((*store_->ListVerifications("b1"))[0].run(), "d2");
  EXPECT_EQ(store_->DamagedRecords().size(), 2u);
  ChangeOnDisk("UPDATE run SET view = x''");
  EXPECT_EQ(store_->LoadRunView("r1").status().code(), absl::StatusCode::kDataLoss)
      << "no view is another thing";
}

TEST_F(SqliteStoreTest, ADamagedRecordIsLeftOutAndNamedAndItsNeighboursStay) {
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
  ASSERT_EQ(ReadAllBackups(*store_)->size(), 1u);
  EXPECT_EQ((*ReadAllBackups(*store_))[0].name(), "b2");
  ASSERT_EQ(store_->ListObligations()->size(), 1u) << "what is open stays open";
  EXPECT_EQ((*store_->ListObligations())[0].obligation.run(), "r1");
  int64_t next = 0;
  const auto lines = store_->ReadLog("r1", 0, next);
  ASSERT_EQ(lines->size(), 1u);
  EXPECT_NE((*lines)[0].lines(0).text().find("can't be read"), std::string::npos);
  EXPECT_EQ(store_->DamagedRecords().size(), 4u);
}

TEST_F(SqliteStoreTest, AStoreOf01IsMigratedAndItsRowsAreTaken) {
  store_.reset();
  ASSERT_TRUE(RemoveTree(directory_.Path()).ok());
  ASSERT_TRUE(MakeDirectories(directory_.Path(), 0700).ok());
  {
    auto database = SqliteDatabase::Open(directory_.Path() + "/salvor.db", SqliteDatabase::Mode::kDurable);
    ASSERT_TRUE((*database)->Execute(StoreMigrations()[0].sql).ok());
    ASSERT_TRUE(
        (*database)
            ->Execute("PRAGMA user_version = 1; INSERT INTO backup(name, body) VALUES(x'6231', x'0a026231')")
            .ok());
  }
  Open();
  ASSERT_EQ(ReadAllBackups(*store_)->size(), 1u);
  EXPECT_EQ((*ReadAllBackups(*store_))[0].name(), "b1");
  EXPECT_TRUE(store_->DamagedRecords().empty());
}

// Logs write no events, and must not fill the disk with what waits for a checkpoint.
TEST_F(SqliteStoreTest, TheWriteAheadLogStaysBoundedUnderLogsAlone) {
  AppendLog log;
  log.lines.set_run("r1");
  log.lines.add_lines()->set_text(std::string(1 << 20, 'x'));
  for (int i = 0; i < 160; ++i) ASSERT_TRUE(CommitAndWait(*store_, {log}).ok());
  EXPECT_LT(std::filesystem::file_size(directory_.Path() + "/salvor.db-wal"), 100u << 20);
}

TEST_F(SqliteStoreTest, RefusesASecondProcess) {
  EXPECT_EQ(OpenSqliteStore(directory_.Path()).status().code(), absl::StatusCode::kFailedPrecondition);
}

// A commit that was acknowledged before a kill -9 is there, and one that was not is there wholly or not at all.
TEST_F(SqliteStoreTest, AcknowledgedMeansThereAfterAKill) {
  store_.reset();
  int acknowledged[2];
  ASSERT_EQ(::pipe(acknowledged), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto store = OpenSqliteStore(directory_.Path());
    (*store)->Commit({Begin("r1")}, [](const CommitOutcome&) {});
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
