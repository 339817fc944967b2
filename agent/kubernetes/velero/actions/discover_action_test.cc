#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/velero/actions/fake_velero_testing.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/velero_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class DiscoverTest : public testing::Test {
 protected:
  DiscoverTest() { action_.set_namespace_("shop"); }
  StatusOr<v1::ActionResult> Run() { return velero_.Run(RunDiscover, action_); }

  FakeVelero velero_;
  v1::Discover action_;
};

TEST_F(DiscoverTest, FindsWhatIsThereAndChangesNothing) {
  velero_.Add(Claims(), "shop", ClaimObject("spare"));
  velero_.Add(Deployments(), "shop", {{"metadata", {{"name", "api"}}}, {"spec", {{"replicas", 0}}}});
  velero_.Add(StatefulSets(), "shop", {{"metadata", {{"name", "db"}}}});
  velero_.Add(DaemonSets(), "shop", {{"metadata", {{"name", "logs"}}}});
  velero_.Add(CronJobs(), "shop", {{"metadata", {{"name", "report"}}}});
  velero_.Add(Services(), "shop", {{"metadata", {{"name", "web"}}}});
  const size_t before = velero_.Cluster().Requests().size();
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  const v1::Discovery& found = result->discovery();
  EXPECT_EQ(found.namespace_(), "shop");
  ASSERT_THAT(found.claims(), SizeIs(2));
  EXPECT_EQ(found.claims(1).name(), "uploads");
  EXPECT_EQ(found.claims(1).method(), v1::VOLUME_METHOD_SNAPSHOT_MOVED);
  EXPECT_EQ(found.claims(0).method(), v1::VOLUME_METHOD_FILE_SYSTEM) << "its volume is not there";
  std::vector<std::string> workloads;
  for (const v1::DiscoveredWorkload& one : found.workloads())
    workloads.push_back(one.kind() + " " + one.name());
  EXPECT_THAT(workloads, ElementsAre("CronJob report", "DaemonSet logs", "Deployment api", "Pod web-1",
                                     "StatefulSet db"));
  ASSERT_THAT(found.services(), SizeIs(1));
  const auto requests = velero_.Cluster().Requests();
  for (size_t i = before; i < requests.size(); ++i)
    EXPECT_TRUE(requests[i].verb == "get" || requests[i].verb == "list") << requests[i].verb;
}

TEST_F(DiscoverTest, DecidesMethodsAsABackupWould) {
  EXPECT_TRUE(velero_.Cluster().Delete({ResourceDefinitions(), "", kSnapshotDefinition}, {}, {}).ok());
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->discovery().claims(0).method(), v1::VOLUME_METHOD_FILE_SYSTEM);
}

TEST_F(DiscoverTest, WorksWithoutAVelero) {
  EXPECT_TRUE(velero_.Cluster().Delete({Deployments(), "velero", "velero"}, {}, {}).ok());
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->discovery().claims(0).method(), v1::VOLUME_METHOD_FILE_SYSTEM);
}

TEST_F(DiscoverTest, RefusesANamespaceThatIsNotThere) {
  action_.set_namespace_("shopp");
  EXPECT_EQ(MessageOf(Run().status()), "there is no namespace shopp");
  EXPECT_EQ(HintOf(Run().status()), "See which there are: kubectl get namespaces");
}

// Each right that is missing leads to the same command, whichever is met first.
TEST_F(DiscoverTest, WithoutARightSaysWhichRoleBindingToMake) {
  for (const auto& [verb, type] :
       std::vector<std::pair<std::string, kubernetes::ResourceType>>{{"get", Namespaces()},
                                                                     {"list", Claims()},
                                                                     {"list", Pods()},
                                                                     {"list", Services()},
                                                                     {"list", Deployments()},
                                                                     {"list", StatefulSets()},
                                                                     {"list", DaemonSets()},
                                                                     {"list", CronJobs()}}) {
    const kubernetes::ApiRequest request{verb, type.FullName(), "shop", ""};
    velero_.Cluster().Fail(
        verb, type,
        kubernetes::MakeApiError(403, "Forbidden",
                                 R"(User "system:serviceaccount:salvor:salvor-executor" cannot list it)",
                                 request));
    const Status refused = Run().status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kPermissionDenied) << type.FullName();
    EXPECT_THAT(MessageOf(refused), HasSubstr(type.FullName()));
    EXPECT_THAT(HintOf(refused),
                HasSubstr("kubectl -n shop create rolebinding salvor --clusterrole=salvor-application "
                          "--serviceaccount=salvor:salvor-executor"));
    EXPECT_TRUE(Run().ok()) << "with the right all is well";
  }
}

TEST_F(DiscoverTest, PassesOnWhatIsNoMissingRight) {
  const kubernetes::ApiRequest request{"list", "pods", "shop", ""};
  velero_.Cluster().Fail("list", Pods(),
                         kubernetes::MakeApiError(500, "InternalError", "etcd is away", request));
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(DiscoverTest, StopsWhenAsked) {
  velero_.stop.request_stop();
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace salvor::velero
