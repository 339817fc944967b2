#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "agent/kubernetes/velero/actions/fake_velero_testing.h"
#include "agent/kubernetes/velero/backup_object.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/velero_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kRun[] = "backup-shop-1";
constexpr char kRestarted[] =
    "found a backup with status \"InProgress\" during the server starting, mark it as \"Failed\"";

class VeleroBackupTest : public testing::Test {
 protected:
  VeleroBackupTest() {
    action_.set_name("b");
    action_.add_namespaces("shop");
    action_.set_run(kRun);
    action_.set_application("shop");
    *action_.add_volumes() = Planned("uploads", v1::VOLUME_METHOD_FILE_SYSTEM);
  }

  StatusOr<v1::ActionResult> Run() { return velero_.Run(RunVeleroBackup, action_); }

  // The only missing thing's reason.
  std::string Missing() {
    const auto result = Run();
    if (!result.ok()) return result.status().ToString();
    return result->missing_size() == 1 ? result->missing(0).why()
                                       : std::to_string(result->missing_size()) + " missing";
  }

  std::string PhaseOf(const std::string& name) {
    return TextAt(velero_.Get(Backups(), name), {"status", "phase"});
  }

  FakeVelero velero_;
  v1::VeleroBackup action_;
};

TEST_F(VeleroBackupTest, KeepsAVolumeAndSaysByWhat) {
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->missing(), IsEmpty());
  EXPECT_THAT(result->warnings(), IsEmpty());
  ASSERT_EQ(result->artifacts_size(), 1);
  EXPECT_EQ(result->artifacts(0).velero().backup(), "b");
  EXPECT_EQ(result->artifacts(0).velero().snapshot_handle(), "8f1c");
  EXPECT_EQ(result->velero().storage_location(), "main");
  const Json policy = velero_.Get(ConfigMaps(), "b");
  EXPECT_THAT(TextAt(policy, {"data", "policy.yaml"}), HasSubstr("fs-backup"));
  EXPECT_EQ(TextAt(velero_.Get(Backups(), "b"), {"spec", "resourcePolicy", "name"}), "b");
  EXPECT_THAT(velero_.Names(DownloadRequests()), IsEmpty()) << "they are removed once they are read";
}

TEST_F(VeleroBackupTest, GoesByTheMethodsThatThePreflightFound) {
  action_.mutable_volumes(0)->set_method(v1::VOLUME_METHOD_AUTO);
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kInvalidArgument) << "nobody has decided";
  v1::VeleroReport& found = *(*velero_.task.mutable_inputs())["volumes.preflight"].mutable_velero();
  *found.add_volumes() = Planned("uploads", v1::VOLUME_METHOD_FILE_SYSTEM);
  found.set_storage_location("second");
  found.set_velero_version("v1.18.2");
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->artifacts_size(), 1);
  EXPECT_EQ(result->velero().velero_version(), "v1.18.2");
  EXPECT_EQ(TextAt(velero_.Get(Backups(), "b"), {"spec", "storageLocation"}), "second");
}

TEST_F(VeleroBackupTest, SaysWhatThePreflightWarnsOf) {
  velero_.records["BackupResults"] = R"({"errors": {}, "warnings": {"velero": ["w"]}})";
  v1::ActionResult& preflight = (*velero_.task.mutable_inputs())["volumes.preflight"];
  preflight.mutable_velero()->set_storage_location("main");
  preflight.add_warnings("the volume has the reclaim policy Retain");
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->warnings(), ElementsAre("Velero warns: w", "the volume has the reclaim policy Retain"));
}

TEST_F(VeleroBackupTest, TellsTheQueueThenTheBytes) {
  velero_.Add(Backups(), "velero", BackupObject("nightly", "another", "InProgress"));
  velero_.on_backup = [this](const std::string& name) {
    velero_.SetPhase(name, "Queued", {{"queuePosition", 1}});
  };
  velero_.on_progress = [this](const std::string& message) {
    if (message == "waiting for 1 backup of Velero before ours") {
      velero_.SetPhase("nightly", "Completed");
      velero_.Add(
          PodVolumeBackups(), "velero",
          {{"metadata", {{"name", "b-1"}, {"labels", {{"velero.io/backup-name", "b"}}}}},
           {"spec", {{"pod", {{"namespace", "shop"}, {"name", "web-1"}}}, {"volume", "data"}}},
           {"status", {{"phase", "InProgress"}, {"progress", {{"bytesDone", 5}, {"totalBytes", 9}}}}}});
      velero_.SetPhase("b", "InProgress", {{"queuePosition", 0}});
    } else if (message == "0 of 1 volumes copied") {
      velero_.on_progress = nullptr;
      velero_.SetPhase("b", "Completed");
    }
  };
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(velero_.progress, Contains("waiting for 1 backup of Velero before ours"));
  EXPECT_THAT(velero_.progress, Contains("0 of 1 volumes copied"));
}

TEST_F(VeleroBackupTest, GoesOnWithWhatAKilledAgentBegan) {
  ASSERT_TRUE(Run().ok());
  velero_.on_backup = [](const std::string& name) { FAIL() << "made another one: " << name; };
  const auto again = Run();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->artifacts_size(), 1);
  EXPECT_THAT(velero_.log, Contains("going on with Velero's backup b"));
}

TEST_F(VeleroBackupTest, ReplacesThePolicyThatAKilledAgentLeftWithoutABackup) {
  velero_.Add(ConfigMaps(), "velero",
              {{"metadata", {{"name", "b"}, {"labels", {{"salvor.dev/run", kRun}}}}},
               {"data", {{"policy.yaml", "old"}}}});
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(TextAt(velero_.Get(ConfigMaps(), "b"), {"data", "policy.yaml"}), HasSubstr("fs-backup"));
}

// The answer to the call was lost; or another executor was quicker.
TEST_F(VeleroBackupTest, AdoptsABackupThatItMadeWithoutKnowing) {
  velero_.Cluster().OnCreate(ConfigMaps(), [this](const Json&) {
    velero_.Add(Backups(), "velero", BackupObject("b", kRun, "Completed"));
  });
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->artifacts_size(), 1);
}

TEST_F(VeleroBackupTest, AConflictIsWorthAnotherTryThatCounts) {
  const kubernetes::ApiRequest request{"create", "backups.velero.io", "velero", "b"};
  velero_.Cluster().Fail("create", Backups(),
                         kubernetes::MakeApiError(409, "Conflict", "the object has been modified", request));
  const v1::Error error = agent::ToError(Run().status());
  EXPECT_TRUE(error.retryable());
  EXPECT_EQ(error.reason(), v1::Error::REASON_DISTURBED) << "this agent has not died";
  EXPECT_TRUE(Run().ok());
}

TEST_F(VeleroBackupTest, TakesNoBackupOfAnothers) {
  velero_.Add(Backups(), "velero", BackupObject("b", "another", "Completed"));
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(MessageOf(result.status()),
              HasSubstr("Velero has a backup b already, and this run did not make it"));
}

TEST_F(VeleroBackupTest, TakesNoPolicyOfAnothers) {
  velero_.Add(ConfigMaps(), "velero", {{"metadata", {{"name", "b"}}}, {"data", {{"policy.yaml", "theirs"}}}});
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(TextAt(velero_.Get(ConfigMaps(), "b"), {"data", "policy.yaml"}), "theirs");
  EXPECT_THAT(velero_.Names(Backups()), IsEmpty());
}

TEST_F(VeleroBackupTest, MakesAnotherOneWhenVeleroWasRestarted) {
  velero_.on_backup = [this](const std::string& name) {
    if (name == "b") return velero_.SetPhase(name, "Failed", {{"failureReason", kRestarted}});
    velero_.SetPhase(name, "Completed");
  };
  const auto first = Run();
  EXPECT_EQ(first.status().code(), absl::StatusCode::kUnavailable)
      << "one that counts, and is not made at once";
  EXPECT_THAT(MessageOf(first.status()), HasSubstr("Velero was restarted while it made the backup b"));
  const auto second = Run();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->velero().backup(), "b-2");
}

TEST_F(VeleroBackupTest, NeverTakesALaterCompletedOfADeadOne) {
  velero_.on_backup = [this](const std::string& name) {
    if (name == "b") return velero_.SetPhase(name, "Failed", {{"failureReason", "a plugin crashed"}});
    velero_.SetPhase(name, "Completed");
  };
  EXPECT_FALSE(Run().ok());
  EXPECT_THAT(TextAt(velero_.Get(Backups(), "b"), {"metadata", "annotations", kGivenUpAnnotation}),
              HasSubstr("a plugin crashed"));
  velero_.SetPhase("b", "Completed", {{"failureReason", ""}});
  const auto second = Run();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->velero().backup(), "b-2");
}

TEST_F(VeleroBackupTest, NamesTheReasonWhenVeleroRefusesIt) {
  velero_.on_backup = [this](const std::string& name) {
    velero_.SetPhase(name, "FailedValidation",
                     {{"validationErrors", {"BackupStorageLocation main is in Unavailable status."}}});
  };
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("main is in Unavailable status"));
}

TEST_F(VeleroBackupTest, NamesAVolumeThatWasSkippedUnderCompleted) {
  velero_.records["BackupVolumeInfos"] =
      R"([{"pvcName": "uploads", "pvcNamespace": "shop", "pvName": "pvc-uploads", "skipped": true,
           "skippedReason": "any: not satisfied the criteria for VolumePolicy;"}])";
  EXPECT_THAT(Missing(),
              HasSubstr("Velero skipped its data: any: not satisfied the criteria for VolumePolicy"));
}

TEST_F(VeleroBackupTest, OfAPartiallyFailedOneKeepsTheVolumeAndNamesTheRest) {
  velero_.on_backup = [this](const std::string& name) {
    velero_.SetPhase(name, "PartiallyFailed", {{"errors", 1}});
  };
  velero_.records["BackupResults"] = R"({"errors": {"namespaces": {"shop": ["error getting widget w"]}}})";
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->artifacts_size(), 1);
  EXPECT_THAT(Missing(), HasSubstr("Velero says PartiallyFailed: namespace shop: error getting widget w"));
}

TEST_F(VeleroBackupTest, FailsWhenSomebodyRemovesIt) {
  velero_.on_backup = [this](const std::string& name) { velero_.SetPhase(name, "InProgress"); };
  velero_.on_progress = [this](const std::string&) {
    velero_.on_progress = nullptr;
    EXPECT_TRUE(velero_.Cluster().Delete({Backups(), "velero", "b"}, {}, {}).ok());
  };
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("somebody removed Velero's backup b while it was made"));
}

TEST_F(VeleroBackupTest, FailsWhenSomebodyLetsVeleroDeleteIt) {
  velero_.on_backup = [this](const std::string& name) { velero_.SetPhase(name, "Deleting"); };
  EXPECT_THAT(MessageOf(Run().status()), HasSubstr("somebody deletes Velero's backup b while it is made"));
}

TEST_F(VeleroBackupTest, TakesAnUnknownPhaseForRunning) {
  velero_.on_backup = [this](const std::string& name) { velero_.SetPhase(name, "Reticulating"); };
  velero_.on_progress = [this](const std::string& message) {
    if (message != "Velero says Reticulating") return;
    velero_.on_progress = nullptr;
    velero_.SetPhase("b", "Completed");
  };
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(velero_.progress, Contains("Velero says Reticulating"));
}

TEST_F(VeleroBackupTest, SaysWhenNothingMovesAndGoesOn) {
  velero_.on_backup = [this](const std::string& name) {
    velero_.SetPhase(name, "InProgress");
    velero_.Add(
        PodVolumeBackups(), "velero",
        {{"metadata", {{"name", "b-1"}, {"labels", {{"velero.io/backup-name", "b"}}}}},
         {"spec",
          {{"node", "node-1"}, {"pod", {{"namespace", "shop"}, {"name", "web-1"}}}, {"volume", "data"}}},
         {"status", {{"phase", "InProgress"}}}});
  };
  velero_.on_progress = [this](const std::string& message) {
    velero_.elapsed += absl::Minutes(1);
    if (message.find("nothing has moved") == std::string::npos) return;
    velero_.on_progress = nullptr;
    velero_.SetPhase("b", "Completed");
  };
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(velero_.log, Contains(HasSubstr(
                               "waiting: for the copy of volume data of pod shop/web-1 (InProgress, on node "
                               "node-1")));
}

// Whoever looks sees the last message alone.
TEST_F(VeleroBackupTest, GoesOnSayingThatNothingMoves) {
  velero_.on_backup = [this](const std::string& name) { velero_.SetPhase(name, "InProgress"); };
  std::vector<std::string> told;
  velero_.on_progress = [&](const std::string& message) {
    velero_.elapsed += absl::Minutes(1);
    told.push_back(message);
    if (told.size() < 30) return;
    velero_.on_progress = nullptr;
    velero_.SetPhase("b", "Completed");
  };
  ASSERT_TRUE(Run().ok());
  const auto first = std::find_if(told.begin(), told.end(), [](const std::string& message) {
    return message.find("nothing has moved") != std::string::npos;
  });
  ASSERT_NE(first, told.end());
  EXPECT_THAT(std::vector<std::string>(first, told.end()), testing::Each(HasSubstr("nothing has moved")));
}

TEST_F(VeleroBackupTest, WaitsForAnApiServerThatIsStartedAnewAndKnowsNoRightsYet) {
  const kubernetes::ApiRequest request{"list", "backups.velero.io", "velero", ""};
  const Status refusal = kubernetes::MakeApiError(
      403, "Forbidden", "backups.velero.io is forbidden: User \"salvor\" cannot list resource \"backups\"",
      request);
  velero_.on_backup = [&](const std::string& name) {
    velero_.SetPhase(name, "Completed");
    velero_.Cluster().Fail("list", Backups(), refusal);
  };
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(velero_.log, Contains(HasSubstr("waiting for Velero's backup all the same")));
}

TEST_F(VeleroBackupTest, IsKeptWhenTheNamespaceIsGoneBeforeItsLastLook) {
  const kubernetes::ApiRequest request{"list", "persistentvolumeclaims", "shop", ""};
  velero_.on_backup = [&](const std::string& name) {
    velero_.SetPhase(name, "Completed");
    velero_.Cluster().Fail(
        "list", Claims(), kubernetes::MakeApiError(403, "Forbidden", "User \"salvor\" cannot list", request));
  };
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->artifacts_size(), 1);
  EXPECT_THAT(result->warnings(), Contains(HasSubstr("could not be looked at once more")));
}

TEST_F(VeleroBackupTest, TouchesOneThatARestartedVeleroForgot) {
  velero_.on_backup = [this](const std::string& name) { velero_.SetPhase(name, "ReadyToStart"); };
  velero_.on_progress = [this](const std::string&) {
    velero_.elapsed += absl::Minutes(1);
    if (TextAt(velero_.Get(Backups(), "b"), {"metadata", "annotations", "salvor.dev/nudge"}).empty()) return;
    velero_.on_progress = nullptr;
    velero_.SetPhase("b", "Completed");
  };
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(velero_.log, Contains("Velero does not begin: touching its backup b"));
}

TEST_F(VeleroBackupTest, IsStoppedByNotWaitingAndSaysWhatGoesOn) {
  velero_.on_backup = [this](const std::string& name) { velero_.SetPhase(name, "InProgress"); };
  velero_.on_progress = [this](const std::string&) { velero_.stop.request_stop(); };
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("which Velero goes on with"));
  EXPECT_EQ(
      HintOf(result.status()),
      "When it is over, remove it: velero -n velero backup delete -l salvor.dev/run=backup-shop-1, and its "
      "policy: kubectl -n velero delete configmap -l salvor.dev/run=backup-shop-1");
  EXPECT_EQ(PhaseOf("b"), "InProgress") << "nothing was done to it";
}

TEST_F(VeleroBackupTest, IsStoppedInTheQueueAndSaysHowToTakeItBack) {
  for (const char* phase : {"New", "Queued"}) {
    FakeVelero velero;
    velero.on_backup = [&](const std::string& name) { velero.SetPhase(name, phase); };
    velero.on_progress = [&](const std::string&) { velero.stop.request_stop(); };
    const auto result = velero.Run(RunVeleroBackup, action_);
    EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled) << phase;
    EXPECT_THAT(MessageOf(result.status()), HasSubstr("Velero's backup b, which is still in Velero's queue"));
    EXPECT_THAT(HintOf(result.status()), HasSubstr("kubectl -n velero delete backups.velero.io b, "));
    EXPECT_THAT(velero.Names(Backups()), ElementsAre("b")) << "nothing of it is Salvor's to delete";
  }
}

// The call was stopped on its way; the object may be there for all that.
TEST_F(VeleroBackupTest, IsStoppedWhileItIsMadeAndSaysWhetherItWas) {
  const Status stopped = Cancelled("stopped on request");
  velero_.Cluster().OnCreate(ConfigMaps(), [&](const Json&) {
    velero_.stop.request_stop();
    velero_.Cluster().Fail("create", Backups(), stopped);
  });
  const auto not_made = Run();
  EXPECT_THAT(MessageOf(not_made.status()), HasSubstr("stopped before there was a backup of Velero's"));
  EXPECT_THAT(HintOf(not_made.status()), HasSubstr("delete configmap -l salvor.dev/run=backup-shop-1"));

  FakeVelero made;
  made.Cluster().OnCreate(ConfigMaps(), [&](const Json&) {
    made.Add(Backups(), "velero", BackupObject("b", kRun, "New"));
    made.stop.request_stop();
    made.Cluster().Fail("create", Backups(), stopped);
  });
  const auto result = made.Run(RunVeleroBackup, action_);
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("is still in Velero's queue"));
}

TEST_F(VeleroBackupTest, IsStoppedWhileItIsMadeAndTellsNobodyToTakeBackAnothers) {
  velero_.Cluster().OnCreate(ConfigMaps(), [&](const Json&) {
    velero_.Add(Backups(), "velero", BackupObject("b", "another", "New"));
    velero_.stop.request_stop();
  });
  const auto result = Run();
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("stopped before there was a backup of Velero's"));
  EXPECT_THAT(HintOf(result.status()), testing::Not(HasSubstr("backups.velero.io")));
}

TEST_F(VeleroBackupTest, IsStoppedWithoutAnAnswerAndSaysThatItGoesOn) {
  velero_.on_backup = [this](const std::string& name) { velero_.SetPhase(name, "New"); };
  velero_.on_progress = [this](const std::string&) {
    velero_.stop.request_stop();
    velero_.Cluster().Fail("get", Backups(), Unavailable("the API server does not answer"));
  };
  EXPECT_THAT(MessageOf(Run().status()), HasSubstr("which Velero goes on with")) << "nobody knows better";
}

TEST_F(VeleroBackupTest, SaysWhatItWaitedForWhenItsTimeIsOver) {
  velero_.on_backup = [this](const std::string& name) { velero_.SetPhase(name, "Finalizing"); };
  velero_.on_progress = [this](const std::string&) { velero_.RunOutOfTime(); };
  const auto result = Run();
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("was not over in time; Velero says Finalizing"));
  EXPECT_FALSE(agent::ToError(result.status()).retryable()) << "it would wait for the same one once more";
}

TEST_F(VeleroBackupTest, WaitsForAnApiServerThatIsAway) {
  velero_.on_backup = [this](const std::string& name) { velero_.SetPhase(name, "InProgress"); };
  velero_.on_progress = [this](const std::string&) {
    velero_.on_progress = nullptr;
    const Status away = Unavailable("the API server does not answer");
    velero_.Cluster().Fail("watch", Backups(), away, 2);
    velero_.Cluster().Fail("list", Backups(), away, 3);
    velero_.Cluster().Fail("list", PodVolumeBackups(), away, 3);
    velero_.SetPhase("b", "Completed");
  };
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(velero_.log, Contains(HasSubstr("the API server does not answer")));
  EXPECT_THAT(velero_.progress, Contains(HasSubstr("Velero can't be asked how far it is")));
}

TEST_F(VeleroBackupTest, IsNoneWithoutVelerosRecords) {
  for (const char* kind : {"BackupVolumeInfos", "BackupResults", "BackupResourceList"}) {
    const auto record = velero_.records.extract(kind);
    const auto result = Run();
    EXPECT_EQ(result.status().code(), absl::StatusCode::kNotFound) << kind;
    EXPECT_THAT(MessageOf(result.status()), HasSubstr(kind));
    EXPECT_THAT(velero_.Names(DownloadRequests()), IsEmpty());
    velero_.records[record.key()] = record.mapped();
  }
  EXPECT_TRUE(Run().ok());
}

TEST_F(VeleroBackupTest, IsWorthAnotherAttemptWhenVeleroSignsNothing) {
  velero_.answers = false;
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("Velero does not sign its address"));
}

}  // namespace
}  // namespace salvor::velero
