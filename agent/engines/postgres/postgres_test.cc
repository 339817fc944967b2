// The library against a real server: sessions, dumps read in flight, inventories.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>
#include <random>
#include <thread>

#include "agent/engines/postgres/archive_stream.h"
#include "agent/engines/postgres/connection.h"
#include "agent/engines/postgres/details_json.h"
#include "agent/engines/postgres/globals.h"
#include "agent/engines/postgres/inventory.h"
#include "agent/engines/postgres/test_server.h"
#include "agent/process/tool_runner.h"
#include "base/io/files.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

// One server for all tests of this file; each makes its own database.
class PostgresTest : public testing::Test {
 public:
  static void SetUpTestSuite() { server_ = new TestServer(); }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  static TestServer& Server() { return *server_; }

  static Status ReadDump(const std::string& dump, ArchiveStream& stream) {
    for (size_t at = 0; at < dump.size(); at += 65536) {
      RETURN_IF_ERROR(stream.Feed(std::string_view(dump).substr(at, 65536)));
    }
    return stream.Finish();
  }

  static TestServer* server_;
};
TestServer* PostgresTest::server_ = nullptr;

constexpr char kOddName[] = "Shop \"x\" = 1";

std::string QuotedOddName() { return "\"Shop \"\"x\"\" = 1\""; }

TEST_F(PostgresTest, ADatabaseNameIsANameHoweverItLooks) {
  Server().Execute("postgres", "CREATE DATABASE \"host=evil\"");
  Server().Execute("postgres", "CREATE DATABASE \"postgresql://evil/x\"");
  Server().Execute("postgres", "CREATE DATABASE " + QuotedOddName());
  for (const std::string name : {"host=evil", "postgresql://evil/x", kOddName}) {
    EXPECT_EQ(Server().Connect(name)->Value("SELECT current_database()").value(), name);
    ArchiveStream stream;
    EXPECT_EQ(ReadDump(Server().Dump(name), stream), OkStatus());
    EXPECT_EQ(stream.Summary().database, name);
  }
}

TEST_F(PostgresTest, APinnedSessionIsNotMovedBySettingsOfTheDatabase) {
  Server().Execute("postgres", "CREATE DATABASE pinned");
  Server().Execute("postgres",
                   "ALTER DATABASE pinned SET TimeZone = 'Asia/Tokyo';"
                   "ALTER DATABASE pinned SET DateStyle = 'German';"
                   "ALTER DATABASE pinned SET IntervalStyle = 'iso_8601';"
                   "ALTER DATABASE pinned SET bytea_output = 'escape';"
                   "ALTER DATABASE pinned SET extra_float_digits = 0;"
                   "ALTER DATABASE pinned SET search_path = 'x';"
                   "ALTER DATABASE pinned SET statement_timeout = '1s'");
  auto session = Server().Connect("pinned");
  EXPECT_EQ(session->Value("SELECT timestamptz '2026-11-21 12:00+00'").value(), "2026-11-21 12:00:00+00");
  EXPECT_EQ(session->Value("SELECT interval '1 day'").value(), "1 day");
  EXPECT_EQ(session->Value("SELECT '\\x00ff'::bytea").value(), "\\x00ff");
  EXPECT_EQ(session->Value("SELECT 0.1::float8 + 0.2").value(), "0.30000000000000004");
  EXPECT_EQ(session->Value("SHOW search_path").value(), "\"\"");
  EXPECT_EQ(session->Value("SHOW statement_timeout").value(), "0");
}

TEST_F(PostgresTest, NoTimeoutOfTheServerEndsAPinnedSessionOrATool) {
  Server().Execute("postgres", "CREATE DATABASE hasty");
  const char* const kTimeouts[] = {"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
                                   "idle_session_timeout", "tcp_user_timeout"};
  for (const char* timeout : kTimeouts) {
    Server().Execute("postgres", fmt::format("ALTER DATABASE hasty SET {} = '3min'", timeout));
  }
  const auto session = Server().Connect("hasty");
  for (const std::string timeout : kTimeouts) {
    EXPECT_EQ(session->Value("SHOW " + timeout).value(), "0") << timeout;
    ProcessSpec spec;
    spec.argv = {std::string(kTestBinDirectory) + "/psql", "-qAtXc", "SHOW " + timeout};
    spec.environment = ToolEnvironment(Server().Where(), "hasty", session.get()).value();
    const auto shown = TestTools().Run(std::move(spec), {}, SteadyNow() + absl::Minutes(1));
    ASSERT_TRUE(shown.ok()) << MessageOf(shown.status());
    EXPECT_EQ(shown->output, "0\n") << timeout;
  }
}

TEST_F(PostgresTest, WhoMayNotChooseTheLanguageOfMessagesIsServedAllTheSame) {
  Server().Execute("postgres", "CREATE ROLE foreigner LOGIN");
  const auto session = Server().Connect("postgres", "foreigner");
  EXPECT_EQ(session->ToolOptions().find("lc_messages"), std::string::npos);
  EXPECT_NE(Server().Connect("postgres")->ToolOptions().find("-c lc_messages=C"), std::string::npos);
  ProcessSpec spec;
  spec.argv = {std::string(kTestBinDirectory) + "/psql", "-qAtXc", "SELECT current_user"};
  spec.environment = ToolEnvironment(Server().Where("foreigner"), "postgres", session.get()).value();
  const auto shown = TestTools().Run(std::move(spec), {}, SteadyNow() + absl::Minutes(1));
  ASSERT_TRUE(shown.ok()) << MessageOf(shown.status());
  EXPECT_EQ(shown->output, "foreigner\n");
}

TEST_F(PostgresTest, ARefusalIsToldByItsStateAndShownWithoutIt) {
  Server().Execute("postgres", "CREATE DATABASE shut");
  Server().Execute("postgres", "ALTER DATABASE shut ALLOW_CONNECTIONS false");
  Server().Execute("postgres", "CREATE ROLE nobody_logs_in");
  SessionOptions options;
  options.database = "shut";
  const Status shut = Connection::Open(Server().Where(), options).status();
  EXPECT_EQ(shut.code(), absl::StatusCode::kPermissionDenied) << shut;
  EXPECT_EQ(MessageOf(shut).find("55000"), std::string::npos) << shut;
  EXPECT_EQ(MessageOf(shut).find("LOCATION"), std::string::npos) << shut;
  EXPECT_NE(MessageOf(shut).find("is not currently accepting connections"), std::string::npos) << shut;
  EXPECT_EQ(Connection::Open(Server().Where("nobody_logs_in"), {}).status().code(),
            absl::StatusCode::kPermissionDenied);
  v1::PostgresConnection nowhere = Server().Where();
  nowhere.set_socket_directory("/nonexistent");
  EXPECT_EQ(Connection::Open(nowhere, {}).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(PostgresTest, TextsAreUtf8UnlessTheServerCannotConvertThem) {
  Server().Execute("postgres", "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
  Server().Execute("postgres", "CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'");
  const auto latin = Server().Connect("latin"), ascii = Server().Connect("ascii");
  EXPECT_EQ(latin->ServerEncoding(), "LATIN1");
  EXPECT_EQ(latin->TextEncoding(), "UTF8");
  EXPECT_EQ(latin->Value("SELECT octet_length('ö')").value(), "1");
  EXPECT_EQ(latin->Value("SELECT chr(246)").value(), "ö");
  EXPECT_EQ(ascii->TextEncoding(), "SQL_ASCII");
  EXPECT_EQ(ascii->Value("SELECT '\xe9'").value(), "\xe9");
  EXPECT_EQ(BytesOf(AsUtf8("caf\xe9 \xff\\x41 gr\xc3\xb6")), "caf\xe9 \xff\\x41 gr\xc3\xb6");
}

TEST_F(PostgresTest, WhereADumpPutsASequenceIsReadFromIt) {
  Server().Execute("postgres", "CREATE DATABASE counted");
  Server().Execute(
      "counted",
      "CREATE SEQUENCE \"it's, (\"\"odd\"\");\" INCREMENT -3; SELECT nextval('\"it''s, (\"\"odd\"\");\"');"
      "SELECT nextval('\"it''s, (\"\"odd\"\");\"'); CREATE TABLE t (id serial)");
  ArchiveStream stream;
  ASSERT_EQ(ReadDump(Server().Dump("counted"), stream), OkStatus());
  std::map<std::string, ArchiveSequence> sequences;
  for (const ArchiveSequence& sequence : stream.Summary().sequences) sequences[sequence.name] = sequence;
  ASSERT_EQ(sequences.size(), 2u);
  EXPECT_EQ(sequences["it's, (\"odd\");"].last_value, -4);
  EXPECT_TRUE(sequences["it's, (\"odd\");"].is_called);
  EXPECT_EQ(sequences["t_id_seq"].schema, "public");
  EXPECT_EQ(sequences["t_id_seq"].last_value, 1);
  EXPECT_FALSE(sequences["t_id_seq"].is_called);
}

TEST_F(PostgresTest, AQueryEndsSoonAfterAStopRequestAndTheSessionLives) {
  SessionOptions options;
  std::stop_source stop;
  options.stop = stop.get_token();
  auto session = Connection::Open(Server().Where(), options).value();
  std::jthread stopper([&] { stop.request_stop(); });
  EXPECT_EQ(session->Execute("SELECT pg_sleep(60)").code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(session->Alive());
}

TEST_F(PostgresTest, AQueryEndsAtItsDeadline) {
  auto session = Server().Connect("postgres");
  session->SetDeadline(SteadyNow() + absl::Milliseconds(50));
  EXPECT_EQ(session->Execute("SELECT pg_sleep(60)").code(), absl::StatusCode::kDeadlineExceeded);
  session->SetDeadline(SteadyTime::InfiniteFuture());
  EXPECT_EQ(session->Value("SELECT 1").value(), "1");
}

TEST_F(PostgresTest, ErrorsCarryTheServersStateAndNoValuesOfRows) {
  auto session = Server().Connect("postgres");
  EXPECT_EQ(session->Query("SELECT * FROM nowhere").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(session->LastSqlState(), "42P01");
  ASSERT_TRUE(
      session->Execute("CREATE TEMP TABLE s (v text PRIMARY KEY); INSERT INTO s VALUES ('secret')").ok());
  SessionOptions missing;
  missing.database = "not there";
  const Status twice = session->Execute("INSERT INTO s VALUES ('secret')");
  EXPECT_EQ(MessageOf(twice).find("secret"), std::string::npos) << MessageOf(twice);
  EXPECT_EQ(Connection::Open(Server().Where(), missing).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Connection::Open(Server().Where("nobody"), {}).status().code(),
            absl::StatusCode::kUnauthenticated);
}

TEST_F(PostgresTest, WhatOthersDoToASessionIsWorthAnotherTryAndProvesNothing) {
  const struct {
    const char* raise;
    absl::StatusCode code;
  } kStates[] = {
      {"query_canceled", absl::StatusCode::kUnavailable},
      {"admin_shutdown", absl::StatusCode::kUnavailable},
      {"idle_session_timeout", absl::StatusCode::kUnavailable},
      {"idle_in_transaction_session_timeout", absl::StatusCode::kUnavailable},
      {"too_many_connections", absl::StatusCode::kUnavailable},
      {"out_of_memory", absl::StatusCode::kResourceExhausted},
      {"disk_full", absl::StatusCode::kResourceExhausted},
      {"deadlock_detected", absl::StatusCode::kAborted},
      {"lock_not_available", absl::StatusCode::kAborted},
      {"internal_error", absl::StatusCode::kAborted},
      {"data_corrupted", absl::StatusCode::kInternal},
      {"io_error", absl::StatusCode::kInternal},
  };
  const auto session = Server().Connect("postgres");
  for (const auto& state : kStates) {
    const Status raised = session->Execute(fmt::format("DO 'BEGIN RAISE {}; END'", state.raise));
    EXPECT_EQ(raised.code(), state.code) << state.raise << ": " << raised;
  }
}

TEST_F(PostgresTest, APasswordFileThatOthersCanReadIsRefused) {
  v1::PostgresConnection where = Server().Where();
  where.set_passfile(Server().Directory() + "/passfile");
  ASSERT_TRUE(WriteFileAtomically(where.passfile(), "*:*:*:*:secret\n", 0644).ok());
  EXPECT_FALSE(Connection::Open(where, {}).ok());
  EXPECT_FALSE(ToolEnvironment(where, "x").ok());
  chmod(where.passfile().c_str(), 0600);
  EXPECT_TRUE(Connection::Open(where, {}).ok());
}

TEST_F(PostgresTest, ARealDumpCutAnywhereIsFound) {
  Server().Execute("postgres", "CREATE DATABASE cut");
  Server().Execute("cut",
                   "CREATE TABLE t AS SELECT i, repeat('x', 50) FROM generate_series(1, 500) i;"
                   "CREATE TABLE last_one (id int); SELECT lo_from_bytea(0, 'abc')");
  const std::string dump = Server().Dump("cut");
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    const size_t cut = round < 200 ? dump.size() - 1 - static_cast<size_t>(round) : random() % dump.size();
    ArchiveStream stream;
    EXPECT_EQ(ReadDump(dump.substr(0, cut), stream).code(), absl::StatusCode::kDataLoss) << "cut at " << cut;
  }
}

TEST_F(PostgresTest, ACompressedDumpIsReadWithoutFailureAndNotCovered) {
  ArchiveStream stream;
  EXPECT_EQ(ReadDump(Server().Dump("postgres", {"-Z6"}), stream), OkStatus());
  EXPECT_FALSE(stream.Readable());
}

TEST_F(PostgresTest, DataWrittenAsInsertStatementsIsNotCovered) {
  Server().Execute("postgres", "CREATE DATABASE inserts");
  Server().Execute("inserts", "CREATE TABLE t AS SELECT 1 AS a");
  ArchiveStream stream;
  EXPECT_EQ(ReadDump(Server().Dump("inserts", {"--inserts"}), stream), OkStatus());
  ASSERT_EQ(stream.Summary().tables.size(), 1u);
  EXPECT_FALSE(stream.Summary().tables[0].covered);
}

// A change of each kind that a restore could get wrong, and the section that has to notice it.
struct Change {
  const char* sql;
  const char* check;
  const char* subject;
};

constexpr char kRichSchema[] = R"(
    CREATE EXTENSION pg_trgm; CREATE EXTENSION hstore;
    CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('sad', 'ok');
    CREATE DOMAIN app.positive AS int CHECK (VALUE > 0);
    CREATE TABLE app.customers (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, m app.mood);
    CREATE TABLE app.orders (id serial PRIMARY KEY, customer int REFERENCES app.customers, n app.positive DEFAULT 1);
    CREATE INDEX orders_by_customer ON app.orders (customer);
    CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER touching BEFORE UPDATE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.touch();
    CREATE VIEW app.v AS SELECT id FROM app.orders;
    CREATE MATERIALIZED VIEW app.mv AS SELECT count(*) FROM app.orders;
    ALTER TABLE app.orders ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON app.orders USING (n > 0);
    CREATE TABLE app.flyway_schema_history (version text, ok bool);
    INSERT INTO app.flyway_schema_history VALUES ('1', true);
    CREATE STATISTICS app.st ON id, customer FROM app.orders; COMMENT ON TABLE app.orders IS 'all of them';
    GRANT SELECT ON app.orders TO reader; GRANT USAGE ON SCHEMA app TO reader;
    GRANT UPDATE (name) ON app.customers TO reader;
    ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO reader;
    CREATE PUBLICATION pub FOR TABLE app.orders;
    ALTER TABLE app.customers OWNER TO keeper;
    SELECT lo_create(0);
)";

class InventoryTest : public PostgresTest {
 public:
  static void SetUpTestSuite() {
    PostgresTest::SetUpTestSuite();
    Server().Execute("postgres", "CREATE ROLE reader; CREATE ROLE keeper");
    Server().Execute("postgres", "CREATE DATABASE inventory");
    Server().Execute("inventory", kRichSchema);
  }
};

TEST_F(InventoryTest, EveryKindOfChangeIsNoticedAndNamed) {
  const Change kChanges[] = {
      {"ALTER TABLE app.orders ALTER n SET DEFAULT 2", "schema", "columns"},
      {"ALTER TABLE app.orders ADD more int", "schema", "columns"},
      {"ALTER TABLE app.orders ALTER n SET (n_distinct = 5)", "schema", "columns"},
      {"ALTER TABLE app.orders DROP CONSTRAINT orders_customer_fkey", "schema", "constraints"},
      {"DROP INDEX app.orders_by_customer", "schema", "indexes"},
      {"ALTER TABLE app.orders DISABLE TRIGGER touching", "schema", "triggers"},
      {"CREATE OR REPLACE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
       "schema", "functions"},
      {"CREATE OR REPLACE VIEW app.v AS SELECT id FROM app.orders WHERE id > 1", "schema", "views"},
      {"REFRESH MATERIALIZED VIEW app.mv WITH NO DATA", "schema", "materialized views"},
      {"ALTER TABLE app.orders DISABLE ROW LEVEL SECURITY", "schema", "tables"},
      {"DROP POLICY mine ON app.orders", "schema", "policies"},
      {"ALTER TYPE app.mood RENAME VALUE 'ok' TO 'fine'", "schema", "types"},
      {"ALTER SEQUENCE app.orders_id_seq INCREMENT 5", "schema", "sequences"},
      {"DROP STATISTICS app.st", "schema", "statistics"},
      {"COMMENT ON TABLE app.orders IS 'other'", "schema", "comments"},
      {"DROP PUBLICATION pub", "schema", "publications"},
      {"DROP EXTENSION hstore", "extensions", "extensions"},
      {"DELETE FROM app.flyway_schema_history", "migrations", "app.flyway_schema_history"},
      {"REVOKE SELECT ON app.orders FROM reader", "grants", "grants on relations"},
      {"REVOKE UPDATE (name) ON app.customers FROM reader", "grants", "grants on columns"},
      {"REVOKE USAGE ON SCHEMA app FROM reader", "grants", "grants on schemas"},
      {"GRANT EXECUTE ON FUNCTION app.touch() TO reader", "grants", "grants on functions"},
      {"ALTER DEFAULT PRIVILEGES IN SCHEMA app REVOKE SELECT ON TABLES FROM reader", "grants",
       "default grants"},
      {"ALTER VIEW app.v OWNER TO keeper", "grants", "owners"},
      {"SELECT lo_create(0)", "grants", "large object grants"},
  };
  auto session = Server().Connect("inventory");
  const v1::DatabaseDetails then = CaptureInventory(*session).value().details;
  EXPECT_TRUE(CompareInventories(then, then).empty());
  for (const Change& change : kChanges) {
    ASSERT_TRUE(session->Execute("BEGIN").ok());
    ASSERT_EQ(session->Execute(change.sql), OkStatus()) << change.sql;
    auto now = CaptureInventory(*session);
    ASSERT_TRUE(session->Execute("ROLLBACK").ok());
    ASSERT_TRUE(now.ok()) << MessageOf(now.status());
    bool noticed = false;
    for (const Difference& difference : CompareInventories(then, now->details)) {
      noticed |= difference.check == change.check && difference.subject == change.subject;
      EXPECT_FALSE(difference.uncertain);
    }
    EXPECT_TRUE(noticed) << change.sql;
  }
  EXPECT_TRUE(CompareInventories(then, CaptureInventory(*session).value().details).empty());
}

TEST_F(InventoryTest, ATableThatIsCalledAListOfMigrationsAndHoldsMuchMoreIsNotHeld) {
  Server().Execute("postgres", "CREATE DATABASE called");
  Server().Execute(
      "called",
      "CREATE TABLE knex_migrations AS SELECT 'one' AS name;"
      "CREATE TABLE schema_version AS SELECT repeat('x', 1000) AS name FROM generate_series(1, 17000)");
  const auto session = Server().Connect("called");
  const v1::DatabaseDetails details = CaptureInventory(*session).value().details;
  ASSERT_EQ(details.migrations_size(), 1);
  EXPECT_EQ(details.migrations(0).table(), "public.knex_migrations");
  Server().Execute("called",
                   "TRUNCATE schema_version; INSERT INTO schema_version VALUES (repeat('x', 17 << 20))");
  EXPECT_EQ(CaptureInventory(*session).value().details.migrations_size(), 1);
  Server().Execute("called", "UPDATE schema_version SET name = left(name, 1 << 20)");
  EXPECT_EQ(CaptureInventory(*session).value().details.migrations_size(), 2);
}

TEST_F(InventoryTest, DetailsSurviveTheirJson) {
  auto session = Server().Connect("inventory");
  const v1::DatabaseDetails then = CaptureInventory(*session).value().details;
  v1::DatabaseDetails read;
  ASSERT_TRUE(FromJson(ToJson(then).value(), &read).ok());
  EXPECT_EQ(read.SerializeAsString(), then.SerializeAsString());
  EXPECT_EQ(FromJson("{\"database\":", &read).code(), absl::StatusCode::kDataLoss);
}

TEST_F(InventoryTest, WhatADumpLeavesOutIsSaid) {
  Server().Execute("postgres", "CREATE DATABASE warned");
  Server().Execute(
      "warned",
      "CREATE TABLE t (a int PRIMARY KEY); ALTER TABLE t ADD CONSTRAINT later CHECK (a > 0) NOT VALID;"
      "CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS x WITH NO DATA;"
      "CREATE MATERIALIZED VIEW filled AS SELECT 1 AS x;"
      "CREATE TABLE u (a int CONSTRAINT to_t REFERENCES t); ALTER TABLE u DISABLE TRIGGER ALL;"
      "CREATE EXTENSION cube VERSION '1.2'; CREATE EXTENSION hstore; CREATE TABLE member AS SELECT 1 AS x;"
      "ALTER EXTENSION hstore ADD TABLE member;"
      "UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'hstore'");
  const auto warnings = CaptureInventory(*Server().Connect("warned")).value().warnings;
  const std::string all = Join(warnings, "\n");
  for (const char* named :
       {"later", "unfilled", "public.filled", "to_t", "hstore 0.9", "public.member of hstore"}) {
    EXPECT_NE(all.find(named), std::string::npos) << named << " in\n" << all;
  }
  EXPECT_EQ(warnings.size(), 6u) << all;
  Server().Execute("postgres", "CREATE DATABASE plain TEMPLATE template0");
  EXPECT_TRUE(CaptureInventory(*Server().Connect("plain")).value().warnings.empty());
}

TEST_F(InventoryTest, StatementsOfADatabaseMakeACopyOfItsSettingsAndGrants) {
  Server().Execute("postgres", "CREATE ROLE \"tricky %DB% DATABASE\"");
  Server().Execute("postgres", "CREATE DATABASE settings OWNER keeper");
  Server().Execute("postgres", "CREATE DATABASE \"The Copy\" OWNER keeper");
  Server().Execute("postgres", R"(
    ALTER DATABASE settings SET search_path = "$user", app, "Odd, name";
    ALTER DATABASE settings SET application_name = 'it''s %DB%';
    ALTER ROLE "tricky %DB% DATABASE" IN DATABASE settings SET work_mem = '12MB';
    REVOKE CONNECT ON DATABASE settings FROM PUBLIC;
    GRANT CONNECT ON DATABASE settings TO reader WITH GRANT OPTION)");
  const v1::DatabaseDetails then = CaptureInventory(*Server().Connect("settings")).value().details;
  const v1::DatabaseDetails before = CaptureInventory(*Server().Connect("The Copy")).value().details;
  EXPECT_FALSE(CompareInventories(then, before).empty());
  for (const std::string& statement : then.properties().statements()) {
    Server().Execute("postgres", ForDatabase(statement, "\"The Copy\""));
  }
  const v1::DatabaseDetails after = CaptureInventory(*Server().Connect("The Copy")).value().details;
  for (const Difference& difference : CompareInventories(then, after)) ADD_FAILURE() << difference.text;
}

TEST_F(PostgresTest, PlacesForTheDatabaseNameInsideQuotesStayAsTheyAre) {
  EXPECT_EQ(ForDatabase("ALTER ROLE \"a %DB%\" IN DATABASE %DB% SET x TO 'it''s %DB%'", "\"Shop\""),
            "ALTER ROLE \"a %DB%\" IN DATABASE \"Shop\" SET x TO 'it''s %DB%'");
}

TEST_F(PostgresTest, ListSettingsBecomeOneLiteralPerName) {
  auto session = Server().Connect("postgres");
  EXPECT_EQ(SettingAssignment(*session, "search_path=\"$user\", app, \"Odd, \"\"name\""),
            "\"search_path\" TO '$user', 'app', 'Odd, \"name'");
  EXPECT_EQ(SettingAssignment(*session, "search_path=\"\""), "\"search_path\" TO ''");
  EXPECT_EQ(SettingAssignment(*session, "app.tenant=a, b"), "\"app\".\"tenant\" TO 'a, b'");
}

TEST_F(PostgresTest, RolesComeBackWithAttributesMembershipsSettingsAndPasswords) {
  Server().Execute(
      "postgres",
      "CREATE ROLE staff NOLOGIN; CREATE ROLE anna LOGIN CREATEDB CONNECTION LIMIT 3 PASSWORD 'p'"
      " VALID UNTIL '2030-01-01'; GRANT staff TO anna WITH ADMIN OPTION;"
      "GRANT pg_monitor TO anna; ALTER ROLE anna SET work_mem = '7MB';"
      "ALTER ROLE anna SET search_path = a, b; COMMENT ON ROLE anna IS 'it''s her'");
  const Globals then = CaptureGlobals(*Server().Connect("postgres")).value();
  EXPECT_TRUE(then.warnings.empty());
  Server().Execute("postgres", "DROP ROLE anna; DROP ROLE staff");
  const auto find = [](const v1::GlobalsDetails& details, const std::string& name) {
    for (const auto& role : details.roles()) {
      if (role.role() == name) return role;
    }
    return v1::RoleStatements();
  };
  auto session = Server().Connect("postgres");
  for (const char* name : {"staff", "anna"})
    ASSERT_EQ(session->Execute(find(then.details, name).create()), OkStatus());
  for (const char* name : {"staff", "anna"}) {
    const v1::RoleStatements role = find(then.details, name);
    for (const std::string& statement : role.after()) {
      ASSERT_EQ(session->Execute(statement), OkStatus()) << statement;
    }
  }
  const Globals now = CaptureGlobals(*session).value();
  const v1::RoleStatements anna = find(now.details, "anna");
  EXPECT_EQ(anna.SerializeAsString(), find(then.details, "anna").SerializeAsString());
  EXPECT_NE(anna.create().find("SCRAM-SHA-256$"), std::string::npos);
  EXPECT_EQ(anna.fingerprint().find("SCRAM"), std::string::npos);
}

TEST_F(PostgresTest, WithoutTheRightToReadPasswordsRolesComeWithoutThemAndItIsSaid) {
  Server().Execute("postgres", "CREATE ROLE modest LOGIN");
  const Globals globals = CaptureGlobals(*Server().Connect("postgres", "modest")).value();
  ASSERT_EQ(globals.warnings.size(), 1u);
  for (const auto& role : globals.details.roles()) {
    EXPECT_EQ(role.create().find("PASSWORD"), std::string::npos);
  }
}

TEST(Utf8Test, InvalidBytesBecomeEscapes) {
  EXPECT_EQ(AsUtf8("a\xc3\xa4\xff\xc3"), "a\xc3\xa4\\xff\\xc3");
  EXPECT_EQ(AsUtf8("\xed\xa0\x80"), "\\xed\\xa0\\x80");
}

}  // namespace
}  // namespace salvor::agent
