#include "agent/kubernetes/velero/quiesce.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace salvor::velero {
namespace {

using testing::HasSubstr;

Pod Running(const std::string& name, std::vector<std::string> claims, std::vector<std::string> containers) {
  Pod pod;
  pod.name_space = "shop";
  pod.name = name;
  pod.running = true;
  pod.claims = std::move(claims);
  pod.containers = std::move(containers);
  pod.labels = {{"app", name}};
  return pod;
}

v1::PodQuiesce Of(const std::string& claim) {
  v1::PodQuiesce quiesce;
  quiesce.set_component("db");
  quiesce.set_namespace_("shop");
  quiesce.add_claims(claim);
  quiesce.add_command("freeze");
  quiesce.add_command("a b");
  quiesce.add_release("thaw");
  quiesce.set_deadline_ms(30'000);
  return quiesce;
}

// "pod/container" of each, or the error.
std::vector<std::string> Chosen(const std::vector<v1::PodQuiesce>& quiesces, const std::vector<Pod>& pods) {
  const auto chosen = ChooseContainers(quiesces, pods);
  if (!chosen.ok()) return {MessageOf(chosen.status())};
  std::vector<std::string> names;
  for (const HeldContainer& one : *chosen) names.push_back(one.pod + "/" + one.container);
  return names;
}

TEST(Quiesce, FindsThePodsOfClaimsOrOfLabels) {
  const std::vector<Pod> pods = {Running("db", {"data"}, {"server"}),
                                 Running("web-1", {"data", "files"}, {"web"}),
                                 Running("web-2", {"files"}, {"web", "proxy"})};
  EXPECT_THAT(Chosen({Of("data")}, pods), testing::ElementsAre("db/server", "web-1/web"));
  v1::PodQuiesce labelled = Of("data");
  (*labelled.mutable_labels())["app"] = "web-2";
  labelled.set_container("proxy");
  EXPECT_THAT(Chosen({labelled}, pods), testing::ElementsAre("web-2/proxy"));
  EXPECT_THAT(Chosen({Of("data"), labelled}, pods),
              testing::ElementsAre("db/server", "web-1/web", "web-2/proxy"));
}

TEST(Quiesce, RefusesByNameWhatItDoesNotFind) {
  std::vector<Pod> pods = {Running("web", {"files"}, {"web", "proxy"})};
  EXPECT_THAT(Chosen({Of("data")}, pods),
              testing::ElementsAre(
                  "component db is to be held still, and no running pod of namespace shop has mounted data"));
  EXPECT_THAT(
      Chosen({Of("files")}, pods),
      testing::ElementsAre("it is not said which container of pod shop/web, which component db holds still"));
  v1::PodQuiesce named = Of("files");
  named.set_container("db");
  EXPECT_THAT(
      Chosen({named}, pods),
      testing::ElementsAre("there is no container db of pod shop/web, which component db holds still"));
  named.set_container("proxy");
  pods[0].running = false;
  EXPECT_THAT(Chosen({named}, pods)[0], HasSubstr("no running pod"));
  pods[0].running = true;
  pods[0].name_space = "post";
  EXPECT_THAT(Chosen({named}, pods)[0], HasSubstr("no running pod"));
  const auto to_release = ChooseToRelease({named}, pods);
  ASSERT_TRUE(to_release.ok()) << to_release.status();
  EXPECT_TRUE(to_release->empty()) << "what does not run is not held still";
}

TEST(Quiesce, GivesTheWordsToTheShellAsTheyAre) {
  const std::vector<std::string> line = HoldCommand(Of("data"));
  ASSERT_EQ(line.size(), 9u);
  EXPECT_EQ(line[0], "sh");
  EXPECT_THAT(std::vector<std::string>(line.begin() + 3, line.end()),
              testing::ElementsAre("salvor", "30", "2", "freeze", "a b", "thaw"));
  EXPECT_THAT(line[2], HasSubstr("echo '" + std::string(kHeldMark) + "'"));
  EXPECT_THAT(line[2], HasSubstr("'" + std::string(kReleaseOrder.substr(0, kReleaseOrder.size() - 1)) + "'"));
  EXPECT_THAT(line[2], HasSubstr("exit " + std::to_string(kLateCode)));
}

TEST(Quiesce, LetsGoInThePhasesThatFollowTheSnapshots) {
  for (const char* phase : {"", "New", "Queued", "ReadyToStart", "InProgress", "FailedValidation", "Failed",
                            "Deleting", "SomethingNew"})
    EXPECT_FALSE(HasMadeSnapshots(phase)) << phase;
  for (const char* phase : {"WaitingForPluginOperations", "WaitingForPluginOperationsPartiallyFailed",
                            "Finalizing", "FinalizingPartiallyFailed", "Completed", "PartiallyFailed"})
    EXPECT_TRUE(HasMadeSnapshots(phase)) << phase;
}

}  // namespace
}  // namespace salvor::velero
