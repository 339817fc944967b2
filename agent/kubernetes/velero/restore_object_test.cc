#include "agent/kubernetes/velero/restore_object.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/velero/restore_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::HasSubstr;

TEST(RestoreObject, SaysAllThatTheServerWouldElseDecide) {
  EXPECT_EQ(MakeRestore(RestoreAction(), "r-2"), Json::parse(R"({
    "apiVersion": "velero.io/v1",
    "kind": "Restore",
    "metadata": {
      "name": "r-2",
      "namespace": "velero",
      "labels": {
        "salvor.dev/run": "restore-shop-20261126-130000-4f2a",
        "salvor.dev/backup": "shop-1",
        "salvor.dev/application": "shop-copy",
        "salvor.dev/environment": "cluster"
      }
    },
    "spec": {
      "backupName": "b",
      "includedNamespaces": ["shop"],
      "excludedResources": ["nodes", "events", "events.events.k8s.io", "backups.velero.io", "restores.velero.io",
                            "resticrepositories.velero.io", "backuprepositories.velero.io",
                            "csinodes.storage.k8s.io", "volumeattachments.storage.k8s.io"],
      "namespaceMapping": {"shop": "shop-copy"},
      "restorePVs": true,
      "preserveNodePorts": false,
      "existingResourcePolicy": "none"
    }
  })"));
}

TEST(RestoreObject, LiesWhereTheClustersVeleroIs) {
  v1::VeleroRestore action = RestoreAction();
  action.mutable_cluster()->set_velero_namespace("velero-two");
  EXPECT_EQ(TextAt(MakeRestore(action, "r"), {"metadata", "namespace"}), "velero-two");
}

TEST(RestoreObject, ThatGoesToTheSameNamespaceSaysSo) {
  v1::VeleroRestore action = RestoreAction();
  action.set_target_namespace("shop");
  const Json restore = MakeRestore(action, "r");
  EXPECT_EQ(TextAt(restore, {"spec", "namespaceMapping", "shop"}), "shop");
  EXPECT_TRUE(IsOfAction(ReadRestore(restore), action)) << "it is found again by what it says";
}

TEST(RestoreObject, NeverBringsBackWhatIsOfThePastOrOfAnotherCluster) {
  for (const char* kind : {"v1/Event", "events.k8s.io/v1/Event", "v1/Node", "velero.io/v1/Backup",
                           "velero.io/v1/Restore", "storage.k8s.io/v1/VolumeAttachment"})
    EXPECT_TRUE(NeverComesBack(kind)) << kind;
  for (const char* kind :
       {"v1/Pod", "v1/Endpoints", "apps/v1/ReplicaSet", "example.com/v1/Event", "Event", "/", ""})
    EXPECT_FALSE(NeverComesBack(kind)) << kind;
}

TEST(RestorePhases, AreStagesAndUnknownOnesAreStillRunning) {
  struct Case {
    const char* phase;
    RestoreStage stage;
    bool over;
  };
  for (const Case& one : {Case{"", RestoreStage::kWaiting, false}, Case{"New", RestoreStage::kWaiting, false},
                          Case{"InProgress", RestoreStage::kRunning, false},
                          Case{"WaitingForPluginOperations", RestoreStage::kRunning, false},
                          Case{"WaitingForPluginOperationsPartiallyFailed", RestoreStage::kRunning, false},
                          Case{"Finalizing", RestoreStage::kRunning, false},
                          Case{"FinalizingPartiallyFailed", RestoreStage::kRunning, false},
                          Case{"Reticulating", RestoreStage::kRunning, false},
                          Case{"CompletedWithStyle", RestoreStage::kRunning, false},
                          Case{"Completed", RestoreStage::kCompleted, true},
                          Case{"PartiallyFailed", RestoreStage::kPartiallyFailed, true},
                          Case{"Failed", RestoreStage::kFailed, true},
                          Case{"FailedValidation", RestoreStage::kInvalid, true}}) {
    EXPECT_EQ(RestoreStageOf(one.phase), one.stage) << one.phase;
    EXPECT_EQ(IsOver(RestoreStageOf(one.phase)), one.over) << one.phase;
  }
}

// The name, with a "+" where it is to be made.
std::string Chosen(const std::vector<Json>& objects) {
  std::vector<RestoreState> existing;
  for (const Json& object : objects) existing.push_back(ReadRestore(object));
  const auto choice = ChooseRestore(RestoreAction(), existing);
  if (!choice.ok()) return MessageOf(choice.status());
  return (choice->exists ? "" : "+") + choice->name;
}

TEST(RestoreChoice, IsTheOneThatMayHaveWrittenSomethingWhateverBecameOfIt) {
  EXPECT_EQ(Chosen({}), "+r");
  for (const char* phase :
       {"", "New", "InProgress", "Finalizing", "Completed", "PartiallyFailed", "Failed", "Unheard"})
    EXPECT_EQ(Chosen({RestoreObject("r", phase)}), "r") << phase;
  EXPECT_EQ(Chosen({RestoreObject("r", "FailedValidation")}), "+r-2") << "Velero wrote nothing";
  EXPECT_EQ(Chosen({RestoreObject("r", "FailedValidation"), RestoreObject("r-2", "Failed")}), "r-2");
  EXPECT_EQ(Chosen({RestoreObject("r-2", "FailedValidation"), RestoreObject("r", "FailedValidation")}),
            "+r-3");
}

TEST(RestoreChoice, IsNeverAnothersOrOfAnotherPlace) {
  EXPECT_EQ(Chosen({RestoreObject("r", "Completed", Json::object(), "another-run")}), "+r");
  EXPECT_EQ(Chosen({RestoreObject("r", "Completed", Json::object(), kRestoreRun, "elsewhere")}), "+r");
  EXPECT_EQ(Chosen({RestoreObject("other", "Completed")}), "+r");
}

TEST(RestoreChoice, EndsAfterNineThatWereRefused) {
  std::vector<Json> refused;
  for (int number = 1; number <= kTriesAtMost; ++number)
    refused.push_back(
        RestoreObject(NameOfTry("r", number), "FailedValidation", {{"validationErrors", {"no"}}}));
  EXPECT_THAT(Chosen(refused), HasSubstr("Velero refused 9 restores of this run, the last one r-9: no"));
}

TEST(RestoreQueue, IsOneAfterTheOther) {
  RestoreState ours = ReadRestore(RestoreObject("r", "New"));
  const auto other = [](const std::string& phase, int later_s) {
    RestoreState state = ReadRestore(RestoreObject("other", phase));
    state.created += absl::Seconds(later_s);
    return state;
  };
  struct Case {
    const char* phase;
    int later_s, ahead;
  };
  for (const Case& one : {Case{"New", -1, 1}, Case{"New", 1, 0}, Case{"InProgress", 1, 1},
                          Case{"Finalizing", 1, 1}, Case{"Completed", -1, 0}, Case{"Failed", -1, 0}})
    EXPECT_EQ(CountAhead(ours, {ours, other(one.phase, one.later_s)}), one.ahead) << one.phase << one.later_s;
  EXPECT_EQ(CountAhead(RestoreState(), {ours}), 1) << "one that is not made yet comes last";
}

TEST(RestoreEnd, IsOneThatTheNextAttemptMakesAnewOnlyWhereNothingWasWritten) {
  struct Case {
    Json object;
    absl::StatusCode code;
    std::string message;
  };
  const auto object = [](const std::string& phase, const Json& status = Json::object()) {
    return RestoreObject("r", phase, status);
  };
  Json deleted = object("InProgress");
  deleted["metadata"]["deletionTimestamp"] = "2026-11-26T13:00:01Z";
  for (const Case& one :
       {Case{object("FailedValidation", {{"validationErrors", {"The BSL main is unavailable", "x"}}}),
             absl::StatusCode::kUnavailable, "Velero refused the restore r: The BSL main is unavailable; x"},
        Case{object("Failed", {{"failureReason",
                                "found a restore with status \"InProgress\" during the server "
                                "starting, mark it as \"Failed\""}}),
             absl::StatusCode::kFailedPrecondition, "Velero was restarted while it made the restore r"},
        Case{object("Failed", {{"failureReason", "no backup"}}), absl::StatusCode::kFailedPrecondition,
             "failed: no backup"},
        Case{object("Failed"), absl::StatusCode::kFailedPrecondition, "without a reason"},
        Case{object("Completed", {{"failureReason", "back from the dead"}}),
             absl::StatusCode::kFailedPrecondition, "back from the dead"},
        Case{deleted, absl::StatusCode::kFailedPrecondition, "somebody deletes Velero's restore r"},
        Case{object("Completed"), absl::StatusCode::kOk, ""},
        Case{object("PartiallyFailed"), absl::StatusCode::kOk, ""}}) {
    const Status end = JudgeEnd(ReadRestore(one.object), RestoreAction(), "velero");
    EXPECT_EQ(end.code(), one.code) << end;
    if (!end.ok()) {
      EXPECT_THAT(MessageOf(end), HasSubstr(one.message));
    }
  }
  EXPECT_THAT(HintOf(JudgeEnd(ReadRestore(object("Failed")), RestoreAction(), "velero")),
              HasSubstr("velero.io/restore-name=r. Remove it from namespace shop-copy"));
}

}  // namespace
}  // namespace salvor::velero
