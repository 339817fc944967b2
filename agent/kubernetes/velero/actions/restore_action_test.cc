#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "agent/kubernetes/velero/actions/fake_velero_testing.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/restore_object.h"
#include "agent/kubernetes/velero/restore_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class VeleroRestoreTest : public testing::Test {
 protected:
  VeleroRestoreTest() : action_(RestoreAction()) {}

  StatusOr<v1::ActionResult> Run() { return velero_.Run(RunVeleroRestore, action_); }

  // What failed of the checks, else "restored"; or why there are none.
  std::string Found() {
    const auto result = Run();
    if (!result.ok()) return result.status().ToString();
    for (const v1::Check& check : result->checks()) {
      if (check.verdict() != v1::Check::VERDICT_PASSED) return check.compared();
    }
    return result->checks().empty() ? "nothing was looked at" : "restored";
  }

  FakeVelero velero_;
  v1::VeleroRestore action_;
};

TEST_F(VeleroRestoreTest, BringsAVolumeBackAndSaysSo) {
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->checks_size(), 2);
  EXPECT_EQ(result->checks(0).verdict(), v1::Check::VERDICT_PASSED) << result->checks(0).compared();
  EXPECT_EQ(result->checks(1).verdict(), v1::Check::VERDICT_PASSED) << result->checks(1).compared();
  EXPECT_EQ(result->velero_restore().restore(), "r");
  EXPECT_EQ(result->velero_restore().bytes(), 4096);
  EXPECT_EQ(result->velero_restore().phase(), "Completed");
  EXPECT_EQ(TextAt(velero_.Get(Restores(), "r"), {"spec", "namespaceMapping", "shop"}), "shop-copy");
  EXPECT_THAT(velero_.Names(DownloadRequests()), IsEmpty()) << "they are removed once they are read";
}

TEST_F(VeleroRestoreTest, OfAVolumeThatCameBackEmptyUnderCompletedIsNone) {
  velero_.on_restore = [this](const std::string& name) {
    velero_.BringBack(name, 0);
    velero_.SetRestorePhase(name, "Completed");
  };
  EXPECT_EQ(Found(), "Velero says Completed, and brought back 0 of the 4096 bytes that were kept");
}

TEST_F(VeleroRestoreTest, GoesOnWithWhatAnAttemptThatWasKilledLeft) {
  for (const char* then : {"New", "InProgress", "Completed"}) {
    FakeVelero velero;
    velero.on_restore = [&](const std::string& name) { velero.SetRestorePhase(name, then); };
    velero.Add(Restores(), "velero", MakeRestore(action_, "r"));
    velero.BringBack("r");
    velero.on_progress = [&](const std::string&) {
      velero.on_progress = nullptr;
      velero.SetRestorePhase("r", "Completed");
    };
    const auto result = velero.Run(RunVeleroRestore, action_);
    ASSERT_TRUE(result.ok()) << then << result.status();
    EXPECT_EQ(result->velero_restore().volumes(), 1) << then;
    EXPECT_THAT(velero.Names(Restores()), ElementsAre("r")) << "never two of one run";
    EXPECT_THAT(velero.log, Contains("going on with Velero's restore r"));
  }
}

TEST_F(VeleroRestoreTest, GoesOnWithOneThatIsOverAndWhoseRecordsCouldNotBeRead) {
  velero_.Cluster().Fail("create", DownloadRequests(), Unavailable("the API server does not answer"));
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Found(), "restored");
  EXPECT_THAT(velero_.Names(Restores()), ElementsAre("r"));
}

TEST_F(VeleroRestoreTest, LeavesAnothersOfThatNameAlone) {
  v1::VeleroRestore others = action_;
  others.set_run("another-run");
  velero_.on_restore = [this](const std::string& name) { velero_.SetRestorePhase(name, "Completed"); };
  velero_.Add(Restores(), "velero", MakeRestore(others, "r"));
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("and this run did not make it"));
}

TEST_F(VeleroRestoreTest, IsNotBegunWhereAClaimIsThere) {
  action_.set_target_namespace("shop");
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("the claim shop/uploads is there already"));
  EXPECT_THAT(velero_.Names(Restores()), IsEmpty());
}

TEST_F(VeleroRestoreTest, IsMadeAnewWhereVeleroRefusedIt) {
  velero_.on_restore = [this](const std::string& name) {
    velero_.SetRestorePhase(name, "FailedValidation",
                            {{"validationErrors", {"The BSL main is unavailable"}}});
  };
  const auto first = Run();
  EXPECT_EQ(first.status().code(), absl::StatusCode::kUnavailable) << "worth another attempt";
  EXPECT_THAT(MessageOf(first.status()), HasSubstr("The BSL main is unavailable"));
  velero_.on_restore = [this](const std::string& name) {
    velero_.BringBack(name);
    velero_.SetRestorePhase(name, "Completed");
  };
  const auto second = Run();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->velero_restore().restore(), "r-2");
}

TEST_F(VeleroRestoreTest, IsNeverMadeAnewOnceVeleroHadBegun) {
  velero_.on_restore = [this](const std::string& name) {
    velero_.BringBack(name, 100);
    velero_.SetRestorePhase(name, "Failed",
                            {{"failureReason",
                              "found a restore with status \"InProgress\" during the server "
                              "starting, mark it as \"Failed\""}});
  };
  for (int attempt = 1; attempt <= 2; ++attempt) {
    const auto result = Run();
    EXPECT_THAT(MessageOf(result.status()), HasSubstr("Velero was restarted while it made the restore r"));
    EXPECT_FALSE(agent::ToError(result.status()).retryable());
    EXPECT_THAT(HintOf(result.status()), HasSubstr("velero.io/restore-name=r"));
  }
  EXPECT_THAT(velero_.Names(Restores()), ElementsAre("r"));
}

TEST_F(VeleroRestoreTest, FailsWhenSomebodyRemovesIt) {
  velero_.on_restore = [this](const std::string& name) { velero_.SetRestorePhase(name, "InProgress"); };
  velero_.on_progress = [this](const std::string&) {
    velero_.on_progress = nullptr;
    EXPECT_TRUE(velero_.Cluster().Delete({Restores(), "velero", "r"}, {}, {}).ok());
  };
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("somebody removed Velero's restore r while it was made"));
}

TEST_F(VeleroRestoreTest, TakesAnUnknownPhaseForRunning) {
  velero_.on_restore = [this](const std::string& name) { velero_.SetRestorePhase(name, "Reticulating"); };
  velero_.on_progress = [this](const std::string& message) {
    if (message != "Velero says Reticulating") return;
    velero_.on_progress = nullptr;
    velero_.BringBack("r");
    velero_.SetRestorePhase("r", "Completed");
  };
  EXPECT_EQ(Found(), "restored");
  EXPECT_THAT(velero_.progress, Contains("Velero says Reticulating"));
}

TEST_F(VeleroRestoreTest, SaysForHowManyItWaits) {
  velero_.on_restore = [this](const std::string& name) { velero_.SetRestorePhase(name, "New"); };
  velero_.Add(Restores(), "velero", RestoreObject("other", "Finalizing", Json::object(), "another-run"));
  velero_.on_progress = [this](const std::string& message) {
    if (message != "waiting for 1 restore of Velero before ours") return;
    velero_.on_progress = nullptr;
    velero_.BringBack("r");
    velero_.SetRestorePhase("r", "Completed");
  };
  EXPECT_EQ(Found(), "restored");
}

TEST_F(VeleroRestoreTest, SaysWhenNothingMovesAndGoesOn) {
  velero_.on_restore = [this](const std::string& name) {
    velero_.SetRestorePhase(name, "InProgress");
    velero_.Add(PodVolumeRestores(), "velero",
                {{"metadata", {{"name", "r-1"}, {"labels", {{kRestoreNameLabel, "r"}}}}},
                 {"spec", {{"pod", {{"namespace", "shop-copy"}, {"name", "web-1"}}}, {"volume", "data"}}},
                 {"status", {{"phase", "Prepared"}}}});
  };
  velero_.on_progress = [this](const std::string& message) {
    velero_.elapsed += absl::Minutes(1);
    if (message.find("nothing has moved") == std::string::npos) return;
    velero_.on_progress = nullptr;
    velero_.BringBack("r");
    velero_.SetRestorePhase("r", "Completed");
  };
  EXPECT_EQ(Found(), "restored");
  EXPECT_THAT(velero_.log, Contains(HasSubstr("waiting: for the files of volume data of pod shop-copy/web-1 "
                                              "(Prepared, on no node yet")));
}

// Whoever looks sees the last message alone.
TEST_F(VeleroRestoreTest, GoesOnSayingThatNothingMoves) {
  velero_.on_restore = [this](const std::string& name) { velero_.SetRestorePhase(name, "InProgress"); };
  std::vector<std::string> told;
  velero_.on_progress = [&](const std::string& message) {
    velero_.elapsed += absl::Minutes(1);
    told.push_back(message);
    if (told.size() < 30) return;
    velero_.on_progress = nullptr;
    velero_.BringBack("r");
    velero_.SetRestorePhase("r", "Completed");
  };
  EXPECT_EQ(Found(), "restored");
  const auto first = std::find_if(told.begin(), told.end(), [](const std::string& message) {
    return message.find("nothing has moved") != std::string::npos;
  });
  ASSERT_NE(first, told.end());
  EXPECT_THAT(std::vector<std::string>(first, told.end()), testing::Each(HasSubstr("nothing has moved")));
}

TEST_F(VeleroRestoreTest, WaitsForAnApiServerThatKnowsNoRightsForAMinute) {
  const kubernetes::ApiRequest request{"list", "restores.velero.io", "velero", ""};
  const Status refusal = kubernetes::MakeApiError(
      403, "Forbidden", "restores.velero.io is forbidden: User \"salvor\" cannot list resource \"restores\"",
      request);
  velero_.on_restore = [this](const std::string& name) { velero_.SetRestorePhase(name, "InProgress"); };
  velero_.on_progress = [&](const std::string&) {
    velero_.on_progress = nullptr;
    velero_.on_now = [this] { velero_.elapsed += absl::Seconds(5); };
    velero_.Cluster().Fail("watch", Restores(), refusal);
    velero_.Cluster().Fail("list", Restores(), refusal, 12);
    velero_.BringBack("r");
    velero_.SetRestorePhase("r", "Completed");
  };
  EXPECT_EQ(Found(), "restored");
  EXPECT_GE(velero_.elapsed, absl::Minutes(1));
  EXPECT_THAT(velero_.log, Contains(HasSubstr("waiting for Velero's restore all the same")));
}

TEST_F(VeleroRestoreTest, IsUnverifiableWhereTheNamespaceIsGoneBeforeItsLastLook) {
  const kubernetes::ApiRequest request{"list", "persistentvolumeclaims", "shop-copy", ""};
  for (const char* reason : {"Forbidden", "NotFound"}) {
    FakeVelero velero;
    velero.on_restore = [&](const std::string& name) {
      velero.BringBack(name);
      velero.SetRestorePhase(name, "Completed");
      velero.Cluster().Fail("list", Claims(),
                            kubernetes::MakeApiError(std::string(reason) == "Forbidden" ? 403 : 404, reason,
                                                     "User \"salvor\" cannot list", request));
    };
    const auto result = velero.Run(RunVeleroRestore, action_);
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->checks_size(), 2);
    EXPECT_EQ(result->checks(0).verdict(), v1::Check::VERDICT_UNVERIFIABLE) << reason;
    EXPECT_THAT(result->checks(0).compared(), HasSubstr("could not be looked at when the restore was over"));
    EXPECT_EQ(result->velero_restore().volumes(), 0) << "none is counted as back";
  }
}

TEST_F(VeleroRestoreTest, IsWorthAnotherAttemptWhereTheLastLookFindsNobody) {
  velero_.on_restore = [this](const std::string& name) {
    velero_.BringBack(name);
    velero_.SetRestorePhase(name, "Completed");
    velero_.Cluster().Fail("list", Claims(), Unavailable("the API server does not answer"));
  };
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Found(), "restored");
}

TEST_F(VeleroRestoreTest, IsTakenBackWhereVeleroHasNotBegun) {
  velero_.on_restore = [this](const std::string& name) { velero_.SetRestorePhase(name, "New"); };
  velero_.on_progress = [this](const std::string&) { velero_.stop.request_stop(); };
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("nothing was written"));
  EXPECT_THAT(velero_.Names(Restores()), IsEmpty());
}

TEST_F(VeleroRestoreTest, IsNotTakenBackWithoutTheRightAndSaysHow) {
  const kubernetes::ApiRequest request{"delete", "restores.velero.io", "velero", "r"};
  velero_.Cluster().Fail(
      "delete", Restores(),
      kubernetes::MakeApiError(403, "Forbidden", "User \"salvor\" cannot delete", request));
  velero_.on_restore = [this](const std::string& name) { velero_.SetRestorePhase(name, "New"); };
  velero_.on_progress = [this](const std::string&) { velero_.stop.request_stop(); };
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("could not be taken back"));
  EXPECT_THAT(HintOf(result.status()), HasSubstr("kubectl -n velero delete restores.velero.io r"));
}

TEST_F(VeleroRestoreTest, ThatBeginsWhileItIsTakenBackGoesOn) {
  const kubernetes::ApiRequest request{"delete", "restores.velero.io", "velero", "r"};
  velero_.Cluster().Fail("delete", Restores(),
                         kubernetes::MakeApiError(409, "Conflict", "the object has been modified", request));
  velero_.on_restore = [this](const std::string& name) { velero_.SetRestorePhase(name, "New"); };
  velero_.on_progress = [this](const std::string&) { velero_.stop.request_stop(); };
  EXPECT_THAT(MessageOf(Run().status()), HasSubstr("which Velero goes on with"));
  EXPECT_THAT(velero_.Names(Restores()), ElementsAre("r"));
}

TEST_F(VeleroRestoreTest, IsStoppedByNotWaitingWhereVeleroHasBegunAndSaysWhatGoesOn) {
  velero_.on_restore = [this](const std::string& name) { velero_.SetRestorePhase(name, "InProgress"); };
  velero_.on_progress = [this](const std::string&) { velero_.stop.request_stop(); };
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("which Velero goes on with"));
  EXPECT_THAT(HintOf(result.status()),
              HasSubstr("namespace shop-copy: it carries the label velero.io/restore-name=r"));
  EXPECT_THAT(velero_.Names(Restores()), ElementsAre("r"));
}

TEST_F(VeleroRestoreTest, SaysWhatItWaitedForWhenItsTimeIsOver) {
  velero_.on_restore = [this](const std::string& name) { velero_.SetRestorePhase(name, "Finalizing"); };
  velero_.on_progress = [this](const std::string&) { velero_.RunOutOfTime(); };
  const auto result = Run();
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("was not over in time; Velero says Finalizing"));
  EXPECT_FALSE(agent::ToError(result.status()).retryable()) << "it would wait for the same one once more";
}

TEST_F(VeleroRestoreTest, WaitsForAnApiServerThatIsAway) {
  velero_.on_restore = [this](const std::string& name) { velero_.SetRestorePhase(name, "InProgress"); };
  velero_.on_progress = [this](const std::string&) {
    velero_.on_progress = nullptr;
    const Status away = Unavailable("the API server does not answer");
    velero_.Cluster().Fail("watch", Restores(), away, 2);
    velero_.Cluster().Fail("list", Restores(), away, 3);
    velero_.Cluster().Fail("list", PodVolumeRestores(), away, 1);
    velero_.BringBack("r");
    velero_.SetRestorePhase("r", "Completed");
  };
  EXPECT_EQ(Found(), "restored");
}

TEST_F(VeleroRestoreTest, IsNoneWithoutVelerosRecords) {
  for (const char* kind : {"BackupResourceList", "RestoreResourceList", "RestoreResults"}) {
    const auto record = velero_.records.extract(kind);
    const auto result = Run();
    EXPECT_EQ(result.status().code(), absl::StatusCode::kNotFound) << kind;
    EXPECT_THAT(MessageOf(result.status()), HasSubstr(kind));
    velero_.records[record.key()] = record.mapped();
  }
  EXPECT_EQ(Found(), "restored");
}

TEST_F(VeleroRestoreTest, OfASnapshotGoesByVelerosRecordOfTheVolume) {
  action_ = RestoreAction(v1::VOLUME_METHOD_SNAPSHOT);
  EXPECT_THAT(Found(), HasSubstr("Velero made its claim without a snapshot: the volume is new and empty"));
  velero_.records["RestoreVolumeInfo"] =
      R"([{"pvcName": "uploads", "pvcNamespace": "shop-copy", "restoreMethod": "CSISnapshot",
           "csiSnapshotInfo": {"snapshotHandle": "handle-uploads", "size": 4096}}])";
  EXPECT_EQ(Found(), "restored");
}

TEST_F(VeleroRestoreTest, OfAMovedSnapshotGoesByItsDownload) {
  action_ = RestoreAction(v1::VOLUME_METHOD_SNAPSHOT_MOVED);
  EXPECT_THAT(Found(), HasSubstr("brought no data into it"));
  velero_.Add(
      DataDownloads(), "velero",
      {{"metadata", {{"name", "r-d"}, {"labels", {{kRestoreNameLabel, "r"}}}}},
       {"spec",
        {{"targetVolume", {{"namespace", "shop-copy"}, {"pvc", "uploads"}}},
         {"snapshotID", "handle-uploads"}}},
       {"status", {{"phase", "Completed"}, {"progress", {{"bytesDone", 4096}, {"totalBytes", 4096}}}}}});
  EXPECT_EQ(Found(), "restored");
}

}  // namespace
}  // namespace salvor::velero
