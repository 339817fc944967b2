#include "agent/kubernetes/velero/backup_object.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/velero/velero_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::HasSubstr;

constexpr char kRun[] = "backup-shop-20261126-130000-4f2a";

v1::VeleroBackup Action() {
  v1::VeleroBackup action;
  action.set_name("backup-shop-4f2a");
  action.add_namespaces("shop");
  action.set_run(kRun);
  action.set_backup("shop-1");
  action.set_application("shop");
  action.set_environment("cluster");
  *action.add_volumes() = Planned("uploads", v1::VOLUME_METHOD_FILE_SYSTEM);
  return action;
}

TEST(BackupObject, SaysAllThatTheServerWouldElseDecide) {
  EXPECT_EQ(MakeBackup(Action(), "backup-shop-4f2a-2", "main"), Json::parse(R"({
    "apiVersion": "velero.io/v1",
    "kind": "Backup",
    "metadata": {
      "name": "backup-shop-4f2a-2",
      "namespace": "velero",
      "labels": {
        "salvor.dev/run": "backup-shop-20261126-130000-4f2a",
        "salvor.dev/backup": "shop-1",
        "salvor.dev/application": "shop",
        "salvor.dev/environment": "cluster"
      }
    },
    "spec": {
      "includedNamespaces": ["shop"],
      "includedNamespaceScopedResources": ["*"],
      "storageLocation": "main",
      "ttl": "876000h0m0s",
      "snapshotVolumes": false,
      "snapshotMoveData": false,
      "defaultVolumesToFsBackup": false,
      "resourcePolicy": {"kind": "configmap", "name": "backup-shop-4f2a-2"}
    }
  })"));
}

TEST(BackupObject, AsksForSnapshotsWhereAVolumeIsKeptByOne) {
  struct Case {
    v1::VolumeMethod method;
    std::string skip;
    bool snapshots, moved;
  };
  for (const Case& one : {Case{v1::VOLUME_METHOD_SNAPSHOT, "", true, false},
                          Case{v1::VOLUME_METHOD_SNAPSHOT_MOVED, "", true, true},
                          Case{v1::VOLUME_METHOD_SNAPSHOT_MOVED, "a cache", false, false}}) {
    v1::VeleroBackup action = Action();
    *action.add_volumes() = Planned("db", one.method, one.skip);
    const Json backup = MakeBackup(action, "b", "main");
    EXPECT_EQ(FlagAt(backup, {"spec", "snapshotVolumes"}), one.snapshots) << one.method;
    EXPECT_EQ(FlagAt(backup, {"spec", "snapshotMoveData"}), one.moved) << one.method;
  }
}

TEST(BackupObject, LiesWhereTheClustersVeleroIs) {
  v1::VeleroBackup action = Action();
  action.mutable_cluster()->set_velero_namespace("velero-two");
  EXPECT_EQ(TextAt(MakeBackup(action, "b", "main"), {"metadata", "namespace"}), "velero-two");
  const Json policy = MakePolicyConfigMap(action, "b", "text");
  EXPECT_EQ(TextAt(policy, {"metadata", "namespace"}), "velero-two");
  EXPECT_EQ(TextAt(policy, {"metadata", "labels", "salvor.dev/run"}), kRun);
  EXPECT_EQ(policy["data"], Json({{"policy.yaml", "text"}})) << "Velero takes a ConfigMap of one entry only";
}

TEST(Phases, AreStagesAndUnknownOnesAreStillRunning) {
  struct Case {
    const char* phase;
    Stage stage;
    bool over;
  };
  for (const Case& one :
       {Case{"", Stage::kWaiting, false}, Case{"New", Stage::kWaiting, false},
        Case{"Queued", Stage::kWaiting, false}, Case{"ReadyToStart", Stage::kReady, false},
        Case{"InProgress", Stage::kRunning, false},
        Case{"WaitingForPluginOperations", Stage::kRunning, false},
        Case{"WaitingForPluginOperationsPartiallyFailed", Stage::kRunning, false},
        Case{"Finalizing", Stage::kRunning, false}, Case{"FinalizingPartiallyFailed", Stage::kRunning, false},
        Case{"Reticulating", Stage::kRunning, false}, Case{"CompletedWithStyle", Stage::kRunning, false},
        Case{"Completed", Stage::kCompleted, true}, Case{"PartiallyFailed", Stage::kPartiallyFailed, true},
        Case{"Failed", Stage::kFailed, true}, Case{"FailedValidation", Stage::kInvalid, true},
        Case{"Deleting", Stage::kDeleting, true}}) {
    EXPECT_EQ(StageOf(one.phase), one.stage) << one.phase;
    EXPECT_EQ(IsOver(StageOf(one.phase)), one.over) << one.phase;
  }
}

// "name phase [mark]" each; the answer is the name, with a "+" where it is to be made.
std::string Chosen(const std::vector<Json>& objects) {
  std::vector<BackupState> existing;
  for (const Json& object : objects) existing.push_back(ReadBackup(object));
  v1::VeleroBackup action = Action();
  action.set_name("b");
  const auto choice = ChooseBackup(action, existing);
  if (!choice.ok()) return MessageOf(choice.status());
  return (choice->exists ? "" : "+") + choice->name;
}

TEST(Choice, IsTheNewestOfTheRunThatIsNotDead) {
  const auto of = [](const std::string& name, const std::string& phase, const Json& status = Json::object()) {
    return BackupObject(name, kRun, phase, status);
  };
  EXPECT_EQ(Chosen({}), "+b");
  EXPECT_EQ(Chosen({of("b", "")}), "b");
  EXPECT_EQ(Chosen({of("b", "InProgress")}), "b");
  EXPECT_EQ(Chosen({of("b", "Completed")}), "b");
  EXPECT_EQ(Chosen({of("b", "PartiallyFailed")}), "b");
  EXPECT_EQ(Chosen({of("b", "Failed")}), "+b-2");
  EXPECT_EQ(Chosen({of("b", "FailedValidation")}), "+b-2");
  EXPECT_EQ(Chosen({of("b", "Deleting")}), "+b-2");
  EXPECT_EQ(Chosen({of("b-2", "Queued"), of("b", "Failed")}), "b-2");
  EXPECT_EQ(Chosen({of("b", "Failed"), of("b-2", "Failed")}), "+b-3");
  EXPECT_EQ(Chosen({of("other", "Completed")}), "+b");
}

TEST(Choice, IsNoneOfOtherNamespaces) {
  Json other = BackupObject("b-2", kRun, "Completed");
  other["spec"]["includedNamespaces"] = {"shop-2"};
  EXPECT_EQ(Chosen({other}), "+b");
  EXPECT_EQ(Chosen({other, BackupObject("b", kRun, "InProgress")}), "b");
  other["spec"]["includedNamespaces"] = {"shop", "shop-2"};
  EXPECT_EQ(Chosen({other}), "+b");
  other["spec"].erase("includedNamespaces");
  EXPECT_EQ(Chosen({other}), "+b") << "it has all namespaces";
}

// Velero's server was restarted and called it Failed; the old one ended its work all the same.
TEST(Choice, IsNeverOneThatCameBackFromTheDead) {
  const Json restarted = {
      {"failureReason", "found a backup with status \"InProgress\" during the server starting"}};
  EXPECT_EQ(Chosen({BackupObject("b", kRun, "Completed", restarted)}), "+b-2");
  Json given_up = BackupObject("b", kRun, "Completed");
  given_up["metadata"]["annotations"] = {{"salvor.dev/given-up", "it failed"}};
  EXPECT_EQ(Chosen({given_up}), "+b-2");
  EXPECT_EQ(Chosen({BackupObject("b", kRun, "Completed"), BackupObject("b-2", kRun, "InProgress")}), "b-2");
}

TEST(Choice, TakesNoneOfAnotherRunAndEndsSometime) {
  EXPECT_EQ(Chosen({BackupObject("b", "another", "Completed")}), "+b");
  std::vector<Json> dead = {BackupObject("b", kRun, "Failed")};
  for (int i = 2; i <= 9; ++i) dead.push_back(BackupObject("b-" + std::to_string(i), kRun, "Failed"));
  EXPECT_EQ(Chosen(dead), "Velero gave up 9 backups of this run, the last one b-9");
}

TEST(Queue, IsCountedByWhatVeleroTakesFirst) {
  const auto state = [](const std::string& name, const std::string& phase, int position) {
    return ReadBackup(BackupObject(name, kRun, phase, {{"queuePosition", position}}));
  };
  const std::vector<BackupState> all = {state("runs", "InProgress", 0),
                                        state("ready", "ReadyToStart", 0),
                                        state("first", "Queued", 1),
                                        state("ours", "Queued", 2),
                                        state("later", "Queued", 3),
                                        state("over", "Completed", 0),
                                        state("moves", "WaitingForPluginOperations", 0)};
  EXPECT_EQ(CountAhead(all[3], all), 3);
  EXPECT_EQ(CountAhead(all[2], all), 2);
  EXPECT_EQ(CountAhead(state("new", "", 0), all), 5);
  EXPECT_EQ(CountAhead(state("new", "", 0), {}), 0);
}

struct EndCase {
  std::string phase;
  Json status;
  absl::StatusCode code;
  std::string says;
};

TEST(End, SaysWhyThereIsNoBackup) {
  for (const EndCase& one : {
           EndCase{"Completed", Json::object(), absl::StatusCode::kOk, ""},
           EndCase{"PartiallyFailed", Json::object(), absl::StatusCode::kOk, ""},
           EndCase{"Failed",
                   {{"failureReason",
                     "found a backup with status \"InProgress\" during the server starting, mark it"}},
                   absl::StatusCode::kUnavailable,
                   "Velero was restarted while it made the backup b"},
           EndCase{"Failed",
                   {{"failureReason", "backup already exists in object storage"}},
                   absl::StatusCode::kUnavailable,
                   "Velero's backup b failed: backup already exists in object storage"},
           EndCase{"Failed", Json::object(), absl::StatusCode::kUnavailable,
                   "Velero's backup b failed: without a reason"},
           EndCase{"FailedValidation",
                   {{"validationErrors", {"location is Unavailable", "no such policy"}}},
                   absl::StatusCode::kUnavailable,
                   "Velero refused the backup b: location is Unavailable; no such policy"},
           EndCase{"Deleting", Json::object(), absl::StatusCode::kUnavailable,
                   "somebody deletes Velero's backup b"},
       }) {
    const Status end = JudgeEnd(ReadBackup(BackupObject("b", kRun, one.phase, one.status)), "velero");
    EXPECT_EQ(end.code(), one.code) << one.phase << ": " << end;
    EXPECT_THAT(MessageOf(end), HasSubstr(one.says)) << one.phase;
    EXPECT_EQ(HintOf(end).empty(), end.ok()) << one.phase;
  }
}

TEST(BackupState, OfAnyShapeIsReadAndWaits) {
  for (const Json& odd :
       {Json(), Json::array({1}), Json{{"status", "Completed"}}, Json{{"status", {{"phase", 3}}}}})
    EXPECT_EQ(ReadBackup(odd).stage, Stage::kWaiting) << odd;
}

}  // namespace
}  // namespace salvor::velero
