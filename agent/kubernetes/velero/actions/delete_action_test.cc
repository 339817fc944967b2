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
using testing::SizeIs;

constexpr char kRun[] = "backup-shop-1";

class VeleroDeleteTest : public testing::Test {
 protected:
  VeleroDeleteTest() {
    action_.set_name("b");
    action_.set_run(kRun);
  }
  void Have(const std::string& name, const std::string& phase, const std::string& run = kRun) {
    velero_.Add(Backups(), "velero", BackupObject(name, run, phase));
    velero_.Add(ConfigMaps(), "velero",
                {{"metadata", {{"name", name}, {"labels", {{"salvor.dev/run", run}}}}}});
  }
  StatusOr<v1::ActionResult> Run() { return velero_.Run(RunVeleroDelete, action_); }

  FakeVelero velero_;
  v1::VeleroDelete action_;
};

TEST_F(VeleroDeleteTest, IsDoneWhenTheBackupIsGoneAndItsPolicyWithIt) {
  Have("b", "Completed");
  Have("other", "Completed", "another");
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(velero_.Names(Backups()), ElementsAre("other"));
  EXPECT_THAT(velero_.Names(ConfigMaps()), ElementsAre("other"));
}

TEST_F(VeleroDeleteTest, IsDoneWhenItWasNotThereAndMayBeRepeated) {
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->note(), "Velero has no backup b");
  Have("b", "Completed");
  EXPECT_TRUE(Run().ok());
  EXPECT_TRUE(Run().ok());
}

TEST_F(VeleroDeleteTest, LeavesWhatAnotherRunMade) {
  Have("b", "Completed", "another");
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("was not made by run backup-shop-1"));
  EXPECT_THAT(velero_.Names(Backups()), ElementsAre("b"));
  EXPECT_THAT(velero_.Names(ConfigMaps()), ElementsAre("b"));
}

TEST_F(VeleroDeleteTest, RemovesTheDeadOnesOfItsRunToo) {
  Have("b", "Failed");
  Have("b-2", "Completed");
  action_.set_name("b-2");
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(velero_.Names(Backups()), IsEmpty());
  EXPECT_THAT(velero_.Names(ConfigMaps()), IsEmpty());
}

TEST_F(VeleroDeleteTest, RemovesTheObjectAloneWhereVeleroHasNotBegun) {
  Have("b", "Queued");
  velero_.on_delete = [](const std::string& request, const std::string&) {
    FAIL() << "asked by " << request;
  };
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(velero_.Names(Backups()), IsEmpty());
}

TEST_F(VeleroDeleteTest, FailsWithVelerosErrors) {
  Have("b", "Completed");
  velero_.on_delete = [this](const std::string& request, const std::string&) {
    velero_.SetPhase("b", "Deleting");
    EXPECT_TRUE(
        velero_.Cluster()
            .Change({DeleteRequests(), "velero", request},
                    [](Json& object) {
                      object["status"] = {{"phase", "Processed"}, {"errors", {"bucket is read-only"}}};
                    })
            .ok());
  };
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(MessageOf(result.status()),
              HasSubstr("Velero could not delete its backup b: bucket is read-only"));
  EXPECT_THAT(velero_.Names(ConfigMaps()), ElementsAre("b"));
}

TEST_F(VeleroDeleteTest, TakesTheErrorsOfAnEarlierRequestForNoWordOnThisOne) {
  Have("b", "Deleting");
  velero_.Add(DeleteRequests(), "velero",
              {{"metadata", {{"name", "old"}, {"labels", {{"velero.io/backup-name", "b"}}}}},
               {"status", {{"phase", "Processed"}, {"errors", {"it was away"}}}}});
  EXPECT_TRUE(Run().ok());
}

TEST_F(VeleroDeleteTest, AsksAgainWhereAServerDiedOverARequest) {
  Have("b", "Deleting");
  velero_.Add(DeleteRequests(), "velero",
              {{"metadata", {{"name", "old"}, {"labels", {{"velero.io/backup-name", "b"}}}}},
               {"status", {{"phase", "InProgress"}}}});
  VeleroOptions options = velero_.Options();
  options.now = [this] { return SteadyTime::At(velero_.elapsed += absl::Minutes(4)); };
  const agent::AgentConfig config;
  agent::SupervisedTools tools("none");
  agent::ActionContext context{config,  tools,  velero_.task, {}, SteadyTime::InfiniteFuture(),
                               nullptr, nullptr};
  const auto result = RunVeleroDelete(action_, context, options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(velero_.Names(Backups()), IsEmpty());
}

TEST_F(VeleroDeleteTest, AdoptsARequestThatIsOpen) {
  Have("b", "Deleting");
  velero_.on_delete = nullptr;
  velero_.Add(DeleteRequests(), "velero",
              {{"metadata", {{"name", "old"}, {"labels", {{"velero.io/backup-name", "b"}}}}},
               {"spec", {{"backupName", "c"}}}});
  velero_.deadline = SteadyNow() + absl::Milliseconds(50);
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(velero_.Names(DeleteRequests()), SizeIs(1));
}

}  // namespace
}  // namespace salvor::velero
