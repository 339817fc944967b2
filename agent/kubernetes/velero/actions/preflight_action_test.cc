#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/velero/actions/fake_velero_testing.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/velero_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class VeleroPreflightTest : public testing::Test {
 protected:
  VeleroPreflightTest() {
    action_.add_namespaces("shop");
    *action_.add_volumes() = Planned("uploads", v1::VOLUME_METHOD_AUTO);
  }
  StatusOr<v1::ActionResult> Run() { return velero_.Run(RunVeleroPreflight, action_); }
  std::string Refusal() { return MessageOf(Run().status()); }

  FakeVelero velero_;
  v1::VeleroPreflight action_;
};

TEST_F(VeleroPreflightTest, OfAWellClusterDecidesTheMethodAndLeavesNothing) {
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->warnings(), IsEmpty());
  EXPECT_EQ(result->velero().velero_version(), "v1.18.2");
  EXPECT_EQ(result->velero().storage_location(), "main");
  ASSERT_EQ(result->velero().volumes_size(), 1);
  EXPECT_EQ(result->velero().volumes(0).method(), v1::VOLUME_METHOD_SNAPSHOT_MOVED);
  EXPECT_THAT(velero_.Names(ServerStatusRequests()), IsEmpty());
  EXPECT_THAT(velero_.Names(Backups()), IsEmpty());
}

TEST_F(VeleroPreflightTest, RefusesAVeleroThatDoesNotAnswer) {
  velero_.answers = false;
  EXPECT_EQ(Refusal(), "Velero does not answer in namespace velero");
}

TEST_F(VeleroPreflightTest, RefusesAClusterWithoutVelero) {
  velero_.Cluster().StopServing(ServerStatusRequests());
  EXPECT_EQ(Refusal(), "there is no Velero in namespace velero");
}

TEST_F(VeleroPreflightTest, RefusesALocationThatIsAway) {
  EXPECT_TRUE(velero_.Cluster()
                  .Change({StorageLocations(), "velero", "main"},
                          [](Json& location) {
                            location["status"] = {{"phase", "Unavailable"}, {"message", "no bucket"}};
                          })
                  .ok());
  EXPECT_EQ(Refusal(), "Velero's storage location main is Unavailable: no bucket");
}

TEST_F(VeleroPreflightTest, RefusesACertificateThatTheAgentDoesNotTrustBeforeAnythingIsMade) {
  EXPECT_TRUE(Run().ok());
  EXPECT_THAT(velero_.looked_at, IsEmpty()) << "a public cloud's is trusted everywhere";
  EXPECT_TRUE(velero_.Cluster()
                  .Change({StorageLocations(), "velero", "main"},
                          [](Json& location) {
                            location["spec"]["config"] = {{"s3Url", "https://minio.example:9000"},
                                                          {"s3ForcePathStyle", "true"}};
                            location["spec"]["objectStorage"] = {{"bucket", "shop"}, {"caCert", "Q0E="}};
                          })
                  .ok());
  velero_.certificate = FailedPrecondition("SSL certificate problem: certificate has expired");
  const Status refused = Run().status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(
      MessageOf(refused),
      HasSubstr("does not trust the certificate of Velero's storage location main, from which it reads "
                "what a backup holds: SSL certificate problem: certificate has expired"));
  EXPECT_THAT(HintOf(refused), HasSubstr("/etc/ssl/certs/ca-certificates.crt"));
  EXPECT_THAT(velero_.looked_at, ElementsAre("https://minio.example:9000/"));
  EXPECT_THAT(velero_.Names(Backups()), IsEmpty());

  velero_.certificate = OkStatus();
  const auto trusted = Run();
  ASSERT_TRUE(trusted.ok()) << trusted.status();
  EXPECT_THAT(trusted->warnings(), IsEmpty()) << "the machine trusts the location's own authority, too";

  velero_.certificate = Unavailable("Could not resolve host: minio.example");
  const auto silent = Run();
  ASSERT_TRUE(silent.ok()) << silent.status() << "it may answer when the backup is over";
  EXPECT_THAT(silent->warnings(), ElementsAre(HasSubstr("does not answer this agent")));
}

TEST_F(VeleroPreflightTest, LooksAtTheSnapshotsOfTheCluster) {
  action_.mutable_volumes(0)->set_method(v1::VOLUME_METHOD_SNAPSHOT);
  EXPECT_TRUE(Run().ok());
  EXPECT_TRUE(velero_.Cluster()
                  .Change({Pods(), "velero", "velero-1"},
                          [](Json& pod) { pod["status"]["startTime"] = "2025-01-01T00:00:00Z"; })
                  .ok());
  EXPECT_THAT(Refusal(), HasSubstr("Velero was started before the CRDs of snapshots were installed"));
  EXPECT_TRUE(velero_.Cluster()
                  .Change({Pods(), "velero", "velero-1"},
                          [](Json& pod) {
                            pod["status"]["containerStatuses"] = {
                                {{"state", {{"running", {{"startedAt", "2026-07-01T00:00:00Z"}}}}}}};
                          })
                  .ok());
  EXPECT_TRUE(Run().ok()) << "its container was restarted since";
  EXPECT_TRUE(velero_.Cluster().Delete({ResourceDefinitions(), "", kSnapshotDefinition}, {}, {}).ok());
  EXPECT_THAT(Refusal(), HasSubstr("the cluster has no VolumeSnapshots"));
}

// Helm names the Deployment after its release, and labels the pods otherwise than velero install does.
TEST_F(VeleroPreflightTest, FindsAVeleroThatHelmInstalled) {
  EXPECT_TRUE(velero_.Cluster().Delete({Deployments(), "velero", "velero"}, {}, {}).ok());
  EXPECT_TRUE(velero_.Cluster().Delete({Pods(), "velero", "velero-1"}, {}, {}).ok());
  velero_.Add(
      Deployments(), "velero",
      {{"metadata",
        {{"name", "backup-velero"},
         {"labels", {{"app.kubernetes.io/name", "velero"}, {"component", "velero"}}}}},
       {"spec",
        {{"selector", {{"matchLabels", {{"app.kubernetes.io/instance", "backup"}, {"name", "velero"}}}}},
         {"template",
          {{"spec",
            {{"containers", {{{"name", "velero"}, {"args", {"server", "--features=EnableCSI"}}}}}}}}}}}});
  action_.mutable_volumes(0)->set_method(v1::VOLUME_METHOD_SNAPSHOT);
  const auto without_pod = Run();
  ASSERT_TRUE(without_pod.ok()) << without_pod.status();
  EXPECT_THAT(without_pod->warnings(), ElementsAre(HasSubstr("no running pod of Velero's server was found")));
  velero_.Add(Pods(), "velero",
              {{"metadata",
                {{"name", "backup-velero-1"},
                 {"labels", {{"app.kubernetes.io/instance", "backup"}, {"name", "velero"}}}}},
               {"status", {{"phase", "Running"}, {"startTime", "2026-06-01T00:00:00Z"}}}});
  const auto well = Run();
  ASSERT_TRUE(well.ok()) << well.status();
  EXPECT_THAT(well->warnings(), IsEmpty());
  EXPECT_TRUE(velero_.Cluster()
                  .Change({Pods(), "velero", "backup-velero-1"},
                          [](Json& pod) { pod["status"]["startTime"] = "2025-01-01T00:00:00Z"; })
                  .ok());
  const Status old = Run().status();
  EXPECT_THAT(MessageOf(old), HasSubstr("Velero was started before the CRDs of snapshots were installed"));
  EXPECT_THAT(HintOf(old), HasSubstr("rollout restart deployment backup-velero"));
}

TEST_F(VeleroPreflightTest, KnowsTheUsualDeploymentWithoutTheRightToListThem) {
  const kubernetes::ApiRequest request{"list", "deployments.apps", "velero", ""};
  const std::string says =
      "deployments.apps is forbidden: User \"system:serviceaccount:salvor:salvor-executor\" cannot list resource "
      "\"deployments\" in API group \"apps\" in the namespace \"velero\"";
  velero_.Cluster().Fail("list", Deployments(), kubernetes::MakeApiError(403, "Forbidden", says, request));
  action_.mutable_volumes(0)->set_method(v1::VOLUME_METHOD_SNAPSHOT);
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->warnings(), IsEmpty());
}

TEST_F(VeleroPreflightTest, SeesWhoMountsAClaimAndWhereTheNodeAgentRuns) {
  action_.mutable_volumes(0)->set_method(v1::VOLUME_METHOD_FILE_SYSTEM);
  EXPECT_TRUE(Run().ok());
  EXPECT_TRUE(velero_.Cluster().Delete({Pods(), "shop", "web-1"}, {}, {}).ok());
  EXPECT_THAT(Refusal(), HasSubstr("is mounted by no running pod"));
  velero_.Add(Pods(), "shop", PodObject("web-2", "uploads", "node-2"));
  EXPECT_THAT(Refusal(), HasSubstr("is mounted on node node-2, where Velero's node-agent does not run"));
}

TEST_F(VeleroPreflightTest, WarnsOfThePublishedPassword) {
  velero_.Add({"", "v1", "secrets"}, "velero",
              {{"metadata", {{"name", "velero-repo-credentials"}}},
               {"data", {{"repository-password", "c3RhdGljLXBhc3N3MHJk"}}}});
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->warnings(), ElementsAre(HasSubstr("the password that stands in its source code")));
}

TEST_F(VeleroPreflightTest, RefusesWhatIsNotThere) {
  action_.add_namespaces("gone");
  EXPECT_EQ(Refusal(), "there is no namespace gone");
  action_.mutable_volumes(0)->set_claim("gone");
  EXPECT_EQ(Refusal(), "there is no namespace gone; there is no claim shop/gone");
}

TEST_F(VeleroPreflightTest, StopsWhenAsked) {
  velero_.stop.request_stop();
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace salvor::velero
