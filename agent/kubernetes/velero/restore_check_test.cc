#include "agent/kubernetes/velero/restore_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "agent/kubernetes/velero/restore_objects_testing.h"
#include "agent/kubernetes/velero/velero_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr auto kFiles = v1::VOLUME_METHOD_FILE_SYSTEM;
constexpr auto kSnapshot = v1::VOLUME_METHOD_SNAPSHOT;
constexpr auto kMoved = v1::VOLUME_METHOD_SNAPSHOT_MOVED;

// A Velero that is well, with the backup, and a namespace that has nothing in the way.
RestoreFacts Well() {
  RestoreFacts facts;
  facts.velero.server_version = "v1.18.2";
  BackupState backup = ReadBackup(BackupObject("b", "backup-shop-1", "Completed"));
  backup.labels["salvor.dev/backup"] = "shop-1";
  facts.velero.backups = {backup};
  StorageLocation location;
  location.name = "default";
  location.phase = "Available";
  facts.velero.locations = {location};
  facts.velero.agent_nodes = {"node-1"};
  facts.velero.has_csi = true;
  facts.velero.snapshots_since = absl::FromUnixSeconds(100);
  facts.velero.server_since = absl::FromUnixSeconds(200);
  facts.target.name = "shop-copy";
  facts.target.exists = false;
  facts.storage_classes = std::set<std::string>{"salvor-csi"};
  return facts;
}

Claim There(const std::string& name) {
  Claim claim;
  claim.name_space = "shop-copy";
  claim.name = name;
  return claim;
}

struct Case {
  std::string what;
  v1::VolumeMethod method;
  std::function<void(RestoreFacts& facts)> change;
  std::string refused;  // "": it is not
};

TEST(RestoreCheck, RefusesByNameWhatWouldNotComeBackOrWouldBeInTheWay) {
  for (const Case& one : {
           Case{"all well", kFiles, [](RestoreFacts&) {}, ""},
           Case{"all well, by a snapshot", kSnapshot, [](RestoreFacts&) {}, ""},
           Case{"all well, moved", kMoved, [](RestoreFacts&) {}, ""},
           Case{"no answer", kFiles, [](RestoreFacts& f) { f.velero.server_version.clear(); },
                "Velero does not answer in namespace velero"},
           Case{"no backup", kFiles, [](RestoreFacts& f) { f.velero.backups.clear(); },
                "Velero has no backup b in namespace velero"},
           Case{"another one of that name", kFiles,
                [](RestoreFacts& f) { f.velero.backups[0].labels["salvor.dev/backup"] = "shop-2"; },
                "Velero's backup b is not the one that backup 'shop-1' names"},
           Case{"a stranger's", kFiles, [](RestoreFacts& f) { f.velero.backups[0].labels.clear(); },
                "is not the one that backup 'shop-1' names"},
           Case{"partially failed", kFiles,
                [](RestoreFacts& f) { f.velero.backups[0].stage = Stage::kPartiallyFailed; }, ""},
           Case{"failed", kFiles,
                [](RestoreFacts& f) {
                  f.velero.backups[0].stage = Stage::kFailed;
                  f.velero.backups[0].phase = "Failed";
                },
                "Velero's backup b is Failed"},
           Case{"given up", kFiles,
                [](RestoreFacts& f) { f.velero.backups[0].given_up = "a plugin crashed"; },
                "Velero's backup b was given up: a plugin crashed"},
           Case{"being deleted", kFiles, [](RestoreFacts& f) { f.velero.backups[0].being_deleted = true; },
                "Velero's backup b is being deleted"},
           Case{"its location is away", kFiles,
                [](RestoreFacts& f) {
                  f.velero.locations[0].phase = "Unavailable";
                  f.velero.locations[0].message = "no such bucket";
                },
                "Velero's storage location default is Unavailable: no such bucket"},
           Case{"its location is gone", kFiles, [](RestoreFacts& f) { f.velero.locations.clear(); },
                "storage location default, which has the backup, is not there"},
           Case{"a read-only location", kFiles,
                [](RestoreFacts& f) { f.velero.locations[0].read_only = true; }, ""},
           Case{"the claim is there", kFiles, [](RestoreFacts& f) { f.claims = {There("uploads")}; },
                "the claim shop-copy/uploads is there already, and would stay as it is"},
           Case{"another claim is there", kFiles, [](RestoreFacts& f) { f.claims = {There("cache")}; }, ""},
           Case{"the namespace goes", kFiles, [](RestoreFacts& f) { f.target.terminating = true; },
                "namespace shop-copy is being deleted"},
           Case{"no class", kFiles, [](RestoreFacts& f) { f.storage_classes->clear(); },
                "the cluster has no StorageClass salvor-csi, which the volume of uploads wants"},
           Case{"classes may not be listed", kFiles, [](RestoreFacts& f) { f.storage_classes.reset(); }, ""},
           Case{"no node-agent", kFiles, [](RestoreFacts& f) { f.velero.agent_nodes.clear(); },
                "Velero's node-agent runs on no node"},
           Case{"no node-agent, moved", kMoved, [](RestoreFacts& f) { f.velero.agent_nodes.clear(); },
                "Velero's node-agent runs on no node"},
           Case{"no node-agent, and none needed", kSnapshot,
                [](RestoreFacts& f) { f.velero.agent_nodes.clear(); }, ""},
           Case{"no CSI", kSnapshot, [](RestoreFacts& f) { f.velero.has_csi = false; },
                "Velero runs without EnableCSI"},
           Case{"no CSI, and none needed", kFiles, [](RestoreFacts& f) { f.velero.has_csi = false; }, ""},
           Case{"no CRDs", kSnapshot, [](RestoreFacts& f) { f.velero.snapshots_since.reset(); },
                "the cluster has no VolumeSnapshots"},
           Case{"CRDs that Velero does not know", kSnapshot,
                [](RestoreFacts& f) { f.velero.snapshots_since = absl::FromUnixSeconds(300); },
                "Velero was started before the CRDs of snapshots were installed"},
       }) {
    RestoreFacts facts = Well();
    one.change(facts);
    const auto result = JudgeRestoreCheck(RestoreAction(one.method), facts);
    EXPECT_EQ(result.ok(), one.refused.empty()) << one.what << ": " << result.status();
    if (result.ok()) continue;
    EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition) << one.what;
    EXPECT_THAT(MessageOf(result.status()), HasSubstr(one.refused)) << one.what;
    EXPECT_NE(HintOf(result.status()), "") << one.what;
  }
}

TEST(RestoreCheck, NamesAllThatRefusesAtOnce) {
  v1::VeleroRestore action = RestoreAction();
  *action.add_volumes() = KeptVolume("mail", kFiles);
  RestoreFacts facts = Well();
  facts.velero.server_version.clear();
  facts.claims = {There("mail"), There("uploads")};
  EXPECT_THAT(MessageOf(JudgeRestoreCheck(action, facts).status()),
              AllOf(HasSubstr("does not answer"),
                    HasSubstr("the claims shop-copy/uploads, shop-copy/mail are there already")));
}

Json Service(const std::string& applied, const Json& managed) {
  Json service = Json::parse(R"({"metadata": {"name": "web"}, "spec": {"ports": [
      {"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080},
      {"name": "admin", "port": 81, "protocol": "TCP", "nodePort": 31234},
      {"name": "inside", "port": 82}]}})");
  if (!applied.empty())
    service["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = applied;
  service["metadata"]["managedFields"] = managed;
  return service;
}

TEST(FixedNodePorts, AreThoseThatSomebodyNamedAndNotTheClusters) {
  const Json managed =
      Json::parse(R"([{"manager": "kubectl"}, {"manager": "helm", "fieldsV1": {"f:spec": {"f:ports": {
      ".": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}": {"f:nodePort": {}, "f:port": {}},
      "k:{\"port\":81,\"protocol\":\"TCP\"}": {"f:port": {}}}}}}])");
  const std::string applied =
      R"({"spec": {"ports": [{"name": "http", "port": 80, "nodePort": 30080}, {"name": "admin", "port": 81}]}})";
  EXPECT_THAT(FixedNodePorts(Service("", managed)), testing::ElementsAre("web 30080"));
  EXPECT_THAT(FixedNodePorts(Service(applied, Json::array())), testing::ElementsAre("web 30080"));
  EXPECT_THAT(FixedNodePorts(Service("", Json())), testing::IsEmpty());
  EXPECT_THAT(FixedNodePorts(Service("no JSON", managed)), testing::IsEmpty())
      << "what was applied goes before";
  EXPECT_THAT(FixedNodePorts(Json()), testing::IsEmpty());
  Json unnamed = Json::parse(
      R"({"metadata": {"name": "one", "annotations": {}}, "spec": {"ports": [{"nodePort": 30090}]}})");
  unnamed["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
      R"({"spec": {"ports": [{"nodePort": 30090}]}})";
  EXPECT_THAT(FixedNodePorts(unnamed), testing::ElementsAre("one 30090"));
}

TEST(RestoreCheck, WarnsOfNodePortsThatAreTaken) {
  RestoreFacts facts = Well();
  facts.fixed_ports = {"web 30080"};
  const auto result = JudgeRestoreCheck(RestoreAction(), facts);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->warnings(),
              testing::ElementsAre(
                  HasSubstr("Services of namespace shop hold node ports that their copies would want, "
                            "too: web 30080")));
}

TEST(RestoreCheck, WarnsOfTheQueue) {
  RestoreFacts facts = Well();
  facts.restores = {ReadRestore(RestoreObject("other", "InProgress"))};
  const auto result = JudgeRestoreCheck(RestoreAction(), facts);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->warnings(),
              testing::ElementsAre("Velero has 1 restore to make before this one. It waits for them."));
}

}  // namespace
}  // namespace salvor::velero
