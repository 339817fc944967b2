// A database and its copy are compared, on real copies: what a restore changes of itself is no difference, and
// everything else is one, by name.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "agent/engines/postgres/catalog_queries.h"
#include "agent/engines/postgres/inventory.h"
#include "agent/engines/postgres/statement_reading.h"
#include "agent/engines/postgres/test_server.h"
#include "agent/process/tool_runner.h"
#include "base/io/files.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

class CatalogCompareTest : public testing::Test {
 public:
  static void SetUpTestSuite() {
    server_ = new TestServer();
    Server().Execute("postgres", "CREATE ROLE app; CREATE ROLE reader");
  }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  static TestServer& Server() { return *server_; }

  static void Make(const std::string& database, const std::string& schema) {
    Server().Execute("postgres", "CREATE DATABASE " + database + " TEMPLATE template0");
    Server().Execute(database, schema);
  }

  // Dumps one database and restores it as another, as a drill does.
  static void Copy(const std::string& from, const std::string& to) {
    const std::string file = Server().Directory() + "/" + from + ".dump";
    ASSERT_TRUE(WriteFileAtomically(file, Server().Dump(from), 0600).ok());
    Server().Execute("postgres", "CREATE DATABASE " + to + " TEMPLATE template0");
    ProcessSpec spec;
    spec.argv = {std::string(kTestBinDirectory) + "/pg_restore", "--exit-on-error", "--no-tablespaces",
                 "--dbname=", file};
    spec.environment = ToolEnvironment(Server().Where(), to).value();
    const auto exit = TestTools().Run(std::move(spec), {}, SteadyNow() + absl::Minutes(5));
    ASSERT_TRUE(exit.ok()) << MessageOf(exit.status());
  }

  static v1::DatabaseDetails Details(Connection& session) {
    return CaptureInventory(session).value().details;
  }
  static v1::DatabaseDetails Details(const std::string& database) {
    return Details(*Server().Connect(database));
  }

  // The differences that stand after a second look, in the session's transaction.
  static std::vector<Difference> Standing(Connection& session, const v1::DatabaseDetails& then,
                                          const v1::DatabaseDetails& now) {
    std::vector<Difference> standing;
    EXPECT_TRUE(PrepareForReading(session).ok());
    for (const Difference& difference : CompareInventories(then, now)) {
      if (difference.reading != Reading::kNone) {
        const auto comparison = SameOnceRead(session, difference);
        EXPECT_TRUE(comparison.ok()) << MessageOf(comparison.status());
        EXPECT_NE(comparison->sameness, Sameness::kUnknown) << difference.text << "\n" << comparison->why;
        if (comparison->sameness == Sameness::kSame) continue;
      }
      standing.push_back(difference);
    }
    return standing;
  }

  // Nothing of the copy may differ from its source.
  static void ExpectEqual(const std::string& database, const std::string& copy) {
    auto session = Server().Connect(copy);
    const v1::DatabaseDetails now = Details(*session);
    ASSERT_TRUE(session->Execute("BEGIN").ok());
    for (const Difference& difference : Standing(*session, Details(database), now)) {
      ADD_FAILURE() << difference.subject << ": " << difference.text;
    }
  }

  static TestServer* server_;
};
TestServer* CatalogCompareTest::server_ = nullptr;

// Each kind of object that the server prints from a tree, with what prints differently once it was restored.
constexpr char kPrinted[] = R"sql(
CREATE SCHEMA app; SET search_path = app;
CREATE DOMAIN code AS varchar(10) CHECK (VALUE IN ('a', 'b'));
CREATE TABLE orders (id int PRIMARY KEY, state varchar(20) DEFAULT 'new' CHECK (state IN ('new', 'open')),
  c code, kind text GENERATED ALWAYS AS (CASE WHEN state IN ('new', 'open') THEN 'n' ELSE 'o' END) STORED);
CREATE INDEX by_state ON orders (lower(state), (state IN ('new', 'open'))) WHERE state IN ('new', 'open');
CREATE STATISTICS shape ON (state IN ('new', 'open')), (lower(state)) FROM orders;
CREATE VIEW pending AS SELECT id FROM orders WHERE state IN ('new', 'open');
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM orders WHERE state IN ('new', 'open');
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touching BEFORE UPDATE ON orders FOR EACH ROW
  WHEN (OLD.state IN ('new', 'open') AND NEW.state <> OLD.state)
  EXECUTE FUNCTION touch(') EXECUTE FUNCTION x', ' WHEN (');
CREATE TABLE log (what varchar(10), n int);
CREATE RULE logging AS ON UPDATE TO orders WHERE NEW.state IN ('new', 'open')
  DO ALSO INSERT INTO log VALUES (NEW.state, NEW.id);
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON orders USING (state IN ('new', 'open') AND EXISTS (SELECT FROM log WHERE n = id));
CREATE FUNCTION is_pending(s varchar DEFAULT 'new') RETURNS bool LANGUAGE sql
  BEGIN ATOMIC SELECT s IN ('new', 'open') FROM orders WHERE state IN ('new', s); END;
CREATE TABLE parts (s varchar(5)) PARTITION BY LIST (lower(s));
CREATE PUBLICATION pub FOR TABLE orders WHERE (id IN (1, 2));
CREATE TABLE "Odd "" TO app.x" (a varchar(3), CHECK ("Odd "" TO app.x" IS NOT NULL AND a IN ('1', '2')));
CREATE RULE "odd TO app" AS ON DELETE TO "Odd "" TO app.x" WHERE OLD.a IN ('1', '2') DO INSTEAD NOTHING;
)sql";

TEST_F(CatalogCompareTest, WhatPrintsDifferentlyAfterARestoreIsEqualOnceRead) {
  Make("printed", kPrinted);
  Copy("printed", "printed_copy");
  std::set<std::string> kinds;  // proves that the texts do differ
  for (const Difference& difference : CompareInventories(Details("printed"), Details("printed_copy"))) {
    EXPECT_NE(difference.reading, Reading::kNone) << difference.text;
    kinds.insert(difference.subject);
  }
  const std::set<std::string> expected = {
      "columns",  "constraints", "domain constraints", "functions", "indexes", "materialized views",
      "policies", "rules",       "statistics",         "triggers",  "views"};
  EXPECT_EQ(kinds, expected);
  ExpectEqual("printed", "printed_copy");
  Copy("printed_copy", "printed_again");
  EXPECT_TRUE(CompareInventories(Details("printed_copy"), Details("printed_again")).empty());
}

struct Sabotage {
  const char* sql;
  const char* subject;  // the section
  const char* object;   // named in the text
};

TEST_F(CatalogCompareTest, OneLabelThatIsAnotherIsAFaultOfItsKindByName) {
  const Sabotage kSabotages[] = {
      {"ALTER TABLE app.orders DROP CONSTRAINT orders_state_check, ADD CONSTRAINT orders_state_check"
       " CHECK (state IN ('new', 'closed'))",
       "constraints", "orders_state_check"},
      {"ALTER TABLE app.orders DROP kind, ADD kind text GENERATED ALWAYS AS"
       " (CASE WHEN state IN ('new', 'closed') THEN 'n' ELSE 'o' END) STORED",
       "columns", "app.orders.kind"},
      {"ALTER TABLE app.orders ALTER state SET DEFAULT 'old'", "columns", "app.orders.state"},
      {"DROP INDEX app.by_state; CREATE INDEX by_state ON app.orders (lower(state), (state IN ('new', 'open')))"
       " WHERE state IN ('new', 'closed')",
       "indexes", "app.by_state"},
      {"DROP INDEX app.by_state; CREATE INDEX by_state ON app.orders (lower(state), (state IN ('new', 'closed')))"
       " WHERE state IN ('new', 'open')",
       "indexes", "app.by_state"},
      {"DROP STATISTICS app.shape; CREATE STATISTICS app.shape ON (state IN ('new', 'closed')), (lower(state))"
       " FROM app.orders",
       "statistics", "app.shape"},
      {"CREATE OR REPLACE VIEW app.pending AS SELECT id FROM app.orders WHERE state IN ('new', 'closed')",
       "views", "app.pending"},
      {"DROP MATERIALIZED VIEW app.counted; CREATE MATERIALIZED VIEW app.counted AS SELECT count(*)"
       " FROM app.orders WHERE state IN ('new', 'closed')",
       "materialized views", "app.counted"},
      {"CREATE OR REPLACE TRIGGER touching BEFORE UPDATE ON app.orders FOR EACH ROW WHEN (OLD.state IN ('new',"
       " 'closed') AND NEW.state <> OLD.state) EXECUTE FUNCTION app.touch(') EXECUTE FUNCTION x',"
       " ' WHEN (')",
       "triggers", "touching"},
      {"CREATE OR REPLACE RULE logging AS ON UPDATE TO app.orders WHERE NEW.state IN ('new', 'closed')"
       " DO ALSO INSERT INTO app.log VALUES (NEW.state, NEW.id)",
       "rules", "logging"},
      {"CREATE OR REPLACE RULE \"odd TO app\" AS ON DELETE TO app.\"Odd \"\" TO app.x\""
       " WHERE OLD.a IN ('1', '3') DO INSTEAD NOTHING",
       "rules", "odd TO app"},
      {"ALTER POLICY mine ON app.orders USING (state IN ('new', 'closed') AND EXISTS (SELECT FROM app.log"
       " WHERE n = id))",
       "policies", "mine"},
      {"CREATE OR REPLACE FUNCTION app.is_pending(s varchar DEFAULT 'new') RETURNS bool LANGUAGE sql"
       " BEGIN ATOMIC SELECT s IN ('new', 'closed') FROM app.orders WHERE state IN ('new', s); END",
       "functions", "app.is_pending"},
      {"CREATE OR REPLACE FUNCTION app.is_pending(s varchar DEFAULT 'old') RETURNS bool LANGUAGE sql"
       " BEGIN ATOMIC SELECT s IN ('new', 'open') FROM app.orders WHERE state IN ('new', s); END",
       "functions", "app.is_pending"},
      {"ALTER DOMAIN app.code DROP CONSTRAINT code_check;"
       " ALTER DOMAIN app.code ADD CONSTRAINT code_check CHECK (VALUE IN ('a', 'c'))",
       "domain constraints", "code_check"},
      {"ALTER PUBLICATION pub SET TABLE app.orders WHERE (id IN (1, 3))", "published tables", "app.orders"},
      {"ALTER PUBLICATION pub SET TABLE app.orders", "published tables", "app.orders"},
      {"DROP TABLE app.parts; CREATE TABLE app.parts (s varchar(5)) PARTITION BY LIST (upper(s))", "tables",
       "app.parts"},
  };
  Make("labels", kPrinted);
  Copy("labels", "labels_copy");
  const v1::DatabaseDetails then = Details("labels");
  auto session = Server().Connect("labels_copy");
  for (const Sabotage& sabotage : kSabotages) {
    ASSERT_TRUE(session->Execute("BEGIN").ok());
    ASSERT_EQ(session->Execute(sabotage.sql), OkStatus()) << sabotage.sql;
    const v1::DatabaseDetails now = Details(*session);
    const std::vector<Difference> standing = Standing(*session, then, now);
    ASSERT_TRUE(session->Execute("ROLLBACK").ok());
    ASSERT_EQ(standing.size(), 1u) << sabotage.sql << (standing.empty() ? "" : standing.back().text);
    EXPECT_EQ(standing[0].subject, sabotage.subject);
    EXPECT_NE(standing[0].text.find(sabotage.object), std::string::npos) << standing[0].text;
    EXPECT_FALSE(standing[0].uncertain);
  }
}

TEST_F(CatalogCompareTest, AStatementThatCannotBeReadIsUnknownAndLeavesNothingBehind) {
  Make("unread", kPrinted);
  auto session = Server().Connect("unread");
  const v1::DatabaseDetails then = Details(*session);
  ASSERT_TRUE(session->Execute("BEGIN").ok());
  ASSERT_TRUE(PrepareForReading(*session).ok());
  Difference difference{"schema", "views", "a view"};
  difference.reading = Reading::kQuery;
  difference.found = "SELECT id FROM app.orders";
  for (const char* hostile : {"SELECT nothing FROM app.nowhere", "SELECT 1; DROP TABLE app.orders", "",
                              "SELECT 1) t; DROP TABLE app.orders; --"}) {
    difference.expected = hostile;
    const auto comparison = SameOnceRead(*session, difference);
    ASSERT_TRUE(comparison.ok()) << hostile << MessageOf(comparison.status());
    EXPECT_EQ(comparison->sameness, Sameness::kUnknown) << hostile;
    EXPECT_FALSE(comparison->why.empty());
  }
  difference.expected = "SELECT orders.id FROM ONLY app.orders";
  EXPECT_EQ(SameOnceRead(*session, difference)->sameness, Sameness::kDifferent);
  difference.expected = "SELECT orders.id FROM app.orders";
  EXPECT_EQ(SameOnceRead(*session, difference)->sameness, Sameness::kSame);
  ASSERT_TRUE(session->Execute("COMMIT").ok());  // even then nothing of it stays
  EXPECT_TRUE(CompareInventories(then, Details(*session)).empty());
  EXPECT_EQ(session->Value("SELECT count(*) FROM pg_class WHERE relname = 'salvor_reading'").value(), "0");
}

// These objects made every drill of such a database fail.
TEST_F(CatalogCompareTest, WhatARestoreChangesOfItselfIsNoDifference) {
  struct Case {
    const char* name;
    const char* schema;
  };
  const Case kCases[] = {
      {"no_public", "DROP SCHEMA public"},
      {"no_plpgsql", "DROP EXTENSION plpgsql"},
      {"ranges",
       "CREATE TYPE r AS RANGE (subtype = float8); ALTER TYPE r OWNER TO app;"
       "CREATE TYPE t AS RANGE (subtype = text, collation = \"C\", multirange_type_name = several)"},
      {"default_grants",
       "CREATE TABLE early (a int); CREATE FUNCTION early() RETURNS int LANGUAGE sql AS 'SELECT 1';"
       "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;"
       "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader;"
       "CREATE TABLE late (a int); REVOKE SELECT ON late FROM reader;"
       "CREATE FUNCTION late() RETURNS int LANGUAGE sql AS 'SELECT 1'; GRANT EXECUTE ON FUNCTION late() TO PUBLIC"},
      {"system_grants",
       "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_sleep(float8) FROM PUBLIC;"
       "GRANT SELECT (rolpassword) ON pg_catalog.pg_authid TO reader;"
       "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC; REVOKE USAGE ON TYPE pg_catalog.int4 FROM PUBLIC;"
       "CREATE EXTENSION hstore; REVOKE EXECUTE ON FUNCTION hstore(text, text) FROM PUBLIC"},
      {"collations",
       "CREATE COLLATION c FROM \"C\"; CREATE COLLATION german (provider = icu, locale = 'de',"
       " deterministic = false)"},
      {"inheritance",
       "CREATE TABLE p (gone int, a int, c varchar(5) DEFAULT 'x' CHECK (c IN ('x', 'y')));"
       "CREATE TABLE c0 (b int) INHERITS (p); CREATE TABLE c1 (gone int, a int, c varchar(5) DEFAULT 'y', d int);"
       "ALTER TABLE c1 ADD CONSTRAINT p_c_check CHECK (c IN ('x', 'y')); ALTER TABLE c1 INHERIT p;"
       "ALTER TABLE p DROP gone"},
      {"partitions",
       "CREATE TABLE p (id int, at date) PARTITION BY RANGE (at);"
       "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');"
       "CREATE TABLE p2 (at date, id int); ALTER TABLE p ATTACH PARTITION p2 DEFAULT; CREATE INDEX ON p (id);"
       "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
       "CREATE TRIGGER t AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION f(); ALTER TABLE p1 DISABLE TRIGGER t"},
      {"comments",
       "CREATE EXTENSION hstore; COMMENT ON EXTENSION hstore IS 'ours'; COMMENT ON SCHEMA public IS 'x'"},
  };
  for (const Case& each : kCases) {
    SCOPED_TRACE(each.name);
    Make(each.name, each.schema);
    Copy(each.name, std::string(each.name) + "_copy");
    ExpectEqual(each.name, std::string(each.name) + "_copy");
  }
  // The schema that every new database has may be more there, one that was in use may not be less.
  EXPECT_FALSE(CompareInventories(Details("ranges"), Details("no_public")).empty());
  EXPECT_FALSE(CompareInventories(Details("comments"), Details("no_public")).empty());
}

// pg_dump takes the first grants of "public" for granted, under whatever name; a restore sets them again.
TEST_F(CatalogCompareTest, TheFirstGrantsOfARenamedPublicAreSetAgainAndMissedOtherwise) {
  Make("renamed_public",
       "ALTER SCHEMA public RENAME TO old; CREATE TABLE old.t (a int); GRANT CREATE ON SCHEMA old TO app");
  Copy("renamed_public", "renamed_public_copy");
  v1::DatabaseDetails then = Details("renamed_public");
  ASSERT_EQ(then.schema_grants().statements_size(), 1);
  EXPECT_EQ(then.schema_grants().statements(0), "GRANT USAGE ON SCHEMA \"old\" TO PUBLIC");
  const auto missed = CompareInventories(then, Details("renamed_public_copy"));
  ASSERT_EQ(missed.size(), 1u);
  EXPECT_FALSE(missed[0].uncertain);
  EXPECT_NE(missed[0].text.find("schema old: PUBLIC=USAGE"), std::string::npos) << missed[0].text;
  EXPECT_TRUE(CompareInventories(then, then).empty());
  // A backup that does not say how to set them can't expect it, and takes it when it is there.
  v1::DatabaseDetails earlier = then;
  earlier.clear_schema_grants();
  const auto named = CompareInventories(earlier, Details("renamed_public_copy"));
  ASSERT_EQ(named.size(), 1u);
  EXPECT_TRUE(named[0].uncertain);
  EXPECT_NE(named[0].text.find("schema old: PUBLIC=USAGE"), std::string::npos) << named[0].text;
  Server().Execute("renamed_public_copy", then.schema_grants().statements(0));
  EXPECT_TRUE(CompareInventories(then, Details("renamed_public_copy")).empty());
  EXPECT_TRUE(CompareInventories(earlier, Details("renamed_public_copy")).empty());
  Server().Execute("renamed_public_copy", "GRANT CREATE ON SCHEMA old TO PUBLIC");
  for (const v1::DatabaseDetails* details : {&then, &earlier}) {
    const auto more = CompareInventories(*details, Details("renamed_public_copy"));
    EXPECT_TRUE(
        std::any_of(more.begin(), more.end(), [](const Difference& each) { return !each.uncertain; }));
  }
}

// An object that a dump does not carry is named where it is missing, and a fault where it came out of nowhere.
TEST_F(CatalogCompareTest, WhatADumpLeavesOutIsNamed) {
  struct Case {
    const char* name;
    const char* schema;
    const char* change;
    const char* subject;
    const char* named;
  };
  const Case kCases[] = {
      {"triggers_off",
       "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int CONSTRAINT fk REFERENCES a)",
       "ALTER TABLE b DISABLE TRIGGER ALL", "disabled constraint triggers", "fk"},
      {"language_grants", "SELECT 1", "REVOKE USAGE ON LANGUAGE sql FROM PUBLIC",
       "grants on built-in languages", "sql"},
  };
  for (const Case& each : kCases) {
    SCOPED_TRACE(each.name);
    Make(each.name, each.schema);
    const v1::DatabaseDetails before = Details(each.name);
    Server().Execute(each.name, each.change);
    const v1::DatabaseDetails changed = Details(each.name);
    const auto missing = CompareInventories(changed, before);
    ASSERT_EQ(missing.size(), 1u);
    EXPECT_TRUE(missing[0].uncertain);
    EXPECT_EQ(missing[0].subject, each.subject);
    EXPECT_NE(missing[0].text.find(each.named), std::string::npos) << missing[0].text;
    const auto extra = CompareInventories(before, changed);
    ASSERT_EQ(extra.size(), 1u);
    EXPECT_FALSE(extra[0].uncertain);
  }
}

TEST_F(CatalogCompareTest, ABackupOfVersion01IsComparedInWhatItSaysAndTheRestIsNamed) {
  Make("old_form", kPrinted);
  v1::DatabaseDetails then = Details("old_form");
  const v1::DatabaseDetails now = then;
  then.clear_format();
  for (int i = then.catalog_size() - 1; i >= 0; --i) {
    v1::CatalogSection& section = *then.mutable_catalog(i);
    for (const v1::CatalogStatement& statement : section.statements()) {
      section.add_lines(statement.object() + " " + statement.sql());
    }
    section.clear_statements();
    if (section.kind() == "domain constraints") then.mutable_catalog()->DeleteSubrange(i, 1);
  }
  std::string all;
  for (const Difference& difference : CompareInventories(then, now)) {
    EXPECT_TRUE(difference.uncertain) << difference.text;
    all += difference.text + "\n";
  }
  for (const char* named : {"constraints", "views", "domain constraints", "owners"}) {
    EXPECT_NE(all.find(named), std::string::npos) << all;
  }
  // A part that kept its form is compared all the same.
  Server().Execute("old_form", "GRANT SELECT ON app.orders TO reader");
  bool certain = false;
  for (const Difference& difference : CompareInventories(then, Details("old_form"))) {
    certain |= !difference.uncertain && difference.subject == "grants on relations";
  }
  EXPECT_TRUE(certain);
}

TEST_F(CatalogCompareTest, ABackupInANewerFormIsNamedAndNeverAFault) {
  Make("new_form", kPrinted);
  v1::DatabaseDetails then = Details("new_form");
  const v1::DatabaseDetails now = then;
  then.set_format(kDetailsFormat + 1);
  for (v1::CatalogSection& section : *then.mutable_catalog()) section.add_lines("in a form of the future");
  const auto differences = CompareInventories(then, now);
  EXPECT_FALSE(differences.empty());
  for (const Difference& difference : differences) EXPECT_TRUE(difference.uncertain) << difference.text;
}

}  // namespace
}  // namespace salvor::agent
