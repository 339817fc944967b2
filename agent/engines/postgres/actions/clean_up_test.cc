// Attempts that were killed leave things, which are removed; nothing of anybody else is.
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "agent/engines/postgres/actions/actions.h"
#include "agent/engines/postgres/actions/actions_testing.h"
#include "agent/engines/postgres/actions/dump_file.h"
#include "agent/engines/postgres/actions/restore_marker.h"
#include "agent/process/process_testing.h"
#include "base/io/files.h"
#include "base/io/sha256.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

class PostgresCleanUpTest : public PostgresActionsTest {
 protected:
  static v1::Task RestoreOf(const std::string& database, const std::string& run = "restore-1") {
    v1::Task task;
    task.mutable_lease()->set_run(run);
    v1::PostgresRestore& restore = *task.mutable_action()->mutable_postgres_restore();
    *restore.mutable_target() = Here();
    restore.mutable_database()->set_name(database);
    restore.set_run(run);
    return task;
  }
  static std::string TemporaryName(const std::string& database, const std::string& run = "restore-1") {
    return "salvor-" + ToHex(Sha256::Of(run + "\n" + database).substr(0, 12));
  }
  static std::string Databases(const std::string& like) {
    return Server().Value("postgres",
                          "SELECT coalesce(string_agg(datname, ' ' ORDER BY datname), '') FROM pg_database"
                          " WHERE datname LIKE '" +
                              like + "'");
  }
  Status CleanUp(const v1::Task& task) {
    ActionRegistry registry;
    RegisterPostgresActions(registry);
    ActionContext context{config_, TestTools(), task, {}, SteadyNow() + absl::Minutes(2), nullptr, nullptr};
    return CleanUpByKind(registry, task.action(), context);
  }
};

TEST_F(PostgresCleanUpTest, HalfDatabasesOfThisRunGoAndNoOthers) {
  Server().Execute("postgres", "CREATE DATABASE half_one");
  Server().Execute("postgres", "COMMENT ON DATABASE half_one IS '" + RestoreMarker("restore-1") + "'");
  Server().Execute("postgres", "CREATE DATABASE half_two");
  Server().Execute("postgres", "COMMENT ON DATABASE half_two IS '" + RestoreMarker("restore-2") + "'");
  Server().Execute("postgres", "CREATE DATABASE half_three");
  Server().Execute("postgres", "CREATE DATABASE \"" + TemporaryName("half_four") + "\"");
  for (const char* database : {"half_one", "half_two", "half_three", "half_four"}) {
    const Status cleaned = CleanUp(RestoreOf(database));
    EXPECT_TRUE(cleaned.ok()) << database << ": " << MessageOf(cleaned);
  }
  EXPECT_EQ(Databases("half%"), "half_three half_two") << "somebody else's, and another run's";
  EXPECT_EQ(Databases("salvor-%"), "");
}

TEST_F(PostgresCleanUpTest, AFinishedRestoreStays) {
  Server().Execute("postgres", "CREATE DATABASE whole");
  Server().Execute("whole", "CREATE TABLE t AS SELECT 1 AS n");
  const Kept kept = Backup("whole");
  const auto restored = Restore(Here(), kept, "whole_copy", "restore-3");
  ASSERT_TRUE(restored.ok()) << MessageOf(restored.status());
  EXPECT_TRUE(CleanUp(RestoreOf("whole_copy", "restore-3")).ok());
  EXPECT_EQ(Server().Value("whole_copy", "SELECT n FROM t"), "1");
}

// CREATE DATABASE can't be dropped before it is done, and the session of a dead agent goes on with it.
TEST_F(PostgresCleanUpTest, ADatabaseThatAKilledAgentsSessionIsStillCreatingIsNotLeft) {
  SessionOptions options;
  options.deadline = SteadyTime::InfiniteFuture();
  const auto holder = Connection::Open(Server().Where(), options);
  ASSERT_TRUE(holder.ok());
  // It lets go by itself, so that nothing waits for ever when what is tested here fails.
  ASSERT_TRUE((*holder)
                  ->Execute("SET idle_in_transaction_session_timeout = '60s';"
                            "BEGIN; LOCK TABLE pg_database IN SHARE MODE")
                  .ok());
  const std::string create = "CREATE DATABASE \"" + TemporaryName("slow") + "\" TEMPLATE template0";
  Status created;
  std::jthread creator([&] {
    const auto session = Connection::Open(Server().Where(), options);
    created = session.ok() ? (*session)->Execute(create) : session.status();
  });
  Status cleaned;
  ASSERT_TRUE(Eventually([] {
    return Server().Value("postgres",
                          "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                          " AND query LIKE 'CREATE DATABASE \"salvor-%'") == "1";
  }));
  std::jthread cleaner([&] { cleaned = CleanUp(RestoreOf("slow")); });
  creator.join();  // it is ended although its lock is not to be had
  EXPECT_FALSE(created.ok());
  EXPECT_TRUE((*holder)->Execute("COMMIT").ok()) << "it was ended in time";
  cleaner.join();
  EXPECT_TRUE(cleaned.ok()) << MessageOf(cleaned);
  EXPECT_EQ(Databases("salvor-%"), "");
}

TEST_F(PostgresCleanUpTest, TheFileOfAVolumeCaptureGoesAndItsNeighboursStay) {
  const std::string dumps = Server().Directory() + "/left-dumps";
  for (const char* file :
       {"/run-1/db.dump.shop.dump", "/run-2/db.dump.shop.dump", "/run-3/db.dump.other.dump"}) {
    ASSERT_TRUE(MakeDirectories(std::filesystem::path(dumps + file).parent_path(), 0700).ok());
    ASSERT_TRUE(WriteFileAtomically(dumps + file, "dump").ok());
  }
  v1::Task task;
  v1::PostgresDump& dump = *task.mutable_action()->mutable_postgres_dump();
  dump.mutable_component()->set_capture(v1::CAPTURE_VOLUME);
  dump.mutable_component()->set_dump_directory(dumps);
  dump.mutable_target()->set_artifact("db.dump.shop");
  for (const char* run : {"run-1", "run-3", "run-4"}) {  // the last one left nothing
    task.mutable_lease()->set_run(run);
    const Status cleaned = CleanUp(task);
    EXPECT_TRUE(cleaned.ok()) << run << ": " << MessageOf(cleaned);
  }
  EXPECT_FALSE(std::filesystem::exists(dumps + "/run-1")) << "with its folder";
  EXPECT_TRUE(std::filesystem::exists(dumps + "/run-2/db.dump.shop.dump")) << "another run's";
  EXPECT_TRUE(std::filesystem::exists(dumps + "/run-3/db.dump.other.dump")) << "another database's";
  dump.mutable_component()->set_capture(v1::CAPTURE_STREAM);
  task.mutable_lease()->set_run("run-2");
  EXPECT_TRUE(CleanUp(task).ok());
  EXPECT_TRUE(std::filesystem::exists(dumps + "/run-2/db.dump.shop.dump")) << "none of a capture by stream";
}

}  // namespace
}  // namespace salvor::agent
