// Restores that leave out what the server refuses to build.
#include <algorithm>

#include "agent/engines/postgres/actions/actions_testing.h"
#include "agent/engines/postgres/actions/not_built.h"
#include "agent/engines/postgres/actions/restore_marker.h"

namespace salvor::agent {
namespace {

class KeepGoingTest : public PostgresActionsTest {
 protected:
  // An application that nothing is wrong with.
  static void MakeShop() {
    Server().Execute("postgres", "CREATE DATABASE shop");
    Server().Execute("shop", R"(
      CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1), (2);
      CREATE TABLE child (id int PRIMARY KEY, parent int CONSTRAINT "of parent" REFERENCES parent);
      INSERT INTO child VALUES (1, 1), (2, 2);
      CREATE TABLE vouchers (id serial PRIMARY KEY, valid_until timestamptz);
      INSERT INTO vouchers (valid_until) VALUES ('2020-01-01'), ('2999-01-01');
      SELECT lo_from_bytea(0, 'picture'))");
  }

  // The server believed this row to be valid when it was written; that it was is long ago.
  static void LetAVoucherExpire() {
    Server().Execute("shop", R"(
      ALTER TABLE vouchers ADD CONSTRAINT still_valid CHECK (valid_until > now()) NOT VALID;
      UPDATE pg_constraint SET convalidated = true WHERE conname = 'still_valid')");
  }

  static void MakeAnOrphan() {
    Server().Execute("shop", "SET session_replication_role = replica; DELETE FROM parent WHERE id = 2");
  }

  StatusOr<v1::ActionResult> RestoreOn(const v1::PostgresTarget& target, const Kept& kept,
                                       const std::string& name, bool keep_going = true) {
    v1::Action action;
    v1::PostgresRestore& restore = *action.mutable_postgres_restore();
    *restore.mutable_target() = target;
    *restore.mutable_location() = Location();
    *restore.mutable_database() = Of(kept, name);
    restore.set_run("restore-1");
    restore.set_keep_going(keep_going);
    return Act(RunPostgresRestore, action, "restore-1");
  }

  StatusOr<v1::ActionResult> VerifyAfter(const v1::ActionResult& restored, const Kept& kept,
                                         const std::string& name) {
    v1::Action action;
    v1::PostgresVerify& verify = *action.mutable_postgres_verify();
    *verify.mutable_target() = Here();
    *verify.mutable_location() = Location();
    *verify.mutable_database() = Of(kept, name);
    *verify.mutable_globals() = kept.globals;
    v1::Task task;
    task.mutable_lease()->set_run("restore-1");
    task.mutable_lease()->set_attempt(1);
    task.set_component("db");
    (*task.mutable_inputs())["db.restore.shop"] = restored;
    ActionContext context{
        config_, TestTools(),        task, stop_.get_token(), SteadyTime::InfiniteFuture(), progress_,
        nullptr, &Server().Servers()};
    return RunPostgresVerify(verify, context);
  }

  static std::vector<std::string> Titles(const v1::ActionResult& result) {
    std::vector<std::string> titles;
    for (const v1::NotBuilt& one : result.not_built()) titles.push_back(one.title());
    std::sort(titles.begin(), titles.end());
    return titles;
  }

  // The checks that failed: those that follow from what was left out, or the others.
  static std::vector<std::string> Failed(const v1::ActionResult& verified, bool not_built) {
    std::vector<std::string> subjects;
    for (const v1::Check& check : verified.checks()) {
      if (check.verdict() == v1::Check::VERDICT_FAILED && check.not_built() == not_built)
        subjects.push_back(check.subject());
    }
    std::sort(subjects.begin(), subjects.end());
    return subjects;
  }

  using Names = std::vector<std::string>;
};

TEST_F(KeepGoingTest, AnExpiredRowAndAnOrphanAreLeftOutByNameAndAllElseIsThere) {
  MakeShop();
  LetAVoucherExpire();
  MakeAnOrphan();
  const Kept kept = Backup("shop");
  const auto restored = RestoreOn(Here(), kept, "copy");
  ASSERT_TRUE(restored.ok()) << MessageOf(restored.status());
  EXPECT_EQ(Titles(*restored),
            (Names{"foreign key public.child of parent", "rows of table public.vouchers"}));
  for (const v1::NotBuilt& one : restored->not_built()) {
    EXPECT_EQ(one.database(), "copy");
    EXPECT_EQ(one.schema(), "public");
    const bool rows = one.kind() == "TABLE DATA";
    EXPECT_EQ(one.name(), rows ? "vouchers" : "child of parent");
    EXPECT_EQ(one.sqlstate(), rows ? "23514" : "23503");
    EXPECT_NE(one.cause().find(rows ? "violates check constraint \"still_valid\"" : "violates foreign key"),
              std::string::npos)
        << one.cause();
  }
  EXPECT_EQ(log_.find("creating TABLE"), std::string::npos)
      << "the log has what went wrong, and not all else";
  EXPECT_NE(log_.find("violates check constraint"), std::string::npos);
  EXPECT_EQ(Server().Value("copy", "SELECT count(*) FROM child"), "2");
  EXPECT_EQ(Server().Value("copy", "SELECT count(*) FROM vouchers"), "0");
  const auto verified = VerifyAfter(*restored, kept, "copy");
  ASSERT_TRUE(verified.ok()) << MessageOf(verified.status());
  EXPECT_EQ(Failed(*verified, true),
            (Names{"copy: foreign key public.child of parent", "copy: rows of table public.vouchers"}))
      << Render(*verified);
  EXPECT_EQ(Failed(*verified, false), Names{}) << Render(*verified);
  // A difference that does not follow from it is found as ever.
  Server().Execute("copy", "DELETE FROM child WHERE id = 1; ALTER TABLE parent ADD COLUMN more int");
  const auto sabotaged = VerifyAfter(*restored, kept, "copy");
  ASSERT_TRUE(sabotaged.ok()) << MessageOf(sabotaged.status());
  EXPECT_EQ(Failed(*sabotaged, false), (Names{"copy.columns", "copy.public.child"})) << Render(*sabotaged);
  // Nothing follows from it when nobody says what was left out.
  const auto unaware = VerifyAfter({}, kept, "copy");
  ASSERT_TRUE(unaware.ok()) << MessageOf(unaware.status());
  EXPECT_EQ(Failed(*unaware, true), Names{});
  EXPECT_GT(Failed(*unaware, false).size(), Failed(*sabotaged, false).size());
}

TEST_F(KeepGoingTest, AViewDuplicatesAndAnExtensionThatTheTargetLacksAreLeftOutWithWhatNeedsThem) {
  MakeShop();
  Server().Execute("shop", R"(
    CREATE FUNCTION rate() RETURNS int LANGUAGE plpgsql AS
      'BEGIN IF current_setting(''my.ok'', true) = ''1'' THEN RETURN 1; END IF; RAISE EXCEPTION ''no such shop''; END';
    SET my.ok = '1'; CREATE MATERIALIZED VIEW totals AS SELECT rate() AS rate; CREATE INDEX ON totals (rate);
    CREATE TABLE words (word text); INSERT INTO words VALUES ('a'), ('a'); CREATE INDEX once ON words (word);
    UPDATE pg_index SET indisunique = true WHERE indexrelid = 'once'::regclass;
    CREATE EXTENSION pg_trgm; CREATE INDEX similar_words ON words USING gin (word gin_trgm_ops);
    COMMENT ON INDEX similar_words IS 'for the search';
    UPDATE pg_extension SET extname = 'gone_ext' WHERE extname = 'pg_trgm')");
  const Kept kept = Backup("shop");
  const Status refused = CheckTarget(Here(), kept, "copy").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  EXPECT_NE(HintOf(refused).find("--keep-going"), std::string::npos) << HintOf(refused);
  v1::Action action;
  v1::PostgresTargetCheck& check = *action.mutable_postgres_target_check();
  *check.mutable_target() = Here();
  *check.add_databases() = Of(kept, "copy");
  *check.mutable_location() = Location();
  *check.mutable_globals() = kept.globals;
  check.set_keep_going(true);
  const auto allowed = Act(RunPostgresTargetCheck, action, "restore-1");
  ASSERT_TRUE(allowed.ok()) << MessageOf(allowed.status());
  EXPECT_NE(allowed->warnings(0).find("gone_ext"), std::string::npos) << Render(*allowed);

  const auto restored = RestoreOn(Here(), kept, "copy");
  ASSERT_TRUE(restored.ok()) << MessageOf(restored.status());
  EXPECT_EQ(
      Titles(*restored),
      (Names{"comment on extension gone_ext", "comment on index public.similar_words", "extension gone_ext",
             "index public.once", "index public.similar_words", "rows of materialized view public.totals"}));
  EXPECT_EQ(Server().Value("copy", "SELECT count(*) FROM words"), "2");
  const auto verified = VerifyAfter(*restored, kept, "copy");
  ASSERT_TRUE(verified.ok()) << MessageOf(verified.status());
  EXPECT_EQ(Failed(*verified, true).size(), 6u) << Render(*verified);
  EXPECT_EQ(Failed(*verified, false), Names{}) << Render(*verified);
}

TEST_F(KeepGoingTest, NamesOfAnotherEncodingAreReadAndExplainWhatFollows) {
  Server().Execute("postgres", "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
  Server().Execute("latin", R"(
    CREATE TABLE "größen" (id int PRIMARY KEY); INSERT INTO "größen" VALUES (1);
    CREATE TABLE "maße" (von int CONSTRAINT "für" REFERENCES "größen"); INSERT INTO "maße" VALUES (1);
    SET session_replication_role = replica; DELETE FROM "größen")");
  const Kept kept = Backup("latin");
  const auto restored = RestoreOn(Here(), kept, "copy");
  ASSERT_TRUE(restored.ok()) << MessageOf(restored.status());
  ASSERT_EQ(restored->not_built_size(), 1);
  EXPECT_EQ(restored->not_built(0).title(), "foreign key public.maße für");
  EXPECT_NE(restored->not_built(0).cause().find("\"für\""), std::string::npos)
      << restored->not_built(0).cause();
  const auto verified = VerifyAfter(*restored, kept, "copy");
  ASSERT_TRUE(verified.ok()) << MessageOf(verified.status());
  EXPECT_EQ(Failed(*verified, false), Names{}) << Render(*verified);
}

TEST_F(KeepGoingTest, WithoutItARestoreSaysWhatWasRefusedAndHowToGoOnAndLeavesNothing) {
  MakeShop();
  LetAVoucherExpire();
  const Kept kept = Backup("shop");
  const Status failed = RestoreOn(Here(), kept, "copy", false).status();
  EXPECT_EQ(failed.code(), absl::StatusCode::kInternal) << failed;
  EXPECT_NE(MessageOf(failed).find("rows of table public.vouchers: "), std::string::npos) << failed;
  EXPECT_NE(HintOf(failed).find("--keep-going"), std::string::npos) << HintOf(failed);
  EXPECT_EQ(Server().Value("postgres", "SELECT count(*) FROM pg_database WHERE datname = 'copy'"), "0");
  const v1::PostgresTarget drill = Scratch("drill-20");
  ASSERT_TRUE(RestoreRoles(drill, kept).ok());
  const Status drilled = RestoreOn(drill, kept, "shop", false).status();
  EXPECT_EQ(drilled.code(), absl::StatusCode::kDataLoss) << drilled;
  EXPECT_EQ(HintOf(drilled).find("--keep-going"), std::string::npos) << HintOf(drilled);
  EXPECT_EQ(RestoreOn(drill, kept, "shop", true).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Server().Servers().Remove("drill-20").ok());
}

TEST_F(KeepGoingTest, NothingIsLeftOutWhereNothingIsRefused) {
  MakeShop();
  const Kept kept = Backup("shop");
  const auto restored = RestoreOn(Here(), kept, "copy");
  ASSERT_TRUE(restored.ok()) << MessageOf(restored.status());
  EXPECT_EQ(restored->not_built_size(), 0);
  EXPECT_EQ(restored->note().find("without what"), std::string::npos) << restored->note();
  const auto verified = VerifyAfter(*restored, kept, "copy");
  ASSERT_TRUE(verified.ok()) << MessageOf(verified.status());
  EXPECT_TRUE(KindsNotPassed(*verified).empty()) << Render(*verified);
}

TEST_F(KeepGoingTest, AnotherAttemptBeginsAnewOrSaysWhatTheFinishedOneLeftOut) {
  MakeShop();
  LetAVoucherExpire();
  MakeAnOrphan();
  const Kept kept = Backup("shop");
  // The agent died in the middle: its database has the marker, and rows.
  Server().Execute("postgres", "CREATE DATABASE copy");
  Server().Execute("postgres", "COMMENT ON DATABASE copy IS '" + RestoreMarker("restore-1") + "'");
  Server().Execute("copy",
                   "CREATE TABLE child (id int, parent int); INSERT INTO child VALUES (1, 1), (2, 2)");
  const auto restored = RestoreOn(Here(), kept, "copy");
  ASSERT_TRUE(restored.ok()) << MessageOf(restored.status());
  EXPECT_EQ(restored->not_built_size(), 2);
  EXPECT_EQ(Server().Value("copy", "SELECT count(*) FROM child"), "2");
  // It died when all was done and before it could say so.
  const std::string oid = "SELECT oid FROM pg_database WHERE datname = 'copy'";
  const std::string before = Server().Value("postgres", oid);
  const auto again = RestoreOn(Here(), kept, "copy");
  ASSERT_TRUE(again.ok()) << MessageOf(again.status());
  EXPECT_EQ(Server().Value("postgres", oid), before) << "it is not made twice";
  EXPECT_EQ(Titles(*again), Titles(*restored));
  EXPECT_EQ(again->note(), restored->note());
}

TEST_F(KeepGoingTest, AServerThatGoesAwayOrAToolThatStopsIsNothingToGoOnFrom) {
  MakeShop();
  MakeAnOrphan();
  const Kept kept = Backup("shop");
  const auto databases = [] {
    return Server().Value("postgres", "SELECT count(*) FROM pg_database WHERE datname LIKE 'copy%'");
  };
  // Its own session is ended when all is loaded: the orphan was refused before that.
  ReplaceProgram("pg_restore",
                 "$REAL \"$@\" 2>&1 | grep -v 'errors ignored' >&2\n"
                 "echo 'pg_restore: error: could not execute query: FATAL:  terminating connection due to "
                 "administrator command' >&2\n"
                 "echo 'pg_restore: warning: errors ignored on restore: 2' >&2\nexit 1\n");
  const Status gone = RestoreOn(Here(), kept, "copy").status();
  EXPECT_EQ(gone.code(), absl::StatusCode::kUnavailable) << gone;
  EXPECT_NE(MessageOf(gone).find("terminating connection"), std::string::npos) << gone;
  EXPECT_EQ(databases(), "0");
  // It says nothing of an end.
  ReplaceProgram("pg_restore", "$REAL \"$@\" 2>&1 | grep -v 'errors ignored' >&2\nexit 1\n");
  EXPECT_FALSE(RestoreOn(Here(), kept, "copy").ok());
  EXPECT_EQ(databases(), "0");
  ReplaceProgram("pg_restore", "$REAL \"$@\"; kill -9 $$\n");
  EXPECT_EQ(RestoreOn(Here(), kept, "copy").status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(databases(), "0");
}

v1::Task LeftOut(const std::string& kind, const std::string& schema, const std::string& name) {
  v1::Task task;
  v1::NotBuilt& one = *(*task.mutable_inputs())["db.restore.shop"].add_not_built();
  one.set_kind(kind);
  one.set_schema(schema);
  one.set_name(name);
  return task;
}

TEST(NotBuiltThings, ExplainLinesAboutThemAndTheirPartsAndNoOthers) {
  struct Row {
    const char *kind, *schema, *name, *line;
    bool explained;
  };
  for (const Row& row : {
           Row{"TABLE", "public", "t", "public.t kind=r", true},
           Row{"TABLE", "public", "t", "public.t.id integer", true},
           Row{"TABLE", "public", "t", "public.t2.id integer", false},
           Row{"TABLE", "public", "t", "my.public.t.id integer", false},
           Row{"TABLE", "we ird", "t able", "\"we ird\".\"t able\".id integer", true},
           Row{"TABLE DATA", "public", "t", "public.t kind=r", false},
           Row{"FK CONSTRAINT", "public", "child of parent",
               "public.child \"of parent\" FOREIGN KEY (parent)", true},
           Row{"FK CONSTRAINT", "public", "child of parent", "public.child child_pkey PRIMARY KEY", false},
           Row{"CONSTRAINT", "public", "t t_pkey", "public.t_pkey on public.t using btree", true},
           Row{"CONSTRAINT", "public", "t t_pkey", "table constraint t_pkey on public.t: the key", true},
           Row{"CONSTRAINT", "public", "t t_pkey", "public.t.id integer not null", false},
           Row{"TRIGGER", "public", "t audit", "CREATE TRIGGER audit AFTER INSERT ON public.t enabled=O",
               true},
           Row{"TRIGGER", "public", "t audit", "CREATE TRIGGER audit2 AFTER INSERT ON public.t enabled=O",
               false},
           Row{"FUNCTION", "public", "f(integer, text)", "public.f(i int, t text)", true},
           Row{"FUNCTION", "public", "f(integer)", "public.ff(integer)", false},
           Row{"EXTENSION", "", "postgis", "postgis 3.3.2", true},
           Row{"EXTENSION", "", "postgis", "postgis_topology 3.3.2", false},
           Row{"SCHEMA", "", "app", "app.t.id integer", true},
           Row{"DATABASE SETTING", "", "ALTER DATABASE %DB% SET x TO '1'", "ALTER DATABASE %DB% SET x TO '1'",
               true},
           Row{"DATABASE SETTING", "", "ALTER DATABASE %DB% SET x TO '1'",
               "ALTER DATABASE %DB% SET x TO '12'", false},
           Row{"BLOB", "", "16508", "1 large objects owner=app acl=", true},
           Row{"BLOB", "", "16508", "table public.t owner app", false},
           Row{"", "", "", "public.t.id integer", false},
           Row{"COMMENT", "public", "TABLE t", "table public.t: what people order", true},
           Row{"COMMENT", "public", "TABLE t", "public.t.id integer not null", false},
           Row{"COMMENT", "public", "TABLE t", "public.t kind=r", false},
           Row{"COMMENT", "", "SCHEMA public", "public.t.id integer", false},
           Row{"ROW SECURITY", "public", "t", "public.t.id integer", false},
           Row{"ACL", "public", "TABLE t", "public.t.id integer", false},
           Row{"OWNER OF TABLE", "public", "t", "public.t.id integer", false},
           Row{"OWNER OF TABLE", "public", "t", "public.t kind=r", false},
           Row{"OWNER OF SCHEMA", "", "public", "public.t.id integer", false},
           Row{"OWNER OF BLOB", "", "16508", "1 large objects owner=app acl=", false},
       }) {
    const NotBuiltThings things(LeftOut(row.kind, row.schema, row.name), "shop");
    EXPECT_EQ(things.Explains("schema", row.line), row.explained)
        << row.kind << " " << row.name << ": " << row.line;
  }
  for (const char* kind : {"ACL", "OWNER OF TABLE"}) {
    const NotBuiltThings grants(LeftOut(kind, "public", "t"), "shop");
    EXPECT_TRUE(grants.Explains("grants", "table public.t owner app")) << kind;
    EXPECT_FALSE(grants.Explains("grants", "column public.t.id app=r/app")) << kind;
    EXPECT_FALSE(grants.ExplainsRows("public", "t")) << kind << " hides no row";
  }
  EXPECT_TRUE(NotBuiltThings(LeftOut("OWNER OF BLOB", "", "16508"), "shop")
                  .Explains("grants", "1 large objects owner=app acl="));
  EXPECT_FALSE(NotBuiltThings(LeftOut("OWNER OF BLOB", "", "16508"), "shop").ExplainsLargeObjects());
  v1::Task many = LeftOut("TABLE", "public", "t");
  many.mutable_inputs()->at("db.restore.shop").set_not_built_left_out(7);
  v1::ActionResult result;
  CheckList checks("db", result);
  NotBuiltThings(many, "shop").Report(checks);
  ASSERT_EQ(result.checks_size(), 2);
  EXPECT_TRUE(result.checks(0).not_built());
  EXPECT_FALSE(result.checks(1).not_built()) << "what is not named explains nothing";
  EXPECT_EQ(result.checks(1).verdict(), v1::Check::VERDICT_FAILED);
  const NotBuiltThings rows(LeftOut("TABLE DATA", "public", "schema_migrations"), "shop");
  EXPECT_TRUE(rows.Explains("migrations", "public.schema_migrations"));
  EXPECT_TRUE(rows.ExplainsRows("public", "schema_migrations"));
  EXPECT_FALSE(rows.ExplainsRows("public", "orders"));
  EXPECT_FALSE(NotBuiltThings(v1::Task(), "shop").Explains("schema", "public.t"));
}

}  // namespace
}  // namespace salvor::agent
