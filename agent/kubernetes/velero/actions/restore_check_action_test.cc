#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/client/api_error.h"
#include "agent/kubernetes/velero/actions/fake_velero_testing.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/restore_objects_testing.h"
#include "agent/kubernetes/velero/velero_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

// As a real API server says it.
Status Forbidden(const std::string& verb, const std::string& resource) {
  const kubernetes::ApiRequest request{verb, resource, "", ""};
  const std::string text = resource +
                           " is forbidden: User \"system:serviceaccount:salvor:salvor-executor\" cannot " +
                           verb + " resource \"" + resource + "\"";
  return kubernetes::MakeApiError(403, "Forbidden", text, request);
}

class RestoreCheckTest : public testing::Test {
 protected:
  RestoreCheckTest() {
    *action_.mutable_restore() = RestoreAction();
    Json backup = BackupObject("b", "backup-shop-1", "Completed");
    backup["metadata"]["labels"]["salvor.dev/backup"] = "shop-1";
    backup["spec"]["storageLocation"] = "main";
    velero_.Add(Backups(), "velero", backup);
  }

  StatusOr<v1::ActionResult> Run() { return velero_.Run(RunVeleroRestoreCheck, action_); }

  FakeVelero velero_;
  v1::VeleroRestoreCheck action_;
};

TEST_F(RestoreCheckTest, ChangesNothingAndAgreesWhereAllIsWell) {
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->warnings(), IsEmpty());
  EXPECT_THAT(velero_.Names(Restores()), IsEmpty());
  EXPECT_TRUE(velero_.Get(Namespaces(), "shop-copy", "").is_null());
}

TEST_F(RestoreCheckTest, RefusesIntoANamespaceThatHasTheClaim) {
  action_.mutable_restore()->set_target_namespace("shop");
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(MessageOf(result.status()), "the claim shop/uploads is there already, and would stay as it is");
}

TEST_F(RestoreCheckTest, AgreesToANamespaceThatIsThereAndHasNothingInTheWay) {
  velero_.Add(Namespaces(), "", {{"metadata", {{"name", "shop-copy"}}}});
  const auto result = Run();
  EXPECT_TRUE(result.ok()) << result.status();
}

TEST_F(RestoreCheckTest, NamesTheNamespaceThatMayNotBeLookedAt) {
  velero_.Cluster().Fail("get", Namespaces(), Forbidden("get", "namespaces"));
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("namespace shop-copy is not there, or has not opted in"));
  EXPECT_THAT(HintOf(result.status()), HasSubstr("kubectl create namespace shop-copy"));
}

TEST_F(RestoreCheckTest, WarnsOfNodePortsOfTheOriginalUnlessItGoesToItsPlace) {
  const char* applied = R"({"spec": {"ports": [{"port": 80, "nodePort": 30080}]}})";
  velero_.Add(
      Services(), "shop",
      {{"metadata",
        {{"name", "web"}, {"annotations", {{"kubectl.kubernetes.io/last-applied-configuration", applied}}}}},
       {"spec", {{"ports", Json::parse(R"([{"port": 80, "nodePort": 30080}])")}}}});
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->warnings(), testing::ElementsAre(HasSubstr("web 30080")));
  velero_.Cluster().Fail("list", Services(), Forbidden("list", "services"));
  const auto unseen = Run();
  ASSERT_TRUE(unseen.ok()) << unseen.status();
  EXPECT_THAT(unseen->warnings(), IsEmpty());
  EXPECT_TRUE(velero_.Cluster().Delete({Claims(), "shop", "uploads"}, {}, {}).ok());
  action_.mutable_restore()->set_target_namespace("shop");
  const auto in_place = Run();
  ASSERT_TRUE(in_place.ok()) << in_place.status();
  EXPECT_THAT(in_place->warnings(), testing::Not(testing::Contains(HasSubstr("30080"))));
}

TEST_F(RestoreCheckTest, RefusesWithoutTheClass) {
  EXPECT_TRUE(velero_.Cluster().Delete({StorageClasses(), "", "salvor-csi"}, {}, {}).ok());
  EXPECT_THAT(MessageOf(Run().status()), HasSubstr("the cluster has no StorageClass salvor-csi"));
  velero_.Cluster().Fail("list", StorageClasses(), Forbidden("list", "storageclasses"));
  const auto result = Run();
  EXPECT_TRUE(result.ok()) << "who may not look is not kept from restoring: " << result.status();
}

TEST_F(RestoreCheckTest, RefusesWithoutTheBackup) {
  EXPECT_TRUE(velero_.Cluster().Delete({Backups(), "velero", "b"}, {}, {}).ok());
  EXPECT_THAT(MessageOf(Run().status()), HasSubstr("Velero has no backup b"));
}

}  // namespace
}  // namespace salvor::velero
