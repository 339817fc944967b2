#include "strategies/mariadb/mariadb_strategy.h"

#include <gmock/gmock.h>

#include "strategies/interface/strategy_testing.h"

namespace salvor::strategies {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> IdsOf(const Fragment& fragment) {
  std::vector<std::string> ids;
  for (const v1::Step& step : fragment.steps) {
    std::string line = step.id();
    for (const v1::Edge& edge : step.after())
      line += (edge.condition() == v1::Edge::CONDITION_FINISHED ? " finished:" : " ") + edge.step();
    ids.push_back(line);
  }
  return ids;
}

StatusOr<Fragment> RestoreOf(const v1::Manifest& manifest, bool drill, const v1::Component& component) {
  RestoreRequest request = ARestoreRequest(manifest, drill ? "drill-shop-1" : "restore-shop-1");
  request.drill = drill;
  if (!drill) request.to = component;
  return MariadbStrategy().Restore(component, request);
}

TEST(MariadbStrategy, DumpsAllDatabasesInOneStep) {
  const auto fragment = MariadbStrategy().Backup(MariadbDatabases(), ABackupRequest());
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  EXPECT_THAT(IdsOf(*fragment), ElementsAre("web.preflight", "web.dump web.preflight"));
  EXPECT_EQ(fragment->steps[1].action().mariadb_dump().component().databases_size(), 2);
  EXPECT_EQ(fragment->steps[1].action().mariadb_dump().target().artifact(), "web.dump");
  EXPECT_EQ(fragment->steps[1].action().mariadb_dump().target().component(), "web");
}

TEST(MariadbStrategy, ComparesBeforeTheApplicationIsAsked) {
  const v1::Manifest manifest = AManifest({MariadbDatabases()});
  for (const bool drill : {true, false}) {
    const auto fragment = RestoreOf(manifest, drill, MariadbDatabases());
    ASSERT_TRUE(fragment.ok()) << fragment.status();
    EXPECT_THAT(IdsOf(*fragment), ElementsAre("web.check-target", "web.restore", "web.verify web.restore",
                                              "web.application-checks web.restore finished:web.verify"));
    EXPECT_EQ(fragment->scratch.size(), drill ? 1u : 0u);
    EXPECT_EQ(fragment->destinations.size(), 2u);
    EXPECT_EQ(fragment->steps[1].action().mariadb_restore().target().has_connection(), !drill);
  }
}

TEST(MariadbStrategy, GivesEachComponentAServerOfItsOwnInADrill) {
  v1::Component other = MariadbDatabases();
  other.set_name("other");
  const v1::Manifest manifest = AManifest({MariadbDatabases(), other});
  const auto first = RestoreOf(manifest, true, MariadbDatabases()), second = RestoreOf(manifest, true, other);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE(first->scratch[0].key, second->scratch[0].key);
  EXPECT_EQ(first->scratch[0].start.scratch_start().engine(), "mariadb");
  EXPECT_EQ(first->scratch[0].start.scratch_start().server_version_num(), 101119);
  EXPECT_EQ(first->steps[1].action().mariadb_restore().target().scratch(),
            first->scratch[0].start.scratch_start().name());
}

TEST(MariadbStrategy, MissesWhatIsNotInTheManifest) {
  for (const char* lost : {"web.dump", "web.dump.details"}) {
    v1::Manifest manifest = AManifest({MariadbDatabases()});
    google::protobuf::RepeatedPtrField<v1::Artifact> kept;
    for (const v1::Artifact& artifact : manifest.artifacts()) {
      if (artifact.name() != lost) *kept.Add() = artifact;
    }
    *manifest.mutable_artifacts() = kept;
    const auto fragment = RestoreOf(manifest, true, MariadbDatabases());
    ASSERT_TRUE(fragment.ok());
    EXPECT_EQ(fragment->missing.size(), 1u) << lost;
    EXPECT_THAT(fragment->steps, IsEmpty()) << lost;
  }
}

TEST(MariadbStrategy, FindsWhatIsWrongWithADeclaration) {
  const auto problems = [](const std::string& text) {
    return ProblemLines(MariadbStrategy().Validate(FromText<v1::Component>("name: \"web\" " + text)));
  };
  EXPECT_THAT(problems(R"(mariadb { connection { socket: "/s" } databases: "a" })"), IsEmpty());
  EXPECT_THAT(problems("mariadb {}"),
              ElementsAre("mariadb.connection: needs either socket or host (incomplete)",
                          "mariadb.databases: needs at least one database (incomplete)"));
  EXPECT_THAT(
      problems(R"(mariadb { connection { socket: "/s" host: "h" tls: "maybe" password_file: "secret" }
                                    databases: "a" databases: "a" databases: "mysql" lock_hold: "long" })"),
      ElementsAre(
          "mariadb.connection: needs either socket or host, not both",
          "mariadb.connection.passwordFile: must be the absolute path of a file on the agent's host; the "
          "secret itself is never declared",
          "mariadb.connection.tls: must be disable, require or verify",
          "mariadb.databases[1]: 'a' stands here twice",
          "mariadb.databases[2]: is the server's own; accounts are kept with every backup",
          testing::StartsWith("mariadb.lockHold: ")));
  EXPECT_THAT(problems(R"(mariadb { connection { socket: "/s" } databases: "a" }
                          checks { name: "x" sql { database: "b" query: "SELECT 1" } })"),
              ElementsAre("checks[0].sql.database: 'b' is not among the component's databases (incomplete)"));
}

TEST(MariadbStrategy, LaysOneWayToTheServerOverTheOther) {
  v1::Component base = MariadbDatabases();
  v1::Component top = FromText<v1::Component>(R"(mariadb { connection { host: "db" } })");
  MariadbStrategy().PrepareOverlay(top, &base);
  EXPECT_EQ(base.mariadb().connection().socket(), "");
}

}  // namespace
}  // namespace salvor::strategies
