#include "agent/kubernetes/velero/restore_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace salvor::velero {
namespace {

TEST(RestoredList, SaysWhatBecameOfEachObject) {
  const auto list = ReadRestoredList(R"json({
    "v1/PersistentVolumeClaim": ["shop-copy/uploads(created)"],
    "v1/PersistentVolume": ["pvc-1(skipped)"],
    "v1/ConfigMap": ["shop-copy/odd(name)(failed)", "shop-copy/none", ""],
    "v1/Secret": null})json");
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->at("v1/PersistentVolumeClaim").at(0).name, "shop-copy/uploads");
  EXPECT_EQ(list->at("v1/PersistentVolumeClaim").at(0).action, "created");
  EXPECT_EQ(list->at("v1/PersistentVolume").at(0).name, "pvc-1");
  ASSERT_EQ(list->at("v1/ConfigMap").size(), 2u);
  EXPECT_EQ(list->at("v1/ConfigMap").at(0).name, "shop-copy/odd(name)");
  EXPECT_EQ(list->at("v1/ConfigMap").at(0).action, "failed");
  EXPECT_EQ(list->at("v1/ConfigMap").at(1).action, "");
  EXPECT_TRUE(list->at("v1/Secret").empty());
}

TEST(ReturnedVolumes, SayByWhatAndFromWhat) {
  const auto volumes = ReadReturnedVolumes(R"([
    {"pvcName": "a", "pvcNamespace": "s", "restoreMethod": "CSISnapshot", "snapshotDataMoved": false,
     "csiSnapshotInfo": {"snapshotHandle": "h1", "size": 67108864}},
    {"pvcName": "b", "pvcNamespace": "s", "restoreMethod": "CSISnapshot", "snapshotDataMoved": true,
     "snapshotDataMovementInfo": {"snapshotHandle": "unknown"}},
    {"pvcName": "c", "pvcNamespace": "s", "restoreMethod": "PodVolumeRestore",
     "pvrInfo": {"snapshotHandle": "h3", "size": 5}},
    {"pvName": "d"}])");
  ASSERT_TRUE(volumes.ok()) << volumes.status();
  ASSERT_EQ(volumes->size(), 4u);
  EXPECT_EQ(volumes->at(0).handle, "h1");
  EXPECT_EQ(volumes->at(0).bytes, 67108864);
  EXPECT_FALSE(volumes->at(0).moved);
  EXPECT_EQ(volumes->at(1).handle, "") << "Velero's word for one that it does not know";
  EXPECT_TRUE(volumes->at(1).moved);
  EXPECT_EQ(volumes->at(2).handle, "h3");
  EXPECT_EQ(volumes->at(3).claim, "");
}

TEST(RecordsOfARestore, ThatAreNoneAreRefused) {
  for (const char* text : {"", "[", "[]", "7", "null"})
    EXPECT_EQ(ReadRestoredList(text).status().code(), absl::StatusCode::kDataLoss) << text;
  for (const char* text : {"", "{", "{}", "7"})
    EXPECT_EQ(ReadReturnedVolumes(text).status().code(), absl::StatusCode::kDataLoss) << text;
  EXPECT_TRUE(ReadReturnedVolumes("null").ok()) << "Go's empty list";
}

}  // namespace
}  // namespace salvor::velero
