#include "agent/engines/mariadb/inventory.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

namespace salvor::agent {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

v1::MariadbDetails Details(const std::string& text) {
  v1::MariadbDetails details;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &details)) << text;
  return details;
}

TEST(Events, HaveTheirStateInOnePlace) {
  struct Case {
    const char* create;
    const char* state;
    const char* disabled;
  };
  for (
      const Case& one : {
          Case{
              "CREATE DEFINER=`a`@`b` EVENT `e` ON SCHEDULE EVERY 1 DAY STARTS '2026-01-01' ON COMPLETION NOT PRESERVE "
              "ENABLE DO SELECT 1",
              "ENABLE",
              "CREATE DEFINER=`a`@`b` EVENT `e` ON SCHEDULE EVERY 1 DAY STARTS '2026-01-01' ON COMPLETION NOT PRESERVE "
              "DISABLE DO SELECT 1"},
          Case{
              "CREATE EVENT `x ON COMPLETION PRESERVE ENABLE``` ON SCHEDULE AT 'x' ON COMPLETION PRESERVE DISABLE ON SLAVE "
              "COMMENT 'ENABLE' DO SELECT 1",
              "DISABLE ON SLAVE",
              "CREATE EVENT `x ON COMPLETION PRESERVE ENABLE``` ON SCHEDULE AT 'x' ON COMPLETION PRESERVE DISABLE COMMENT "
              "'ENABLE' DO SELECT 1"},
          Case{"", "", ""},
      }) {
    std::string state;
    EXPECT_EQ(DisabledEvent(one.create, &state), one.disabled);
    EXPECT_EQ(state, one.state);
    if (!state.empty()) {
      EXPECT_EQ(EventWithState(one.disabled, state), one.create);
    }
  }
}

TEST(Definitions, AreComparedWithoutWhatTheServerCounts) {
  EXPECT_EQ(
      WithoutCounters(
          "CREATE TABLE `t` (\n  `a` int COMMENT ' AUTO_INCREMENT=7'\n) ENGINE=InnoDB AUTO_INCREMENT=17 X"),
      "CREATE TABLE `t` (\n  `a` int COMMENT ' AUTO_INCREMENT=7'\n) ENGINE=InnoDB X");
  EXPECT_EQ(WithoutCounters("CREATE TABLE `t` (\n  `a` int\n) ENGINE=InnoDB"),
            "CREATE TABLE `t` (\n  `a` int\n) ENGINE=InnoDB");
}

std::vector<std::string> Compared(const std::string& then, const std::string& now) {
  std::vector<std::string> lines;
  for (const MariadbDifference& one : CompareMariadbInventories(Details(then), Details(now)))
    lines.push_back(one.check + " " + one.subject);
  return lines;
}

TEST(Inventories, DifferByWhatIsGoneOtherwiseOrNew) {
  const std::string base = R"(databases { name: "shop" charset: "utf8mb4" collation: "x" }
    definitions { kind: "view" database: "shop" name: "v" text: "select 1" }
    definitions { kind: "trigger" database: "shop" name: "tr" text: "a" }
    events { database: "shop" name: "e" create: "c" state: "ENABLE" })";
  EXPECT_THAT(Compared(base, base), IsEmpty());
  EXPECT_THAT(Compared(base, base + R"(databases { name: "more" })"), ElementsAre("databases more"));
  EXPECT_THAT(
      Compared(base + R"(definitions { kind: "routine" database: "shop" name: "PROCEDURE p" text: "x" })",
               base),
      ElementsAre("routines shop.PROCEDURE p"));
  // A table that stands in for a view and stayed.
  EXPECT_THAT(Compared(R"(definitions { kind: "view" database: "shop" name: "v" text: "select 1" })",
                       R"(definitions { kind: "table" database: "shop" name: "v" text: "CREATE TABLE" })"),
              ElementsAre("tables shop.v", "views shop.v"));
  EXPECT_THAT(Compared(R"(events { database: "shop" name: "e" create: "c" state: "ENABLE" })",
                       R"(events { database: "shop" name: "e" create: "c" state: "DISABLE" })"),
              IsEmpty());
  EXPECT_THAT(Compared(R"(events { database: "shop" name: "e" create: "c" sql_mode: "STRICT" })",
                       R"(events { database: "shop" name: "e" create: "c" })"),
              ElementsAre("events shop.e"));
}

TEST(Accounts, DifferByTheirRights) {
  const auto compared = [](const std::string& then, const std::string& now) {
    std::vector<std::string> names;
    for (const MariadbDifference& one : CompareMariadbAccounts(Details(then), Details(now)))
      names.push_back(one.subject);
    return names;
  };
  const std::string base =
      R"(databases { name: "shop" } accounts { user: "a" host: "%" create: "CREATE USER x"
    grants: "GRANT SELECT ON `shop`.* TO `a`@`%`" grants: "GRANT INSERT ON `other`.`t` TO `a`@`%`" })";
  EXPECT_THAT(compared(base, base), IsEmpty());
  EXPECT_THAT(compared(base, R"(accounts { user: "a" host: "%" create: "CREATE USER x"
    grants: "GRANT SELECT ON `shop`.* TO `a`@`%`" })"),
              IsEmpty())
      << "what is of other databases' tables can't be there";
  EXPECT_THAT(compared(base, R"(accounts { user: "a" host: "%" create: "CREATE USER x" })"),
              ElementsAre("a@%"));
  EXPECT_THAT(compared(base, R"(accounts { user: "a" host: "%" create: "CREATE USER y"
    grants: "GRANT SELECT ON `shop`.* TO `a`@`%`" })"),
              ElementsAre("a@%"));
  EXPECT_THAT(compared(base, ""), ElementsAre("a@%"));
}

TEST(Definers, AreReadFromEveryKindOfDefinition) {
  EXPECT_THAT(DefinersOf(Details(R"(
    definitions { kind: "view" text: "CREATE ALGORITHM=UNDEFINED DEFINER=`v`@`%` SQL SECURITY DEFINER VIEW `x` AS select 1" }
    definitions { kind: "trigger" text: "DEFINER=t@localhost\n-- BEFORE" }
    definitions { kind: "routine" text: "DEFINER=r@localhost\n-- CREATE" }
    definitions { kind: "table" text: "CREATE TABLE" }
    events { definer: "e@localhost" })")),
              ElementsAre("e@localhost", "r@localhost", "t@localhost", "v@%"));
}

}  // namespace
}  // namespace salvor::agent
