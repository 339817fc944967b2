// What the fake has beyond the suite: the means to play controllers.
#include "agent/kubernetes/fake/fake_kubernetes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "agent/kubernetes/client/call.h"
#include "agent/kubernetes/client/wait.h"
#include "agent/kubernetes/fake/conformance_testing.h"

namespace salvor::kubernetes {
namespace {

const ResourceType kBackups{"velero.io", "v1", "backups"};

Json Backup(const std::string& name) {
  return {{"apiVersion", "velero.io/v1"},
          {"kind", "Backup"},
          {"metadata", {{"name", name}}},
          {"spec", {{"ttl", "1h"}}}};
}

TEST(FakeKubernetes, ServesACrdWhileItIsThere) {
  FakeKubernetes fake;
  EXPECT_TRUE(kubernetes::IsNotFound(fake.Create(kBackups, "default", Backup("b"), {}, {}).status()));
  fake.Serve(kBackups, "Backup");
  EXPECT_TRUE(IsServed(fake, kBackups, {}).value());
  EXPECT_TRUE(fake.Create(kBackups, "default", Backup("b"), {}, {}).ok());
  fake.StopServing(kBackups);
  EXPECT_TRUE(kubernetes::IsNotFound(fake.Get({kBackups, "default", "b"}, {}).status()));
}

TEST(FakeKubernetes, AWatchEndsWithItsType) {
  FakeKubernetes fake;
  fake.Serve(kBackups, "Backup");
  const auto none = [](const Json&) { return OkStatus(); };
  const std::string from = fake.List(kBackups, "", {}, none, {}).value();
  EXPECT_TRUE(fake.Create(kBackups, "default", Backup("b"), {}, {}).ok());
  std::vector<Event::Type> seen;
  const auto stop_serving = [&](const Event& event) {
    seen.push_back(event.type);
    if (event.type == Event::Type::kAdded) fake.StopServing(kBackups);
    return true;
  };
  const Status ended = fake.Watch(kBackups, "", {.resource_version = from}, stop_serving, Soon());
  EXPECT_TRUE(kubernetes::IsNotFound(ended)) << ended;
  EXPECT_EQ(seen, (std::vector<Event::Type>{Event::Type::kAdded, Event::Type::kDeleted}));
}

TEST(FakeKubernetes, AWatchThatWaitsEndsWithItsType) {
  FakeKubernetes fake;
  fake.Serve(kBackups, "Backup");
  const auto none = [](const Json&) { return OkStatus(); };
  const std::string from = fake.List(kBackups, "", {}, none, {}).value();
  const std::jthread other([&fake] {
    const auto is_watched = [&fake] {
      const std::vector<ApiRequest> asked = fake.Requests();
      return std::any_of(asked.begin(), asked.end(),
                         [](const ApiRequest& one) { return one.verb == "watch"; });
    };
    const Call call = Soon();
    while (!is_watched()) ASSERT_TRUE(Pause(call, absl::Milliseconds(5), "a watch").ok());
    fake.StopServing(kBackups);
  });
  const auto go_on = [](const Event&) { return true; };
  const Status ended = fake.Watch(kBackups, "", {.resource_version = from}, go_on, Soon());
  EXPECT_TRUE(kubernetes::IsNotFound(ended)) << ended;
}

TEST(FakeKubernetes, ATestPlaysTheController) {
  FakeKubernetes fake;
  fake.Serve(kBackups, "Backup");
  std::vector<std::string> deleted;
  fake.OnCreate(kBackups, [&fake](const Json& object) {
    const ObjectKey key{kBackups, "default", TextAt(object, {"metadata", "name"})};
    EXPECT_TRUE(fake.Change(key, [](Json& now) { now["status"]["phase"] = "Completed"; }).ok());
  });
  fake.OnDelete(kBackups, [&deleted](const Json& object) {
    deleted.push_back(TextAt(object, {"metadata", "name"}));
  });
  ASSERT_TRUE(fake.Create(kBackups, "default", Backup("b"), {}, {}).ok());
  const Json done = fake.Get({kBackups, "default", "b"}, {}).value();
  EXPECT_EQ(TextAt(done, {"status", "phase"}), "Completed");
  EXPECT_EQ(done["metadata"]["generation"], 1);
  EXPECT_TRUE(fake.Delete({kBackups, "default", "b"}, {}, {}).ok());
  EXPECT_EQ(deleted, std::vector<std::string>{"b"});
}

TEST(FakeKubernetes, FailsAsOrderedAndRemembersWhatWasAsked) {
  FakeKubernetes fake;
  const ApiRequest request{"get", "configmaps", "default", "a"};
  fake.Fail("get", kConfigMaps, MakeApiError(403, "Forbidden", "User \"x\" cannot get", request), 2);
  EXPECT_TRUE(fake.Create(kConfigMaps, "default", ConfigMap("a"), {}, {}).ok());
  EXPECT_TRUE(IsForbidden(fake.Get({kConfigMaps, "default", "a"}, {}).status()));
  EXPECT_TRUE(IsForbidden(fake.Get({kConfigMaps, "default", "a"}, {}).status()));
  EXPECT_TRUE(fake.Get({kConfigMaps, "default", "a"}, {}).ok());
  std::vector<std::string> asked;
  for (const ApiRequest& one : fake.Requests())
    asked.push_back(one.verb + " " + one.resource + " " + one.name);
  EXPECT_EQ(asked, (std::vector<std::string>{"create configmaps a", "get configmaps a", "get configmaps a",
                                             "get configmaps a"}));
}

TEST(FakeKubernetes, AWatchOutlivesForgottenHistoryButCannotBeginInIt) {
  FakeKubernetes fake;
  const auto none = [](const Json&) { return OkStatus(); };
  const std::string before = fake.List(kConfigMaps, "", {}, none, {}).value();
  EXPECT_TRUE(fake.Create(kConfigMaps, "default", ConfigMap("a"), {}, {}).ok());
  const std::string after = fake.List(kConfigMaps, "", {}, none, {}).value();
  fake.ForgetHistory();
  const auto first = [](const Event&) { return false; };
  EXPECT_TRUE(IsGone(fake.Watch(kConfigMaps, "", {.resource_version = before}, first, {})));
  EXPECT_TRUE(fake.Create(kConfigMaps, "default", ConfigMap("b"), {}, {}).ok());
  EXPECT_TRUE(fake.Watch(kConfigMaps, "", {.resource_version = after}, first, {}).ok());
}

TEST(FakeKubernetes, ANamespaceThatEndsTakesNothingNewAndWaitsForFinalizers) {
  FakeKubernetes fake;
  Json held = ConfigMap("a");
  held["metadata"]["finalizers"] = {"salvor.dev/test"};
  EXPECT_TRUE(fake.Create(kConfigMaps, "default", held, {}, {}).ok());
  EXPECT_TRUE(fake.Delete({kNamespaces, "", "default"}, {}, {}).ok());
  const Status late = fake.Create(kConfigMaps, "default", ConfigMap("b"), {}, {}).status();
  EXPECT_EQ(late.code(), absl::StatusCode::kFailedPrecondition) << late;
  EXPECT_EQ(TextAt(fake.Get({kNamespaces, "", "default"}, {}).value(), {"status", "phase"}), "Terminating");
  const auto release = [](Json& object) { object["metadata"].erase("finalizers"); };
  EXPECT_TRUE(fake.Change({kConfigMaps, "default", "a"}, release).ok());
  EXPECT_TRUE(kubernetes::IsNotFound(fake.Get({kNamespaces, "", "default"}, {}).status()));
}

}  // namespace
}  // namespace salvor::kubernetes
