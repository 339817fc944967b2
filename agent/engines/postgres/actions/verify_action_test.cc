// Verdicts about real restored copies: what a drill has to call equal, and what not.
#include <unistd.h>

#include "agent/engines/postgres/actions/actions_testing.h"
#include "agent/process/process_testing.h"
#include "agent/scratch/actions/scratch_actions.h"
#include "base/names.h"

namespace salvor::agent {
namespace {

class PostgresVerifyTest : public PostgresActionsTest {
 protected:
  // A drill up to its checks; the server stays until the test removes it.
  void Drill(const std::string& server, const Kept& kept, const std::string& database) {
    const auto roles = RestoreRoles(Scratch(server), kept);
    ASSERT_TRUE(roles.ok()) << MessageOf(roles.status());
    const auto restored = Restore(Scratch(server), kept, database);
    ASSERT_TRUE(restored.ok()) << MessageOf(restored.status());
  }

  void InCopy(const std::string& server, const std::string& database, const std::string& sql) {
    SessionOptions options;
    options.database = database;
    options.pinned = false;
    auto session = Connection::Open(ConnectionTo(Server().Servers().EnsureRunning(server).value()), options);
    ASSERT_TRUE(session.ok());
    ASSERT_EQ((*session)->Execute(sql), OkStatus()) << sql;
  }

  v1::ActionResult Verified(const std::string& server, const Kept& kept, const std::string& database) {
    auto verified = Verify(Scratch(server), kept, database);
    EXPECT_TRUE(verified.ok()) << MessageOf(verified.status());
    return verified.ok() ? *verified : v1::ActionResult();
  }
};

// As Rails, Django, Hibernate and Prisma write them: text columns with lists of labels.
constexpr char kOrmSchema[] = R"sql(
CREATE TABLE orders (id bigserial PRIMARY KEY, state varchar(255) NOT NULL DEFAULT 'new',
  currency varchar(3) DEFAULT 'eur', total numeric(12, 2) DEFAULT 0.0,
  created_at timestamp(6) DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT state_known CHECK (state IN ('new', 'open', 'closed')),
  CONSTRAINT currency_known CHECK (currency IN ('eur', 'usd')));
CREATE INDEX open_orders ON orders (created_at) WHERE state IN ('new', 'open');
CREATE VIEW open AS SELECT * FROM orders WHERE state IN ('new', 'open');
INSERT INTO orders (state) SELECT 'open' FROM generate_series(1, 100);
)sql";

TEST_F(PostgresVerifyTest, TheSchemaOfAnOrmIsProvenAndOneOtherLabelIsNot) {
  Server().Execute("postgres", "CREATE DATABASE orm");
  Server().Execute("orm", kOrmSchema);
  const Kept kept = Backup("orm");
  Drill("verify-1", kept, "orm");
  v1::ActionResult result = Verified("verify-1", kept, "orm");
  EXPECT_TRUE(KindsNotPassed(result).empty()) << Render(result);
  InCopy("verify-1", "orm",
         "ALTER TABLE orders DROP CONSTRAINT state_known,"
         " ADD CONSTRAINT state_known CHECK (state IN ('new', 'open', 'paused'))");
  result = Verified("verify-1", kept, "orm");
  EXPECT_EQ(KindsNotPassed(result), std::vector<std::string>{"schema"}) << Render(result);
  EXPECT_NE(Render(result).find("state_known"), std::string::npos) << Render(result);
  EXPECT_NE(Render(result).find("paused"), std::string::npos) << Render(result);
  EXPECT_TRUE(Server().Servers().Remove("verify-1").ok());
}

TEST_F(PostgresVerifyTest, RolesAreComparedWithTheirPasswordsAndNoSuperuserIsAddedUnseen) {
  Server().Execute("postgres", "CREATE ROLE clerk LOGIN PASSWORD 'right'");
  Server().Execute("postgres", "CREATE DATABASE roles OWNER clerk");
  const Kept kept = Backup("roles");
  Drill("verify-2", kept, "roles");
  EXPECT_TRUE(KindsNotPassed(Verified("verify-2", kept, "roles")).empty());
  const std::vector<std::string> roles = {"roles"};
  InCopy("verify-2", "postgres", "ALTER ROLE clerk PASSWORD 'wrong'");
  v1::ActionResult result = Verified("verify-2", kept, "roles");
  EXPECT_EQ(KindsNotPassed(result), roles) << Render(result);
  EXPECT_EQ(Render(result).find("SCRAM"), std::string::npos) << Render(result);
  InCopy("verify-2", "postgres", "DROP DATABASE roles WITH (FORCE)");
  InCopy("verify-2", "postgres", "DROP ROLE clerk");
  Drill("verify-2", kept, "roles");
  EXPECT_TRUE(KindsNotPassed(Verified("verify-2", kept, "roles")).empty());
  InCopy("verify-2", "postgres", "CREATE ROLE intruder SUPERUSER LOGIN");
  result = Verified("verify-2", kept, "roles");
  EXPECT_EQ(KindsNotPassed(result), roles) << Render(result);
  EXPECT_NE(Render(result).find("intruder"), std::string::npos) << Render(result);
  EXPECT_TRUE(Server().Servers().Remove("verify-2").ok());
}

TEST_F(PostgresVerifyTest, ASequenceIsWhereItWasToTheLastValueGivenOut) {
  Server().Execute("postgres", "CREATE DATABASE counters");
  Server().Execute("counters",
                   "CREATE SEQUENCE used; SELECT nextval('used'); CREATE SEQUENCE unused;"
                   "CREATE SEQUENCE falling INCREMENT -1; SELECT setval('falling', -7);"
                   "CREATE SEQUENCE round MAXVALUE 3 CYCLE; SELECT setval('round', 3)");
  const Kept kept = Backup("counters");
  Drill("verify-3", kept, "counters");
  EXPECT_TRUE(KindsNotPassed(Verified("verify-3", kept, "counters")).empty());
  struct Case {
    const char* sql;
    bool behind;
  };
  const Case kCases[] = {
      {"SELECT setval('used', 1, false)", true},    {"SELECT setval('used', 2, false)", false},
      {"SELECT setval('unused', 1, true)", false},  {"SELECT setval('falling', -7, false)", true},
      {"SELECT setval('falling', -6, true)", true}, {"SELECT setval('falling', -8, false)", false},
      {"SELECT setval('round', 1, false)", false}};
  for (const Case& each : kCases) {
    InCopy("verify-3", "counters", each.sql);
    const v1::ActionResult result = Verified("verify-3", kept, "counters");
    const std::vector<std::string> sequences = {"sequences"};
    EXPECT_EQ(KindsNotPassed(result), each.behind ? sequences : std::vector<std::string>())
        << each.sql << "\n"
        << Render(result);
    InCopy("verify-3", "counters",
           "SELECT setval('used', 1), setval('unused', 1, false), setval('falling', -7), setval('round', 3)");
  }
  EXPECT_TRUE(Server().Servers().Remove("verify-3").ok());
}

TEST_F(PostgresVerifyTest, RowsThatMoveBetweenPartitionsByHashOfAnEnumAreComparedAsATree) {
  Server().Execute("postgres", "CREATE DATABASE hashed");
  std::string labels, partitions;
  for (int i = 0; i < 40; ++i) labels += fmt::format("{}'l{}'", i == 0 ? "" : ", ", i);
  for (int i = 0; i < 4; ++i) {
    partitions +=
        fmt::format("CREATE TABLE h{0} PARTITION OF h FOR VALUES WITH (MODULUS 4, REMAINDER {0});", i);
  }
  // Labels get other numbers than in the copy, and with them other partitions.
  Server().Execute("hashed", "SELECT lo_unlink(lo_create(0)) FROM generate_series(1, 137)");
  Server().Execute("hashed", fmt::format("CREATE TYPE label AS ENUM ({});"
                                         "CREATE TABLE h (l label, n int) PARTITION BY HASH (l);{}"
                                         "INSERT INTO h SELECT ('l' || i % 40)::label, i"
                                         " FROM generate_series(1, 400) i",
                                         labels, partitions));
  const Kept kept = Backup("hashed");
  Drill("verify-4", kept, "hashed");
  const std::string where =
      "SELECT string_agg(tableoid::regclass::text || ':' || n, ',' ORDER BY n) FROM public.h";
  SessionOptions options;
  options.database = "hashed";
  auto session =
      Connection::Open(ConnectionTo(Server().Servers().EnsureRunning("verify-4").value()), options);
  ASSERT_TRUE(session.ok());
  EXPECT_NE((*session)->Value(where).value(), Server().Connect("hashed")->Value(where).value())
      << "no row moved: the test shows nothing";
  v1::ActionResult result = Verified("verify-4", kept, "hashed");
  EXPECT_TRUE(KindsNotPassed(result).empty()) << Render(result);
  InCopy("verify-4", "hashed", "UPDATE h SET n = 1000 WHERE n = 7");
  result = Verified("verify-4", kept, "hashed");
  EXPECT_EQ(KindsNotPassed(result), std::vector<std::string>{"content"}) << Render(result);
  InCopy("verify-4", "hashed", "DELETE FROM h WHERE n = 1000");
  result = Verified("verify-4", kept, "hashed");
  EXPECT_EQ(KindsNotPassed(result), std::vector<std::string>{"rows"}) << Render(result);
  session->reset();
  EXPECT_TRUE(Server().Servers().Remove("verify-4").ok());
}

TEST_F(PostgresVerifyTest, AWideValueAndNamesThatPsqlWouldObeyAreComparedAsTheyStand) {
  const std::string mark = Server().Directory() + "/psql_ran_it";
  Server().Execute("postgres", "CREATE DATABASE odd");
  Server().Execute("odd", fmt::format(R"sql(
      CREATE TABLE wide (id int, b bytea);
      INSERT INTO wide VALUES (1, decode(repeat(md5('x'), 2000000), 'hex')), (2, E'\\\\.');
      CREATE TABLE "\! touch {0}" ("`touch {0}`" int); INSERT INTO "\! touch {0}" VALUES (1);
      CREATE TABLE ":VERBOSITY
\! touch {0}
" ("'; \! touch {0}" text, """" text); INSERT INTO ":VERBOSITY
\! touch {0}
" VALUES ('a', 'b'))sql",
                                      mark));
  ResetPeakMemory();
  const int64_t before = PeakMemoryBytes();
  const Kept kept = Backup("odd");
  Drill("verify-5", kept, "odd");
  v1::ActionResult result = Verified("verify-5", kept, "odd");
  EXPECT_LT(PeakMemoryBytes() - before, 32 << 20);  // the value is 64 MB in a dump
  EXPECT_TRUE(KindsNotPassed(result).empty()) << Render(result);
  EXPECT_NE(Render(result).find("3 tables, 4 rows hash equal"), std::string::npos) << Render(result);
  EXPECT_NE(access(mark.c_str(), F_OK), 0);
  InCopy("verify-5", "odd", "UPDATE wide SET b = set_byte(b, 31999999, 0) WHERE id = 1");
  result = Verified("verify-5", kept, "odd");
  EXPECT_EQ(KindsNotPassed(result), std::vector<std::string>{"content"}) << Render(result);
  EXPECT_TRUE(Server().Servers().Remove("verify-5").ok());
}

TEST_F(PostgresVerifyTest, ATableThatCannotBeReadIsAVerdictAndTheOthersAreComparedAllTheSame) {
  Server().Execute("postgres", "CREATE DATABASE gone");
  Server().Execute("gone",
                   "CREATE TABLE a AS SELECT 1 AS n; CREATE TABLE b AS SELECT 2 AS n;"
                   "CREATE TABLE c AS SELECT 3 AS n");
  const Kept kept = Backup("gone");
  Drill("verify-6", kept, "gone");
  InCopy("verify-6", "gone", "DROP TABLE b; UPDATE c SET n = 4");
  const v1::ActionResult result = Verified("verify-6", kept, "gone");
  const std::string said = Render(result);
  EXPECT_NE(said.find("gone.public.b: cannot be read: relation \"public.b\" does not exist"),
            std::string::npos)
      << said;
  EXPECT_NE(said.find("content gone.public.c: 1 rows, but their hash is"), std::string::npos) << said;
  EXPECT_EQ(said.find("public.a:"), std::string::npos) << said;
  EXPECT_TRUE(Server().Servers().Remove("verify-6").ok());
}

TEST_F(PostgresVerifyTest, APsqlThatIsKilledOrMissingSaysNothingAboutTheBackup) {
  Server().Execute("postgres", "CREATE DATABASE fine");
  Server().Execute("fine", "CREATE TABLE t AS SELECT generate_series(1, 100)");
  const Kept kept = Backup("fine");
  Drill("verify-7", kept, "fine");
  ReplaceProgram("psql", "kill -9 $$\n");
  EXPECT_EQ(Verify(Scratch("verify-7"), kept, "fine").status().code(), absl::StatusCode::kAborted);
  ReplaceProgram("psql", "$REAL \"$@\" | head -c 20\n");  // gives less than was asked for, and exits 0
  EXPECT_EQ(Verify(Scratch("verify-7"), kept, "fine").status().code(), absl::StatusCode::kAborted);
  config_.program_folders[kPostgresKind] = Server().Directory() + "/empty";
  const Status missing = Verify(Scratch("verify-7"), kept, "fine").status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound) << missing;
  EXPECT_NE(HintOf(missing).find("Install"), std::string::npos) << missing;
  config_.program_folders[kPostgresKind] = kTestBinDirectory;
  EXPECT_TRUE(KindsNotPassed(Verified("verify-7", kept, "fine")).empty());
  EXPECT_TRUE(Server().Servers().Remove("verify-7").ok());
}

// A server without an encoding gives names as bytes, which the details hold written out.
TEST_F(PostgresVerifyTest, TablesOfADatabaseWithoutAnEncodingAreFoundByTheirNames) {
  Server().Execute("postgres", "CREATE DATABASE raw TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'");
  std::string labels, partitions;
  for (int i = 0; i < 40; ++i) labels += fmt::format("{}'l{}'", i == 0 ? "" : ", ", i);
  for (int i = 0; i < 4; ++i) {
    partitions += fmt::format(
        "CREATE TABLE \"h\xe9{0}\" PARTITION OF \"h\xe9\" FOR VALUES WITH (MODULUS 4, REMAINDER {0});", i);
  }
  Server().Execute("raw", "SELECT lo_unlink(lo_create(0)) FROM generate_series(1, 137)");
  Server().Execute("raw", fmt::format("CREATE TYPE label AS ENUM ({});"
                                      "CREATE TABLE \"h\xe9\" (l label, n int) PARTITION BY HASH (l);{}"
                                      "INSERT INTO \"h\xe9\" SELECT ('l' || i % 40)::label, i"
                                      " FROM generate_series(1, 400) i;"
                                      "CREATE TABLE \"o\xe9\" (\"s\xe9\" varchar(9)"
                                      " CHECK (\"s\xe9\" IN ('\xff', 'open')))",
                                      labels, partitions));
  const Kept kept = Backup("raw");
  Drill("verify-5", kept, "raw");
  v1::ActionResult result = Verified("verify-5", kept, "raw");
  EXPECT_TRUE(KindsNotPassed(result).empty()) << Render(result);
  InCopy("verify-5", "raw", "UPDATE \"h\xe9\" SET n = 1000 WHERE n = 7");
  result = Verified("verify-5", kept, "raw");
  EXPECT_EQ(KindsNotPassed(result), std::vector<std::string>{"content"}) << Render(result);
  EXPECT_NE(Render(result).find("h\\xe9"), std::string::npos) << Render(result);
  EXPECT_TRUE(Server().Servers().Remove("verify-5").ok());
}

// An extension's script asks for this with pg_extension_config_dump, here for a table of our own.
TEST_F(PostgresVerifyTest, OfAConfigurationTableOnlyThePartThatIsDumpedIsComparedWhateverItsNameIs) {
  for (const std::string encoding : {"SQL_ASCII", "UTF8"}) {
    const std::string database = "part_" + std::string(encoding == "UTF8" ? "utf8" : "raw");
    const std::string table = encoding == "UTF8" ? "\"t\xc3\xa9\"" : "\"t\xe9\"";
    Server().Execute("postgres", fmt::format("CREATE DATABASE {} TEMPLATE template0 ENCODING '{}' LOCALE 'C'",
                                             database, encoding));
    Server().Execute(database, fmt::format("CREATE EXTENSION hstore; CREATE TABLE {0} (n int);"
                                           "INSERT INTO {0} SELECT generate_series(1, 10);"
                                           "UPDATE pg_extension SET extconfig = ARRAY['{0}'::regclass::oid],"
                                           " extcondition = ARRAY['WHERE n > 7'] WHERE extname = 'hstore'",
                                           table));
    const Kept kept = Backup(database, "run-" + Slug(database));
    EXPECT_EQ(kept.dump.rows(), 3) << database;
    auto verified = Verify(Here(), kept, database);
    ASSERT_TRUE(verified.ok()) << MessageOf(verified.status());
    EXPECT_TRUE(KindsNotPassed(*verified).empty()) << Render(*verified);
    Server().Execute(database, fmt::format("UPDATE {} SET n = 11 WHERE n = 8", table));
    verified = Verify(Here(), kept, database);
    ASSERT_TRUE(verified.ok()) << MessageOf(verified.status());
    EXPECT_EQ(KindsNotPassed(*verified), std::vector<std::string>{"content"}) << Render(*verified);
  }
}

}  // namespace
}  // namespace salvor::agent
