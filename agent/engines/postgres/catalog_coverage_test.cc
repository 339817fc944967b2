// Every column of the catalogue has a verdict, and every kind of fact a change that it notices.
#include "agent/engines/postgres/catalog_coverage.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "agent/engines/postgres/catalog_queries.h"
#include "agent/engines/postgres/inventory.h"
#include "agent/engines/postgres/test_server.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr char kEveryKind[] = R"sql(
CREATE EXTENSION hstore; CREATE EXTENSION postgres_fdw; CREATE SCHEMA app; SET search_path = app;
CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE pair AS (a int, b text);
CREATE TYPE span AS RANGE (subtype = float8); CREATE DOMAIN code AS text CHECK (VALUE <> '');
CREATE TABLE a (id int PRIMARY KEY, t text, m mood, n int CHECK (n > 0) NO INHERIT) WITH (fillfactor = 70);
CREATE TABLE b (id serial, a int CONSTRAINT fk REFERENCES a, EXCLUDE USING btree (id WITH =));
CREATE TABLE parent (x int); CREATE TABLE child () INHERITS (parent);
CREATE TABLE parts (id int, s text) PARTITION BY LIST (s); CREATE TABLE part PARTITION OF parts DEFAULT;
CREATE INDEX by_t ON a (t, n) INCLUDE (m); CREATE STATISTICS st ON t, n FROM a;
CREATE FUNCTION f(i int) RETURNS int LANGUAGE sql AS 'SELECT i';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER tr BEFORE UPDATE ON a FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER ptr AFTER INSERT ON parts FOR EACH ROW EXECUTE FUNCTION touch();
CREATE RULE ru AS ON DELETE TO b DO NOTHING; CREATE POLICY po ON a USING (n > 0);
CREATE VIEW v AS SELECT id FROM a; CREATE MATERIALIZED VIEW mv AS SELECT id FROM a; CREATE SEQUENCE sq;
CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int, initcond = '0');
CREATE FUNCTION less(pair, pair) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE FUNCTION compare(pair, pair) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 0';
CREATE OPERATOR <<< (leftarg = pair, rightarg = pair, function = less, restrict = scalarltsel);
CREATE OPERATOR FAMILY fam USING btree;
CREATE OPERATOR CLASS cls FOR TYPE pair USING btree FAMILY fam AS OPERATOR 1 <<<, FUNCTION 1 compare(pair, pair);
CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler; CREATE CAST (pair AS text) WITH INOUT;
CREATE TRANSFORM FOR pair LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal));
CREATE CONVERSION conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8; CREATE COLLATION col FROM "C";
CREATE TEXT SEARCH CONFIGURATION tc (COPY = english);
CREATE TEXT SEARCH DICTIONARY td (TEMPLATE = simple, accept = false);
CREATE LANGUAGE other HANDLER plpgsql_call_handler;
CREATE FUNCTION on_event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER et ON ddl_command_end WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION on_event();
CREATE PUBLICATION pub FOR TABLE a WHERE (id > 1);
CREATE SUBSCRIPTION sub CONNECTION 'host=nowhere password=x' PUBLICATION p
  WITH (connect = false, slot_name = NONE, enabled = false);
CREATE SERVER srv FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'nowhere');
CREATE USER MAPPING FOR reader SERVER srv OPTIONS (user 'x', password 'y');
CREATE FOREIGN TABLE ft (a int OPTIONS (column_name 'b')) SERVER srv OPTIONS (table_name 't');
COMMENT ON TABLE a IS 'a'; GRANT SELECT ON a TO reader; GRANT UPDATE (t) ON a TO reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO reader; SELECT lo_create(0);
)sql";

struct Sabotage {
  const char* section;
  const char* sql;
};

// Several of each kind where a kind has several facts.
constexpr Sabotage kSabotages[] = {
    {"schemas", "CREATE SCHEMA more"},
    {"schemas", "DROP SCHEMA public CASCADE"},
    {"tables", "ALTER TABLE app.a SET (fillfactor = 80)"},
    {"tables", "ALTER TABLE app.a SET (toast.autovacuum_enabled = off)"},
    {"tables", "ALTER TABLE app.a REPLICA IDENTITY FULL"},
    {"tables", "ALTER TABLE app.a FORCE ROW LEVEL SECURITY"},
    {"tables", "ALTER TABLE app.b SET UNLOGGED"},
    {"tables", "ALTER TABLE app.child NO INHERIT app.parent"},
    {"tables", "ALTER TABLE app.parts DETACH PARTITION app.part"},
    {"columns", "ALTER TABLE app.a ALTER t SET STORAGE external"},
    {"columns", "ALTER TABLE app.a ALTER t SET STATISTICS 0"},
    {"columns", "ALTER TABLE app.a ALTER t SET COMPRESSION pglz"},
    {"columns", "ALTER TABLE app.a ALTER t TYPE text COLLATE \"C\""},
    {"columns", "ALTER TABLE app.a ALTER t SET NOT NULL"},
    {"columns", "ALTER VIEW app.v ALTER id SET DEFAULT 7"},
    {"columns", "ALTER TYPE app.pair ADD ATTRIBUTE c int"},
    {"constraints", "ALTER TABLE app.b ALTER CONSTRAINT fk DEFERRABLE"},
    {"constraints",
     "ALTER TABLE app.b DROP CONSTRAINT fk, ADD CONSTRAINT fk FOREIGN KEY (a) REFERENCES app.a ON DELETE CASCADE"},
    {"constraints", "ALTER TABLE app.a DROP CONSTRAINT a_n_check, ADD CONSTRAINT a_n_check CHECK (n > 0)"},
    {"constraints", "ALTER TABLE app.b DROP CONSTRAINT b_id_excl"},
    {"domain constraints", "ALTER DOMAIN app.code DROP CONSTRAINT code_check"},
    {"indexes", "ALTER INDEX app.by_t SET (fillfactor = 50)"},
    {"indexes", "DROP INDEX app.by_t; CREATE INDEX by_t ON app.a (t DESC, n) INCLUDE (m)"},
    {"indexes", "DROP INDEX app.by_t; CREATE INDEX by_t ON app.a (t text_pattern_ops, n) INCLUDE (m)"},
    {"indexes", "DROP INDEX app.by_t; CREATE INDEX by_t ON app.a (t, n, m)"},
    {"indexes", "ALTER TABLE app.a CLUSTER ON by_t"},
    {"statistics", "ALTER STATISTICS app.st SET STATISTICS 7"},
    {"statistics", "DROP STATISTICS app.st; CREATE STATISTICS app.st (ndistinct) ON t, n FROM app.a"},
    {"triggers", "ALTER TABLE app.part DISABLE TRIGGER ptr"},
    {"triggers", "ALTER TABLE app.a ENABLE ALWAYS TRIGGER tr"},
    {"disabled constraint triggers", "ALTER TABLE app.b DISABLE TRIGGER ALL"},
    {"rules", "ALTER TABLE app.b DISABLE RULE ru"},
    {"rules", "CREATE OR REPLACE RULE ru AS ON DELETE TO app.b DO INSTEAD NOTHING"},
    {"policies", "ALTER POLICY po ON app.a TO reader"},
    {"views", "ALTER VIEW app.v SET (security_barrier = true)"},
    {"materialized views", "REFRESH MATERIALIZED VIEW app.mv WITH NO DATA"},
    {"sequences", "ALTER SEQUENCE app.sq CYCLE"},
    {"sequences", "ALTER SEQUENCE app.sq OWNED BY app.a.id"},
    {"functions", "ALTER FUNCTION app.f(int) SECURITY DEFINER"},
    {"functions", "ALTER FUNCTION app.f(int) SET work_mem = '1MB'"},
    {"functions", "ALTER FUNCTION app.f(int) STRICT"},
    {"aggregates",
     "DROP AGGREGATE app.total(int); CREATE AGGREGATE app.total(int) (sfunc = int4pl, stype = int, initcond = '1')"},
    {"aggregates",
     "DROP AGGREGATE app.total(int); CREATE AGGREGATE app.total(int) (sfunc = int4pl, stype = int, initcond = '0',"
     " combinefunc = int4pl)"},
    {"types", "ALTER TYPE app.mood ADD VALUE 'new' BEFORE 'ok'"},
    {"types",
     "DROP TYPE app.span; CREATE TYPE app.span AS RANGE (subtype = float8, subtype_diff = float8mi)"},
    {"types", "ALTER DOMAIN app.code SET NOT NULL"},
    {"types", "ALTER DOMAIN app.code SET DEFAULT 'x'"},
    {"operators", "ALTER OPERATOR app.<<< (app.pair, app.pair) SET (RESTRICT = NONE)"},
    {"operator classes", "UPDATE pg_opclass SET opcdefault = NOT opcdefault WHERE opcname = 'cls'"},
    {"operator families",
     "ALTER OPERATOR FAMILY app.fam USING btree ADD OPERATOR 1 pg_catalog.< (int4, int4)"},
    {"access methods", "DROP ACCESS METHOD heap2"},
    {"casts", "DROP CAST (app.pair AS text)"},
    {"transforms", "DROP TRANSFORM FOR app.pair LANGUAGE sql"},
    {"conversions", "ALTER CONVERSION app.conv RENAME TO conv2"},
    {"collations", "DROP COLLATION app.col; CREATE COLLATION app.col (provider = icu, locale = 'de')"},
    {"text search", "ALTER TEXT SEARCH CONFIGURATION app.tc DROP MAPPING FOR email"},
    {"text search", "ALTER TEXT SEARCH DICTIONARY app.td (accept = true)"},
    {"languages", "DROP LANGUAGE other"},
    {"event triggers", "ALTER EVENT TRIGGER et DISABLE"},
    {"extension properties", "ALTER EXTENSION hstore SET SCHEMA app"},
    {"publications", "ALTER PUBLICATION pub SET (publish = 'insert')"},
    {"published tables", "ALTER PUBLICATION pub SET TABLE app.a (id) WHERE (id > 1)"},
    {"published tables", "ALTER PUBLICATION pub SET TABLE app.a WHERE (id > 2)"},
    {"published tables", "ALTER PUBLICATION pub ADD TABLES IN SCHEMA app"},
    {"subscriptions", "ALTER SUBSCRIPTION sub CONNECTION 'host=nowhere password=z'"},
    {"subscriptions", "ALTER SUBSCRIPTION sub SET (synchronous_commit = local)"},
    {"options of subscriptions", "ALTER SUBSCRIPTION sub SET (binary = true)"},
    {"foreign servers", "ALTER SERVER srv OPTIONS (SET host 'elsewhere')"},
    {"foreign servers", "ALTER USER MAPPING FOR reader SERVER srv OPTIONS (SET password 'z')"},
    {"foreign servers", "ALTER FOREIGN TABLE app.ft OPTIONS (SET table_name 'u')"},
    {"foreign servers", "ALTER FOREIGN TABLE app.ft ALTER a OPTIONS (SET column_name 'c')"},
    {"comments", "COMMENT ON SCHEMA public IS 'other'"},
    {"comments", "COMMENT ON COLUMN app.a.t IS 'new'"},
    {"kind of database", "UPDATE pg_database SET datistemplate = true WHERE datname = current_database()"},
    {"grants on relations", "REVOKE SELECT ON app.a FROM reader"},
    {"grants on sequences", "GRANT USAGE ON SEQUENCE app.sq TO reader"},
    {"grants on columns", "REVOKE UPDATE (t) ON app.a FROM reader"},
    {"grants on schemas", "GRANT USAGE ON SCHEMA app TO reader WITH GRANT OPTION"},
    {"grants on functions", "REVOKE EXECUTE ON FUNCTION app.f(int) FROM PUBLIC"},
    {"grants on types", "REVOKE USAGE ON TYPE app.mood FROM PUBLIC"},
    {"grants on languages", "UPDATE pg_language SET lanacl = '{=U/postgres}' WHERE lanname = 'other'"},
    {"grants on foreign servers", "GRANT USAGE ON FOREIGN SERVER srv TO reader"},
    {"grants on objects of the system and of extensions",
     "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_sleep(float8) FROM PUBLIC"},
    {"grants on objects of the system and of extensions",
     "GRANT SELECT (rolpassword) ON pg_authid TO reader"},
    {"grants on objects of the system and of extensions", "GRANT USAGE ON LANGUAGE plpgsql TO reader"},
    {"grants on objects of the system and of extensions",
     "REVOKE EXECUTE ON FUNCTION public.hstore(text, text) FROM PUBLIC"},
    {"grants on objects of the system and of extensions",
     "GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO reader"},
    {"grants on objects of the system and of extensions", "REVOKE USAGE ON TYPE pg_catalog.int4 FROM PUBLIC"},
    {"grants on built-in languages", "REVOKE USAGE ON LANGUAGE sql FROM PUBLIC"},
    {"default grants", "ALTER DEFAULT PRIVILEGES IN SCHEMA app REVOKE SELECT ON TABLES FROM reader"},
    {"large object grants", "SELECT lo_create(0)"},
    {"owners", "ALTER TEXT SEARCH DICTIONARY app.td OWNER TO reader"},
    {"owners", "ALTER STATISTICS app.st OWNER TO reader"},
    {"owners", "ALTER AGGREGATE app.total(int) OWNER TO reader"},
};

// Sections that no change of one database in one transaction can make, each with the test that makes one.
const std::map<std::string, std::string>& TestedElsewhere() {
  static const std::map<std::string, std::string> kinds = {
      {"tablespaces", "needs a directory of the server's user; ATablespaceIsNamed"},
      {"security labels", "needs a label provider, which is a library of C"},
      {"first grants of a renamed public", "TheFirstGrantsOfARenamedPublicAreSetAgainAndMissedOtherwise"}};
  return kinds;
}

class CatalogCoverageTest : public testing::Test {
 public:
  static void SetUpTestSuite() {
    server_ = new TestServer();
    server_->Execute("postgres", "CREATE ROLE reader");
    server_->Execute("postgres", "CREATE DATABASE kinds TEMPLATE template0");
    server_->Execute("kinds", kEveryKind);
  }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  static TestServer& Server() { return *server_; }

 private:
  static TestServer* server_;
};
TestServer* CatalogCoverageTest::server_ = nullptr;

TEST_F(CatalogCoverageTest, EveryColumnOfTheServersCatalogueHasAVerdict) {
  std::set<std::pair<std::string, std::string>> listed;
  for (const ColumnCoverage& entry : CatalogCoverage()) {
    for (const std::string& column : Split(entry.columns, ' ')) {
      EXPECT_TRUE(listed.insert({entry.catalog, column}).second) << entry.catalog << "." << column;
    }
    EXPECT_STRNE(entry.what, "");
  }
  const auto session = Server().Connect("kinds");
  const Rows rows = session
                        ->Query(R"sql(
SELECT c.relname, a.attname
FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'pg_catalog'::regnamespace
  AND c.relkind = 'r'
  AND a.attnum > 0
  AND NOT a.attisdropped
)sql")
                        .value();
  EXPECT_GT(rows.Count(), 500);
  for (int i = 0; i < rows.Count(); ++i) {
    EXPECT_TRUE(listed.count({rows.Text(i, 0), rows.Text(i, 1)}) > 0)
        << rows.Text(i, 0) << "." << rows.Text(i, 1) << " is not in catalog_coverage.cc";
  }
}

TEST_F(CatalogCoverageTest, WhatIsComparedIsASectionOrACheckOfItsOwn) {
  const std::set<std::string> checks = {"database", "extensions", "roles", "large objects", "structure"};
  for (const ColumnCoverage& entry : CatalogCoverage()) {
    if (entry.coverage != Coverage::kCompared || checks.count(entry.what) > 0) continue;
    EXPECT_NE(FindCatalogQuery(entry.what), nullptr) << entry.catalog << ": " << entry.what;
  }
}

TEST_F(CatalogCoverageTest, EverySectionNoticesItsChanges) {
  auto session = Server().Connect("kinds");
  const v1::DatabaseDetails then = CaptureInventory(*session).value().details;
  std::set<std::string> noticed;
  for (const Sabotage& sabotage : kSabotages) {
    ASSERT_TRUE(session->Execute("BEGIN").ok());
    ASSERT_EQ(session->Execute(sabotage.sql), OkStatus()) << sabotage.sql;
    const auto now = CaptureInventory(*session);
    ASSERT_TRUE(now.ok()) << sabotage.sql << ": " << MessageOf(now.status());
    ASSERT_TRUE(session->Execute("ROLLBACK").ok());
    bool found = false;
    for (const Difference& difference : CompareInventories(then, now->details)) {
      found |= difference.subject == sabotage.section && !difference.uncertain;
      EXPECT_EQ(difference.text.find("password="), std::string::npos) << difference.text;
    }
    EXPECT_TRUE(found) << sabotage.section << ": " << sabotage.sql;
    noticed.insert(sabotage.section);
  }
  for (const CatalogQuery& query : CatalogQueries()) {
    EXPECT_TRUE(noticed.count(query.kind) + TestedElsewhere().count(query.kind) > 0)
        << query.kind << " has no change that it must notice";
  }
  EXPECT_TRUE(CompareInventories(then, CaptureInventory(*session).value().details).empty());
}

TEST_F(CatalogCoverageTest, ATablespaceIsNamed) {
  auto session = Server().Connect("kinds");
  const v1::DatabaseDetails without = CaptureInventory(*session).value().details;
  ASSERT_TRUE(session->Execute("SET allow_in_place_tablespaces = on").ok());
  ASSERT_EQ(session->Execute("CREATE TABLESPACE fast LOCATION ''"), OkStatus());
  ASSERT_EQ(session->Execute("ALTER TABLE app.a SET TABLESPACE fast"), OkStatus());
  const auto differences = CompareInventories(CaptureInventory(*session).value().details, without);
  ASSERT_EQ(session->Execute("ALTER TABLE app.a SET TABLESPACE pg_default"), OkStatus());
  ASSERT_EQ(differences.size(), 1u);
  EXPECT_EQ(differences[0].subject, "tablespaces");
  EXPECT_TRUE(differences[0].uncertain);
  EXPECT_NE(differences[0].text.find("app.a in tablespace fast"), std::string::npos) << differences[0].text;
}

}  // namespace
}  // namespace salvor::agent
