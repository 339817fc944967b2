// A drill differs from a restore: views over foreign things stay empty, and a server that started again is loaded
// again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "agent/engines/postgres/actions/actions_testing.h"
#include "agent/engines/postgres/actions/common.h"
#include "agent/engines/postgres/actions/copy_probes.h"
#include "agent/engines/postgres/actions/refresh.h"
#include "agent/probes/application_check_actions.h"
#include "agent/scratch/scratch_state.h"

namespace salvor::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kEmptyViews[] =
    "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relkind = 'm' AND NOT relispopulated";

StatusOr<v1::ActionResult> RunChecks(const v1::ApplicationChecks& action, ActionContext& context) {
  return RunApplicationChecks(action, context, {PostgresCopies()});
}

class PostgresDrillTest : public PostgresActionsTest {
 protected:
  static void MakeDatabase(const std::string& sql, const std::string& how = "") {
    Server().Execute("postgres", "CREATE DATABASE shop " + how);
    Server().Execute("shop", sql);
  }

  // "7", or why there is no value.
  static std::string Ask(const std::string& drill, const std::string& sql) {
    const auto state = Server().Servers().EnsureRunning(drill);
    if (!state.ok()) return MessageOf(state.status());
    SessionOptions options;
    options.database = "shop";
    options.pinned = false;
    auto session = Connection::Open(ConnectionTo(*state), options);
    if (!session.ok()) return MessageOf(session.status());
    const auto value = (*session)->Value(sql);
    return value.ok() ? *value : MessageOf(value.status());
  }

  static void KillServer(const std::string& name) {
    const ScratchState state = Server().Servers().EnsureRunning(name).value();
    ASSERT_EQ(kill(FindServerProcess(state.directory + "/data"), SIGKILL), 0);
  }

  // A file that only the source's server has is the world outside.
  static std::string ViewsOverOutside() {
    const std::string outside = Server().Value("postgres", "SHOW data_directory") + "/outside.txt";
    Server().Execute("postgres", fmt::format("COPY (SELECT 7) TO '{}'", outside));
    return fmt::format(R"sql(
      CREATE EXTENSION file_fdw; CREATE EXTENSION dblink;
      CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
      CREATE TABLE here AS SELECT 1 AS x;
      CREATE FOREIGN TABLE away (x int) SERVER files OPTIONS (filename '{0}');
      CREATE TABLE parts (x int) PARTITION BY LIST (x);
      CREATE FOREIGN TABLE part_away PARTITION OF parts FOR VALUES IN (7) SERVER files OPTIONS (filename '{0}');
      CREATE FUNCTION peek() RETURNS text LANGUAGE plpgsql AS
        'BEGIN RETURN pg_catalog.pg_read_file(''{0}''); END';
      CREATE MATERIALIZED VIEW of_here AS SELECT count(*) AS n FROM here;
      CREATE VIEW shown AS SELECT * FROM away;
      CREATE MATERIALIZED VIEW "Of Away" AS SELECT * FROM shown; CREATE INDEX ON "Of Away" (x);
      CREATE MATERIALIZED VIEW of_parts AS SELECT * FROM parts;
      CREATE MATERIALIZED VIEW of_remote AS SELECT * FROM dblink('dbname=postgres host={1} user=postgres',
        'SELECT 1') AS t(x int);
      CREATE MATERIALIZED VIEW of_peek AS SELECT peek() AS t;
      CREATE MATERIALIZED VIEW of_views AS SELECT x FROM of_remote UNION ALL SELECT n FROM of_here;
      CREATE MATERIALIZED VIEW bare AS SELECT 1 AS x WITH NO DATA;
    )sql",
                       outside, Server().Value("postgres", "SHOW unix_socket_directories"));
  }
};

TEST_F(PostgresDrillTest, ViewsOverForeignThingsAreLeftEmptyByNameAndAllElseIsCompared) {
  MakeDatabase(ViewsOverOutside());
  const Kept kept = Backup("shop");
  const v1::PostgresTarget drill = Scratch("drill-1");
  ASSERT_TRUE(RestoreRoles(drill, kept).ok());
  const auto restored = Restore(drill, kept, "shop");
  ASSERT_TRUE(restored.ok()) << MessageOf(restored.status());
  EXPECT_EQ(Ask("drill-1", kEmptyViews), "Of Away bare of_parts of_peek of_remote of_views");
  EXPECT_EQ(Ask("drill-1", "SELECT n FROM of_here"), "1");

  const auto verified = Verify(drill, kept, "shop");
  ASSERT_TRUE(verified.ok()) << MessageOf(verified.status());
  EXPECT_THAT(KindsNotPassed(*verified), ElementsAre("materialized views")) << Render(*verified);
  std::vector<std::string> left;
  for (const v1::Check& check : verified->checks()) {
    EXPECT_NE(check.verdict(), v1::Check::VERDICT_FAILED) << Render(*verified);
    if (check.kind() == "materialized views") left.push_back(check.subject() + ": " + check.compared());
  }
  EXPECT_THAT(left,
              ElementsAre(HasSubstr("shop.public.\"Of Away\": left empty in the drill: it rests on foreign"),
                          HasSubstr("shop.public.of_parts: left empty in the drill: it rests on foreign"),
                          HasSubstr("shop.public.of_peek: left empty in the drill: its query failed"),
                          HasSubstr("of extension dblink"), HasSubstr("of_views")));
  EXPECT_TRUE(Server().Servers().Remove("drill-1").ok());
}

TEST_F(PostgresDrillTest, ARestoreFillsWhatADrillLeavesEmpty) {
  MakeDatabase(ViewsOverOutside());
  const Kept kept = Backup("shop");
  const auto restored = Restore(Here(), kept, "copy");
  ASSERT_TRUE(restored.ok()) << MessageOf(restored.status());
  EXPECT_EQ(Server().Value("copy", kEmptyViews), "bare");
  const auto verified = Verify(Here(), kept, "copy");
  ASSERT_TRUE(verified.ok()) << MessageOf(verified.status());
  EXPECT_THAT(KindsNotPassed(*verified), IsEmpty()) << Render(*verified);
}

TEST_F(PostgresDrillTest, ACheckThatLooksAtWhatIsLeftEmptyProvesNothing) {
  MakeDatabase(ViewsOverOutside());
  const Kept kept = Backup("shop");
  const v1::PostgresTarget drill = Scratch("drill-1");
  ASSERT_TRUE(RestoreRoles(drill, kept).ok());
  ASSERT_TRUE(Restore(drill, kept, "shop").ok());
  v1::Action action;
  v1::ApplicationChecks& checks = *action.mutable_application_checks();
  checks.set_component("db");
  checks.set_drill(true);
  *checks.mutable_postgres() = drill;
  (*checks.mutable_database_names())["shop"] = "shop";
  const auto add = [&checks](const std::string& query) {
    v1::ApplicationCheck& check = *checks.add_checks();
    check.set_name(query);
    check.mutable_sql()->set_database("shop");
    check.mutable_sql()->set_query(query);
    check.mutable_sql()->set_expect("1");
  };
  add("SELECT count(*) FROM of_parts");
  add("SELECT count(*) FROM of_here");
  add("SELECT count(*) + 1 FROM of_here");
  const auto result = Act(RunChecks, action);
  ASSERT_TRUE(result.ok()) << MessageOf(result.status());
  ASSERT_EQ(result->checks_size(), 3);
  EXPECT_EQ(result->checks(0).verdict(), v1::Check::VERDICT_UNVERIFIABLE) << Render(*result);
  EXPECT_THAT(result->checks(0).compared(), HasSubstr("public.of_parts"));
  EXPECT_EQ(result->checks(1).verdict(), v1::Check::VERDICT_PASSED) << Render(*result);
  EXPECT_EQ(result->checks(2).verdict(), v1::Check::VERDICT_FAILED) << Render(*result);
  EXPECT_TRUE(Server().Servers().Remove("drill-1").ok());
}

// Its query runs no more since a row was changed: that is in the dump, wherever it is restored.
TEST_F(PostgresDrillTest, AViewThatCannotBeFilledFromTheDumpItselfIsAFinding) {
  MakeDatabase(
      "CREATE TABLE d AS SELECT 1 AS x; CREATE MATERIALIZED VIEW broken AS SELECT 1 / x AS y FROM d;"
      "UPDATE d SET x = 0");
  const Kept kept = Backup("shop");
  const v1::PostgresTarget drill = Scratch("drill-1");
  ASSERT_TRUE(RestoreRoles(drill, kept).ok());
  const Status status = Restore(drill, kept, "shop").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(MessageOf(status), testing::AllOf(HasSubstr("public.broken"), HasSubstr("22012")));
  EXPECT_FALSE(Restore(Here(), kept, "copy").ok());
  EXPECT_TRUE(Server().Servers().Remove("drill-1").ok());
}

TEST_F(PostgresDrillTest, ViewsOfADatabaseThatIsNotUtf8AreFilledToo) {
  MakeDatabase(
      "CREATE TABLE größen AS SELECT 7 AS x; CREATE MATERIALIZED VIEW \"größte\" AS SELECT max(x) FROM größen",
      "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
  const Kept kept = Backup("shop");
  const v1::PostgresTarget drill = Scratch("drill-1");
  ASSERT_TRUE(RestoreRoles(drill, kept).ok());
  const auto restored = Restore(drill, kept, "shop");
  ASSERT_TRUE(restored.ok()) << MessageOf(restored.status());
  EXPECT_EQ(Ask("drill-1", "SELECT max FROM \"größte\""), "7");
  const auto verified = Verify(drill, kept, "shop");
  ASSERT_TRUE(verified.ok()) << MessageOf(verified.status());
  EXPECT_THAT(KindsNotPassed(*verified), IsEmpty()) << Render(*verified);
  EXPECT_TRUE(Server().Servers().Remove("drill-1").ok());
}

TEST_F(PostgresDrillTest, AnArchiveThatCannotBeLookedIntoIsLoadedAsItIs) {
  MakeDatabase("CREATE TABLE here AS SELECT 1 AS x; CREATE MATERIALIZED VIEW of_here AS SELECT x FROM here");
  const auto globals = SaveGlobals();
  ASSERT_TRUE(globals.ok()) << MessageOf(globals.status());
  ReplacePgDump("exec $PG_DUMP \"$@\" -Z1\n");
  const auto dump = Dump(Component({"shop"}), "shop");
  ASSERT_TRUE(dump.ok()) << MessageOf(dump.status());
  const Kept kept{dump->artifacts(0), dump->artifacts(1), globals->artifacts(0)};
  config_.program_folders[kPostgresKind] = kTestBinDirectory;
  const v1::PostgresTarget drill = Scratch("drill-1");
  ASSERT_TRUE(RestoreRoles(drill, kept).ok());
  const auto restored = Restore(drill, kept, "shop");
  ASSERT_TRUE(restored.ok()) << MessageOf(restored.status());
  EXPECT_EQ(Ask("drill-1", "SELECT x FROM of_here"), "1");
  EXPECT_TRUE(Server().Servers().Remove("drill-1").ok());
}

TEST(ExpectLeftEmptyTest, OnlyTheNamedViewsAreExpectedToBeEmpty) {
  v1::DatabaseDetails details;
  v1::CatalogSection& views = *details.add_catalog();
  views.set_kind("materialized views");
  for (const char* name : {"public.a", "public.ab", "public.\"a b\""})
    views.add_statements()->set_object(fmt::format("{} options= populated=t access method heap", name));
  views.add_lines("public.a options=fillfactor=70 populated=t");
  v1::CatalogSection& others = *details.add_catalog();
  others.set_kind("views");
  others.add_lines("public.a options= populated=t");
  ExpectLeftEmpty({{"public.a", "why"}, {"public.\"a b\"", "why"}}, &details);
  EXPECT_EQ(views.statements(0).object(), "public.a options= populated=f access method heap");
  EXPECT_EQ(views.statements(1).object(), "public.ab options= populated=t access method heap");
  EXPECT_EQ(views.statements(2).object(), "public.\"a b\" options= populated=f access method heap");
  EXPECT_EQ(views.lines(0), "public.a options=fillfactor=70 populated=f");
  EXPECT_EQ(others.lines(0), "public.a options= populated=t");
}

// The agent dies, and with it the drill's server, when the restore is finished and not yet reported.
TEST_F(PostgresDrillTest, WhatAServerLostWithItsAgentIsLoadedAgain) {
  MakeDatabase("CREATE UNLOGGED TABLE fast AS SELECT generate_series(1, 1000) AS x");
  const Kept kept = Backup("shop");
  const v1::PostgresTarget drill = Scratch("drill-1");
  ASSERT_TRUE(RestoreRoles(drill, kept).ok());
  ASSERT_TRUE(Restore(drill, kept, "shop").ok());
  KillServer("drill-1");
  EXPECT_EQ(Ask("drill-1", "SELECT count(*) FROM fast"), "0");
  const auto again = Restore(drill, kept, "shop");
  ASSERT_TRUE(again.ok()) << MessageOf(again.status());
  const auto verified = Verify(drill, kept, "shop");
  ASSERT_TRUE(verified.ok()) << MessageOf(verified.status());
  EXPECT_THAT(KindsNotPassed(*verified), IsEmpty()) << Render(*verified);
  EXPECT_TRUE(Server().Servers().Remove("drill-1").ok());
}

TEST_F(PostgresDrillTest, WhatAServerStillHasIsNotLoadedAgain) {
  MakeDatabase("CREATE TABLE slow AS SELECT generate_series(1, 1000) AS x");
  const Kept kept = Backup("shop");
  const v1::PostgresTarget drill = Scratch("drill-1");
  ASSERT_TRUE(RestoreRoles(drill, kept).ok());
  ASSERT_TRUE(Restore(drill, kept, "shop").ok());
  Ask("drill-1", "CREATE TABLE since (x int)");
  KillServer("drill-1");
  ASSERT_TRUE(Restore(drill, kept, "shop").ok());
  EXPECT_EQ(Ask("drill-1", "SELECT count(*) FROM pg_class WHERE relname = 'since'"), "1");
  EXPECT_TRUE(Server().Servers().Remove("drill-1").ok());
}

// Statistics are collected of one table at a time where all at once fail.
TEST_F(PostgresDrillTest, ATableThatCannotBeAnalyzedTakesNoOtherWithIt) {
  MakeDatabase(R"sql(
    CREATE FUNCTION f(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN i; END';
    CREATE TABLE after AS SELECT generate_series(1, 10) AS x;
    CREATE TABLE before AS SELECT generate_series(1, 10) AS x;
    CREATE TABLE cannot AS SELECT generate_series(1, 10) AS x;
    CREATE INDEX ON cannot (f(x));
    CREATE OR REPLACE FUNCTION f(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN i / 0; END';
    CREATE EXTENSION postgres_fdw;
    CREATE SERVER production FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '/nonexistent');
    CREATE USER MAPPING FOR PUBLIC SERVER production;
    CREATE TABLE parts (x int) PARTITION BY LIST (x);
    CREATE FOREIGN TABLE part_away PARTITION OF parts FOR VALUES IN (2) SERVER production;
    CREATE TABLE part_here PARTITION OF parts FOR VALUES IN (1);
    INSERT INTO part_here VALUES (1);
  )sql");
  const auto session = Server().Connect("shop");
  const auto left = AnalyzeWhatIsHere(*session);
  ASSERT_TRUE(left.ok()) << MessageOf(left.status());
  EXPECT_THAT(*left, testing::UnorderedElementsAre("public.cannot", "public.part_away", "public.parts"));
  EXPECT_EQ(Server().Value("shop",
                           "SELECT string_agg(relname || '=' || reltuples, ' ' ORDER BY relname)"
                           " FROM pg_class WHERE relname IN ('after', 'before', 'part_here')"),
            "after=10 before=10 part_here=1");
}

}  // namespace
}  // namespace salvor::agent
