#include "strategies/discovery/proposal.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>

#include "base/text.h"
#include "strategies/compose/compile.h"
#include "strategies/interface/strategy_testing.h"
#include "strategies/registry.h"

namespace salvor::strategies {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

v1::Discovery Facts(const std::string& text) {
  v1::Discovery facts;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &facts)) << text;
  if (facts.namespace_().empty()) facts.set_namespace_("shop");
  return facts;
}

Proposal Of(const std::string& facts) { return Propose(Facts(facts), "shop", "production"); }

// A bound claim that is kept by its files, of a volume that is of no driver.
constexpr char kUploads[] = R"(claims { name: "uploads" phase: "Bound" capacity: "10Gi" source: "nfs"
                                        method: VOLUME_METHOD_FILE_SYSTEM } )";
constexpr char kWeb[] = R"(workloads { kind: "Deployment" name: "web" replicas: 1 running: 1
    containers { name: "main" image: "acme/web:1" }
    volumes { name: "data" kind: "persistentVolumeClaim" claims: "uploads" mounted_by: "main" } } )";

TEST(Proposal, KeepsEachMountedClaimAsAComponentWithItsReasons) {
  const Proposal proposal = Of(std::string(kUploads) + kWeb);
  ASSERT_THAT(proposal.components, SizeIs(1));
  EXPECT_EQ(proposal.components[0].component.ShortDebugString(),
            R"(name: "uploads" disk { claims: "uploads" method: VOLUME_METHOD_FILE_SYSTEM })");
  EXPECT_THAT(
      proposal.components[0].reasons,
      ElementsAre("Mounted by Deployment web; 10Gi.",
                  "Its files are copied while a pod has it mounted, for its volume (nfs) is of no CSI "
                  "driver."));
  EXPECT_THAT(proposal.not_kept, IsEmpty());
  EXPECT_THAT(proposal.cautions, IsEmpty());
  EXPECT_EQ(proposal.application.application().ShortDebugString(),
            R"(environment: "production" namespace: "shop")");
}

TEST(Proposal, SaysWhoHasAClaimMountedAndByWhichMethodItIsKept) {
  const Proposal proposal = Of(R"(
    claims { name: "a" phase: "Bound" source: "csi" driver: "d.example" method: VOLUME_METHOD_SNAPSHOT_MOVED }
    claims { name: "b" phase: "Bound" source: "csi" driver: "d.example" method: VOLUME_METHOD_FILE_SYSTEM }
    claims { name: "c" phase: "Bound" }
    workloads { kind: "Pod" name: "one" running: 1
                volumes { name: "v" kind: "persistentVolumeClaim" claims: "a" claims: "b" mounted_by: "m" } }
    workloads { kind: "DaemonSet" name: "two" running: 1
                volumes { name: "v" kind: "persistentVolumeClaim" claims: "a" claims: "c" mounted_by: "m" } }
    workloads { kind: "CronJob" name: "idle"
                volumes { name: "v" kind: "persistentVolumeClaim" idle_claims: "a" mounted_by: "m" } })");
  ASSERT_THAT(proposal.components, SizeIs(3));
  EXPECT_THAT(
      proposal.components[0].reasons,
      ElementsAre("Mounted by Pod one and DaemonSet two.",
                  "Its driver d.example makes snapshots, whose data are copied into the storage location."));
  EXPECT_THAT(
      proposal.components[1].reasons[1],
      "Its files are copied while a pod has it mounted, for Velero would make no snapshot by its driver "
      "d.example.");
  EXPECT_EQ(proposal.components[2].component.disk().method(), v1::VOLUME_METHOD_UNSPECIFIED);
  EXPECT_THAT(proposal.components[2].reasons[1], HasSubstr("is decided at each backup"));
}

TEST(Proposal, NamesADatabaseAndSaysHonestlyThatItsClaimIsOnlyAVolume) {
  const std::string database = R"(
    workloads { kind: "StatefulSet" name: "db" replicas: 1 running: 1 claim_templates: "data"
      containers { name: "postgres" image: "postgres:16" }
      containers { name: "exporter" image: "postgres-exporter:1" ports: 9187 }
      volumes { name: "data" kind: "persistentVolumeClaim" claims: "data-db-0" mounted_by: "exporter"
                mounted_by: "postgres" } } )";
  const Proposal by_files = Of(R"(claims { name: "data-db-0" phase: "Bound" source: "local"
                                           method: VOLUME_METHOD_FILE_SYSTEM } )" +
                               database);
  ASSERT_THAT(by_files.components, SizeIs(1));
  ASSERT_THAT(by_files.components[0].reasons, SizeIs(3));
  EXPECT_EQ(
      by_files.components[0].reasons[2],
      "A database: PostgreSQL, by the image postgres:16 of container postgres. Its claim is kept only as a "
      "volume: by FileSystem that is no backup of a database that runs, for its files change while they are "
      "copied.");
  EXPECT_THAT(by_files.not_kept, IsEmpty());
  const Proposal by_snapshot = Of(R"(claims { name: "data-db-0" phase: "Bound" source: "csi" driver: "d"
                                              method: VOLUME_METHOD_SNAPSHOT_MOVED } )" +
                                  database);
  EXPECT_THAT(by_snapshot.components[0].reasons[2],
              HasSubstr("the snapshot is what a power cut would leave of it, and no dump is made."));
}

TEST(Proposal, KnowsADatabaseByThePortOfItsServiceWhereItHasOneContainer) {
  const std::string one =
      std::string(kUploads) + kWeb + R"(services { name: "store" ports: 3306 workloads: "Deployment/web" } )";
  EXPECT_THAT(Of(one).components[0].reasons[2],
              HasSubstr("A database: MariaDB or MySQL, by the port 3306 of container main."));
  v1::Discovery two = Facts(one);
  two.mutable_workloads(0)->add_containers()->set_name("side");
  EXPECT_THAT(Propose(two, "shop", "production").components[0].reasons, SizeIs(2))
      << "whose port it is is not known";
}

TEST(Proposal, NamesEachClaimThatItDoesNotKeepWithTheReason) {
  const Proposal proposal = Of(R"(
    claims { name: "block" phase: "Bound" source: "csi" driver: "d" block: true method: VOLUME_METHOD_FILE_SYSTEM }
    claims { name: "data-db-2" phase: "Bound" source: "nfs" method: VOLUME_METHOD_FILE_SYSTEM }
    claims { name: "folder" phase: "Bound" source: "hostPath" method: VOLUME_METHOD_FILE_SYSTEM }
    claims { name: "left-out" phase: "Bound" source: "nfs" excluded: true method: VOLUME_METHOD_FILE_SYSTEM }
    claims { name: "nightly" phase: "Bound" source: "nfs" method: VOLUME_METHOD_FILE_SYSTEM }
    claims { name: "snapshots" phase: "Bound" source: "csi" driver: "d" method: VOLUME_METHOD_SNAPSHOT_MOVED }
    claims { name: "spare" phase: "Bound" source: "nfs" method: VOLUME_METHOD_FILE_SYSTEM }
    claims { name: "waiting" phase: "Pending" method: VOLUME_METHOD_FILE_SYSTEM }
    workloads { kind: "CronJob" name: "report"
                volumes { name: "v" kind: "persistentVolumeClaim" idle_claims: "nightly" mounted_by: "m" } }
    workloads { kind: "Pod" name: "all" running: 1
                volumes { name: "v" kind: "persistentVolumeClaim" claims: "block" claims: "folder"
                          claims: "left-out" claims: "waiting" mounted_by: "m" } }
    workloads { kind: "StatefulSet" name: "db" claim_templates: "data" })");
  EXPECT_THAT(proposal.components, IsEmpty());
  EXPECT_EQ(
      Join(proposal.not_kept, "\n"),
      "Claim block: its volume is a raw device, which has no files to copy, and nothing makes snapshots of it.\n"
      "Claim data-db-2: no running pod has it mounted; StatefulSet db made it for a pod that is not there. "
      "Velero would leave its files out.\n"
      "Claim folder: its volume is a folder of its node (hostPath), which Velero does not copy.\n"
      "Claim left-out: it is labelled velero.io/exclude-from-backup, so Velero leaves it out.\n"
      "Claim nightly: no running pod has it mounted, but CronJob report names it. Velero would leave its files "
      "out.\n"
      "Claim snapshots: no pod has it mounted, and whose it is is not known. A component with the claim and "
      "method SnapshotMoved would keep it, if it matters.\n"
      "Claim spare: no pod has it mounted, and whose it is is not known. Velero would leave its files out.\n"
      "Claim waiting: it is Pending and has no data.");
}

TEST(Proposal, NamesEachVolumeWithoutAClaimOfItsOwnAndWhatIsNotClassified) {
  const Proposal proposal = Of(std::string(kUploads) + kWeb + R"(
    excluded: true left_out: 3
    claims { name: "batch-1-scratch" phase: "Bound" source: "csi" driver: "d" method: VOLUME_METHOD_SNAPSHOT_MOVED }
    workloads { kind: "Job" name: "batch" running: 1 excluded: true
      volumes { name: "scratch" kind: "ephemeral" claims: "batch-1-scratch" mounted_by: "m" }
      volumes { name: "cache" kind: "emptyDir" mounted_by: "m" }
      volumes { name: "unused" kind: "emptyDir" }
      volumes { name: "logs" kind: "hostPath" path: "/var/log" mounted_by: "m" }
      volumes { name: "share" kind: "nfs" mounted_by: "m" }
      volumes { name: "settings" kind: "configMap" mounted_by: "m" }
      volumes { name: "keys" kind: "secret" mounted_by: "m" }
      volumes { name: "token" kind: "projected" mounted_by: "m" } }
    workloads { kind: "StatefulSet" name: "ring" replicas: 3 running: 3 claim_templates: "data" }
    workloads { kind: "Deployment" name: "sessions" running: 1 containers { name: "main" image: "redis:7" } })");
  EXPECT_THAT(proposal.components, SizeIs(1));
  EXPECT_EQ(
      Join(proposal.not_kept, "\n"),
      "Job batch: pods of it are labelled velero.io/exclude-from-backup; what only they have mounted is not "
      "proposed.\n"
      "Volume scratch of Job batch: a generic ephemeral volume, claim batch-1-scratch, which ends with its pod; "
      "it is not kept.\n"
      "Volume cache of Job batch: an emptyDir, which ends with its pod; it is not kept.\n"
      "Volume logs of Job batch: the folder /var/log of its node (hostPath), which Velero does not copy.\n"
      "Volume share of Job batch: not classified: of kind nfs, in the pod itself. It has no claim, and is not "
      "kept.\n"
      "StatefulSet ring: not classified, for it has 3 replicas. Each claim of theirs is kept by itself, at an "
      "instant of its own; whether they hold the same data, or only together make sense, is not known.\n"
      "Deployment sessions: a database: Redis, by the image redis:7 of container main. It has no claim mounted: "
      "what it holds is not kept.\n"
      "3 more things are in this namespace, too many to list: a claim that is named as not mounted may be mounted by "
      "one of them.");
  EXPECT_THAT(proposal.cautions, ElementsAre(HasSubstr("labelled velero.io/exclude-from-backup")));
}

// What validation says of the proposal, with the objects that it goes to.
std::vector<std::string> Problems(const Proposal& proposal) {
  std::vector<v1::Object> objects(3);
  objects[0].mutable_metadata()->set_name("vault");
  *objects[0].mutable_location()->mutable_restic() = Vault();
  objects[1].mutable_metadata()->set_name("production");
  objects[1].mutable_environment()->set_runtime(v1::RUNTIME_KUBERNETES);
  objects[1].mutable_environment()->set_location("vault");
  objects[2] = proposal.application;
  for (const ProposedComponent& one : proposal.components)
    *objects[2].mutable_application()->add_components() = one.component;
  std::vector<std::string> problems;
  for (const v1::Problem& problem : ValidateObjects(BuiltInStrategies(), objects, {}))
    problems.push_back(problem.field() + ": " + problem.message());
  return problems;
}

TEST(Proposal, IsValidWhateverTheClaimsAreCalled) {
  const std::string same(40, 'x');
  const std::vector<std::string> names = {"uploads",
                                          "a.b",
                                          "a-b",
                                          "a--b",
                                          "0",
                                          "a-b-2",
                                          std::string(63, 'y') + "." + std::string(63, 'y'),
                                          same,
                                          same + "1",
                                          same + "2",
                                          "c." + same};
  v1::Discovery facts = Facts("");
  v1::DiscoveredWorkload* workload = facts.add_workloads();
  workload->set_kind("Pod");
  workload->set_name("all");
  v1::DiscoveredVolume* volume = workload->add_volumes();
  volume->set_kind("persistentVolumeClaim");
  volume->add_mounted_by("main");
  for (const std::string& name : names) {
    v1::DiscoveredClaim* claim = facts.add_claims();
    claim->set_name(name);
    claim->set_phase("Bound");
    claim->set_method(v1::VOLUME_METHOD_FILE_SYSTEM);
    volume->add_claims(name);
  }
  const Proposal proposal = Propose(facts, "shop", "production");
  EXPECT_THAT(proposal.components, SizeIs(names.size()));
  EXPECT_THAT(Problems(proposal), IsEmpty());
}

TEST(Proposal, LetsNothingHostileThroughTheGate) {
  const std::vector<std::string> hostile = {"x\nkind: Location",
                                            "x\r\n- y",
                                            "\"quoted\": {}",
                                            "# comment",
                                            std::string("a\0b", 3),
                                            "\xe2\x80\xa8next",
                                            "\xc2\x85next",
                                            "\x1b[2J",
                                            "../../etc",
                                            "--flag",
                                            std::string(5000, 'a'),
                                            "ütf",
                                            ""};
  for (const std::string& text : hostile) {
    const std::string shown = Shown(text);
    EXPECT_LE(shown.size(), 60u);
    for (const char c : shown) EXPECT_TRUE(c >= ' ' && c < 0x7f) << text;
    v1::Discovery facts = Facts(std::string(kUploads) + kWeb);
    v1::DiscoveredClaim* claim = facts.add_claims();
    claim->set_name(text);
    claim->set_phase("Bound");
    v1::DiscoveredWorkload* workload = facts.mutable_workloads(0);
    workload->set_name(text);
    workload->mutable_containers(0)->set_image("postgres:" + text);
    workload->mutable_volumes(0)->add_claims(text);
    v1::DiscoveredVolume* volume = workload->add_volumes();
    volume->set_name(text);
    volume->set_kind(text);
    volume->set_path(text);
    volume->add_mounted_by(text);
    const Proposal proposal = Propose(facts, "shop", "production");
    ASSERT_THAT(proposal.components, SizeIs(1)) << text;
    EXPECT_THAT(Problems(proposal), IsEmpty());
    std::vector<std::string> sentences = proposal.not_kept;
    for (const std::string& reason : proposal.components[0].reasons) sentences.push_back(reason);
    for (const std::string& sentence : sentences) {
      for (const char c : sentence) EXPECT_TRUE(c >= ' ' && c < 0x7f) << sentence;
    }
  }
  EXPECT_EQ(Shown("a b%"), "a%20b%25");
}

TEST(Proposal, OfEqualFactsIsEqualAndOfNothingIsNothing) {
  const Proposal nothing = Of("");
  EXPECT_THAT(nothing.components, IsEmpty());
  EXPECT_THAT(nothing.not_kept, IsEmpty());
  const std::string facts = std::string(kUploads) + kWeb;
  EXPECT_EQ(Of(facts).components[0].component.SerializeAsString(),
            Of(facts).components[0].component.SerializeAsString());
}

}  // namespace
}  // namespace salvor::strategies
