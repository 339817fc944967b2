#include "strategies/volumes/changes.h"

#include <gmock/gmock.h>

#include "strategies/interface/strategy_testing.h"

namespace salvor::strategies {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> Problems(const std::string& changes, bool of_cluster = true) {
  v1::Manifest manifest = AHeader();
  if (of_cluster) manifest.add_velero();
  v1::CreateRestoreRequest asked;
  *asked.mutable_changes() = FromText<v1::RestoreChanges>(changes);
  std::vector<std::string> texts;
  for (const FieldProblem& problem : ValidateChanges(asked, manifest))
    texts.push_back(problem.field + ": " + problem.message);
  return texts;
}

std::string Transform(const std::string& changes, bool is_copy) {
  const auto transform = MakeTransform(FromText<v1::RestoreChanges>(changes), is_copy);
  if (!transform.ok()) return MessageOf(transform.status());
  return transform->has_value() ? (*transform)->ShortDebugString() : "none";
}

TEST(RestoreChanges, AreValidatedAllAtOnceWithTheirPlace) {
  EXPECT_THAT(Problems(R"(
      keep_schedules: true storage_classes { key: "fast" value: "slow" } hosts { key: "*.a.test" value: "b.test" }
      image_prefixes { key: "a.test:5000/shop" value: "b.test/" })"),
              IsEmpty());
  EXPECT_THAT(Problems(R"(
      storage_classes { key: "Fast" value: "slow" } storage_classes { key: "same" value: "same" }
      hosts { key: "a.test" value: "b test" } hosts { key: "c.test" value: "*" }
      image_prefixes { key: "/a" value: "b.test" } image_prefixes { key: "c.test" value: "d.test/x@sha256" })"),
              ElementsAre(HasSubstr("changes.storageClasses.Fast: "),
                          "changes.storageClasses.same: stays what it is; name another one, or leave it out",
                          HasSubstr("changes.imagePrefixes./a: '/a' is no beginning of an image's name"),
                          HasSubstr("changes.imagePrefixes.c.test: 'd.test/x@sha256' is no beginning"),
                          HasSubstr("changes.hosts.a.test: "), HasSubstr("changes.hosts.c.test: ")));
  EXPECT_THAT(Problems("with_ingress: true", false), ElementsAre(HasSubstr("has no objects of a cluster")));
}

TEST(RestoreChanges, KeepACopyFromActingUnlessAskedOtherwise) {
  EXPECT_EQ(Transform("", false), "none");
  EXPECT_EQ(Transform("keep_schedules: true", false), "none") << "nothing would be changed anyway";
  EXPECT_EQ(
      Transform("", true),
      "suspend_schedules: true close_load_balancers: true free_node_ports: true leave_out_routes: true");
  EXPECT_EQ(Transform("keep_schedules: true with_ingress: true", true),
            "close_load_balancers: true free_node_ports: true");
  EXPECT_EQ(Transform("keep_load_balancers: true keep_node_ports: true", true),
            "suspend_schedules: true leave_out_routes: true");
  EXPECT_EQ(
      Transform("keep_schedules: true keep_load_balancers: true keep_node_ports: true with_ingress: true",
                true),
      "none");
  EXPECT_EQ(Transform(R"(storage_classes { key: "a" value: "b" })", false),
            R"(storage_classes { key: "a" value: "b" })");
  EXPECT_THAT(Transform(R"(hosts { key: "a" value: "b" })", true),
              HasSubstr("a copy leaves Ingresses and routes out"));
  EXPECT_EQ(Transform(R"(hosts { key: "a" value: "b" })", false), R"(hosts { key: "a" value: "b" })");
}

TEST(RestoreChanges, MakeACopyOfAnotherNamespaceOrApplication) {
  const v1::Manifest manifest = AHeader();  // of application shop
  EXPECT_FALSE(IsCopy(manifest, "shop", "shop", "shop"));
  EXPECT_TRUE(IsCopy(manifest, "shop", "shop-copy", "shop"));
  EXPECT_TRUE(IsCopy(manifest, "shop", "shop", "shop-copy"));
}

TEST(RestoreChanges, AreToldInThePlanEachWithItsOption) {
  const auto effects = DescribeTransform(FromText<v1::RestoreTransform>(R"(
      suspend_schedules: true close_load_balancers: true free_node_ports: true leave_out_routes: true
      storage_classes { key: "a" value: "b" } storage_classes { key: "c" value: "d" })"),
                                         "shop-copy");
  ASSERT_EQ(effects.size(), 5U);
  for (const char* option :
       {"--keep-schedules", "--keep-load-balancers", "--keep-node-ports", "--with-ingress"}) {
    EXPECT_TRUE(std::any_of(effects.begin(), effects.end(), [&](const v1::PlannedEffect& effect) {
      return effect.detail().find(option) != std::string::npos;
    })) << option;
  }
  EXPECT_EQ(effects.back().subject(), "storage classes of shop-copy");
  EXPECT_EQ(effects.back().detail(), "a becomes b, c becomes d");
  EXPECT_THAT(DescribeTransform({}, "shop"), IsEmpty());
}

}  // namespace
}  // namespace salvor::strategies
