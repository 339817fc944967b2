#include "agent/kubernetes/velero/records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace salvor::velero {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// As Velero 1.18.2 writes them, with the volumes of all methods.
constexpr char kVolumeInfos[] = R"([
  {"pvcName": "uploads", "pvcNamespace": "shop", "pvName": "pvc-1", "backupMethod": "PodVolumeBackup",
   "snapshotDataMoved": false, "preserveLocalSnapshot": false, "skipped": false,
   "startTimestamp": "2026-11-26T13:00:01Z", "completionTimestamp": "2026-11-26T13:00:07Z", "result": "succeeded",
   "pvbInfo": {"snapshotHandle": "8f1c", "size": 5242880, "uploaderType": "kopia", "volumeName": "uploads",
               "podName": "web-1", "podNamespace": "shop", "nodeName": "node-1", "Phase": "Completed"},
   "pvInfo": {"reclaimPolicy": "Delete", "labels": null}},
  {"pvcName": "kept", "pvcNamespace": "shop", "pvName": "pvc-2", "backupMethod": "CSISnapshot",
   "snapshotDataMoved": false, "preserveLocalSnapshot": true, "skipped": false, "result": "succeeded",
   "csiSnapshotInfo": {"snapshotHandle": "snap-2", "size": 1073741824, "driver": "csi.salvor.dev", "vscName": "c",
                       "operationID": "shop/v/2026", "ReadyToUse": true}},
  {"pvcName": "moved", "pvcNamespace": "shop", "pvName": "pvc-3", "backupMethod": "CSISnapshot",
   "snapshotDataMoved": true, "skipped": false, "result": "failed",
   "csiSnapshotInfo": {"snapshotHandle": "unknown", "size": 0, "driver": "csi.salvor.dev", "vscName": "unknown"},
   "snapshotDataMovementInfo": {"dataMover": "velero", "uploaderType": "kopia", "snapshotHandle": "",
                                "operationID": "du-1", "size": 4096, "Phase": "Failed"}},
  {"pvcName": "skipped", "pvcNamespace": "shop", "pvName": "pvc-4", "skipped": true,
   "skippedReason": "any: skipped due to resource policy ;"}
])";

TEST(VolumeInfos, OfEveryMethodAreRead) {
  const auto records = ReadVolumeInfos(kVolumeInfos);
  ASSERT_TRUE(records.ok()) << records.status();
  ASSERT_EQ(records->size(), 4u);
  const VolumeRecord& files = (*records)[0];
  EXPECT_EQ(files.name_space + "/" + files.claim, "shop/uploads");
  EXPECT_EQ(MethodOf(files), v1::VOLUME_METHOD_FILE_SYSTEM);
  EXPECT_EQ(files.handle, "8f1c");
  EXPECT_EQ(files.bytes, 5242880);
  EXPECT_EQ(files.pod, "web-1");
  EXPECT_EQ(files.completed - files.started, absl::Seconds(6));
  EXPECT_EQ(MethodOf((*records)[1]), v1::VOLUME_METHOD_SNAPSHOT);
  EXPECT_EQ((*records)[1].handle, "snap-2");
  EXPECT_EQ((*records)[1].bytes, 1073741824);
  EXPECT_EQ(MethodOf((*records)[2]), v1::VOLUME_METHOD_SNAPSHOT_MOVED);
  EXPECT_EQ((*records)[2].result, "failed");
  EXPECT_EQ((*records)[2].phase, "Failed");
  EXPECT_EQ((*records)[2].handle, "");
  EXPECT_TRUE((*records)[3].skipped);
  EXPECT_EQ((*records)[3].skipped_reason, "any: skipped due to resource policy ;");
}

TEST(VolumeInfos, ThatAreNoneOrOddAreNotBelieved) {
  EXPECT_THAT(*ReadVolumeInfos("null\n"), IsEmpty());
  EXPECT_THAT(*ReadVolumeInfos("[]"), IsEmpty());
  for (const char* odd : {"", "{", "{}", "7", "[{\"pvcName\""})
    EXPECT_EQ(ReadVolumeInfos(odd).status().code(), absl::StatusCode::kDataLoss) << odd;
  const auto records = ReadVolumeInfos(R"([7, {"pvcName": 3, "skipped": "yes", "pvbInfo": []}])");
  ASSERT_TRUE(records.ok());
  for (const VolumeRecord& record : *records) {
    EXPECT_EQ(record.claim, "");
    EXPECT_FALSE(record.skipped);
    EXPECT_EQ(MethodOf(record), v1::VOLUME_METHOD_UNSPECIFIED);
  }
}

TEST(Results, AreSentencesWithTheirPlaces) {
  const auto results = ReadResults(R"({
    "errors": {"velero": ["no\nroom"], "cluster": ["c"], "namespaces": {"shop": ["a", "b"], "web": ["d"]}},
    "warnings": {"namespaces": {"shop": ["w"]}}})");
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_THAT(results->errors, ElementsAre("no room", "the cluster's objects: c", "namespace shop: a",
                                           "namespace shop: b", "namespace web: d"));
  EXPECT_THAT(results->warnings, ElementsAre("namespace shop: w"));
  EXPECT_THAT(ReadResults("{}")->errors, IsEmpty());
  EXPECT_FALSE(ReadResults("[]").ok());
}

TEST(ResourceList, IsReadByKind) {
  const auto list = ReadResourceList(R"({"v1/Pod": ["shop/a", "shop/b"], "v1/Odd": 3})");
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(list->at("v1/Pod"), ElementsAre("shop/a", "shop/b"));
  EXPECT_THAT(list->at("v1/Odd"), IsEmpty());
  EXPECT_FALSE(ReadResourceList("no").ok());
}

TEST(NumberAt, TakesNoNonsenseForANumber) {
  for (const auto& [text, number] :
       std::vector<std::pair<std::string, int64_t>>{{"7", 7},
                                                    {"0", 0},
                                                    {"-1", 0},
                                                    {"1e300", 0},
                                                    {"2.5", 0},
                                                    {"\"7\"", 0},
                                                    {"9007199254740992", 9007199254740992},
                                                    {"9007199254740993", 0},
                                                    {"18446744073709551615", 0},
                                                    {"null", 0}})
    EXPECT_EQ(NumberAt(Json::parse("{\"n\": " + text + "}"), {"n"}), number) << text;
}

}  // namespace
}  // namespace salvor::velero
