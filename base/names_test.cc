#include "base/names.h"

#include <gtest/gtest.h>

namespace salvor {
namespace {

TEST(Names, ObjectsAreDnsLabels) {
  for (const char* good : {"a", "shop", "shop-2", "0"}) EXPECT_TRUE(CheckObjectName(good).ok()) << good;
  for (const char* bad : {"", "-a", "a-", "Shop", "a_b", "a b", "../x", "a\n"})
    EXPECT_FALSE(CheckObjectName(bad).ok()) << bad;
  EXPECT_FALSE(CheckObjectName(std::string(64, 'a')).ok());
}

TEST(Names, OfOtherObjectsOfKubernetesMayHaveDots) {
  for (const std::string& good :
       {std::string("a"), std::string("s3.eu-1"), std::string("data-db-0"), std::string(253, 'a')})
    EXPECT_TRUE(CheckDottedName(good, "a claim").ok()) << good;
  for (const std::string& bad :
       {std::string(""), std::string("."), std::string("a..b"), std::string(".a"), std::string("a."),
        std::string("a.-b"), std::string("a-.b"), std::string("A"), std::string("a_b"), std::string("../a"),
        std::string("a b"), std::string("a\0b", 3), std::string(254, 'a')})
    EXPECT_EQ(CheckDottedName(bad, "a claim").code(), absl::StatusCode::kInvalidArgument) << bad;
  EXPECT_EQ(MessageOf(CheckDottedName("../a", "a claim")), "'../a' is not the name of a claim");
}

TEST(Names, ANameOrTheBeginningOfSeveral) {
  for (const char* good : {"web-1", "node-*", "n*", "*", "a-b-*"})
    EXPECT_TRUE(CheckNameOrBeginning(good).ok()) << good;
  for (const char* bad : {"", "-*", "web-", "*-1", "**", "node-**", "Node-*", "no de*", "*x"})
    EXPECT_FALSE(CheckNameOrBeginning(bad).ok()) << bad;
  EXPECT_FALSE(CheckNameOrBeginning(std::string(64, 'a') + "*").ok());
}

// CVE-2026-20253: a "database" that is a connection string. It is a legal name; libpq gets it as a value.
TEST(Names, DatabasesMayBeOddButNotDangerous) {
  for (const char* good : {"shop", "Shop Größe", "host=evil", "a\"b"})
    EXPECT_TRUE(CheckDatabaseName(good).ok()) << good;
  for (const char* bad : {"", "-c", "a\nb", "\x01"}) EXPECT_FALSE(CheckDatabaseName(bad).ok()) << bad;
}

TEST(Names, PathsDoNotClimb) {
  EXPECT_TRUE(CheckAbsolutePath("/srv/shop").ok());
  for (const char* bad : {"", "srv", "/srv/../etc", "/./a"}) EXPECT_FALSE(CheckAbsolutePath(bad).ok()) << bad;
  EXPECT_EQ(MessageOf(CheckAbsolutePath("größe 100%")), "path 'größe 100%' must be absolute")
      << "as it was written";
}

TEST(Names, RunsSortByTime) {
  EXPECT_EQ(MakeRunName("backup", "shop", absl::FromUnixSeconds(1795256100), 0xabcd1234),
            "backup-shop-20261121-101500-1234");
}

// A run's name becomes that of folders, sockets and objects, so it is an object's name itself.
TEST(Names, RunsOfTheLongestApplicationsHaveLegalNames) {
  const absl::Time now = absl::FromUnixSeconds(1795256100);
  for (const char* kind : {"backup", "drill", "restore"}) {
    for (const size_t length : {1u, 33u, 34u, 35u, 63u}) {
      const std::string name = MakeRunName(kind, std::string(length, 'a'), now, 0xabcd);
      EXPECT_TRUE(CheckObjectName(name).ok()) << name;
    }
  }
  const std::string dashes = "a" + std::string(40, '-') + "b";
  EXPECT_EQ(MakeRunName("backup", dashes, now, 0), "backup-a-20261121-101500-0000");
}

TEST(Names, OfANodesAgentIsAnObjectsNameAndTheNodesOwn) {
  EXPECT_EQ(*MakeNodeAgentName("worker-1"), "salvor-node-worker-1");
  const std::string dotted = *MakeNodeAgentName("ip-10-0-0-1.eu-west-1.compute.internal");
  EXPECT_EQ(dotted.substr(0, dotted.size() - 9), "salvor-node-ip-10-0-0-1");
  EXPECT_NE(dotted, *MakeNodeAgentName("ip-10-0-0-1.eu-west-2.compute.internal"));
  const std::string parts = std::string(63, 'a') + "." + std::string(63, 'b');
  for (const std::string& node :
       {std::string("a"), std::string(51, 'a'), std::string(52, 'a'), std::string(63, 'a'),
        std::string(41, 'a') + "--" + std::string(20, 'b'), parts, parts + "." + parts.substr(2)}) {
    const auto name = MakeNodeAgentName(node);
    ASSERT_TRUE(name.ok()) << node << ": " << name.status();
    EXPECT_TRUE(CheckObjectName(*name).ok()) << *name;
    EXPECT_EQ(*name, *MakeNodeAgentName(node));
  }
  for (const char* bad : {"", "Node", "a..b", "-a", "a b"}) EXPECT_FALSE(MakeNodeAgentName(bad).ok()) << bad;
}

TEST(Names, SlugsAreSafeEverywhere) {
  EXPECT_EQ(Slug("Shop Audit"), "shop-audit");
  EXPECT_EQ(Slug("--"), "x");
}

}  // namespace
}  // namespace salvor
