// What may be declared of a cluster, and what of hosts only.
#include <gmock/gmock.h>

#include "proto/kind.h"
#include "strategies/compose/compile.h"
#include "strategies/interface/strategy_testing.h"
#include "strategies/registry.h"

namespace salvor::strategies {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr char kVault[] = R"(metadata { name: "vault" } location { restic {
    repository: "/vault" password_file: "/etc/salvor/password" } })";
constexpr char kHosts[] =
    R"(metadata { name: "hosts" } environment { runtime: RUNTIME_HOST location: "vault" })";
constexpr char kCluster[] = R"(metadata { name: "cluster" } environment {
    runtime: RUNTIME_KUBERNETES location: "vault" cluster { velero_namespace: "velero" } })";

std::map<std::string, v1::Object> Existing(const std::vector<std::string>& more = {}) {
  std::map<std::string, v1::Object> objects;
  std::vector<std::string> texts = {kVault, kHosts, kCluster};
  texts.insert(texts.end(), more.begin(), more.end());
  for (const std::string& text : texts) {
    const auto object = FromText<v1::Object>(text);
    objects[KindOf(object) + "/" + object.metadata().name()] = object;
  }
  return objects;
}

std::vector<std::string> Problems(const std::vector<std::string>& texts,
                                  const std::vector<std::string>& existing = {}) {
  std::vector<v1::Object> objects;
  for (const std::string& text : texts) objects.push_back(FromText<v1::Object>(text));
  std::vector<std::string> lines;
  for (const v1::Problem& problem : ValidateObjects(BuiltInStrategies(), objects, Existing(existing)))
    lines.push_back(problem.field() + ": " + problem.message());
  return lines;
}

std::string Application(const std::string& environment, const std::string& rest) {
  return R"(metadata { name: "shop" } application { environment: ")" + environment + "\" " + rest + "}";
}

TEST(ValidateCluster, AcceptsClaimsWhoseNamespaceIsSaidHereOrOnceForAll) {
  for (
      const char* good : {
          R"(namespace: "shop" components { name: "uploads" disk { claims: "uploads" } })",
          R"(components { name: "uploads" namespace: "shop" disk { claims: "uploads" claims: "data-db.0" } })",
          R"(namespace: "shop" components { name: "a" disk { claims: "a" method: VOLUME_METHOD_SNAPSHOT } }
              components { name: "b" namespace: "mail" disk { claims: "b" } } components { name: "c" dummy {} })",
      }) {
    EXPECT_THAT(Problems({Application("cluster", good)}), IsEmpty()) << good;
  }
}

TEST(ValidateCluster, RefusesEachMistakeAtItsField) {
  struct Row {
    const char* environment;
    const char* rest;
    const char* problem;
  };
  const std::vector<Row> table = {
      {"cluster", R"(components { name: "a" disk { claims: "uploads" } })",
       "spec.components[0].namespace: is missing: where the claims are; say it here, or once for all components "
       "in spec.namespace"},
      {"cluster", R"(components { name: "a" disk { paths: "/srv" } })",
       "spec.components[0].disk.paths: are files of a host, and this environment is a cluster; name disk.claims "
       "instead"},
      {"cluster", R"(components { name: "a" disk {} })",
       "spec.components[0].disk.paths: needs at least one path, or claims on Kubernetes"},
      {"hosts", R"(components { name: "a" disk { claims: "uploads" } })",
       "spec.components[0].disk.claims: are volumes of a cluster, and this environment is a set of hosts; name "
       "disk.paths instead"},
      {"hosts", R"(components { name: "a" namespace: "shop" disk { paths: "/srv" } })",
       "spec.components[0].namespace: is of a cluster, and this environment is a set of hosts; leave it out"},
      {"hosts", R"(namespace: "shop" components { name: "a" disk { paths: "/srv" } })",
       "spec.namespace: is of a cluster, and this environment is a set of hosts; leave it out"},
      {"cluster", R"(namespace: "shop" components { name: "a" host: "web-1" disk { claims: "uploads" } })",
       "spec.components[0].host: is of an environment of hosts, and this one is a cluster; leave it out"},
      {"cluster", R"(namespace: "shop" components { name: "a" disk { claims: "uploads" paths: "/srv" } })",
       "spec.components[0].disk.claims: cannot stand beside disk.paths, which is of a host: make two components of "
       "them, one in each environment"},
      {"cluster", R"(namespace: "shop" components { name: "a" disk { claims: "uploads" exclude: "*.tmp" } })",
       "spec.components[0].disk.claims: cannot stand beside disk.exclude, which is of a host: make two components "
       "of them, one in each environment"},
      {"hosts", R"(components { name: "a" disk { paths: "/srv" method: VOLUME_METHOD_SNAPSHOT } })",
       "spec.components[0].disk.method: is for disk.claims, and there are none"},
      {"cluster", R"(namespace: "shop" components { name: "a" disk { claims: "a" claims: "a" } })",
       "spec.components[0].disk.claims[1]: is there already"},
      {"cluster", R"(namespace: "shop" components { name: "a" disk { claims: "../a" } })",
       "spec.components[0].disk.claims[0]: '../a' is not the name of a claim"},
      {"cluster", R"(namespace: "Shop" components { name: "a" disk { claims: "a" } })",
       "spec.namespace: name 'Shop' must be 1 to 63 of a-z, 0-9 and '-', and start and end with a letter or digit"},
      {"cluster", R"(components { name: "a" namespace: "-x" disk { claims: "a" } })",
       "spec.components[0].namespace: name '-x' must be 1 to 63 of a-z, 0-9 and '-', and start and end with a "
       "letter or digit"},
      {"cluster",
       R"(namespace: "shop" components { name: "db" postgres { databases: "shop"
                                                               connection { socket_directory: "/run/pg" } } })",
       "spec.components[0].postgres.connection.socketDirectory: is of a host, and this environment is a cluster; "
       "name the server's Service instead"},
      {"hosts", R"(components { name: "db" postgres { databases: "shop" connection { service: "db" } } })",
       "spec.components[0].postgres.connection.service: is of a cluster, and this environment is a set of hosts; "
       "name host or socketDirectory"},
  };
  for (const Row& row : table)
    EXPECT_THAT(Problems({Application(row.environment, row.rest)}), ElementsAre(row.problem)) << row.rest;
}

TEST(ValidateCluster, RefusesWhatIsNoClusterAndAClusterOfHosts) {
  const auto environment = [](const std::string& rest) {
    return R"(metadata { name: "e" } environment { location: "vault" )" + rest + "}";
  };
  EXPECT_THAT(Problems({environment(R"(runtime: RUNTIME_KUBERNETES
                  cluster { kubeconfig: "/etc/salvor/kubeconfig" velero_namespace: "velero-b" storage_location: "b" })")}),
              IsEmpty());
  EXPECT_THAT(
      Problems({environment(R"(runtime: RUNTIME_KUBERNETES cluster { storage_location: "s3.eu-1" })")}),
      IsEmpty());
  EXPECT_THAT(
      Problems({environment(R"(runtime: RUNTIME_KUBERNETES
                  cluster { kubeconfig: "apiVersion: v1" velero_namespace: "Velero" storage_location: "-" })")}),
      ElementsAre(
          "spec.cluster.kubeconfig: must be the absolute path of a file on the agent's host; the secret itself is "
          "never declared",
          "spec.cluster.veleroNamespace: name 'Velero' must be 1 to 63 of a-z, 0-9 and '-', and start and end with a "
          "letter or digit",
          "spec.cluster.storageLocation: '-' is not the name of a storage location"));
  EXPECT_THAT(
      Problems({environment("runtime: RUNTIME_HOST cluster {}")}),
      ElementsAre(
          "spec.cluster: is of runtime Kubernetes, and this environment is a set of hosts; leave it out"));
}

TEST(ValidateCluster, AnEnvironmentDoesNotChangeItsRuntimeBelowItsApplications) {
  const std::string on_hosts = Application("hosts", R"(components { name: "a" disk { paths: "/srv" } })");
  const std::string becomes_cluster =
      R"(metadata { name: "hosts" } environment { runtime: RUNTIME_KUBERNETES location: "vault" })";
  EXPECT_THAT(
      Problems({becomes_cluster}, {on_hosts}),
      ElementsAre("spec.runtime: application 'shop', which is there, would be broken: a: disk.paths: are "
                  "files of a host, and this environment is a cluster; name disk.claims instead"));
  // Applied together, the application answers for itself.
  EXPECT_THAT(Problems({becomes_cluster, Application("hosts", R"(namespace: "shop"
                  components { name: "a" disk { claims: "a" } })")},
                       {on_hosts}),
              IsEmpty());
}

TEST(ValidateCluster, ADriverLeavesTheNamespaceToItsApplications) {
  const std::string driver =
      R"(metadata { name: "stack" } driver { components { name: "uploads" disk { claims: "uploads" } } })";
  EXPECT_THAT(Problems({driver, Application("cluster", R"(driver: "stack" namespace: "shop")")}), IsEmpty());
  EXPECT_THAT(
      Problems({driver, Application("cluster", R"(driver: "stack")")}),
      ElementsAre("spec.driver: component 'uploads' of driver 'stack' cannot be in this environment: "
                  "namespace: is missing: where the claims are; say it here, or once for all components in "
                  "spec.namespace"));
  EXPECT_THAT(
      Problems({driver, Application("hosts", R"(driver: "stack")")}),
      ElementsAre("spec.driver: component 'uploads' of driver 'stack' cannot be in this environment: "
                  "disk.claims: are volumes of a cluster, and this environment is a set of hosts; name "
                  "disk.paths instead"));
  // The claims of one cluster go over the paths of a driver for hosts, and the other way round.
  const std::string of_hosts =
      R"(metadata { name: "stack" } driver { components { name: "uploads" disk { paths: "/srv" exclude: "*.tmp" } } })";
  EXPECT_THAT(Problems({of_hosts, Application("cluster", R"(driver: "stack" namespace: "shop"
                  components { name: "uploads" disk { claims: "uploads" } })")}),
              IsEmpty());
  EXPECT_THAT(Problems({driver, Application("hosts", R"(driver: "stack"
                  components { name: "uploads" disk { paths: "/srv" exclude: "*.tmp" } })")}),
              IsEmpty());
}

TEST(ResolveComponents, GivesTheApplicationsNamespaceToThoseThatNameNone) {
  const auto driver = FromText<v1::DriverSpec>(
      R"(components { name: "a" disk { claims: "a" } } components { name: "b" namespace: "mail" disk { claims: "b" } })");
  const auto resolved =
      ResolveComponents(BuiltInStrategies(), FromText<v1::ApplicationSpec>(R"(namespace: "shop")"), &driver);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ((*resolved)[0].namespace_(), "shop");
  EXPECT_EQ((*resolved)[1].namespace_(), "mail");
}

TEST(Quiesce, IsOfAClusterAndOfItsPods) {
  const std::string components = R"(components { name: "files" disk { %s } hooks: "velero"
      quiesce { command: "hold" release: "go-on" } } })";
  const auto with = [&](const std::string& of, const std::string& disk) {
    std::string whole = components;
    return R"(metadata { name: "shop" } application { )" + of + whole.replace(whole.find("%s"), 2, disk);
  };
  EXPECT_THAT(Problems({with(R"(environment: "cluster" namespace: "shop" )", R"(claims: "data")")}),
              IsEmpty());
  EXPECT_THAT(
      Problems({with(R"(environment: "hosts" )", R"(paths: "/srv")")}),
      ElementsAre("spec.components[0].quiesce: is for pods of a cluster, and this environment is a set of "
                  "hosts; leave it out",
                  "spec.components[0].hooks: are of Velero on a cluster, and this environment is a set of "
                  "hosts; leave it out"));
}

}  // namespace
}  // namespace salvor::strategies
