#include "agent/kubernetes/velero/discovery.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>

#include <utility>

#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/velero_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// A pod that runs, with these volumes, all of them mounted by the container main.
Json PodWith(const std::string& name, const Json& volumes, const Json& metadata = Json::object()) {
  Json pod = {{"metadata", {{"namespace", "shop"}, {"name", name}}},
              {"spec", {{"containers", {{{"name", "main"}, {"image", "acme/web:1"}}}}, {"volumes", volumes}}},
              {"status", {{"phase", "Running"}}}};
  pod["metadata"].update(metadata);
  for (const Json& volume : volumes) {
    if (!volume.is_object()) continue;
    const Json mount = {{"name", volume["name"]}, {"mountPath", "/x"}};
    pod["spec"]["containers"][0]["volumeMounts"].push_back(mount);
  }
  return pod;
}

Json ClaimVolume(const std::string& name, const std::string& claim) {
  return {{"name", name}, {"persistentVolumeClaim", {{"claimName", claim}}}};
}

Json OwnedBy(const std::string& kind, const std::string& name, const Labels& labels = {}) {
  return {{"ownerReferences", {{{"kind", kind}, {"name", name}, {"controller", true}}}}, {"labels", labels}};
}

NamespaceObjects Shop(std::vector<Json> pods) {
  NamespaceObjects objects;
  objects.name_space.name = "shop";
  objects.pods = std::move(pods);
  return objects;
}

std::vector<std::string> Workloads(const v1::Discovery& facts) {
  std::vector<std::string> lines;
  for (const v1::DiscoveredWorkload& one : facts.workloads())
    lines.push_back(fmt::format("{} {} {}/{}", one.kind(), one.name(), one.running(), one.replicas()));
  return lines;
}

TEST(Discovery, PutsThePodsOfAWorkloadTogether) {
  NamespaceObjects objects = Shop({
      PodWith("web-7d9f-b", Json::array({ClaimVolume("data", "uploads")}),
              OwnedBy("ReplicaSet", "web-7d9f", {{"pod-template-hash", "7d9f"}})),
      PodWith("web-7d9f-a", Json::array({ClaimVolume("data", "uploads")}),
              OwnedBy("ReplicaSet", "web-7d9f", {{"pod-template-hash", "7d9f"}})),
      PodWith("db-0", Json::array({ClaimVolume("data", "data-db-0")}), OwnedBy("StatefulSet", "db")),
      PodWith("db-1", Json::array({ClaimVolume("data", "data-db-1")}), OwnedBy("StatefulSet", "db")),
      PodWith("alone", Json::array()),
      PodWith("own-a", Json::array(), OwnedBy("ReplicaSet", "own-7d9f")),
      PodWith("own-b", Json::array(), OwnedBy("ReplicaSet", "own-7d9f")),
  });
  objects.workloads = {
      {"Deployment",
       {{{"metadata", {{"name", "web"}}}, {"spec", {{"replicas", 2}}}},
        {{"metadata", {{"name", "asleep"}}},
         {"spec", {{"replicas", 0}, {"template", PodWith("", Json::array({ClaimVolume("data", "old")}))}}}}}},
      {"StatefulSet",
       {{{"metadata", {{"name", "db"}}},
         {"spec", {{"replicas", 3}, {"volumeClaimTemplates", {{{"metadata", {{"name", "data"}}}}}}}}}}},
      {"CronJob",
       {{{"metadata", {{"name", "report"}}},
         {"spec",
          {{"jobTemplate",
            {{"spec", {{"template", PodWith("", Json::array({ClaimVolume("in", "uploads")}))}}}}}}}}}}};
  const v1::Discovery facts = ReadDiscovery(objects);
  EXPECT_THAT(Workloads(facts),
              ElementsAre("CronJob report 0/0", "Deployment asleep 0/0", "Deployment web 2/2",
                          "Pod alone 1/1", "ReplicaSet own-7d9f 2/2", "StatefulSet db 2/3"));
  EXPECT_THAT(facts.workloads(0).volumes(0).idle_claims(), ElementsAre("uploads"));
  EXPECT_THAT(facts.workloads(1).volumes(0).idle_claims(), ElementsAre("old"));
  EXPECT_THAT(facts.workloads(2).volumes(0).claims(), ElementsAre("uploads"));
  EXPECT_THAT(facts.workloads(2).volumes(0).idle_claims(), IsEmpty());
  EXPECT_THAT(facts.workloads(2).volumes(0).mounted_by(), ElementsAre("main"));
  EXPECT_THAT(facts.workloads(5).volumes(0).claims(), ElementsAre("data-db-0", "data-db-1"));
  EXPECT_THAT(facts.workloads(5).claim_templates(), ElementsAre("data"));
}

TEST(Discovery, CountsAClaimAsMountedOnlyWhereAPodRunsThatVeleroLooksAt) {
  Json pending = PodWith("pending", Json::array({ClaimVolume("data", "a")}));
  pending["status"]["phase"] = "Pending";
  Json excluded =
      PodWith("excluded", Json::array({ClaimVolume("data", "b")}), {{"labels", {{kExcludeLabel, "true"}}}});
  Json unmounted = PodWith("unmounted", Json::array({ClaimVolume("data", "c")}));
  unmounted["spec"]["containers"][0].erase("volumeMounts");
  Json device = PodWith("device", Json::array({ClaimVolume("data", "d")}));
  device["spec"]["containers"][0].erase("volumeMounts");
  device["spec"]["containers"][0]["volumeDevices"] = {{{"name", "data"}, {"devicePath", "/dev/x"}}};
  Json init = PodWith("init", Json::array({ClaimVolume("data", "e")}));
  init["spec"]["initContainers"] = std::exchange(init["spec"]["containers"], Json::array());
  Json over = PodWith("over", Json::array({ClaimVolume("data", "f")}));
  over["status"]["phase"] = "Succeeded";
  Json job = PodWith("job-1", Json::array({ClaimVolume("data", "g")}), OwnedBy("Job", "job"));
  job["status"]["phase"] = "Failed";
  const v1::Discovery facts = ReadDiscovery(Shop({pending, excluded, unmounted, device, init, over, job}));
  std::vector<std::string> mounted, idle;
  for (const v1::DiscoveredWorkload& one : facts.workloads()) {
    for (const v1::DiscoveredVolume& volume : one.volumes()) {
      mounted.insert(mounted.end(), volume.claims().begin(), volume.claims().end());
      idle.insert(idle.end(), volume.idle_claims().begin(), volume.idle_claims().end());
    }
  }
  EXPECT_THAT(mounted, ElementsAre("d"));
  EXPECT_THAT(idle, ElementsAre("b", "e", "a", "c")) << "those that are over are gone";
  for (const v1::DiscoveredWorkload& one : facts.workloads())
    EXPECT_EQ(one.excluded(), one.name() == "excluded");
}

TEST(Discovery, NamesVolumesByTheirKindsAndEphemeralClaimsByTheirPods) {
  const v1::Discovery facts = ReadDiscovery(
      Shop({PodWith("web-1", {{{"name", "a"}, {"emptyDir", Json::object()}},
                              {{"name", "b"}, {"hostPath", {{"path", "/var/log"}}}},
                              {{"name", "c"}, {"ephemeral", {{"volumeClaimTemplate", Json::object()}}}},
                              {{"name", "d"}, {"nfs", {{"server", "s"}, {"path", "/p"}}}},
                              {{"name", "e"}},
                              "nonsense"})}));
  ASSERT_THAT(facts.workloads(), SizeIs(1));
  std::vector<std::string> lines;
  for (const v1::DiscoveredVolume& one : facts.workloads(0).volumes()) {
    lines.push_back(one.name() + " " + one.kind() + one.path());
    for (const std::string& claim : one.claims()) lines.back() += " " + claim;
  }
  EXPECT_THAT(lines,
              ElementsAre(" ", "a emptyDir", "b hostPath/var/log", "c ephemeral web-1-c", "d nfs", "e "));
}

TEST(Discovery, ReadsContainersAndWhomServicesSendTo) {
  Json pod = PodWith("db-0", Json::array(), OwnedBy("StatefulSet", "db", {{"app", "db"}, {"tier", "data"}}));
  pod["spec"]["containers"][0]["ports"] = {{{"containerPort", 5432}}, {{"containerPort", 9187}}};
  NamespaceObjects objects = Shop({pod, PodWith("other", Json::array(), {{"labels", {{"app", "web"}}}})});
  const auto service = [](const std::string& name, const Json& selector, const Json& ports) {
    return Json{{"metadata", {{"name", name}}}, {"spec", {{"selector", selector}, {"ports", ports}}}};
  };
  objects.services = {service("z", {{"app", "db"}}, {{{"port", 80}, {"targetPort", 5432}}, {{"port", 81}}}),
                      service("a", {{"app", "db"}, {"tier", "x"}}, {{{"port", 1}, {"targetPort", "named"}}}),
                      service("headless", Json(), Json())};
  const v1::Discovery facts = ReadDiscovery(objects);
  EXPECT_THAT(facts.workloads(1).containers(0).ports(), ElementsAre(5432, 9187));
  EXPECT_EQ(facts.workloads(1).containers(0).image(), "acme/web:1");
  ASSERT_THAT(facts.services(), SizeIs(3));
  EXPECT_THAT(facts.services(0).ports(), IsEmpty());
  EXPECT_THAT(facts.services(0).workloads(), IsEmpty());
  EXPECT_THAT(facts.services(2).ports(), ElementsAre(81, 5432));
  EXPECT_THAT(facts.services(2).workloads(), ElementsAre("StatefulSet/db"));
}

TEST(Discovery, HasClaimsWithTheirMethods) {
  NamespaceObjects objects = Shop({});
  objects.claims = {BoundClaim("b"), BoundClaim("a")};
  objects.volumes = {Planned("a", v1::VOLUME_METHOD_SNAPSHOT_MOVED),
                     Planned("b", v1::VOLUME_METHOD_FILE_SYSTEM)};
  const v1::Discovery facts = ReadDiscovery(objects);
  ASSERT_THAT(facts.claims(), SizeIs(2));
  EXPECT_EQ(facts.claims(0).ShortDebugString(),
            R"(name: "a" phase: "Bound" storage_class: "salvor-csi" capacity: "1Gi" source: "csi" driver: )"
            R"("csi.salvor.dev" method: VOLUME_METHOD_SNAPSHOT_MOVED)");
  EXPECT_EQ(facts.claims(1).method(), v1::VOLUME_METHOD_FILE_SYSTEM);
}

TEST(Discovery, LeavesOutWhatHasNoClaimsFirst) {
  std::vector<Json> pods;
  for (int i = 0; i < 500; ++i) pods.push_back(PodWith("a" + std::to_string(i), Json::array()));
  pods.push_back(PodWith("z", Json::array({ClaimVolume("data", "uploads")})));
  const v1::Discovery facts = ReadDiscovery(Shop(pods));
  EXPECT_EQ(facts.workloads_size(), 500);
  EXPECT_EQ(facts.left_out(), 1);
  EXPECT_EQ(facts.workloads(499).name(), "z");
}

TEST(Discovery, IsBoundedAndValidWhateverTheClusterHolds) {
  std::vector<Json> pods;
  for (int i = 0; i < 502; ++i) pods.push_back(PodWith("p" + std::to_string(i), Json::array()));
  pods[0]["spec"]["containers"][0]["image"] = std::string(5000, 'i') + "\xff";
  pods[1]["spec"]["volumes"] = "none";
  pods[2]["metadata"]["ownerReferences"] = {{{"controller", "yes"}}, 7};
  const v1::Discovery facts = ReadDiscovery(Shop(pods));
  EXPECT_EQ(facts.workloads_size(), 500);
  EXPECT_EQ(facts.left_out(), 2);
  EXPECT_LE(facts.workloads(0).containers(0).image().size(), 300u);
  v1::Discovery again;
  EXPECT_TRUE(again.ParseFromString(facts.SerializeAsString()));
  EXPECT_EQ(ReadDiscovery(Shop({Json(), Json::array(), "text"})).workloads_size(), 1);
}

TEST(HintToOptIn, NamesWhoAskedWhereThatCanBeTyped) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {R"(User "system:serviceaccount:backup:executor" cannot list)", "--serviceaccount=backup:executor"},
      {R"(User "salvor-admin" cannot list)", "--user=salvor-admin"},
      {R"(User "$USER;reboot" cannot list)", "--serviceaccount=salvor:salvor-executor"},
      {R"(User "system:serviceaccount:a;b:c" cannot list)", "--serviceaccount=salvor:salvor-executor"},
      {"no right", "--serviceaccount=salvor:salvor-executor"},
      {R"(User "unended)", "--serviceaccount=salvor:salvor-executor"},
  };
  for (const auto& [refusal, who] : table) {
    EXPECT_EQ(
        HintToOptIn(refusal, "shop"),
        "Let Salvor look there: kubectl -n shop create rolebinding salvor --clusterrole=salvor-application " +
            who +
            ". Where that is done, the ClusterRole is of an older version: apply deploy/kubernetes again.");
  }
}

}  // namespace
}  // namespace salvor::velero
