#include "agent/kubernetes/velero/claims.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/velero/velero_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Claims, AreReadWithWhatTheirVolumeSays) {
  const Claim claim = ReadClaim(ClaimObject("uploads", {{"app", "web"}}), VolumeObject("uploads"));
  EXPECT_EQ(Key(claim), "shop/uploads");
  EXPECT_EQ(claim.phase, "Bound");
  EXPECT_EQ(claim.volume, "pvc-uploads");
  EXPECT_EQ(claim.capacity, "1Gi");
  EXPECT_EQ(claim.storage_class, "salvor-csi");
  EXPECT_EQ(claim.reclaim_policy, "Delete");
  EXPECT_EQ(claim.source, "csi");
  EXPECT_EQ(claim.driver, "csi.salvor.dev");
  EXPECT_FALSE(claim.excluded);
  EXPECT_FALSE(claim.block);
}

TEST(Claims, SayWhatIsBehindAVolumeOfNoDriver) {
  const Claim claim = ReadClaim(ClaimObject("uploads"), VolumeObject("uploads", ""));
  EXPECT_EQ(claim.source, "hostPath");
  EXPECT_EQ(claim.driver, "");
}

TEST(Claims, SayWhatThePolicyCanTellVolumesApartBy) {
  Json volume = VolumeObject("uploads");
  volume["spec"]["csi"]["volumeAttributes"] = {{"share", "a"}, {"odd", 3}};
  EXPECT_EQ(ReadClaim(ClaimObject("uploads"), volume).attributes, (Labels{{"share", "a"}}));
  volume = VolumeObject("uploads", "");
  volume["spec"].erase("hostPath");
  volume["spec"]["nfs"] = {{"server", "10.0.0.1"}, {"path", "/srv/a"}};
  const Claim claim = ReadClaim(ClaimObject("uploads"), volume);
  EXPECT_EQ(claim.source, "nfs");
  EXPECT_EQ(claim.nfs_server, "10.0.0.1");
  EXPECT_EQ(claim.nfs_path, "/srv/a");
}

TEST(Claims, OfAnyShapeAreRead) {
  for (const Json& odd :
       {Json(), Json(3), Json::array(), Json{{"metadata", 1}}, Json{{"metadata", {{"labels", {1, 2}}}}},
        Json{{"spec", {{"volumeName", 7}}}, {"status", "Bound"}}}) {
    const Claim claim = ReadClaim(odd, odd);
    EXPECT_EQ(claim.name, "") << odd;
    EXPECT_EQ(claim.volume, "") << odd;
    EXPECT_THAT(ReadPod(odd).claims, IsEmpty()) << odd;
  }
}

TEST(Pods, MountTheClaimsThatAContainerNamesAndNoOthers) {
  Json pod = PodObject("web", "uploads");
  pod["spec"]["volumes"].push_back({{"name", "spare"}, {"persistentVolumeClaim", {{"claimName", "spare"}}}});
  pod["spec"]["volumes"].push_back(
      {{"name", "work"}, {"ephemeral", {{"volumeClaimTemplate", Json::object()}}}});
  pod["spec"]["volumes"].push_back({{"name", "tmp"}, {"emptyDir", Json::object()}});
  pod["spec"]["containers"].push_back(
      {{"name", "side"}, {"volumeMounts", {{{"name", "work"}}, {{"name", "tmp"}}}}});
  pod["spec"]["initContainers"] = {{{"name", "begin"}, {"volumeMounts", {{{"name", "spare"}}}}}};
  EXPECT_THAT(ReadPod(pod).claims, ElementsAre("uploads")) << "Velero reads no ephemeral volume";
}

TEST(Pods, MountNoRawDevices) {
  Json pod = PodObject("web", "disk");
  pod["spec"]["containers"][0] = {{"volumeDevices", {{{"name", "data"}, {"devicePath", "/dev/x"}}}}};
  EXPECT_THAT(ReadPod(pod).claims, IsEmpty());
}

TEST(Pods, HaveHooksByAnyOfTheirAnnotations) {
  EXPECT_FALSE(ReadPod(PodObject("web", "uploads")).has_hooks);
  for (const char* key : {"pre.hook.backup.velero.io/command", "post.hook.backup.velero.io/command",
                          "hook.backup.velero.io/command"}) {
    Json pod = PodObject("web", "uploads");
    pod["metadata"]["annotations"] = {{key, "[\"sync\"]"}};
    EXPECT_TRUE(ReadPod(pod).has_hooks) << key;
  }
}

TEST(Pods, HaveContainersAndLabelsByWhichTheyAreMeant) {
  Json object = PodObject("web", "uploads");
  object["metadata"]["labels"] = {{"app", "web"}};
  const Pod pod = ReadPod(object);
  EXPECT_EQ(pod.containers, std::vector<std::string>{"main"});
  EXPECT_EQ(pod.labels.at("app"), "web");
  EXPECT_TRUE(ReadPod(Json::object()).containers.empty());
}

}  // namespace
}  // namespace salvor::velero
