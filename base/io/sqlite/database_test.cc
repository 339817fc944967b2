#include "base/io/sqlite/database.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/io/files.h"

namespace salvor {
namespace {

class SqliteTest : public testing::Test {
 protected:
  SqliteTest() : directory_(testing::TempDir() + "sqliteXXXXXX") {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/a.db";
  }
  ~SqliteTest() override { EXPECT_TRUE(RemoveTree(directory_).ok()); }

  std::string directory_, path_;
};

TEST_F(SqliteTest, IsDurableOrDoesNotOpen) {
  auto database = SqliteDatabase::Open(path_, SqliteDatabase::Mode::kDurable);
  ASSERT_TRUE(database.ok()) << database.status();
  EXPECT_EQ(*(*database)->ReadPragma("journal_mode"), "wal");
  EXPECT_EQ(*(*database)->ReadPragma("synchronous"), "2");
  // An in-memory database can't be durable, and says so.
  EXPECT_EQ(SqliteDatabase::Open(":memory:", SqliteDatabase::Mode::kDurable).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(SqliteTest, KeepsBytesAsTheyAre) {
  auto database = SqliteDatabase::Open(path_, SqliteDatabase::Mode::kDurable);
  ASSERT_TRUE((*database)->Execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)").ok());
  const std::string bytes("a\0b\xff", 4);
  auto insert = (*database)->Prepare("INSERT INTO t VALUES(?, ?)");
  ASSERT_TRUE(insert->Bind(0, int64_t{7}).Bind(1, bytes).Run().ok());
  auto select = (*database)->Prepare("SELECT a, b FROM t");
  ASSERT_TRUE(*select->Step());
  EXPECT_EQ(select->Int(0), 7);
  EXPECT_EQ(select->Bytes(1), bytes);
  EXPECT_EQ(insert->Bind(0, int64_t{7}).Bind(1, bytes).Run().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(SqliteTest, ItsFilesAreTheirOwnersAlone) {
  const mode_t mask = ::umask(0);
  { auto made = SqliteDatabase::Open(path_, SqliteDatabase::Mode::kDurable); }
  ASSERT_EQ(::chmod(path_.c_str(), 0644), 0) << "as an earlier version left it";
  auto database = SqliteDatabase::Open(path_, SqliteDatabase::Mode::kDurable);
  ASSERT_TRUE((*database)->Execute("CREATE TABLE t(a)").ok());
  ::umask(mask);
  for (const char* suffix : {"", "-wal", "-shm"}) {
    struct stat status {};
    ASSERT_EQ(::stat((path_ + suffix).c_str(), &status), 0) << suffix;
    EXPECT_EQ(status.st_mode & 0777, 0600u) << suffix;
  }
}

TEST_F(SqliteTest, NamesAFileThatIsNoDatabase) {
  ASSERT_TRUE(WriteFileAtomically(path_, std::string(4096, 'x')).ok());
  EXPECT_EQ(SqliteDatabase::Open(path_, SqliteDatabase::Mode::kDurable).status().code(),
            absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace salvor
