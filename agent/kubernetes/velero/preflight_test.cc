#include "agent/kubernetes/velero/preflight.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "agent/kubernetes/velero/velero_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto kAuto = v1::VOLUME_METHOD_AUTO;
constexpr auto kFiles = v1::VOLUME_METHOD_FILE_SYSTEM;
constexpr auto kSnapshot = v1::VOLUME_METHOD_SNAPSHOT;
constexpr auto kMoved = v1::VOLUME_METHOD_SNAPSHOT_MOVED;

v1::VeleroPreflight Action(v1::VolumeMethod method) {
  v1::VeleroPreflight action;
  action.add_namespaces("shop");
  *action.add_volumes() = Planned("uploads", method);
  return action;
}

// A cluster on which all is well.
PreflightFacts Well() {
  PreflightFacts facts;
  facts.server_version = "v1.18.2";
  StorageLocation location;
  location.name = "main";
  location.phase = "Available";
  location.is_default = true;
  facts.locations = {location};
  NamespaceFacts shop;
  shop.name = "shop";
  facts.namespaces = {shop};
  facts.claims = {BoundClaim("uploads")};
  facts.pods = {ReadPod(PodObject("web-1", "uploads"))};
  facts.agent_nodes = {"node-1"};
  facts.has_csi = true;
  facts.snapshot_classes = {{"salvor-csi", "csi.salvor.dev", false, false}};
  facts.snapshots_since = absl::FromUnixSeconds(1000);
  facts.server_since = absl::FromUnixSeconds(2000);
  return facts;
}

TEST(Preflight, OfAWellClusterHasNothingToSay) {
  for (const auto method : {kFiles, kSnapshot, kMoved, kAuto}) {
    const auto result = JudgePreflight(Action(method), Well());
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_THAT(result->warnings(), IsEmpty());
    EXPECT_EQ(result->velero().storage_location(), "main");
    EXPECT_EQ(result->velero().velero_version(), "v1.18.2");
    EXPECT_EQ(result->velero().backup(), "") << "there is none yet";
    ASSERT_EQ(result->velero().volumes_size(), 1);
    EXPECT_EQ(result->velero().volumes(0).method(), method == kAuto ? kMoved : method);
  }
}

struct Bad {
  std::string what;
  v1::VolumeMethod method;
  std::function<void(PreflightFacts&)> spoil;
  std::string says;
};

const std::vector<Bad>& Refused() {
  static const std::vector<Bad> cases = {
      {"no answer", kFiles, [](auto& facts) { facts.server_version = ""; },
       "Velero does not answer in namespace velero"},
      {"no location", kFiles, [](auto& facts) { facts.locations.clear(); },
       "Velero has no default storage location"},
      {"unavailable", kFiles,
       [](auto& facts) {
         facts.locations[0].phase = "Unavailable";
         facts.locations[0].message = "no\nbucket";
       },
       "storage location main is Unavailable: no bucket"},
      {"not validated", kFiles, [](auto& facts) { facts.locations[0].phase = ""; },
       "main is not validated yet"},
      {"read-only", kFiles, [](auto& facts) { facts.locations[0].read_only = true; },
       "storage location main is read-only"},
      {"not trusted", kFiles,
       [](auto& facts) {
         facts.locations[0].has_authority = true;
         facts.location_trust = LocationTrust::kUntrusted;
         facts.location_trust_why = "self-signed certificate";
       },
       "this agent does not trust the certificate of Velero's storage location main, from which it reads what a "
       "backup holds: self-signed certificate"},
      {"no namespace", kFiles, [](auto& facts) { facts.namespaces[0].exists = false; },
       "there is no namespace shop"},
      {"terminating", kFiles, [](auto& facts) { facts.namespaces[0].terminating = true; },
       "shop is being deleted"},
      {"excluded namespace", kFiles, [](auto& facts) { facts.namespaces[0].excluded = true; },
       "namespace shop is labelled velero.io/exclude-from-backup"},
      {"no claim", kFiles, [](auto& facts) { facts.claims.clear(); }, "there is no claim shop/uploads"},
      {"pending", kFiles,
       [](auto& facts) { facts.claims = {ReadClaim(ClaimObject("uploads", {}, "Pending"), Json())}; },
       "the claim shop/uploads is Pending and has no data"},
      {"excluded claim", kFiles, [](auto& facts) { facts.claims[0].excluded = true; },
       "the claim shop/uploads is labelled velero.io/exclude-from-backup"},
      {"unmounted", kFiles, [](auto& facts) { facts.pods.clear(); }, "is mounted by no running pod"},
      {"not running", kFiles, [](auto& facts) { facts.pods[0].running = false; },
       "is mounted by no running pod"},
      {"pod left out", kFiles, [](auto& facts) { facts.pods[0].excluded = true; },
       "is mounted by no running pod"},
      {"pod of another namespace", kFiles, [](auto& facts) { facts.pods[0].name_space = "other"; },
       "is mounted by no running pod"},
      {"raw device", kFiles, [](auto& facts) { facts.claims[0].block = true; }, "is a raw device"},
      {"host path", kFiles, [](auto& facts) { facts.claims[0].source = "hostPath"; },
       "is a folder of its node"},
      {"no agent there", kFiles, [](auto& facts) { facts.agent_nodes = {"node-2"}; },
       "is mounted on node node-1, where Velero's node-agent does not run"},
      {"no agent where the second pod is", kFiles,
       [](auto& facts) { facts.pods.push_back(ReadPod(PodObject("web-2", "uploads", "node-2"))); },
       "is mounted on node node-2, where Velero's node-agent does not run"},
      {"no agent where the first pod is", kFiles,
       [](auto& facts) {
         facts.pods.insert(facts.pods.begin(), ReadPod(PodObject("web-0", "uploads", "node-2")));
       },
       "is mounted on node node-2, where Velero's node-agent does not run"},
      {"no agent", kFiles, [](auto& facts) { facts.agent_nodes.clear(); },
       "Velero's node-agent runs on no node"},
      {"no agent to move", kMoved, [](auto& facts) { facts.agent_nodes.clear(); },
       "Velero's node-agent runs on no node"},
      {"no CSI in Velero", kSnapshot, [](auto& facts) { facts.has_csi = false; },
       "Velero runs without EnableCSI"},
      {"no CRDs", kSnapshot, [](auto& facts) { facts.snapshots_since.reset(); },
       "the cluster has no VolumeSnapshots"},
      {"CRDs after Velero", kMoved, [](auto& facts) { facts.snapshots_since = absl::FromUnixSeconds(3000); },
       "Velero was started before the CRDs of snapshots were installed"},
      {"no driver", kSnapshot, [](auto& facts) { facts.claims[0].driver = ""; }, "is of no CSI driver"},
      {"no class", kSnapshot, [](auto& facts) { facts.snapshot_classes.clear(); },
       "Velero would find no VolumeSnapshotClass for shop/uploads"},
      {"class of another driver", kSnapshot, [](auto& facts) { facts.snapshot_classes[0].driver = "other"; },
       "Velero would find no VolumeSnapshotClass for shop/uploads"},
      {"two classes", kSnapshot,
       [](auto& facts) {
         facts.snapshot_classes.push_back({"second", "csi.salvor.dev", false, false});
       },
       "Velero would find no VolumeSnapshotClass for shop/uploads"},
      {"wrong class asked for", kSnapshot, [](auto& facts) { facts.claims[0].snapshot_class = "gone"; },
       "asks for the VolumeSnapshotClass gone"},
  };
  return cases;
}

TEST(Preflight, RefusesWhatWouldLoseDataByNameAndWithANextStep) {
  for (const Bad& bad : Refused()) {
    PreflightFacts facts = Well();
    bad.spoil(facts);
    const auto result = JudgePreflight(Action(bad.method), facts);
    EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition) << bad.what;
    EXPECT_THAT(MessageOf(result.status()), HasSubstr(bad.says)) << bad.what;
    EXPECT_NE(HintOf(result.status()), "") << bad.what;
  }
}

TEST(Preflight, SaysAllThatRefusesAtOnceAndNoneOfItTwice) {
  PreflightFacts facts = Well();
  facts.locations[0].read_only = true;
  facts.agent_nodes.clear();
  const auto result = JudgePreflight(Action(kFiles), facts);
  EXPECT_EQ(
      MessageOf(result.status()),
      "Velero's storage location main is read-only; Velero's node-agent runs on no node, and copies the files of "
      "volumes");
}

TEST(Preflight, DoesNotLookAtVolumesThatAreSkipped) {
  PreflightFacts facts = Well();
  facts.pods.clear();
  facts.agent_nodes.clear();
  v1::VeleroPreflight action = Action(kFiles);
  action.mutable_volumes(0)->set_skip("its dump is kept");
  EXPECT_TRUE(JudgePreflight(action, facts).ok());
}

TEST(Preflight, RefusesTheFilesOfAnEphemeralVolume) {
  PreflightFacts facts = Well();
  facts.claims = {BoundClaim("web-1-data")};
  Json pod = PodObject("web-1", "");
  pod["spec"]["volumes"][0] = {{"name", "data"}, {"ephemeral", {{"volumeClaimTemplate", Json::object()}}}};
  facts.pods = {ReadPod(pod)};
  v1::VeleroPreflight action = Action(kFiles);
  action.mutable_volumes(0)->set_claim("web-1-data");
  const Status refused = JudgePreflight(action, facts).status();
  EXPECT_THAT(MessageOf(refused), HasSubstr("the volume of shop/web-1-data is mounted by no running pod"));
  EXPECT_THAT(HintOf(refused), HasSubstr("keep it by Snapshot or SnapshotMoved"));
}

TEST(Preflight, LooksOnlyAtNodesOfPodsThatVeleroWouldReadThrough) {
  PreflightFacts facts = Well();
  facts.pods.push_back(ReadPod(PodObject("done", "uploads", "node-2", "Succeeded")));
  facts.pods.push_back(ReadPod(PodObject("other", "spare", "node-2")));
  facts.pods.push_back(ReadPod(PodObject("second", "uploads", "node-1")));
  const auto result = JudgePreflight(Action(kFiles), facts);
  EXPECT_TRUE(result.ok()) << result.status();
}

TEST(Preflight, RefusesWhatAPolicyCannotTellApart) {
  PreflightFacts facts = Well();
  facts.claims.push_back(BoundClaim("other"));
  v1::VeleroPreflight action = Action(kFiles);
  *action.add_volumes() = Planned("other", kSnapshot);
  EXPECT_THAT(MessageOf(JudgePreflight(action, facts).status()), HasSubstr("Velero can't tell them apart"));
}

TEST(Preflight, WarnsOfTheRest) {
  struct Odd {
    std::function<void(PreflightFacts&)> change;
    std::string says;
  };
  for (const Odd& odd : {
           Odd{[](auto& facts) { facts.claims[0].reclaim_policy = "Retain"; },
               "has the reclaim policy Retain"},
           Odd{[](auto& facts) { facts.locations[0].has_authority = true; },
               "storage location main has a certificate authority of its own"},
           Odd{[](auto& facts) {
                 facts.locations[0].has_authority = true;
                 facts.location_trust = LocationTrust::kSilent;
                 facts.location_trust_why = "Could not resolve host: minio";
               },
               "does not answer this agent, which reads there what a backup holds: Could not resolve host"},
           Odd{[](auto& facts) { facts.has_published_password = true; },
               "the password that stands in its source code"},
           Odd{[](auto& facts) { facts.pods[0].has_hooks = true; },
               "annotations of pod shop/web-1 let Velero run commands"},
           Odd{[](auto& facts) { facts.backups = {ReadBackup(BackupObject("x", "y", "InProgress"))}; },
               "Velero has 1 backup to make before this one"},
       }) {
    PreflightFacts facts = Well();
    odd.change(facts);
    const auto result = JudgePreflight(Action(kFiles), facts);
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->warnings_size(), 1) << odd.says;
    EXPECT_THAT(result->warnings(0), HasSubstr(odd.says));
  }
}

TEST(Preflight, HasNoWordOnALocationsOwnAuthorityThatThisMachineTrustsToo) {
  PreflightFacts facts = Well();
  facts.locations[0].has_authority = true;
  facts.location_trust = LocationTrust::kTrusted;
  const auto result = JudgePreflight(Action(kFiles), facts);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->warnings_size(), 0);
}

TEST(Preflight, WarnsWhereItIsNotKnownWhenVeleroWasStarted) {
  PreflightFacts facts = Well();
  facts.server_since.reset();
  for (const auto method : {kSnapshot, kMoved, kAuto}) {
    const auto result = JudgePreflight(Action(method), facts);
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->warnings_size(), 1);
    EXPECT_THAT(result->warnings(0),
                HasSubstr("no running pod of Velero's server was found in namespace velero"));
    EXPECT_EQ(result->velero().volumes(0).method(), method == kAuto ? kFiles : method);
  }
  EXPECT_THAT(JudgePreflight(Action(kFiles), facts)->warnings(), IsEmpty()) << "nothing depends on it";
  facts.snapshots_since.reset();
  EXPECT_THAT(JudgePreflight(Action(kAuto), facts)->warnings(), IsEmpty()) << "there are no snapshots";
}

TEST(Preflight, RefusesAQuiesceThatFindsNoPodAndHooksThatNoPodAsksFor) {
  v1::VeleroPreflight action = Action(kFiles);
  v1::PodQuiesce& quiesce = *action.add_quiesces();
  quiesce.set_component("files");
  quiesce.set_namespace_("shop");
  quiesce.add_claims("uploads");
  EXPECT_TRUE(JudgePreflight(action, Well()).ok()) << JudgePreflight(action, Well()).status();
  PreflightFacts closed = Well();
  closed.no_commands_in = {"shop"};
  const Status shut = JudgePreflight(action, closed).status();
  EXPECT_THAT(MessageOf(shut), HasSubstr("it lets Salvor run no commands"));
  EXPECT_THAT(HintOf(shut), HasSubstr("kubectl -n shop create rolebinding salvor-quiesce"));
  *quiesce.mutable_claims(0) = "nobodys";
  EXPECT_THAT(
      MessageOf(JudgePreflight(action, Well()).status()),
      HasSubstr(
          "component files is to be held still, and no running pod of namespace shop has mounted nobodys"));
  action.clear_quiesces();
  action.add_hook_components("files");
  EXPECT_THAT(MessageOf(JudgePreflight(action, Well()).status()), HasSubstr("relies on hooks of Velero's"));
  PreflightFacts facts = Well();
  facts.pods[0].has_hooks = true;
  const auto relied_on = JudgePreflight(action, facts);
  ASSERT_TRUE(relied_on.ok()) << relied_on.status();
  EXPECT_THAT(relied_on->warnings(), IsEmpty()) << "they are wanted";
}

TEST(Preflight, FindsThePodsOfADeploymentByItsSelector) {
  const auto of = [](const Json& labels) {
    return PodSelector({{"spec", {{"selector", {{"matchLabels", labels}}}}}});
  };
  EXPECT_EQ(of({{"name", "velero"}}), "name=velero");
  EXPECT_EQ(of({{"app.kubernetes.io/name", "velero"}, {"name", "velero"}}),
            "app.kubernetes.io/name=velero,name=velero");
  EXPECT_EQ(of(Json::object()), "");
  EXPECT_EQ(PodSelector(Json()), "");
}

TEST(Methods, OfAutoAreASnapshotThatIsMovedWhereItCanBeAndFilesElsewhere) {
  const auto decided = [](const std::function<void(PreflightFacts&)>& change) {
    PreflightFacts facts = Well();
    change(facts);
    return DecideMethods({Planned("uploads", kAuto)}, facts)[0].method();
  };
  EXPECT_EQ(decided([](auto&) {}), kMoved);
  EXPECT_EQ(decided([](auto& facts) { facts.claims[0].driver = ""; }), kFiles);
  EXPECT_EQ(decided([](auto& facts) { facts.has_csi = false; }), kFiles);
  EXPECT_EQ(decided([](auto& facts) { facts.snapshot_classes.clear(); }), kFiles);
  EXPECT_EQ(decided([](auto& facts) { facts.snapshots_since.reset(); }), kFiles);
  EXPECT_EQ(decided([](auto& facts) { facts.server_since.reset(); }), kFiles);
  EXPECT_EQ(decided([](auto& facts) { facts.snapshots_since = absl::FromUnixSeconds(3000); }), kFiles);
}

TEST(Location, MayHaveACertificateAuthorityOfItsOwn) {
  const auto has_authority = [](const Json& storage) {
    return ReadStorageLocation({{"spec", {{"objectStorage", storage}}}}).has_authority;
  };
  EXPECT_TRUE(has_authority({{"bucket", "b"}, {"caCert", "LS0t"}}));
  EXPECT_TRUE(has_authority({{"bucket", "b"}, {"caCertRef", {{"name", "ca"}, {"key", "ca.crt"}}}}));
  EXPECT_FALSE(has_authority({{"bucket", "b"}, {"caCert", ""}}));
  EXPECT_FALSE(has_authority({{"bucket", "b"}}));
  EXPECT_FALSE(ReadStorageLocation(Json()).has_authority);
}

TEST(Location, IsTheNamedOneOrTheDefault) {
  StorageLocation first, second;
  first.name = "default";
  second.name = "second";
  v1::KubernetesCluster cluster;
  EXPECT_EQ(ChooseLocation(cluster, {}), nullptr);
  EXPECT_EQ(ChooseLocation(cluster, {second}), nullptr);
  std::vector<StorageLocation> both = {first, second};
  EXPECT_EQ(ChooseLocation(cluster, both), &both[0]);
  both[1].is_default = true;
  EXPECT_EQ(ChooseLocation(cluster, both), &both[1]);
  cluster.set_storage_location("default");
  EXPECT_EQ(ChooseLocation(cluster, both), &both[0]);
  cluster.set_storage_location("third");
  EXPECT_EQ(ChooseLocation(cluster, both), nullptr);
}

TEST(Csi, IsOnByTheServersArguments) {
  const auto with = [](const Json& args) {
    return HasCsi({{"spec", {{"template", {{"spec", {{"containers", {{{"args", args}}}}}}}}}}});
  };
  EXPECT_TRUE(with({"server", "--features=EnableCSI"}));
  EXPECT_TRUE(with({"server", "--features=EnableAPIGroupVersions,EnableCSI"}));
  EXPECT_TRUE(with({"server", "--features", "EnableCSI"}));
  EXPECT_FALSE(with({"server", "--features="}));
  EXPECT_FALSE(with({"server", "--uploader-type=kopia"}));
  EXPECT_FALSE(with({"server", "--features"}));
  EXPECT_FALSE(HasCsi(Json()));
}

}  // namespace
}  // namespace salvor::velero
