#include <gmock/gmock.h>

#include "proto/kind.h"
#include "strategies/compose/compile.h"
#include "strategies/interface/strategy_testing.h"
#include "strategies/registry.h"

namespace salvor::strategies {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Problems(const std::vector<std::string>& texts,
                                  const std::map<std::string, v1::Object>& existing = {}) {
  std::vector<v1::Object> objects;
  for (const std::string& text : texts) objects.push_back(FromText<v1::Object>(text));
  std::vector<std::string> lines;
  for (const v1::Problem& problem : ValidateObjects(BuiltInStrategies(), objects, existing)) {
    lines.push_back(std::to_string(problem.object()) + " " + problem.field() + ": " + problem.message());
  }
  return lines;
}

constexpr char kVault[] = R"(metadata { name: "vault" } location { restic {
    repository: "/srv/vault" password_file: "/etc/salvor/password" } })";
constexpr char kHost[] =
    R"(metadata { name: "host-a" } environment { runtime: RUNTIME_HOST location: "vault" })";
constexpr char kDriver[] = R"(metadata { name: "shop-stack" } driver {
    components { name: "db" postgres { databases: "shop" connection { user: "backup" } } } })";
constexpr char kShop[] = R"(metadata { name: "shop" } application { environment: "host-a" driver: "shop-stack"
    components { name: "db" postgres { connection { socket_directory: "/run/postgresql" } } }
    components { name: "files" disk { paths: "/srv/shop" } } })";

std::map<std::string, v1::Object> Existing() {
  std::map<std::string, v1::Object> objects;
  for (const char* text : {kVault, kHost, kDriver, kShop}) {
    const auto object = FromText<v1::Object>(text);
    objects[KindOf(object) + "/" + object.metadata().name()] = object;
  }
  return objects;
}

TEST(ValidateObjects, AcceptsAStackThatIsAppliedAtOnce) {
  EXPECT_THAT(Problems({kShop, kDriver, kHost, kVault}), IsEmpty());
  EXPECT_THAT(Problems({kShop}, Existing()), IsEmpty());
}

TEST(ValidateObjects, NamesEveryReferenceToNothing) {
  EXPECT_THAT(Problems({kShop, kHost}), ElementsAre("0 spec.driver: there is no Driver 'shop-stack'",
                                                    "1 spec.location: there is no Location 'vault'"));
  EXPECT_THAT(
      Problems({R"(metadata { name: "a" } application { location: "x" components { name: "d" dummy {} } })"}),
      ElementsAre("0 spec.environment: is missing: the name of an Environment",
                  "0 spec.location: there is no Location 'x'"));
}

TEST(ValidateObjects, SaysThatTheDriverHasNoComponentOfAWrongName) {
  const std::string shop =
      R"(metadata { name: "shop" } application { environment: "host-a" driver: "shop-stack"
      components { name: "dbb" postgres { connection { socket_directory: "/run/postgresql" } } } })";
  EXPECT_THAT(
      Problems({shop}, Existing()),
      testing::Contains("0 spec.components[0].name: driver 'shop-stack' has no component 'dbb', it has db; "
                        "so this one stands by itself"));
}

TEST(ValidateObjects, RefusesNamesThatAreNoneOrTwice) {
  EXPECT_THAT(
      Problems({R"(metadata { name: "Vault" } location { restic { repository: "/v" password_file: "/p" } })",
                kVault, kVault, R"(metadata { name: "x" })"}),
      ElementsAre(
          "0 metadata.name: name 'Vault' must be 1 to 63 of a-z, 0-9 and '-', and start and end with a "
          "letter or digit",
          "2 metadata.name: an earlier document is Location 'vault' too", "3 spec: is missing"));
}

TEST(ValidateObjects, ReportsEveryMistakeOfALocation) {
  EXPECT_THAT(Problems({R"(metadata { name: "v" } location {})"}),
              ElementsAre("0 spec: needs a store: one of restic"));
  EXPECT_THAT(Problems({R"(metadata { name: "v" } location { restic {} })"}),
              ElementsAre("0 spec.restic.repository: is missing", "0 spec.restic.passwordFile: is missing"));
  EXPECT_THAT(
      Problems({R"(metadata { name: "v" } location { restic { repository: "vault" password_file: "p"
                           environment_file: "e" cache_directory: "/c/../d" options: "a" options: "-o=x" } })"}),
      ElementsAre(
          "0 spec.restic.repository: must be an absolute path or name a backend, like s3:…, rest:… or sftp:…",
          "0 spec.restic.passwordFile: must be the absolute path of a file on the agent's host; the secret "
          "itself is never declared",
          "0 spec.restic.environmentFile: must be the absolute path of a file on the agent's host; the secret "
          "itself is never declared",
          "0 spec.restic.cacheDirectory: path '/c/../d' must not contain '..'",
          "0 spec.restic.options[0]: must be KEY=value",
          "0 spec.restic.options[1]: '-o=x' is no option: it must not start with '-' or contain "
          "control characters"));
  EXPECT_THAT(
      Problems({R"(metadata { name: "v" } location { restic { repository: "s3:https://s3.example/b/salvor"
                           password_file: "/p" options: "s3.region=eu" } })"}),
      IsEmpty());
}

TEST(ValidateObjects, AnEnvironmentIsHostsOrACluster) {
  EXPECT_THAT(
      Problems({kVault,
                R"(metadata { name: "k" } environment { runtime: RUNTIME_KUBERNETES location: "vault" })",
                R"(metadata { name: "h" } environment {})"}),
      ElementsAre("2 spec.runtime: must be Host or Kubernetes",
                  "2 spec.location: is missing: the name of a Location"));
}

TEST(ValidateObjects, LetsADriverLeaveToTheApplicationWhatOnlyThatKnows) {
  EXPECT_THAT(Problems({kDriver}), IsEmpty());
  EXPECT_THAT(Problems({R"(metadata { name: "d" } driver {})"}),
              ElementsAre("0 spec.components: needs at least one component"));
  EXPECT_THAT(
      Problems({R"(metadata { name: "d" } driver { components { name: "a" } components { name: "a" disk {} }
                           components { name: "db" postgres { databases: "-x" connection { port: -1 } } } })"}),
      ElementsAre("0 spec.components[1].name: 'a' is the name of an earlier component",
                  "0 spec.components[0]: needs a strategy: one of postgres, disk, dummy, mariadb, action",
                  "0 spec.components[2].postgres.connection.port: must be from 1 to 65535",
                  "0 spec.components[2].postgres.databases[0]: database name '-x' starts with '-'"));
}

TEST(ValidateObjects, ALocationHoldsNoPasswordAndNoApplicationHoldsItsRepository) {
  const auto location = [](const std::string& repository) {
    return R"(metadata { name: "safe" } location { restic { repository: ")" + repository +
           R"(" password_file: "/etc/salvor/safe" } })";
  };
  for (const char* good :
       {"rest:https://host/path", "rest:https://user@host/", "s3:https://host:9000/bucket", "/srv/a:b@c"})
    EXPECT_THAT(Problems({location(good)}, Existing()), testing::IsEmpty()) << good;
  for (const char* bad : {"rest:https://user:secret@host/", "rest:http://:secret@host:8000/x"}) {
    EXPECT_THAT(Problems({location(bad)}, Existing()),
                ElementsAre("0 spec.restic.repository: holds a password; write it into environmentFile, as "
                            "RESTIC_REST_PASSWORD or as the backend names it"))
        << bad;
  }
  const auto application = [](const std::string& disk) {
    return R"(metadata { name: "shop" } application { environment: "host-a" location: "safe" components { name: "files" disk { )" +
           disk + " } } }";
  };
  const std::string safe = location("/srv/shop/vault");
  for (const char* good : {R"(paths: "/srv/shopping")", R"(paths: "/srv/shop/vault2")",
                           R"(paths: "/srv/shop" exclude: "/srv/shop/vault")"})
    EXPECT_THAT(Problems({safe, application(good)}, Existing()), testing::IsEmpty()) << good;
  for (const char* bad : {R"(paths: "/srv/shop")", R"(paths: "/srv/shop/vault")", R"(paths: "/")"}) {
    EXPECT_THAT(
        Problems({safe, application(bad)}, Existing()),
        ElementsAre(
            "1 spec.components[0].disk.paths[0]: holds the repository /srv/shop/vault of Location 'safe' "
            "itself; exclude it, or keep it elsewhere"))
        << bad;
  }
}

TEST(ValidateObjects, JudgesTheWholeComponentOfAnApplication) {
  const std::string head =
      R"(metadata { name: "shop" } application { environment: "host-a" driver: "shop-stack" )";
  EXPECT_THAT(
      Problems({head + "}"}, Existing()),
      ElementsAre(
          "0 spec.driver: component 'db' of driver 'shop-stack' is not complete: postgres.connection: "
          "needs either socketDirectory or host"));
  EXPECT_THAT(
      Problems({head + R"(components { name: "db" disk { paths: "/x" } } components { name: "files" } })"},
               Existing()),
      ElementsAre(
          "0 spec.components[0]: component 'db' is disk here and postgres in the driver",
          "0 spec.components[1].name: driver 'shop-stack' has no component 'files', it has db; so this one stands "
          "by itself",
          "0 spec.components[1]: needs a strategy: one of postgres, disk, dummy, mariadb, action"));
  EXPECT_THAT(
      Problems({head + R"(components { name: "db" postgres { connection { host: "h" port: 99999 } } }
                                  components { name: "files" disk { paths: "x" } } })"},
               Existing()),
      ElementsAre(
          "0 spec.components[0].postgres.connection.port: must be from 1 to 65535",
          "0 spec.components[1].name: driver 'shop-stack' has no component 'files', it has db; so this "
          "one stands by itself",
          "0 spec.components[1].disk.paths[0]: path 'x' must be absolute"));
  EXPECT_THAT(Problems({R"(metadata { name: "a" } application { environment: "host-a" })"}, Existing()),
              ElementsAre("0 spec.components: needs at least one component, or a driver"));
  EXPECT_THAT(Problems({R"(metadata { name: "a" } application { environment: "host-a" components {
                           name: "a-component-with-a-very-long-name-x" dummy {} } })"},
                       Existing()),
              ElementsAre("0 spec.components[0].name: is longer than 32 characters"));
}

TEST(ValidateObjects, KeepsADriverFromBreakingTheApplicationsThatUseIt) {
  const std::string disk =
      R"(metadata { name: "shop-stack" } driver { components { name: "db" disk { paths: "/x" } } })";
  EXPECT_THAT(
      Problems({disk}, Existing()),
      ElementsAre("0 spec.components: application 'shop', which uses this driver, would be broken: component "
                  "'db' is postgres here and disk in the driver"));
  const std::string socket = R"(metadata { name: "shop-stack" } driver {
      components { name: "db" postgres { databases: "shop" } } components { name: "web" disk {} } })";
  EXPECT_THAT(
      Problems({socket}, Existing()),
      ElementsAre("0 spec.components: application 'shop', which uses this driver, would be broken: web: "
                  "disk.paths: needs at least one path, or claims on Kubernetes"));
  // Applied together, the application answers for itself.
  EXPECT_THAT(
      Problems(
          {disk, R"(metadata { name: "shop" } application { environment: "host-a" driver: "shop-stack" })"},
          Existing()),
      IsEmpty());
}

TEST(ValidateObjects, HowFarAComponentMayShrinkIsAShareOrNever) {
  const auto problems = [](const std::string& below) {
    return Problems({R"(metadata { name: "a" } driver { components { name: "d" dummy {} }
        components { name: "e" doubt_below: ")" +
                     below + R"(" dummy {} } })"});
  };
  for (const char* good : {"", "50%", "100%", "never", "0"}) EXPECT_THAT(problems(good), IsEmpty()) << good;
  EXPECT_THAT(problems("50"),
              ElementsAre("0 spec.components[1].doubtBelow: '50' is not a share of 1% to 100%; write it"
                          " like 50%, or never"));
  EXPECT_THAT(problems("half a").size(), 1u);
  EXPECT_THAT(problems("120%").size(), 1u);
  EXPECT_THAT(
      Problems({R"(metadata { name: "shop" } application { environment: "host-a" driver: "shop-stack"
      components { name: "db" doubt_below: "-5%" postgres { connection { host: "db" } } } })"},
               Existing()),
      ElementsAre("0 spec.components[0].doubtBelow: '-5%' is not a share of 1% to 100%; write it like 50%, or"
                  " never"));
}

TEST(ValidateObjects, AHostIsTheNameOfAnAgent) {
  const auto problems = [](const std::string& host) {
    return Problems(
        {R"(metadata { name: "a" } driver { components { name: "d" host: ")" + host + R"(" dummy {} } })"});
  };
  for (const char* good : {"", "web-1", "10"}) EXPECT_THAT(problems(good), IsEmpty()) << good;
  for (const char* bad : {"web-*", "Web", "web 1", "web:1", "-"}) EXPECT_EQ(problems(bad).size(), 1u) << bad;
  EXPECT_THAT(problems("web-*"), ElementsAre(testing::StartsWith("0 spec.components[0].host: ")));
}

TEST(ResolveComponents, TheApplicationsHostGoesOverTheDrivers) {
  const auto driver = FromText<v1::DriverSpec>(
      R"(components { name: "a" host: "web-1" dummy {} } components { name: "b" host: "web-1" dummy {} })");
  const auto application = FromText<v1::ApplicationSpec>(R"(components { name: "b" host: "web-2" })");
  const auto resolved = ResolveComponents(BuiltInStrategies(), application, &driver);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->at(0).host(), "web-1");
  EXPECT_EQ(resolved->at(1).host(), "web-2");
}

TEST(ResolveComponents, TheApplicationsWordOnShrinkingGoesOverTheDrivers) {
  const auto driver = FromText<v1::DriverSpec>(
      R"(components { name: "a" doubt_below: "20%" dummy {} } components { name: "b" doubt_below: "20%" dummy {} })");
  const auto resolved = ResolveComponents(
      BuiltInStrategies(), FromText<v1::ApplicationSpec>(R"(components { name: "b" doubt_below: "never" })"),
      &driver);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ((*resolved)[0].doubt_below(), "20%");
  EXPECT_EQ((*resolved)[1].doubt_below(), "never");
}

TEST(ResolveComponents, LaysWhatIsSetOverTheDriver) {
  const auto driver = FromText<v1::DriverSpec>(R"(
    components { name: "db"
      postgres { connection { socket_directory: "/run/postgresql" port: 5433 user: "backup" }
                 databases: "a" databases: "b" capture: CAPTURE_STREAM
                 expectations { level: LEVEL_COUNT count_budget: "60s" } }
      checks { name: "one" http { url: "http://a" } } }
    components { name: "files" disk { paths: "/srv" exclude: "*.tmp" } })");
  const auto application = FromText<v1::ApplicationSpec>(R"(
    components { name: "extra" dummy {} }
    components { name: "files" disk { exclude: "*.bak" exclude: "*.log" } }
    components { name: "db"
      postgres { connection { host: "db.example" } databases: "c" expectations { count_budget: "5s" } }
      checks { name: "two" http { url: "http://b" } } })");
  const auto resolved = ResolveComponents(BuiltInStrategies(), application, &driver);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  ASSERT_EQ(resolved->size(), 3u);
  EXPECT_EQ((*resolved)[0].DebugString(), FromText<v1::Component>(R"(name: "db"
      postgres { connection { host: "db.example" port: 5433 user: "backup" }
                 databases: "c" capture: CAPTURE_STREAM
                 expectations { level: LEVEL_COUNT count_budget: "5s" } }
      checks { name: "two" http { url: "http://b" } })")
                                              .DebugString());
  EXPECT_THAT((*resolved)[1].disk().paths(), ElementsAre("/srv"));
  EXPECT_THAT((*resolved)[1].disk().exclude(), ElementsAre("*.bak", "*.log"));
  EXPECT_EQ((*resolved)[2].name(), "extra");
}

TEST(ResolveComponents, RefusesAnotherStrategyAndDoubledNames) {
  const auto driver = FromText<v1::DriverSpec>(R"(components { name: "db" postgres {} })");
  const auto error = [&](const std::string& text, const v1::DriverSpec* base) {
    return MessageOf(
        ResolveComponents(BuiltInStrategies(), FromText<v1::ApplicationSpec>(text), base).status());
  };
  EXPECT_EQ(error(R"(components { name: "db" disk {} })", &driver),
            "component 'db' is disk here and postgres in the driver");
  EXPECT_EQ(error(R"(components { name: "a" dummy {} } components { name: "a" dummy {} })", nullptr),
            "two components are named 'a'");
  EXPECT_EQ(error(R"(components { name: "db" checks { name: "x" } })", &driver), "");
}

}  // namespace
}  // namespace salvor::strategies
