#include "agent/kubernetes/client/query.h"

#include <gtest/gtest.h>

#include "agent/kubernetes/client/http_requests.h"

namespace salvor::kubernetes {
namespace {

const ResourceType kBackups{"velero.io", "v1", "backups"};
const ResourceType kPods{"", "v1", "pods"};
const ResourceType kNamespaces{"", "v1", "namespaces", false};

TEST(Paths, FollowGroupNamespaceAndName) {
  EXPECT_EQ(kBackups.Path("velero"), "/apis/velero.io/v1/namespaces/velero/backups");
  EXPECT_EQ(kBackups.Path(""), "/apis/velero.io/v1/backups");
  EXPECT_EQ(kPods.Path("shop"), "/api/v1/namespaces/shop/pods");
  EXPECT_EQ(kNamespaces.Path("ignored"), "/api/v1/namespaces");
  EXPECT_EQ((ObjectKey{kPods, "shop", "db-0"}.Path()), "/api/v1/namespaces/shop/pods/db-0");
  EXPECT_EQ((ObjectKey{kNamespaces, "", "shop"}.Path()), "/api/v1/namespaces/shop");
  EXPECT_EQ((ObjectKey{kPods, "shop", "a b?c"}.Path()), "/api/v1/namespaces/shop/pods/a%20b%3Fc");
  EXPECT_EQ((ObjectKey{kBackups, "velero", "b1"}.Text()), "backups.velero.io velero/b1");
  EXPECT_EQ((ObjectKey{kNamespaces, "", "shop"}.Text()), "namespaces shop");
}

TEST(Paths, NamesThatWouldLeadElsewhereAreRefused) {
  EXPECT_TRUE(CheckKey({kPods, "shop", "db-0"}).ok());
  EXPECT_TRUE(CheckKey({kNamespaces, "", "shop"}).ok());
  for (const char* name : {"", ".", "..", "a/b", "../secrets/s", "a%2fb"}) {
    EXPECT_FALSE(CheckKey({kPods, "shop", name}).ok()) << name;
    EXPECT_FALSE(CheckKey({kPods, name, "db-0"}).ok()) << name;
  }
}

TEST(Queries, AreEncoded) {
  EXPECT_EQ(Query().Text(), "");
  EXPECT_EQ(Query().Add("a", "x=y&z").AddUnlessEmpty("b", "").Add("c", "ä").Text(), "?a=x%3Dy%26z&c=%C3%A4");
}

TEST(Queries, OfAListNameTheStateOnlyOnTheFirstPage) {
  ListOptions options;
  options.selection = {"app=shop", "metadata.name=b1"};
  options.page_size = 2;
  options.resource_version = "7";
  options.resource_version_match = "NotOlderThan";
  EXPECT_EQ(ListQuery(options, "").Text(),
            "?labelSelector=app%3Dshop&fieldSelector=metadata.name%3Db1&limit=2&resourceVersion=7&"
            "resourceVersionMatch=NotOlderThan");
  EXPECT_EQ(ListQuery(options, "t=").Text(),
            "?labelSelector=app%3Dshop&fieldSelector=metadata.name%3Db1&limit=2&continue=t%3D");
}

TEST(Queries, OfWritesRefuseUnknownFields) {
  EXPECT_EQ(WriteQuery({}).Text(), "?fieldManager=salvor&fieldValidation=Strict");
  EXPECT_EQ(WriteQuery({"other", true}).Text(), "?fieldManager=other&fieldValidation=Strict&dryRun=All");
}

TEST(Queries, OfLogsRoundSecondsUp) {
  LogOptions options;
  EXPECT_EQ(LogQuery(options).Text(), "");
  options.container = "db";
  options.tail_lines = 0;
  options.since = absl::Milliseconds(1500);
  options.limit_bytes = 10;
  options.follow = options.previous = true;
  EXPECT_EQ(LogQuery(options).Text(),
            "?container=db&tailLines=0&sinceSeconds=2&limitBytes=10&follow=true&previous=true");
}

TEST(Queries, OfExecKeepEveryArgument) {
  ExecCommand command;
  command.container = "db";
  command.argv = {"sh", "-c", "echo $1 && true", ""};
  EXPECT_EQ(
      ExecQuery(command).Text(),
      "?container=db&command=sh&command=-c&command=echo%20%241%20%26%26%20true&command=&stdout=true&stderr=true");
  command.stdin_fd = 0;
  EXPECT_NE(ExecQuery(command).Text().find("&stdin=true"), std::string::npos);
}

TEST(Requests, OfDeleteCarryThePreconditions) {
  EXPECT_EQ(DeleteBody({}).dump(),
            R"({"apiVersion":"v1","kind":"DeleteOptions","propagationPolicy":"Background"})");
  const Json body =
      DeleteBody({.uid = "u", .resource_version = "7", .propagation = Propagation::kOrphan, .dry_run = true});
  EXPECT_EQ(body["preconditions"].dump(), R"({"resourceVersion":"7","uid":"u"})");
  EXPECT_EQ(body["propagationPolicy"], "Orphan");
  EXPECT_EQ(body["dryRun"].dump(), R"(["All"])");
}

TEST(Requests, OfPatchesSayTheirKind) {
  const ObjectKey key{kPods, "shop", "db-0"};
  EXPECT_EQ(PatchRequest(key, PatchKind::kMerge, {}, {}).content_type, "application/merge-patch+json");
  EXPECT_EQ(PatchRequest(key, PatchKind::kJson, {}, {}).content_type, "application/json-patch+json");
  const HttpRequest apply = ApplyRequest(key, {{"a", 1}}, {.force = true});
  EXPECT_EQ(apply.content_type, "application/apply-patch+yaml");
  EXPECT_EQ(apply.path,
            "/api/v1/namespaces/shop/pods/db-0?fieldManager=salvor&fieldValidation=Strict&force=true");
  EXPECT_EQ(apply.what.verb, "patch");
}

TEST(Requests, OnlyThoseThatDoTheSameTwiceAreRepeatable) {
  const ObjectKey key{kPods, "shop", "db-0"};
  EXPECT_TRUE(HttpRequest().is_repeatable);
  EXPECT_TRUE(ApplyRequest(key, {}, {}).is_repeatable);
  EXPECT_TRUE(DeleteRequest(key, {.uid = "u"}).is_repeatable);
  EXPECT_TRUE(DeleteRequest(key, {.resource_version = "7"}).is_repeatable);
  EXPECT_FALSE(DeleteRequest(key, {}).is_repeatable);
  EXPECT_FALSE(CreateRequest(kPods, "shop", {}, {}).is_repeatable);
  EXPECT_FALSE(PatchRequest(key, PatchKind::kMerge, {}, {}).is_repeatable);
}

TEST(Answers, VersionsAreNumbersWhateverFollows) {
  const auto version = ReadServerVersion({{"major", "1"}, {"minor", "34+"}, {"gitVersion", "v1.34.4"}});
  ASSERT_TRUE(version.ok());
  EXPECT_EQ(version->minor, 34);
  for (const Json& answer : {Json(), Json::array(), Json{{"major", 1}}, Json{{"major", "x"}}}) {
    EXPECT_FALSE(ReadServerVersion(answer).ok());
  }
}

TEST(Answers, OfDiscoveryLeaveSubresourcesOut) {
  const Json answer = Json::parse(R"({"resources": [
      {"name": "pods", "namespaced": true, "kind": "Pod", "verbs": ["get", 5]},
      {"name": "pods/exec", "namespaced": true, "kind": "PodExecOptions"},
      {"name": "nodes", "kind": "Node", "namespaced": "yes"}, 7, {"kind": "NoName"}]})");
  const auto served = ReadServedResources(answer, "", "v1");
  ASSERT_EQ(served.size(), 2U);
  EXPECT_EQ(served[0].kind, "Pod");
  EXPECT_TRUE(served[0].type.is_namespaced);
  EXPECT_EQ(served[0].verbs, std::vector<std::string>{"get"});
  EXPECT_FALSE(served[1].type.is_namespaced);
  EXPECT_TRUE(ReadServedResources("text", "", "v1").empty());
}

TEST(Answers, ItemsOfAListGetTheKindThatTheyLack) {
  const auto page =
      ReadListPage(Json::parse(R"({"kind": "PodList", "metadata": {"resourceVersion": "9", "continue": "c"},
      "items": [{"metadata": {"name": "a"}}, {"kind": "Other", "apiVersion": "x/v1"}, 5]})"),
                   kPods);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->resource_version, "9");
  EXPECT_EQ(page->continue_token, "c");
  ASSERT_EQ(page->items.size(), 2U);
  EXPECT_EQ(page->items[0]["kind"], "Pod");
  EXPECT_EQ(page->items[0]["apiVersion"], "v1");
  EXPECT_EQ(page->items[1]["kind"], "Other");
  EXPECT_TRUE(ReadListPage(Json{{"items", nullptr}}, kPods).ok());
  EXPECT_FALSE(ReadListPage(Json{{"kind", "Status"}}, kPods).ok());
  EXPECT_FALSE(ReadListPage(Json("text"), kPods).ok());
}

TEST(TextAt, TakesNothingForGranted) {
  const Json object = {{"status", {{"phase", "Completed"}, {"count", 5}}}};
  EXPECT_EQ(TextAt(object, {"status", "phase"}), "Completed");
  EXPECT_EQ(TextAt(object, {"status", "count"}), "");
  EXPECT_EQ(TextAt(object, {"status", "phase", "more"}), "");
  EXPECT_EQ(TextAt(object, {"spec", "x"}), "");
  EXPECT_EQ(TextAt(Json(), {"status"}), "");
}

}  // namespace
}  // namespace salvor::kubernetes
