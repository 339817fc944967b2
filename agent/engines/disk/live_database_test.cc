#include "agent/engines/disk/live_database.h"

#include <gmock/gmock.h>

#include "agent/engines/disk/tree_testing.h"
#include "agent/process/process_testing.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;

class LiveDatabaseTest : public testing::Test {
 protected:
  void Make(const std::string& path, const std::string& file) {
    ASSERT_TRUE(MakeDirectories(directory_ / path).ok());
    Put(directory_ / (path + "/" + file), "x");
  }
  std::string Refusal(const std::string& path) { return MessageOf(RefuseLiveDatabases({directory_ / path})); }

  TemporaryDirectory directory_;
};

TEST_F(LiveDatabaseTest, ADataDirectoryOfEachEngineIsRefused) {
  Make("pg/base", "1");
  Make("pg", "PG_VERSION");
  Make("my", "ibdata1");
  Make("mongo", "WiredTiger");
  Make("neo/databases/graph", "neostore");
  EXPECT_THAT(Refusal("pg"), HasSubstr("data directory of PostgreSQL"));
  EXPECT_THAT(Refusal("my"), HasSubstr("data directory of MySQL or MariaDB"));
  EXPECT_THAT(Refusal("mongo"), HasSubstr("data directory of MongoDB"));
  EXPECT_THAT(Refusal("neo"), HasSubstr("data directory of Neo4j"));
  EXPECT_THAT(HintOf(RefuseLiveDatabases({directory_ / "pg"})), HasSubstr("postgres"));
}

TEST_F(LiveDatabaseTest, OneAboveOrBelowIsFoundToo) {
  Make("srv/lib/postgresql/main/base", "1");
  Make("srv/lib/postgresql/main", "PG_VERSION");
  EXPECT_THAT(Refusal("srv"), HasSubstr("main is a data directory of PostgreSQL"));
  EXPECT_THAT(Refusal("srv/lib/postgresql/main/base"),
              HasSubstr("base lies in a data directory of PostgreSQL"));
}

TEST_F(LiveDatabaseTest, ItsPathIsSaidAsItWasDeclared) {
  Make("größe 100%/my", "ibdata1");
  EXPECT_THAT(Refusal("größe 100%"), HasSubstr("/größe 100%/my is a data directory of MySQL or MariaDB"));
  EXPECT_THAT(Refusal("größe 100%/my/files"), HasSubstr("/größe 100%/my/files lies in a data directory"));
}

TEST_F(LiveDatabaseTest, OneThatIsExcludedPasses) {
  Make("srv/lib/my", "ibdata1");
  EXPECT_THAT(Refusal("srv"), HasSubstr("MySQL"));
  EXPECT_TRUE(RefuseLiveDatabases({directory_ / "srv"}, ExcludePatterns({"lib/my"})).ok());
  EXPECT_FALSE(RefuseLiveDatabases({directory_ / "srv"}, ExcludePatterns({"lib/your"})).ok());
}

TEST_F(LiveDatabaseTest, OtherDirectoriesFilesAndSymlinksPass) {
  Make("pg/base", "1");
  Make("pg", "PG_VERSION");
  Make("files/base", "1");
  Make("version", "PG_VERSION");
  ASSERT_EQ(::symlink((directory_ / "pg").c_str(), (directory_ / "files/link").c_str()), 0);
  for (const char* path : {"files", "files/link", "files/base/1", "version", "not there"})
    EXPECT_EQ(Refusal(path), "") << path;
}

}  // namespace
}  // namespace salvor::agent
