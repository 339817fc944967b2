#include "agent/scratch/actions/scratch_actions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "agent/engines/postgres/actions/actions_testing.h"
#include "agent/engines/postgres/actions/common.h"
#include "agent/scratch/scratch_state.h"

namespace salvor::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ScratchActionsTest : public PostgresActionsTest {
 protected:
  StatusOr<v1::ActionResult> StartScratch(const std::string& name) {
    v1::Action action;
    action.mutable_scratch_start()->set_name(name);
    action.mutable_scratch_start()->set_postgres(true);
    return Act(RunScratchStart, action, name);
  }
  static void KillServer(const std::string& name) {
    const ScratchState state = Server().Servers().EnsureRunning(name).value();
    ASSERT_EQ(kill(FindServerProcess(state.directory + "/data"), SIGKILL), 0);
  }
};

TEST_F(ScratchActionsTest, ADrillBeginsWithTheEvidenceOfItsIsolation) {
  const auto started = StartScratch("drill-1");
  ASSERT_TRUE(started.ok()) << MessageOf(started.status());
  ASSERT_EQ(started->checks_size(), 1);
  EXPECT_EQ(started->checks(0).kind(), "isolation");
  EXPECT_EQ(started->checks(0).verdict(), v1::Check::VERDICT_PASSED) << Render(*started);
  EXPECT_EQ(started->note(), "");
  EXPECT_TRUE(Server().Servers().Remove("drill-1").ok());
}

// Rows that the restore put into unlogged tables are gone with the server; the backup has them still.
TEST_F(ScratchActionsTest, ARestartOfTheScratchServerIsNotHeldAgainstTheBackup) {
  for (const char* name : {"fast", "plain"})
    Server().Execute("postgres", fmt::format("CREATE DATABASE {}", name));
  Server().Execute("fast", "CREATE UNLOGGED TABLE t AS SELECT generate_series(1, 1000) AS x");
  Server().Execute("plain", "CREATE TABLE t AS SELECT generate_series(1, 1000) AS x");
  const Kept fast = Backup("fast", "run-1"), plain = Backup("plain", "run-2");
  const v1::PostgresTarget drill = Scratch("drill-1");
  ASSERT_TRUE(RestoreRoles(drill, fast).ok());
  ASSERT_TRUE(Restore(drill, fast, "fast").ok());
  ASSERT_TRUE(Restore(drill, plain, "plain").ok());
  KillServer("drill-1");

  const auto emptied = Verify(drill, fast, "fast");
  EXPECT_EQ(emptied.status().code(), absl::StatusCode::kUnavailable) << MessageOf(emptied.status());
  EXPECT_THAT(MessageOf(emptied.status()), HasSubstr("restarted"));
  EXPECT_NE(HintOf(emptied.status()), "");
  const auto whole = Verify(drill, plain, "plain");
  ASSERT_TRUE(whole.ok()) << MessageOf(whole.status());
  EXPECT_THAT(KindsNotPassed(*whole), ElementsAre()) << Render(*whole);
  EXPECT_TRUE(Server().Servers().Remove("drill-1").ok());
}

// Statistics of a foreign table, or of a parent of one, would be asked for at its server.
TEST_F(ScratchActionsTest, StatisticsAreCollectedOfWhatIsHereAlone) {
  Server().Execute("postgres", "CREATE DATABASE shop");
  Server().Execute("shop", R"sql(
    CREATE EXTENSION postgres_fdw;
    CREATE SERVER production FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '/nonexistent');
    CREATE USER MAPPING FOR PUBLIC SERVER production;
    CREATE TABLE plain AS SELECT 1 AS x;
    CREATE FOREIGN TABLE away (x int) SERVER production;
    CREATE TABLE parts (x int) PARTITION BY LIST (x);
    CREATE TABLE part_here PARTITION OF parts FOR VALUES IN (1);
    CREATE TABLE part_tree PARTITION OF parts FOR VALUES IN (2, 3) PARTITION BY LIST (x);
    CREATE FOREIGN TABLE part_away PARTITION OF part_tree FOR VALUES IN (2) SERVER production;
    CREATE TABLE parent (x int);
    CREATE FOREIGN TABLE child () INHERITS (parent) SERVER production;
  )sql");
  const auto session = Server().Connect("shop");
  EXPECT_FALSE(session->Execute("ANALYZE").ok());
  const auto left = AnalyzeWhatIsHere(*session);
  ASSERT_TRUE(left.ok()) << MessageOf(left.status());
  EXPECT_THAT(*left, ElementsAre("public.away", "public.child", "public.parent", "public.part_away",
                                 "public.part_tree", "public.parts"));
  EXPECT_EQ(Server().Value("shop", "SELECT reltuples FROM pg_class WHERE relname = 'plain'"), "1");
}

TEST(HoldsPlaceTest, APlaceIsHeldByTheUndoThatNamesItOrByTheRunOfThatName) {
  v1::HeldObligation held;
  held.set_run("drill-shop-1");
  EXPECT_TRUE(HoldsPlace(held, "drill-shop-1"));
  EXPECT_FALSE(HoldsPlace(held, "drill-shop-1-other"));
  held.mutable_undo()->mutable_scratch_stop()->set_name("drill-shop-1-other");
  EXPECT_TRUE(HoldsPlace(held, "drill-shop-1-other")) << "one run may have several";
  EXPECT_FALSE(HoldsPlace(held, ""));
  held.mutable_undo()->mutable_disk_restore_undo();
  EXPECT_FALSE(HoldsPlace(held, "drill-shop-1-other"));
}

}  // namespace
}  // namespace salvor::agent
