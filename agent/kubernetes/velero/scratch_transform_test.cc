#include "agent/kubernetes/velero/scratch_transform.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/velero/restore_coverage.h"
#include "agent/kubernetes/velero/restore_object.h"
#include "agent/kubernetes/velero/restore_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::HasSubstr;
using testing::Not;

// Applies the rules as Velero does: each rule looks at the object as it was before the first of them.
Json Transformed(const std::string& resource, Json object) {
  const Json modifiers = Json::parse(ScratchModifiers("salvor:1"));
  EXPECT_EQ(modifiers["version"], "v1");
  const Json origin = object;
  for (const Json& rule : modifiers["resourceModifierRules"]) {
    if (TextAt(rule, {"conditions", "groupResource"}) != resource) continue;
    bool matches = true;
    for (const Json& one : At(rule, {"conditions", "matches"})) {
      const Json::json_pointer path(TextAt(one, {"path"}));
      matches = matches && origin.contains(path) && origin.at(path) == one["value"];
    }
    if (!matches) continue;
    for (const Json& one : At(rule, {"mergePatches"}))
      object.merge_patch(Json::parse(TextAt(one, {"patchData"})));
    Json patch = Json::array();
    for (const Json& one : At(rule, {"patches"})) {
      Json step = {{"op", one["operation"]}, {"path", one["path"]}};
      if (one.contains("from")) step["from"] = one["from"];
      if (one.contains("value")) step["value"] = Json::parse(TextAt(one, {"value"}));
      patch.push_back(step);
    }
    object = object.patch(patch);
  }
  return object;
}

// A pod as Velero has it after its own actions: with the container that waits for a volume, or without one.
Json AppPod(bool waits) {
  Json pod = {{"metadata", {{"name", "web-1"}, {"labels", {{"app", "web"}}}, {"annotations", {{"a", "b"}}}}},
              {"spec",
               {{"serviceAccountName", "web"},
                {"hostNetwork", true},
                {"nodeSelector", {{"disk", "fast"}}},
                {"initContainers", {{{"name", "migrate"}, {"image", "shop:7"}}}},
                {"containers",
                 {{{"name", "web"},
                   {"image", "shop:7"},
                   {"volumeMounts", {{{"name", "kube-api-access-x"}, {"mountPath", "/var/run/secrets"}}}}}}},
                {"volumes", {{{"name", "kube-api-access-x"}}, {{"name", "data"}}}}}}};
  if (waits) {
    Json& init = pod["spec"]["initContainers"];
    init.insert(init.begin(), Json{{"name", "restore-wait"}, {"image", "velero:1"}});
  }
  return pod;
}

TEST(ScratchTransform, NothingOfAPodRunsButWhatWaitsForItsVolumes) {
  const Json held = Transformed("pods", AppPod(true));
  ASSERT_EQ(held["spec"]["initContainers"].size(), 1u);
  EXPECT_EQ(held["spec"]["initContainers"][0], (Json{{"name", "restore-wait"}, {"image", "velero:1"}}));
  ASSERT_EQ(held["spec"]["containers"].size(), 1u);
  EXPECT_EQ(held["spec"]["containers"][0]["image"], "salvor:1");
  EXPECT_FALSE(held["spec"].contains("keep")) << "the API server would refuse what it does not know";
  EXPECT_THAT(held.dump(), Not(HasSubstr("shop:7")));
  EXPECT_EQ(held["spec"]["volumes"].size(), 2u) << "its claims are bound";
}

TEST(ScratchTransform, APodHasNoTokenNoNodesNetworkAndNoOwner) {
  for (const bool waits : {true, false}) {
    const Json held = Transformed("pods", AppPod(waits));
    EXPECT_EQ(held["spec"]["automountServiceAccountToken"], false);
    EXPECT_EQ(held["spec"]["serviceAccountName"], "default") << "the other account does not come back";
    EXPECT_FALSE(held["spec"].contains("hostNetwork")) << "it would be beyond every policy";
    EXPECT_FALSE(held["spec"].contains("nodeSelector"));
    EXPECT_FALSE(held["spec"]["containers"][0].contains("volumeMounts"))
        << "a token that the backup has as a volume is mounted by nobody";
    EXPECT_FALSE(held["metadata"].contains("labels")) << "no controller or Service takes it for its own";
    EXPECT_EQ(held["spec"].contains("initContainers"), waits);
  }
}

TEST(ScratchTransform, WhatMakesPodsMakesNone) {
  const Json app = {{"spec", {{"replicas", 3}, {"template", {{"spec", Json::object()}}}}}};
  for (const char* resource :
       {"deployments.apps", "statefulsets.apps", "replicasets.apps", "replicationcontrollers"})
    EXPECT_EQ(Transformed(resource, app)["spec"]["replicas"], 0) << resource;
  EXPECT_EQ(Transformed("cronjobs.batch", {{"spec", {{"suspend", false}}}})["spec"]["suspend"], true);
  EXPECT_EQ(
      Transformed("daemonsets.apps", app)["spec"]["template"]["spec"]["nodeSelector"]["salvor.dev/none"],
      "true");
  EXPECT_TRUE(IsLeftOutOfScratch("batch/v1/Job")) << "a Job would run at once";
}

TEST(ScratchTransform, AServiceHasNoAddressAndNoPortOfANode) {
  for (const char* type : {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"}) {
    const Json service =
        Transformed("services", {{"metadata", {{"annotations", {{"external-dns", "shop.example"}}}}},
                                 {"spec",
                                  {{"type", type},
                                   {"clusterIP", "10.0.0.7"},
                                   {"externalIPs", {"192.0.2.7"}},
                                   {"externalName", "elsewhere.example"},
                                   {"ports", {{{"port", 80}, {"nodePort", 30080}}}}}}});
    EXPECT_EQ(service["spec"], (Json{{"type", "ExternalName"}, {"externalName", "drill.invalid"}})) << type;
    EXPECT_FALSE(service["metadata"].contains("annotations")) << "by which names in the world are made";
  }
}

TEST(ScratchTransform, AnOldDiskIsNeverAttachedAgain) {
  EXPECT_FALSE(Transformed("persistentvolumeclaims", {{"spec", {{"volumeName", "pvc-1"}}}})["spec"].contains(
      "volumeName"));
  const Json volume = Transformed("persistentvolumes", {{"spec",
                                                         {{"claimRef", {{"name", "uploads"}}},
                                                          {"storageClassName", "fast"},
                                                          {"persistentVolumeReclaimPolicy", "Delete"}}}});
  EXPECT_FALSE(volume["spec"].contains("claimRef"));
  EXPECT_EQ(volume["spec"]["storageClassName"], kParkedClass);
  EXPECT_EQ(volume["spec"]["persistentVolumeReclaimPolicy"], "Retain") << "its end is not the disk's";
}

TEST(ScratchTransform, OnlyKindsThatAreKnownToBeHarmlessComeBack) {
  for (const char* kind : {"v1/ConfigMap", "v1/Secret", "v1/Pod", "apps/v1/Deployment", "v1/Service"})
    EXPECT_FALSE(IsLeftOutOfScratch(kind)) << kind;
  for (const char* kind :
       {"networking.k8s.io/v1/Ingress", "networking.k8s.io/v1/NetworkPolicy", "v1/ServiceAccount",
        "rbac.authorization.k8s.io/v1/RoleBinding", "rbac.authorization.k8s.io/v1/ClusterRoleBinding",
        "admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration", "v1/ResourceQuota",
        "postgresql.cnpg.io/v1/Cluster", "autoscaling/v2/HorizontalPodAutoscaler", "v1/Namespace"})
    EXPECT_TRUE(IsLeftOutOfScratch(kind)) << kind;
}

TEST(ScratchTransform, IsAskedForByTheRestoreOfADrillAlone) {
  v1::VeleroRestore action = RestoreAction();
  EXPECT_FALSE(MakeRestore(action, "r")["spec"].contains("resourceModifier"));
  EXPECT_FALSE(MakeRestore(action, "r")["spec"].contains("includedResources"));
  action.set_scratch(true);
  const Json restore = MakeRestore(action, "r-2");
  EXPECT_EQ(restore["spec"]["resourceModifier"], (Json{{"kind", "ConfigMap"}, {"name", "r-2"}}));
  EXPECT_EQ(restore["spec"]["includedResources"], ScratchResources());
  const Json rules = MakeModifiers(restore, "salvor:1");
  EXPECT_EQ(rules["metadata"], restore["metadata"]) << "found by the same name, and labelled as the run's";
  EXPECT_EQ(rules["data"].size(), 1u) << "Velero takes one text alone";
}

// The result of a drill of one claim, one pod and one Ingress, where Velero says this.
v1::ActionResult Judged(bool pod_made, bool filled, const std::vector<std::string>& errors,
                        const char* phase = "Bound") {
  v1::VeleroRestore action = RestoreAction();
  action.set_scratch(true);
  RestoreEvidence evidence;
  evidence.restore = ReadRestore(RestoreObject("r", errors.empty() ? "Completed" : "PartiallyFailed"));
  evidence.kept = {{"v1/PersistentVolumeClaim", {"shop/uploads"}},
                   {"v1/Pod", {"shop/web-1"}},
                   {"networking.k8s.io/v1/Ingress", {"shop/front"}},
                   {"discovery.k8s.io/v1/EndpointSlice", {"shop/web-x"}}};
  evidence.objects["v1/PersistentVolumeClaim"] = {{"shop-copy/uploads", "created"}};
  evidence.objects["v1/Pod"] = {{"shop-copy/web-1", pod_made ? "created" : "failed"}};
  evidence.results.errors = errors;
  Claim claim;
  claim.name_space = "shop-copy";
  claim.name = "uploads";
  claim.uid = "u";
  claim.phase = phase;
  evidence.claims = {claim};
  if (filled) {
    Transfer transfer;
    transfer.claim_uid = "u";
    transfer.phase = "Completed";
    transfer.handle = "handle-uploads";
    transfer.bytes_done = 4096;
    evidence.transfers = {transfer};
  }
  return JudgeRestoreCoverage(action, evidence);
}

std::string VerdictsOf(const v1::ActionResult& result) {
  std::string verdicts;
  for (const v1::Check& check : result.checks())
    verdicts += check.kind() + "=" + v1::Check::Verdict_Name(check.verdict()).substr(8) + " ";
  return verdicts;
}

TEST(ScratchCoverage, NamesWhatADrillDoesNotMakeAndProvesTheRest) {
  const v1::ActionResult result = Judged(true, true, {});
  EXPECT_EQ(VerdictsOf(result), "volume=PASSED objects=PASSED ");
  ASSERT_EQ(result.warnings_size(), 1);
  EXPECT_EQ(result.warnings(0), "a drill does not make these, so they are not proven: 1 Ingress");
}

TEST(ScratchCoverage, WhatTheDrillsOwnWallsRefusedIsNoFaultOfTheBackup) {
  const std::string refused =
      "error restoring pods/shop-copy/web-1: pods \"web-1\" is forbidden: violates PodSecurity "
      "\"baseline:latest\": hostPath volumes";
  const v1::ActionResult result = Judged(false, false, {refused});
  EXPECT_EQ(VerdictsOf(result), "volume=UNVERIFIABLE objects=UNVERIFIABLE ");
  EXPECT_THAT(result.checks(0).compared(), HasSubstr("violates PodSecurity"));
  EXPECT_EQ(VerdictsOf(Judged(false, true, {refused})), "volume=PASSED objects=UNVERIFIABLE ")
      << "a volume that came back all the same is proven";
}

TEST(ScratchCoverage, EverythingElseThatFailsDisproves) {
  EXPECT_EQ(VerdictsOf(Judged(true, false, {})), "volume=FAILED objects=PASSED ") << "restored empty";
  const std::string other = "error restoring pods/shop-copy/web-1: the server is angry";
  EXPECT_EQ(VerdictsOf(Judged(false, true, {other})), "volume=PASSED objects=FAILED ");
  const std::string refused = "error restoring pods/shop-copy/x: exceeded quota: salvor-drill";
  EXPECT_THAT(VerdictsOf(Judged(false, true, {refused, other})), HasSubstr("objects=FAILED"))
      << "a refusal does not hide another error";
}

TEST(ScratchCoverage, AClaimThatWaitsForItsVolumeProvesNothing) {
  EXPECT_EQ(VerdictsOf(Judged(true, true, {}, "Pending")), "volume=UNVERIFIABLE objects=PASSED ");
}

}  // namespace
}  // namespace salvor::velero
