#include "base/io/sqlite/migrations.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/io/files.h"
#include "base/io/sqlite/row_checksum.h"

namespace salvor {
namespace {

class MigrationsTest : public testing::Test {
 protected:
  MigrationsTest() : directory_(testing::TempDir() + "migrationsXXXXXX") {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    database_ = *SqliteDatabase::Open(directory_ + "/a.db", SqliteDatabase::Mode::kDurable);
  }
  ~MigrationsTest() override {
    database_.reset();
    EXPECT_TRUE(RemoveTree(directory_).ok());
  }
  std::string Version() { return *database_->ReadPragma("user_version"); }

  const std::vector<SqliteMigration> two_ = {{1, "CREATE TABLE t(a INTEGER)"},
                                             {2, "ALTER TABLE t ADD COLUMN b INTEGER"}};
  std::string directory_;
  std::unique_ptr<SqliteDatabase> database_;
};

TEST_F(MigrationsTest, AppliesWhatIsMissingAndNothingTwice) {
  ASSERT_TRUE(Migrate(*database_, {two_[0]}).ok());
  EXPECT_EQ(Version(), "1");
  ASSERT_TRUE(Migrate(*database_, two_).ok());
  ASSERT_TRUE(Migrate(*database_, two_).ok());
  EXPECT_EQ(Version(), "2");
  EXPECT_TRUE(database_->Execute("INSERT INTO t VALUES(1, 2)").ok());
}

TEST_F(MigrationsTest, OneThatFailsLeavesTheDatabaseAsItWasBeforeIt) {
  std::vector<SqliteMigration> broken = two_;
  broken[1].sql = "ALTER TABLE t ADD COLUMN b INTEGER; CREATE TABLE t(a)";
  const Status status = Migrate(*database_, broken);
  EXPECT_FALSE(status.ok());
  EXPECT_NE(MessageOf(status).find("migration 2"), std::string::npos) << status;
  EXPECT_EQ(Version(), "1");
  EXPECT_FALSE(database_->Execute("SELECT b FROM t").ok());
  EXPECT_TRUE(Migrate(*database_, two_).ok());
}

TEST_F(MigrationsTest, ADatabaseOfANewerVersionIsLeftAlone) {
  ASSERT_TRUE(Migrate(*database_, two_).ok());
  const Status status = Migrate(*database_, {two_[0]});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Version(), "2");
}

TEST(RowChecksumTest, DependsOnEveryByteAndOnWhereAPartEnds) {
  const int64_t checksum = RowChecksum({"run-1", "body"});
  EXPECT_EQ(checksum, RowChecksum({"run-1", "body"}));
  EXPECT_NE(checksum, RowChecksum({"run-1", "bodz"}));
  EXPECT_NE(checksum, RowChecksum({"run-2", "body"}));
  EXPECT_NE(checksum, RowChecksum({"run-1b", "ody"}));
  EXPECT_NE(RowChecksum({""}), RowChecksum({"", ""}));
}

}  // namespace
}  // namespace salvor
