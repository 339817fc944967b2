#include "strategies/postgres/on_cluster.h"

#include <gmock/gmock.h>

#include "strategies/interface/strategy_testing.h"
#include "strategies/postgres/postgres_strategy.h"
#include "strategies/postgres/server.h"

namespace salvor::strategies {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

v1::Component With(const std::string& postgres) {
  v1::Component component = FromText<v1::Component>(
      R"(name: "db" namespace: "shop" postgres { databases: "shop" )" + postgres + "}");
  return component;
}

TEST(PostgresOnCluster, SaysWhatADeclarationHasWrong) {
  struct Row {
    const char* postgres;
    std::vector<std::string> problems;
  };
  const Row table[] = {
      {R"(connection { service: "db" secret { name: "login" user_key: "user" } } claims: "data-db-0")", {}},
      {R"(connection { service: "db" user: "backup" secret { name: "login" } })", {}},
      {R"(connection { service: "db" host: "db" })",
       {"postgres.connection.service: stands instead of host and socketDirectory, not beside them"}},
      {R"(connection { service: "db.shop" })",
       {"postgres.connection.service: name 'db.shop' must be 1 to 63 of a-z, 0-9 and '-', and start and end with a "
        "letter or digit"}},
      {R"(connection { service: "db" secret {} })",
       {"postgres.connection.secret.name: is needed (incomplete)"}},
      {R"(connection { service: "db" secret { name: "../login" } })",
       {"postgres.connection.secret.name: '../login' is not the name of a Secret"}},
      {R"(connection { service: "db" secret { name: "login" password_key: "of a shop!" } })",
       {"postgres.connection.secret.passwordKey: must be the name of a key in the Secret, never what stands there"}},
      {R"(connection { service: "db" user: "backup" secret { name: "login" user_key: "user" } })",
       {"postgres.connection.secret.userKey: stands instead of connection.user, not beside it"}},
      {R"(connection { host: "db.example" secret { name: "login" } })",
       {"postgres.connection.secret: goes to a Service alone: name connection.service; a server outside of the cluster "
        "has one of the type ExternalName (incomplete)"}},
      {R"(connection { service: "db" passfile: "/etc/pass" secret { name: "login" } })",
       {"postgres.connection.secret: is of a cluster, and passfile of a host: name one of them"}},
      {R"(connection { service: "db" } claims: "a" claims: "a" claims: "A/b")",
       {"postgres.claims[1]: is there already", "postgres.claims[2]: 'A/b' is not the name of a claim"}},
  };
  for (const Row& row : table)
    EXPECT_EQ(ProblemLines(PostgresStrategy().Validate(With(row.postgres))), row.problems) << row.postgres;
}

TEST(PostgresOnCluster, KnowsWhatIsOfHostsAndWhatIsOfClusters) {
  EXPECT_THAT(ProblemsOnCluster(With(R"(connection { service: "db" secret { name: "login" } })")), IsEmpty());
  EXPECT_THAT(ProblemsOnCluster(With(R"(connection { host: "db.example" user: "backup" })")), IsEmpty())
      << "a server beside the cluster";
  EXPECT_THAT(
      ProblemLines(ProblemsOnCluster(
          With(R"(connection { service: "db" secret { name: "login" namespace: "vault" } })"))),
      ElementsAre(
          "postgres.connection.secret.namespace: must be that of the server's Service; leave it out"));
  v1::Component nowhere =
      With(R"(connection { service: "db" passfile: "/etc/pass" } capture: CAPTURE_VOLUME)");
  nowhere.clear_namespace_();
  EXPECT_THAT(
      ProblemLines(ProblemsOnCluster(nowhere)),
      ElementsAre(
          "postgres.connection.passfile: is a file of a host, and this environment is a cluster; name "
          "connection.secret instead",
          "postgres.capture: Volume is not there on a cluster in this version; Stream needs no scratch "
          "space",
          "namespace: is missing: where the server is; say it here, or once for all components in "
          "spec.namespace"));
  EXPECT_THAT(ProblemsOnHosts(DatabaseComponent()), IsEmpty());
  EXPECT_THAT(
      ProblemLines(ProblemsOnHosts(
          With(R"(connection { service: "db" secret { name: "login" } } claims: "data-db-0")"))),
      ElementsAre(
          "postgres.connection.service: is of a cluster, and this environment is a set of hosts; name "
          "host or socketDirectory",
          "postgres.connection.secret: is of a cluster, and this environment is a set of hosts; name "
          "passfile",
          "postgres.claims: are volumes of a cluster, and this environment is a set of hosts"));
}

TEST(PostgresOnCluster, OneServerIsOneServerHoweverItIsNamed) {
  EXPECT_EQ(ServerIn(With(R"(connection { service: "db" })")), "db.shop.svc:5432");
  EXPECT_EQ(ServerIn(With(R"(connection { service: "db" })")),
            ServerIn(With(R"(connection { host: "db.shop.svc" })")));
  const v1::PostgresConnection elsewhere =
      ConnectionOf(With(R"(connection { service: "db" secret { name: "login" namespace: "vault" } })"));
  EXPECT_EQ(elsewhere.secret().namespace_(), "vault");
  EXPECT_EQ(elsewhere.service(), "");
}

// The copy of a namespace has a Service and a Secret of the same names.
TEST(PostgresOnCluster, ARestoreIntoAnotherNamespaceGoesToTheServerThere) {
  const v1::Component db = With(R"(connection { service: "db" secret { name: "login" } })");
  const v1::Manifest manifest = AManifest({db});
  RestoreRequest request = ARestoreRequest(manifest);
  request.to = db;
  request.asked.set_namespace_("shop-copy");
  request.options = PostgresStrategy().CommonOptions(request.asked, db);
  const auto fragment = PostgresStrategy().Restore(db, request);
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  const std::vector<v1::Step> steps = StepsFor(*fragment, v1::PURPOSE_RESTORE);
  ASSERT_FALSE(steps.empty());
  const v1::PostgresConnection& to = steps[0].action().postgres_restore_roles().target().connection();
  EXPECT_EQ(to.host(), "db.shop-copy.svc");
  EXPECT_EQ(to.secret().namespace_(), "shop-copy");
  EXPECT_THAT(
      ProblemLines(PostgresStrategy().ValidateOptions(
          db, FromText<v1::RestoreOptions>(R"(postgres { namespace: "Shop" })"))),
      ElementsAre(
          "postgres.namespace: name 'Shop' must be 1 to 63 of a-z, 0-9 and '-', and start and end with "
          "a letter or digit"));
}

}  // namespace
}  // namespace salvor::strategies
