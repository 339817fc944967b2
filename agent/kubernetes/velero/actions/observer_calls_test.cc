// What the actions tell an observer of Velero, and what they do not tell because they do not know it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/client/api_error.h"
#include "agent/kubernetes/velero/actions/fake_velero_testing.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/velero_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

// Each call as a line of text.
class Heard final : public VeleroObserver {
 public:
  void OnServer(const std::string& velero, const std::string& version) override {
    Add(fmt::format("server of {}: {}", velero, version));
  }
  void OnLocations(const std::string& velero, const std::vector<StorageLocation>& locations) override {
    for (const StorageLocation& location : locations)
      Add(fmt::format("location of {}: {} {}", velero, location.name, location.phase));
  }
  void OnQueue(const std::string& velero, const Queue& queue) override {
    Add(fmt::format("queue of {}: {} queued, {} running", velero, queue.queued, queue.running));
  }
  void OnStall(const std::string& velero, const std::string& backup, bool is_stalled) override {
    const std::string line = fmt::format("stall of {}: {} {}", velero, backup, is_stalled);
    if (lines.empty() || lines.back() != line) Add(line);
  }
  void OnVolumes(const std::string& application, const VolumeCount& count) override {
    Add(fmt::format("volumes of {}: {} covered, {} not", application, count.covered, count.not_covered));
  }

  std::vector<std::string> lines;

 private:
  void Add(const std::string& line) { lines.push_back(line); }
};

class VeleroObserverCalls : public testing::Test {
 protected:
  VeleroObserverCalls() {
    velero_.observer = heard_;
    preflight_.add_namespaces("shop");
    *preflight_.add_volumes() = Planned("uploads", v1::VOLUME_METHOD_FILE_SYSTEM);
    backup_.set_name("b");
    backup_.add_namespaces("shop");
    backup_.set_run("backup-shop-1");
    backup_.set_application("shop");
    *backup_.add_volumes() = Planned("uploads", v1::VOLUME_METHOD_FILE_SYSTEM);
  }
  Status Preflight() { return velero_.Run(RunVeleroPreflight, preflight_).status(); }
  Status Backup() { return velero_.Run(RunVeleroBackup, backup_).status(); }

  std::shared_ptr<Heard> heard_ = std::make_shared<Heard>();
  FakeVelero velero_;
  v1::VeleroPreflight preflight_;
  v1::VeleroBackup backup_;
};

TEST_F(VeleroObserverCalls, APreflightTellsAllThatItLooksAt) {
  velero_.Add(Backups(), "velero", BackupObject("nightly", "another", "InProgress"));
  velero_.Add(Backups(), "velero", BackupObject("next", "another", "Queued"));
  velero_.Add(Backups(), "velero", BackupObject("last", "another", "Completed"));
  EXPECT_TRUE(Preflight().ok());
  EXPECT_THAT(heard_->lines, ElementsAre("server of velero: v1.18.2", "location of velero: main Available",
                                         "queue of velero: 1 queued, 1 running"));
}

TEST_F(VeleroObserverCalls, ARefusedPreflightTellsItTheMore) {
  EXPECT_TRUE(velero_.Cluster()
                  .Change({StorageLocations(), "velero", "main"},
                          [](Json& location) { location["status"]["phase"] = "Unavailable"; })
                  .ok());
  velero_.answers = false;
  EXPECT_FALSE(Preflight().ok());
  EXPECT_THAT(heard_->lines, ElementsAre("server of velero: ", "location of velero: main Unavailable",
                                         "queue of velero: 0 queued, 0 running"));
}

TEST_F(VeleroObserverCalls, AClusterWithoutVeleroHasNoneThatIsUp) {
  velero_.Cluster().StopServing(ServerStatusRequests());
  EXPECT_FALSE(Preflight().ok());
  EXPECT_THAT(heard_->lines, ElementsAre("server of velero: "));
}

TEST_F(VeleroObserverCalls, WhatWasNotLookedAtIsNotTold) {
  const kubernetes::ApiRequest request{"create", "serverstatusrequests.velero.io", "velero", ""};
  velero_.Cluster().Fail("create", ServerStatusRequests(),
                         kubernetes::MakeApiError(403, "Forbidden", "no right", request));
  EXPECT_FALSE(Preflight().ok());
  EXPECT_THAT(heard_->lines, IsEmpty()) << "a right that is missing says nothing of Velero";
}

TEST_F(VeleroObserverCalls, AnAttemptThatIsStoppedDoesNotTellThatVeleroIsSilent) {
  velero_.stop.request_stop();
  EXPECT_FALSE(Preflight().ok());
  EXPECT_THAT(heard_->lines, Not(Contains(StartsWith("server"))));
}

TEST_F(VeleroObserverCalls, ABackupTellsWhatIsInIt) {
  EXPECT_TRUE(Backup().ok());
  EXPECT_THAT(heard_->lines, Contains("volumes of shop: 1 covered, 0 not"));
  EXPECT_EQ(heard_->lines.back(), "volumes of shop: 1 covered, 0 not");
}

TEST_F(VeleroObserverCalls, AVolumeThatVeleroSkippedUnderCompletedIsNotCovered) {
  velero_.records["BackupVolumeInfos"] =
      R"([{"pvcName": "uploads", "pvcNamespace": "shop", "pvName": "pvc-uploads", "skipped": true,
           "skippedReason": "any: not satisfied the criteria for VolumePolicy;"}])";
  EXPECT_TRUE(Backup().ok());
  EXPECT_EQ(heard_->lines.back(), "volumes of shop: 0 covered, 1 not");
}

TEST_F(VeleroObserverCalls, ABackupThatFailedHoldsNoVolumesToCount) {
  velero_.on_backup = [this](const std::string& name) { velero_.SetPhase(name, "FailedValidation"); };
  EXPECT_FALSE(Backup().ok());
  EXPECT_EQ(heard_->lines.back(), "stall of velero: b false") << "and nothing is waited for any more";
}

TEST_F(VeleroObserverCalls, ABackupThatWaitsTellsTheQueue) {
  velero_.Add(Backups(), "velero", BackupObject("nightly", "another", "InProgress"));
  velero_.on_backup = [this](const std::string& name) {
    velero_.SetPhase(name, "Queued", {{"queuePosition", 1}});
  };
  velero_.on_progress = [this](const std::string& message) {
    if (message != "waiting for 1 backup of Velero before ours") return;
    velero_.on_progress = nullptr;
    velero_.SetPhase("b", "Completed");
  };
  EXPECT_TRUE(Backup().ok());
  EXPECT_THAT(heard_->lines, Contains("queue of velero: 1 queued, 1 running"));
}

TEST_F(VeleroObserverCalls, ABackupOfWhichNothingMovesIsToldUntilItIsOver) {
  velero_.on_backup = [this](const std::string& name) {
    velero_.SetPhase(name, "InProgress");
    velero_.Add(PodVolumeBackups(), "velero",
                {{"metadata", {{"name", "b-1"}, {"labels", {{"velero.io/backup-name", "b"}}}}},
                 {"status", {{"phase", "InProgress"}}}});
  };
  velero_.on_progress = [this](const std::string& message) {
    velero_.elapsed += absl::Minutes(1);
    if (message.find("nothing has moved") == std::string::npos) return;
    velero_.on_progress = nullptr;
    EXPECT_EQ(heard_->lines.back(), "stall of velero: b true");
    velero_.SetPhase("b", "Completed");
  };
  EXPECT_TRUE(Backup().ok());
  EXPECT_THAT(heard_->lines, testing::IsSupersetOf({"stall of velero: b true", "stall of velero: b false"}));
  EXPECT_EQ(heard_->lines.back(), "volumes of shop: 1 covered, 0 not");
}

}  // namespace
}  // namespace salvor::velero
