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

TEST_F(VeleroDeleteTest, RemovesAPolicyThatAnAttemptLeftWithoutABackup) {
  Have("b", "Completed");
  const auto add_policy = [&](const std::string& name, const std::string& run) {
    velero_.Add(ConfigMaps(), "velero",
                {{"metadata", {{"name", name}, {"labels", {{"salvor.dev/run", run}}}}}});
  };
  add_policy("b-2", kRun);
  add_policy("b-3", "another");
  add_policy("c", kRun);
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(velero_.Names(ConfigMaps()), ElementsAre("b-3", "c"));
}

TEST_F(VeleroDeleteTest, LeavesThePolicyOfABackupThatStays) {
  Have("b", "Failed");
  Have("b-2", "Completed");
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(velero_.Names(Backups()), ElementsAre("b-2"));
  EXPECT_THAT(velero_.Names(ConfigMaps()), ElementsAre("b-2"));
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
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->error().retryable());
  EXPECT_THAT(result->error().message(),
              HasSubstr("Velero could not delete its backup b: bucket is read-only"));
  EXPECT_THAT(result->deletion().left(), ElementsAre("Velero's backup b"));
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
  int looks = 0;
  velero_.on_now = [&] {
    if (++looks == 3) velero_.stop.request_stop();
  };
  EXPECT_EQ(Run()->error().reason(), v1::Error::REASON_CANCELLED);
  EXPECT_THAT(velero_.Names(DeleteRequests()), SizeIs(1));
}

TEST_F(VeleroDeleteTest, SaysThatVeleroTookTooLong) {
  Have("b", "Completed");
  velero_.on_delete = nullptr;
  velero_.on_now = [this] { velero_.RunOutOfTime(); };
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->error().reason(), v1::Error::REASON_TIMED_OUT);
  EXPECT_THAT(result->error().message(), HasSubstr("Velero did not delete its backup b in time"));
}

class VeleroDeleteRunTest : public VeleroDeleteTest {
 protected:
  VeleroDeleteRunTest() {
    action_.clear_name();
    action_.set_environment("cluster-a");
  }
  void Restore(const std::string& name, const std::string& backup, const std::string& phase) {
    velero_.Add(
        Restores(), "velero",
        {{"metadata", {{"name", name}}}, {"spec", {{"backupName", backup}}}, {"status", {{"phase", phase}}}});
  }
};

TEST_F(VeleroDeleteRunTest, AllOfTheRunGoAndNoOther) {
  Have("b-shop", "Completed");
  Have("b-web", "Completed");
  Have("b-web-2", "PartiallyFailed");
  Have("c", "Completed", "another");
  for (const char* name : {"b-shop", "b-web-2"}) action_.add_expected(name);
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(result->has_error()) << result->error().message();
  EXPECT_EQ(result->deletion().removed(), 3);
  EXPECT_EQ(result->note(), "Velero deleted its backup b-shop, b-web, b-web-2");
  EXPECT_THAT(velero_.Names(Backups()), ElementsAre("c"));
  EXPECT_THAT(velero_.Names(ConfigMaps()), ElementsAre("c"));
}

TEST_F(VeleroDeleteRunTest, WhatSomebodyElseDeletedIsSaidAndItsPolicyGoes) {
  Have("b-web", "Completed");
  velero_.Add(ConfigMaps(), "velero",
              {{"metadata", {{"name", "b-shop"}, {"labels", {{"salvor.dev/run", kRun}}}}}});
  for (const char* name : {"b-shop", "b-web"}) action_.add_expected(name);
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->deletion().removed(), 1);
  EXPECT_EQ(result->deletion().already_gone(), 1);
  EXPECT_EQ(result->note(), "Velero deleted its backup b-web; Velero has no backup b-shop");
  EXPECT_THAT(velero_.Names(ConfigMaps()), IsEmpty());
  const auto again = Run();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->deletion().already_gone(), 2);
}

TEST_F(VeleroDeleteRunTest, OneThatIsAnothersIsRefusedBeforeAnythingGoes) {
  Have("b-shop", "Completed");
  Have("b-web", "Completed", "another");
  for (const char* name : {"b-shop", "b-web"}) action_.add_expected(name);
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(velero_.Names(Backups()), ElementsAre("b-shop", "b-web"));
}

// The other cluster sees the same bucket, and Velero shows it this Backup with all its labels.
TEST_F(VeleroDeleteRunTest, WhatAnotherEnvironmentMadeIsRefused) {
  Have("b", "Completed");
  ASSERT_TRUE(
      velero_.Cluster()
          .Change({Backups(), "velero", "b"},
                  [](Json& object) { object["metadata"]["labels"]["salvor.dev/environment"] = "cluster-b"; })
          .ok());
  const auto refused = Run();
  EXPECT_EQ(MessageOf(refused.status()),
            "Velero's backup b was made by environment cluster-b, and this is cluster-a");
  EXPECT_THAT(velero_.Names(Backups()), ElementsAre("b"));
}

TEST_F(VeleroDeleteRunTest, OneThatVeleroStillRestoresFromIsRefused) {
  Have("b", "Completed");
  Have("c", "Completed", "another");
  Restore("of-another", "c", "InProgress");
  Restore("over", "b", "Completed");
  Restore("goes-on", "b", "InProgress");
  const auto refused = Run();
  EXPECT_EQ(MessageOf(refused.status()), "Velero still restores from its backup b: goes-on");
  EXPECT_THAT(velero_.Names(Backups()), ElementsAre("b", "c"));
  velero_.SetRestorePhase("goes-on", "PartiallyFailed");
  EXPECT_TRUE(Run().ok());
  EXPECT_THAT(velero_.Names(Backups()), ElementsAre("c"));
}

TEST_F(VeleroDeleteRunTest, OneOfTwoThatVeleroKeepsIsNamed) {
  Have("b-shop", "Completed");
  Have("b-web", "Completed");
  const auto as_usual = velero_.on_delete;
  velero_.on_delete = [&, as_usual](const std::string& request, const std::string& backup) {
    if (backup == "b-shop") return as_usual(request, backup);
    EXPECT_TRUE(velero_.Cluster()
                    .Change({DeleteRequests(), "velero", request},
                            [](Json& object) {
                              object["status"] = {{"phase", "Processed"}, {"errors", {"access denied"}}};
                            })
                    .ok());
  };
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->error().message(), HasSubstr("access denied"));
  EXPECT_EQ(result->deletion().removed(), 1);
  EXPECT_THAT(result->deletion().left(), ElementsAre("Velero's backup b-web"));
}

}  // namespace
}  // namespace salvor::velero
