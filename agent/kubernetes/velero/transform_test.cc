#include "agent/kubernetes/velero/transform.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/velero/restore_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

v1::RestoreTransform Wanted(const std::string& text) {
  v1::RestoreTransform wanted;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &wanted)) << text;
  return wanted;
}

KeptObject Kept(const std::string& resource, const std::string& kind, const std::string& name,
                const char* rest) {
  Json object = Json::parse(rest);
  object["kind"] = kind;
  object["metadata"]["name"] = name;
  return {resource, name, object};
}

std::vector<std::string> Changes(const Transform& transform) {
  std::vector<std::string> texts;
  for (const v1::ObjectChange& change : transform.changes) texts.push_back(Describe(change));
  return texts;
}

// "services ^web$ mergePatches {…}"
std::vector<std::string> Rules(const Transform& transform) {
  std::vector<std::string> texts;
  for (const Json& rule : transform.rules) {
    for (const char* way : {"mergePatches", "strategicPatches"}) {
      if (!rule.contains(way)) continue;
      EXPECT_EQ(rule[way].size(), 1U);
      EXPECT_TRUE(rule[way].is_array());
      texts.push_back(fmt::format("{} {} {} {}", TextAt(rule, {"conditions", "groupResource"}),
                                  TextAt(rule, {"conditions", "resourceNameRegex"}), way,
                                  TextAt(rule[way][0], {"patchData"})));
    }
  }
  return texts;
}

const KeptObject kTick = Kept("cronjobs.batch", "CronJob", "tick.5m", R"({"spec": {"suspend": false}})");

TEST(Transform, OfNothingIsNothing) {
  const Transform transform = PlanTransform({}, {kTick}, {});
  EXPECT_THAT(transform.changes, IsEmpty());
  EXPECT_TRUE(transform.rules.empty());
}

TEST(Transform, SuspendsWhatRunsByTheClock) {
  const v1::RestoreTransform wanted = Wanted("suspend_schedules: true");
  const Transform transform = PlanTransform(
      wanted,
      {kTick, Kept("cronjobs.batch", "CronJob", "off", R"({"spec": {"suspend": true}})"),
       Kept("jobs.batch", "Job", "running", R"({"spec": {}})"),
       Kept("jobs.batch", "Job", "done",
            R"({"status": {"conditions": [{"type": "Complete", "status": "True"}]}})"),
       Kept("pods", "Pod", "running-x",
            R"({"metadata": {"ownerReferences": [{"kind": "Job"}]}, "status": {"phase": "Running"}})"),
       Kept("pods", "Pod", "done-x",
            R"({"metadata": {"ownerReferences": [{"kind": "Job"}]}, "status": {"phase": "Succeeded"}})"),
       Kept("pods", "Pod", "web-x", R"({"metadata": {"ownerReferences": [{"kind": "ReplicaSet"}]}})")},
      {});
  EXPECT_THAT(Changes(transform), ElementsAre("CronJob tick.5m: suspend false becomes true",
                                              "Job running: suspend false becomes true",
                                              "Pod running-x: scheduling gate salvor.dev/held"));
  EXPECT_THAT(
      Rules(transform),
      ElementsAre(
          R"(cronjobs.batch ^tick\.5m$ mergePatches {"spec":{"suspend":true}})",
          R"(jobs.batch ^running$ mergePatches {"spec":{"suspend":true}})",
          R"(pods ^running-x$ mergePatches {"spec":{"schedulingGates":[{"name":"salvor.dev/held"}]}})"));
  EXPECT_THAT(transform.warnings, IsEmpty());
}

TEST(Transform, LetsAPodStartThatBringsDataBackAndSaysSo) {
  const v1::RestoreTransform wanted = Wanted("suspend_schedules: true");
  const KeptObject pod = Kept("pods", "Pod", "import-x",
                              R"({"metadata": {"ownerReferences": [{"kind": "Job"}]},
      "spec": {"volumes": [{"name": "a", "persistentVolumeClaim": {"claimName": "uploads"}}]}})");
  for (const auto method : {v1::VOLUME_METHOD_FILE_SYSTEM, v1::VOLUME_METHOD_SNAPSHOT_MOVED}) {
    const Transform transform = PlanTransform(wanted, {pod}, {KeptVolume("uploads", method)});
    EXPECT_TRUE(transform.rules.empty());
    EXPECT_THAT(transform.warnings, ElementsAre(HasSubstr("pod import-x of a Job that was running starts")));
  }
  EXPECT_THAT(Changes(PlanTransform(wanted, {pod}, {KeptVolume("uploads", v1::VOLUME_METHOD_SNAPSHOT)})),
              ElementsAre(HasSubstr("scheduling gate")))
      << "a snapshot needs no pod";
  EXPECT_THAT(Changes(PlanTransform(wanted, {pod}, {KeptVolume("other", v1::VOLUME_METHOD_FILE_SYSTEM)})),
              ElementsAre(HasSubstr("scheduling gate")));
}

constexpr char kBalanced[] =
    R"({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration":
      "{\"spec\": {\"ports\": [{\"name\": \"http\", \"nodePort\": 30080}]}}"}},
    "spec": {"type": "LoadBalancer", "externalIPs": ["192.0.2.1"],
             "ports": [{"name": "http", "port": 80, "nodePort": 30080}, {"name": "other", "port": 81, "nodePort": 31111}]}})";

TEST(Transform, TakesLoadBalancersAndAddressesFromServices) {
  const Transform transform = PlanTransform(Wanted("close_load_balancers: true free_node_ports: true"),
                                            {Kept("services", "Service", "web", kBalanced)}, {});
  EXPECT_THAT(Changes(transform), ElementsAre("Service web: type LoadBalancer becomes ClusterIP",
                                              "Service web: external addresses 192.0.2.1 becomes none"));
  ASSERT_EQ(transform.rules.size(), 1U);
  const Json patch = Json::parse(TextAt(transform.rules[0]["mergePatches"][0], {"patchData"}));
  EXPECT_EQ(patch["spec"]["type"], "ClusterIP");
  EXPECT_EQ(patch["spec"]["ports"].dump(), R"([{"name":"http","port":80},{"name":"other","port":81}])");
  for (const char* field :
       {"externalIPs", "loadBalancerIP", "loadBalancerClass", "externalTrafficPolicy", "healthCheckNodePort",
        "allocateLoadBalancerNodePorts", "loadBalancerSourceRanges"})
    EXPECT_TRUE(patch["spec"].contains(field) && patch["spec"][field].is_null()) << field;
}

TEST(Transform, FreesNodePortsThatSomebodyNamed) {
  const KeptObject web = Kept("services", "Service", "web", kBalanced);
  const Transform transform = PlanTransform(Wanted("free_node_ports: true"), {web}, {});
  EXPECT_THAT(Changes(transform), ElementsAre("Service web: node port 30080 becomes chosen anew"));
  EXPECT_THAT(
      Rules(transform),
      ElementsAre(
          R"(services ^web$ mergePatches {"spec":{"ports":[{"name":"http","port":80},{"name":"other","port":81}]}})"));
  KeptObject chosen = web;
  chosen.object["metadata"].erase("annotations");
  EXPECT_TRUE(PlanTransform(Wanted("free_node_ports: true"), {chosen}, {}).rules.empty())
      << "Velero frees those that the cluster chose";
  EXPECT_TRUE(PlanTransform({}, {web}, {}).rules.empty());
}

TEST(Transform, RenamesStorageClasses) {
  const Transform transform = PlanTransform(
      Wanted(R"(storage_classes { key: "fast" value: "slow" } storage_classes { key: "gone" value: "x" })"),
      {Kept("persistentvolumeclaims", "PersistentVolumeClaim", "uploads",
            R"({"spec": {"storageClassName": "fast"}})"),
       Kept("persistentvolumeclaims", "PersistentVolumeClaim", "old",
            R"({"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "fast"}}})"),
       Kept("persistentvolumeclaims", "PersistentVolumeClaim", "other",
            R"({"spec": {"storageClassName": "own"}})"),
       Kept(
           "statefulsets.apps", "StatefulSet", "db",
           R"({"spec": {"volumeClaimTemplates": [{"metadata": {"name": "a"}, "spec": {"storageClassName": "own"}},
                         {"metadata": {"name": "b"}, "spec": {"storageClassName": "fast"}}]}})")},
      {});
  EXPECT_THAT(Changes(transform),
              ElementsAre("PersistentVolumeClaim uploads: storage class fast becomes slow",
                          "PersistentVolumeClaim old: storage class fast becomes slow",
                          "StatefulSet db: storage class of template b fast becomes slow"));
  EXPECT_THAT(
      Rules(transform)[0],
      R"(persistentvolumeclaims ^uploads$ mergePatches {"spec":{"storageClassName":"slow","volumeName":null}})");
  EXPECT_THAT(Rules(transform)[1],
              HasSubstr(R"("annotations":{"volume.beta.kubernetes.io/storage-class":null})"));
  EXPECT_THAT(Rules(transform)[2],
              HasSubstr(R"({"metadata":{"name":"a"},"spec":{"storageClassName":"own"}})"));
  EXPECT_THAT(transform.unused, ElementsAre("StorageClass gone"));
}

TEST(Transform, MovesImagesOfAllThatMakesPodsAndTellsOfWhatNobodyOwns) {
  const Transform transform = PlanTransform(
      Wanted(
          R"(image_prefixes { key: "a.test" value: "b.test" } image_prefixes { key: "c.test" value: "d.test" })"),
      {Kept("deployments.apps", "Deployment", "web", R"({"spec": {"template": {"spec": {
              "initContainers": [{"name": "prepare", "image": "a.test/p"}],
              "containers": [{"name": "web", "image": "a.test/w:1"}, {"name": "side", "image": "e.test/s"}]}}}})"),
       Kept("pods", "Pod", "web-x", R"({"metadata": {"ownerReferences": [{"kind": "ReplicaSet"}]},
              "spec": {"containers": [{"name": "web", "image": "a.test/w:1"}]}})"),
       Kept("cronjobs.batch", "CronJob", "tick", R"({"spec": {"jobTemplate": {"spec": {"template": {"spec": {
              "containers": [{"name": "tick", "image": "a.test/t"}]}}}}}})")},
      {});
  EXPECT_THAT(Changes(transform),
              ElementsAre("Deployment web: image of container prepare a.test/p becomes b.test/p",
                          "Deployment web: image of container web a.test/w:1 becomes b.test/w:1",
                          "CronJob tick: image of container tick a.test/t becomes b.test/t"));
  EXPECT_THAT(
      Rules(transform),
      ElementsAre(
          R"(deployments.apps ^web$ strategicPatches {"spec":{"template":{"spec":{"containers":[{"image":"b.test/w:1","name":"web"}],"initContainers":[{"image":"b.test/p","name":"prepare"}]}}}})",
          R"(pods ^web-x$ strategicPatches {"spec":{"containers":[{"image":"b.test/w:1","name":"web"}]}})",
          R"(cronjobs.batch ^tick$ strategicPatches {"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"image":"b.test/t","name":"tick"}]}}}}}})"));
  EXPECT_THAT(transform.unused, ElementsAre("image prefix c.test"));
}

TEST(Transform, RenamesHostsWhereverTheyStand) {
  const char* ingress =
      R"({"spec": {"rules": [{"host": "a.test", "http": {}}, {"http": {}}, {"host": "c.test"}],
                                     "tls": [{"hosts": ["a.test", "c.test"], "secretName": "s"}]}})";
  const auto hosts = R"(hosts { key: "a.test" value: "b.test" } hosts { key: "no.test" value: "x.test" })";
  const std::vector<KeptObject> objects = {
      Kept("ingresses.networking.k8s.io", "Ingress", "front", ingress),
      Kept("httproutes.gateway.networking.k8s.io", "HTTPRoute", "way",
           R"({"spec": {"hostnames": ["a.test"]}})"),
      Kept("gateways.gateway.networking.k8s.io", "Gateway", "gate",
           R"({"spec": {"listeners": [{"name": "web", "hostname": "a.test"}]}})"),
      Kept("routes.route.openshift.io", "Route", "shift", R"({"spec": {"host": "a.test"}})")};
  const Transform transform = PlanTransform(Wanted(hosts), objects, {});
  EXPECT_THAT(
      Changes(transform),
      ElementsAre("Ingress front: host a.test becomes b.test", "HTTPRoute way: host a.test becomes b.test",
                  "Gateway gate: host a.test becomes b.test", "Route shift: host a.test becomes b.test"));
  EXPECT_EQ(
      Rules(transform)[0],
      R"(ingresses.networking.k8s.io ^front$ mergePatches {"spec":{"rules":[{"host":"b.test","http":{}},{"http":{}},{"host":"c.test"}],"tls":[{"hosts":["b.test","c.test"],"secretName":"s"}]}})");
  EXPECT_EQ(Rules(transform)[3],
            R"(routes.route.openshift.io ^shift$ mergePatches {"spec":{"host":"b.test"}})");
  EXPECT_THAT(transform.unused, ElementsAre("host no.test"));
  v1::RestoreTransform without = Wanted(hosts);
  without.set_leave_out_routes(true);
  EXPECT_THAT(Changes(PlanTransform(without, objects, {})), IsEmpty());
}

TEST(Transform, TakesObjectsOfAnyShape) {
  const v1::RestoreTransform all = Wanted(R"(
    suspend_schedules: true close_load_balancers: true free_node_ports: true
    storage_classes { key: "a" value: "b" } image_prefixes { key: "a" value: "b" } hosts { key: "a" value: "b" })");
  for (const char* shape : {R"({})", R"({"spec": null})", R"({"spec": []})", R"({"spec": "x"})",
                            R"({"spec": {"type": "LoadBalancer", "ports": {"a": 1}, "rules": 3, "tls": [1],
                                "volumeClaimTemplates": [1, {}], "template": [], "containers": "x"}})"}) {
    for (const std::string& resource : ResourcesToRead())
      PlanTransform(all, {Kept(resource, "Kind", "name", shape)},
                    {KeptVolume("uploads", v1::VOLUME_METHOD_SNAPSHOT)});
  }
}

TEST(Transform, AppliedToItsOwnResultKeepsFromActingNoMore) {
  const v1::RestoreTransform wanted = Wanted("suspend_schedules: true close_load_balancers: true");
  EXPECT_THAT(
      Changes(PlanTransform(wanted,
                            {Kept("cronjobs.batch", "CronJob", "tick", R"({"spec": {"suspend": true}})"),
                             Kept("services", "Service", "web", R"({"spec": {"type": "ClusterIP"}})")},
                            {})),
      IsEmpty());
}

TEST(Transform, LeavesRoutesOutByResourceAndKind) {
  EXPECT_THAT(LeftOutResources({}), IsEmpty());
  EXPECT_FALSE(IsLeftOut({}, "networking.k8s.io/v1/Ingress"));
  const v1::RestoreTransform wanted = Wanted("leave_out_routes: true");
  EXPECT_THAT(LeftOutResources(wanted), testing::Contains("ingresses.networking.k8s.io"));
  for (const char* kind : {"networking.k8s.io/v1/Ingress", "gateway.networking.k8s.io/v1beta1/HTTPRoute",
                           "route.openshift.io/v1/Route"})
    EXPECT_TRUE(IsLeftOut(wanted, kind)) << kind;
  for (const char* kind : {"networking.k8s.io/v1/NetworkPolicy", "networking.k8s.io/v1/IngressClass",
                           "v1/Service", "example.com/v1/Ingress"})
    EXPECT_FALSE(IsLeftOut(wanted, kind)) << kind;
}

TEST(Transform, OfTooManyObjectsIsRefusedAndToldInPart) {
  Json rules = Json::array();
  for (int i = 0; i < 10'000; ++i) rules.push_back({{"patch", std::string(100, 'x')}});
  EXPECT_EQ(ModifierText(rules).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(*ModifierText(Json::array()), R"({"resourceModifierRules":[],"version":"v1"})");
  google::protobuf::RepeatedPtrField<v1::ObjectChange> told;
  EXPECT_EQ(AddChanges(std::vector<v1::ObjectChange>(201), &told), 1);
  EXPECT_EQ(told.size(), 200);
}

}  // namespace
}  // namespace salvor::velero
