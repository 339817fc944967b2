#include "strategies/postgres/postgres_strategy.h"

#include <gmock/gmock.h>

#include "strategies/interface/strategy_testing.h"

namespace salvor::strategies {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Problems(const std::string& text) {
  return ProblemLines(PostgresStrategy().Validate(FromText<v1::Component>(text)));
}

std::string With(const std::string& more) {
  return R"(name: "db" postgres { connection { host: "db.example" } databases: "shop" )" + more + "}";
}

TEST(PostgresStrategy, SaysWhatADeclarationLacks) {
  EXPECT_THAT(Problems(R"(name: "db" postgres {})"),
              ElementsAre("postgres.connection: needs either socketDirectory or host (incomplete)",
                          "postgres.databases: needs at least one database (incomplete)"));
  EXPECT_THAT(Problems(With("capture: CAPTURE_VOLUME")),
              ElementsAre("postgres.dumpDirectory: is needed for capture Volume (incomplete)"));
}

TEST(PostgresStrategy, RefusesHostileConnections) {
  EXPECT_THAT(
      Problems(R"(name: "db" postgres { databases: "shop" connection {
                  socket_directory: "run/../x" host: "a,b" port: 70000 user: "-U" passfile: "pass" sslmode: "yes"
                  maintenance_database: "a\nb" } })"),
      ElementsAre(
          "postgres.connection: needs either socketDirectory or host, not both",
          "postgres.connection.socketDirectory: path 'run/../x' must be absolute",
          "postgres.connection.host: must be one host name or address",
          "postgres.connection.port: must be from 1 to 65535",
          "postgres.connection.user: '-U' is no user: it must not start with '-' or contain control "
          "characters",
          "postgres.connection.passfile: must be the absolute path of a file on the agent's host; the "
          "secret itself is never declared",
          "postgres.connection.sslmode: must be disable, allow, prefer, require, verify-ca or "
          "verify-full",
          "postgres.connection.maintenanceDatabase: database name 'a%0Ab' contains control "
          "characters"));
}

TEST(PostgresStrategy, RefusesDatabasesThatCannotBeDumped) {
  EXPECT_THAT(Problems(With(R"(databases: "-x" databases: "template0" databases: "shop")")),
              ElementsAre("postgres.databases[1]: database name '-x' starts with '-'",
                          "postgres.databases[2]: template0 takes no connections and cannot be dumped",
                          "postgres.databases[3]: 'shop' stands here twice"));
}

TEST(PostgresStrategy, ReadsDurations) {
  EXPECT_THAT(
      Problems(With(R"(lock_wait_timeout: "2 minutes" expectations { count_budget: "-1s" })")),
      ElementsAre(
          "postgres.expectations.countBudget: '-1s' is not a duration; write it like 90s, 5m or 1h30m",
          "postgres.lockWaitTimeout: '2 minutes' is not a duration; write it like 90s, 5m or 1h30m"));
  EXPECT_THAT(Problems(With(R"(lock_wait_timeout: "0s" expectations { count_budget: "0s" })")),
              ElementsAre("postgres.lockWaitTimeout: must be longer than 0s"));
  EXPECT_THAT(Problems(With(R"(lock_wait_timeout: "inf")")).size(), 1u);
}

TEST(PostgresStrategy, WantsCompleteChecks) {
  const std::vector<std::string> problems = Problems(With("") + R"(
    checks { name: "A" }
    checks { name: "one" sql { database: "other" role: "r\tx" } }
    checks { name: "two" write { statements: "INSERT INTO t DEFAULT VALUES" statements: " " } }
    checks { name: "three" permission { database: "shop" statement: "DELETE FROM t" } }
    checks { name: "four" http { url: "ftp://x" expect_status: 42 } }
    checks { name: "four" command { argv: "check.sh" timeout: "soon" } }
    checks { name: "five" command {} })");
  EXPECT_THAT(
      problems,
      ElementsAre(
          "checks[0].name: name 'A' must be 1 to 63 of a-z, 0-9 and '-', and start and end with a letter "
          "or digit",
          "checks[0]: needs a probe: one of sql, write, permission, http, command",
          "checks[1].sql.database: 'other' is not among the component's databases (incomplete)",
          "checks[1].sql.query: is missing", "checks[1].sql.role: must not contain control characters",
          "checks[2].write.database: is missing", "checks[2].write.statements[1]: is empty",
          "checks[3].permission.role: is missing", "checks[3].permission.expect: must be Allowed or Denied",
          "checks[4].http.url: must start with http:// or https://",
          "checks[4].http.expectStatus: must be from 100 to 599",
          "checks[5].command.argv[0]: path 'check.sh' must be absolute",
          "checks[5].command.timeout: 'soon' is not a duration; write it like 90s, 5m or 1h30m",
          "checks[5].name: 'four' is the name of an earlier check", "checks[6].command.argv: is missing"));
}

TEST(PostgresStrategy, GivesEveryDatabaseAnIdOfItsOwn) {
  v1::Component component = DatabaseComponent();
  component.clear_checks();
  component.mutable_postgres()->clear_databases();
  for (const char* name : {"shop", "Shop", "shop-2", "a", "a.details", "日本", "--"}) {
    component.mutable_postgres()->add_databases(name);
  }
  const auto fragment = PostgresStrategy().Backup(component, ABackupRequest());
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  std::vector<std::string> artifacts;
  for (const v1::PlannedArtifact& planned : fragment->artifacts) artifacts.push_back(planned.artifact());
  EXPECT_THAT(artifacts, ElementsAre("db.globals", "db.dump.shop", "db.dump.shop-2", "db.dump.shop-2-2",
                                     "db.dump.a", "db.dump.a-details", "db.dump.x", "db.dump.x-2"));
}

TEST(PostgresStrategy, TellsADumpItsOwnDatabaseOnly) {
  const auto fragment = PostgresStrategy().Backup(DatabaseComponent(), ABackupRequest());
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  const v1::Step last = StepsFor(*fragment, v1::PURPOSE_CAPTURE)[2];
  const v1::PostgresDump& dump = last.action().postgres_dump();
  EXPECT_EQ(dump.database(), "Shop");
  EXPECT_THAT(dump.component().databases(), ElementsAre("Shop"));
  EXPECT_EQ(dump.component().connection().user(), "backup");
  EXPECT_EQ(dump.target().artifact(), "db.dump.shop-2");
  EXPECT_EQ(dump.target().location().repository(), "/srv/vault");
}

TEST(PostgresStrategy, VerifiesEachDatabaseWhateverBecomesOfTheOthers) {
  const v1::Manifest manifest = AManifest({DatabaseComponent()});
  RestoreRequest request = ARestoreRequest(manifest, "drill-shop-1");
  request.drill = true;
  const auto fragment = PostgresStrategy().Restore(DatabaseComponent(), request);
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  const v1::Step second = StepsFor(*fragment, v1::PURPOSE_VERIFY)[1];
  EXPECT_EQ(second.id(), "db.verify.shop-2");
  ASSERT_EQ(second.after_size(), 1);
  EXPECT_EQ(second.after(0).step(), "db.restore.shop-2");
  EXPECT_TRUE(second.action().postgres_verify().database().dump().coverage().not_covered().empty());
}

TEST(PostgresStrategy, MissesADatabaseWithoutItsExpectations) {
  v1::Manifest manifest = AManifest({DatabaseComponent()});
  Lose(v1::Artifact::KIND_POSTGRES_DETAILS, "shop", "db", "something else", &manifest);
  RestoreRequest request = ARestoreRequest(manifest, "drill-shop-1");
  request.drill = true;
  const auto fragment = PostgresStrategy().Restore(DatabaseComponent(), request);
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  ASSERT_EQ(fragment->missing.size(), 1u);
  EXPECT_EQ(fragment->missing[0].title(), "database shop");
  EXPECT_EQ(fragment->missing[0].why(), "the manifest does not name it");
}

TEST(PostgresStrategy, NamesEachOptionThatCannotBeMeant) {
  const auto problems = [](const std::string& options) {
    return ProblemLines(
        PostgresStrategy().ValidateOptions(DatabaseComponent(), FromText<v1::RestoreOptions>(options)));
  };
  EXPECT_THAT(problems(R"(postgres { rename_databases { key: "shop" value: "Shop" }
                                     rename_databases { key: "Shop" value: "shop" } keep_going: true })"),
              IsEmpty())
      << "names may be exchanged";
  EXPECT_THAT(
      problems(R"(postgres { rename_databases { key: "shop" value: "-x" }
                                     rename_databases { key: "orders" value: "o" } })"),
      ElementsAre("postgres.renameDatabases: component 'db' has no database 'orders' to restore as 'o'",
                  "postgres.renameDatabases: database name '-x' starts with '-'"));
  EXPECT_THAT(problems(R"(postgres { rename_databases { key: "shop" value: "Shop" } })"),
              ElementsAre("postgres.renameDatabases: two databases would be restored as 'Shop'"));
}

TEST(PostgresStrategy, NeedsAPlaceToRestoreTo) {
  const v1::Manifest manifest = AManifest({DatabaseComponent()});
  const auto fragment = PostgresStrategy().Restore(DatabaseComponent(), ARestoreRequest(manifest));
  EXPECT_EQ(MessageOf(fragment.status()), "there is no server to restore component 'db' to");
}

}  // namespace
}  // namespace salvor::strategies
