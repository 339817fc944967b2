#include "agent/kubernetes/velero/scratch_namespace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/velero/resources.h"

namespace salvor::velero {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kSpace[] = "salvor-drill-shop-1";
constexpr char kRun[] = "drill-shop-1";
constexpr char kPeerAddress[] = "10.1.0.9:7777";

v1::ScratchNamespaceStart Start() {
  v1::ScratchNamespaceStart start;
  start.set_name(kSpace);
  start.set_run(kRun);
  start.set_backup("shop-1");
  return start;
}

TEST(ScratchNamespace, IsLabelledAsTheRunsAndHeldToPodSecurity) {
  const Json space = MakeScratchNamespace(Start());
  EXPECT_EQ(space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "baseline");
  EXPECT_TRUE(IsScratchOf(space, kRun));
  EXPECT_FALSE(IsScratchOf(space, "drill-shop-2")) << "another run's";
  EXPECT_FALSE(IsScratchOf(space, ""));
  Json others = space;
  others["metadata"]["labels"].erase(kScratchLabel);
  EXPECT_FALSE(IsScratchOf(others, kRun)) << "a namespace that only carries the run's label";
  EXPECT_FALSE(IsScratchOf({{"metadata", {{"name", kSpace}}}}, kRun))
      << "one that somebody made by that name";
}

TEST(ScratchNamespace, LetsNothingInOrOutButItself) {
  const Json spec = MakeScratchPolicy(kSpace)["spec"];
  EXPECT_EQ(spec["podSelector"], Json::object()) << "all pods, whatever their labels";
  EXPECT_EQ(spec["policyTypes"], (Json{"Ingress", "Egress"}));
  const Json itself = Json::array({{{"podSelector", Json::object()}}});
  EXPECT_EQ(spec["ingress"], Json::array({{{"from", itself}}}));
  EXPECT_EQ(spec["egress"], Json::array({{{"to", itself}}})) << "not even names are resolved";
}

TEST(ScratchNamespace, GivesNoTokenNoNodePortAndLittleOfTheCluster) {
  EXPECT_EQ(MakeScratchAccount(kSpace)["automountServiceAccountToken"], false);
  const Json hard = MakeScratchQuota(kSpace)["spec"]["hard"];
  EXPECT_EQ(hard["services.loadbalancers"], "0");
  EXPECT_EQ(hard["services.nodeports"], "0");
  // A quota of requests refuses who names none, so there is a default for each.
  const Json defaults = MakeScratchLimits(kSpace)["spec"]["limits"][0]["defaultRequest"];
  for (const char* what : {"cpu", "memory"}) {
    EXPECT_TRUE(hard.contains(std::string("requests.") + what));
    EXPECT_TRUE(defaults.contains(what));
  }
}

TEST(ScratchNamespace, BindsTheAgentsOwnAccountAlone) {
  const Json binding = MakeScratchBinding(kSpace, {"salvor:1", "salvor", "salvor-executor"});
  EXPECT_EQ(binding["roleRef"]["name"], kScratchRole);
  ASSERT_EQ(binding["subjects"].size(), 1u);
  EXPECT_EQ(binding["subjects"][0],
            (Json{{"kind", "ServiceAccount"}, {"name", "salvor-executor"}, {"namespace", "salvor"}}));
}

TEST(ScratchNamespace, ItsPodsAreAsConfinedAsAnyCanBe) {
  for (const Json& pod : {MakeProbePeer(kSpace, {"salvor:1", "", ""}),
                          MakeProbe(kSpace, {"salvor:1", "", ""}, kPeerAddress, ForbiddenTargets({}))}) {
    EXPECT_EQ(pod["spec"]["automountServiceAccountToken"], false);
    EXPECT_EQ(pod["spec"]["securityContext"]["runAsNonRoot"], true);
    EXPECT_EQ(pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"], false);
    EXPECT_EQ(pod["metadata"]["namespace"], kSpace);
  }
}

TEST(ScratchNamespace, TheOwnPodIsReadByItsAgentsContainer) {
  const OwnPod own = ReadOwnPod({{"metadata", {{"namespace", "salvor"}}},
                                 {"spec",
                                  {{"serviceAccountName", "salvor-executor"},
                                   {"containers",
                                    {{{"name", "mesh"}, {"image", "mesh:2"}},
                                     {{"name", "agent"}, {"image", "salvor:1"}},
                                     {{"name", "last"}, {"image", "last:3"}}}}}}});
  EXPECT_EQ(own.image, "salvor:1");
  EXPECT_EQ(own.service_account, "salvor-executor");
  EXPECT_EQ(ReadOwnPod({{"spec", {{"containers", {{{"name", "x"}, {"image", "x:1"}}}}}}}).image, "x:1");
  EXPECT_EQ(ReadOwnPod(Json()).image, "");
}

Json Ended(const std::string& said, int code = 0) {
  return {
      {"status",
       {{"phase", code == 0 ? "Succeeded" : "Failed"},
        {"containerStatuses", {{{"state", {{"terminated", {{"exitCode", code}, {"message", said}}}}}}}}}}};
}

// The finding of the probe of these targets: "isolated", or the lack.
std::string Found(const Json& pod) {
  const std::vector<ProbeTarget> targets = ForbiddenTargets({"10.1.0.7:8085"});
  EXPECT_EQ(targets.size(), 6u);
  const std::string lack = WhyNotIsolated(ReadProbe(pod, kPeerAddress, targets));
  return lack.empty() ? "isolated" : lack;
}

TEST(ScratchProbe, SaysWhatItReachedAndWhereItCannotTell) {
  struct Case {
    const char* what;
    Json pod;
    const char* found;
  };
  for (const Case& one : {
           Case{"only the pod beside it", Ended("address 10.1.0.9:7777\ntried 7\n"), "isolated"},
           Case{"a pod of Velero's", Ended("address 10.1.0.7:8085\naddress 10.1.0.9:7777\ntried 7\n"),
                "reaches a pod of another namespace (10.1.0.7:8085)"},
           Case{"the API server, whose address only the pod knows",
                Ended("address 10.96.0.1:443\naddress 10.1.0.9:7777\ntried 7\n"),
                "reaches the API server (10.96.0.1:443)"},
           Case{"the kubelet", Ended("address 10.0.0.4:10250\naddress 10.1.0.9:7777\ntried 7\n"),
                "reaches its node (10.0.0.4:10250)"},
           Case{"the world, and not the pod beside it", Ended("address 1.1.1.1:443\ntried 7\n"),
                "reaches the Internet (1.1.1.1:443)"},
           Case{"nothing at all: its network may be broken", Ended("tried 7\n"), "says nothing"},
           Case{"fewer ways than it was told", Ended("address 10.1.0.9:7777\ntried 6\n"),
                "tried 6 of 7 ways"},
           Case{"no end", Ended("address 10.1.0.9:7777\n"), "tried 0 of 7 ways"},
           Case{"an argument that it cannot read", Ended("", 64), "ended with 64"},
           Case{"a pod that runs still", {{"status", {{"phase", "Running"}}}}, "did not come to its end"},
           Case{"a pod that is gone", Json(), "did not come to its end"},
           Case{"words of anybody's", Ended("all is well"), "tried 0 of 7 ways"},
       })
    EXPECT_THAT(Found(one.pod), HasSubstr(one.found)) << one.what;
}

TEST(ScratchProbe, OnlyAHoldingWallPasses) {
  ProbeFinding held;
  held.tried = 6;
  EXPECT_EQ(JudgeIsolation(kSpace, held).checks(0).verdict(), v1::Check::VERDICT_PASSED);
  EXPECT_THAT(JudgeIsolation(kSpace, held).warnings(), IsEmpty());
  ProbeFinding leaks = held;
  leaks.reached = {"the Internet (1.1.1.1:443)"};
  ProbeFinding unclear = held;
  unclear.unclear = "the pod did not start";
  for (const ProbeFinding& finding : {leaks, unclear}) {
    const v1::ActionResult result = JudgeIsolation(kSpace, finding);
    EXPECT_EQ(result.checks(0).kind(), "isolation");
    EXPECT_EQ(result.checks(0).verdict(), v1::Check::VERDICT_UNVERIFIABLE);
    EXPECT_EQ(result.warnings_size(), 1);
  }
}

TEST(ScratchProbe, ARegistryThatIsAwayIsSaid) {
  const auto waiting = [](const char* reason) {
    return Json{{"status",
                 {{"containerStatuses",
                   {{{"state", {{"waiting", {{"reason", reason}, {"message", "no such host"}}}}}}}}}}};
  };
  EXPECT_EQ(WhyNotStarted(waiting("ImagePullBackOff")), "ImagePullBackOff: no such host");
  EXPECT_EQ(WhyNotStarted(waiting("ContainerCreating")), "");
  EXPECT_EQ(WhyNotStarted(Json()), "");
}

class VolumeFates : public testing::Test {
 protected:
  VolumeFates() {
    space_ = {{"metadata", {{"name", kSpace}, {"creationTimestamp", "2026-11-26T13:00:00Z"}}}};
    volume_ = {{"metadata",
                {{"name", "pvc-1"},
                 {"creationTimestamp", "2026-11-26T13:05:00Z"},
                 {"annotations", {{"pv.kubernetes.io/provisioned-by", "csi.salvor.dev"}}}}},
               {"spec",
                {{"persistentVolumeReclaimPolicy", "Delete"},
                 {"claimRef", {{"namespace", kSpace}, {"name", "uploads"}}}}}};
  }
  VolumeFate Fate() const { return FateOf(volume_, space_, {"r"}); }

  Json space_, volume_;
};

TEST_F(VolumeFates, WhatWasMadeForTheDrillGoesWithIt) {
  EXPECT_EQ(Fate(), VolumeFate::kGoes);
  volume_["spec"]["persistentVolumeReclaimPolicy"] = "Retain";
  EXPECT_EQ(Fate(), VolumeFate::kMustGo);
}

TEST_F(VolumeFates, ADiskFromBeforeIsNeverTouched) {
  volume_["spec"]["persistentVolumeReclaimPolicy"] = "Retain";
  Json older = volume_;
  older["metadata"]["creationTimestamp"] = "2026-11-26T12:59:59Z";
  EXPECT_EQ(FateOf(older, space_, {"r"}), VolumeFate::kNone) << "it was there before the drill";
  Json brought_back = volume_;
  brought_back["metadata"]["labels"][kRestoreNameLabel] = "r";
  EXPECT_EQ(FateOf(brought_back, space_, {"r"}), VolumeFate::kNone) << "Velero attached an old disk again";
  Json by_hand = volume_;
  by_hand["metadata"].erase("annotations");
  EXPECT_EQ(FateOf(by_hand, space_, {"r"}), VolumeFate::kNone);
  Json others = volume_;
  others["spec"]["claimRef"]["namespace"] = "shop";
  EXPECT_EQ(FateOf(others, space_, {"r"}), VolumeFate::kNone);
  EXPECT_EQ(FateOf(volume_, Json(), {"r"}), VolumeFate::kNone) << "the namespace is gone";
}

TEST_F(VolumeFates, AParkedObjectGoesAndItsDiskStays) {
  volume_["metadata"]["labels"][kRestoreNameLabel] = "r";
  volume_["spec"] = {{"storageClassName", "salvor-parked"}, {"persistentVolumeReclaimPolicy", "Retain"}};
  EXPECT_EQ(Fate(), VolumeFate::kParked);
  EXPECT_EQ(FateOf(volume_, Json(), {"r"}), VolumeFate::kParked) << "also once the namespace is gone";
  EXPECT_EQ(FateOf(volume_, space_, {"another"}), VolumeFate::kNone);
  volume_["spec"]["persistentVolumeReclaimPolicy"] = "Delete";
  EXPECT_EQ(Fate(), VolumeFate::kNone) << "its disk would go, too";
}

TEST(SnapshotContents, AreTheDrillsWhereItsRestoreMadeThemAndTheyAreOfItsNamespace) {
  Json content = {{"metadata", {{"labels", {{kRestoreNameLabel, "r"}}}}},
                  {"spec", {{"deletionPolicy", "Retain"}, {"volumeSnapshotRef", {{"namespace", kSpace}}}}}};
  EXPECT_TRUE(IsContentOf(content, kSpace, {"r"}));
  EXPECT_TRUE(KeepsItsSnapshot(content));
  EXPECT_FALSE(IsContentOf(content, kSpace, {}));
  EXPECT_FALSE(IsContentOf(content, "shop", {"r"})) << "what the backup itself stands on";
  content["spec"]["deletionPolicy"] = "Delete";
  EXPECT_FALSE(KeepsItsSnapshot(content));
  content["metadata"].erase("labels");
  EXPECT_FALSE(IsContentOf(content, kSpace, {"r"}));
}

}  // namespace
}  // namespace salvor::velero
