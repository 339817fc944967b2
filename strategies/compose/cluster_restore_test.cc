// A backup of a cluster comes back through Velero: one Restore for each of its Backups.
#include <gmock/gmock.h>

#include "strategies/compose/compile.h"
#include "strategies/compose/compile_testing.h"
#include "strategies/interface/strategy_testing.h"
#include "strategies/registry.h"

namespace salvor::strategies {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kBackup[] = "shop-20261121-101500-4f2a";

v1::Component Claims(const std::string& name, const std::string& in_namespace,
                     const std::vector<std::string>& claims) {
  v1::Component component;
  component.set_name(name);
  component.set_namespace_(in_namespace);
  for (const std::string& claim : claims) component.mutable_disk()->add_claims(claim);
  return component;
}

// The manifest of these components, whose namespaces are a Backup of Velero's each.
v1::Manifest Kept(const std::vector<v1::Component>& components) {
  v1::Manifest manifest = AHeader();
  manifest.set_backup(kBackup);
  manifest.set_environment("cluster-a");
  for (const v1::Component& component : components) {
    *manifest.add_components() = component;
    for (const std::string& claim : component.disk().claims()) {
      v1::Artifact& artifact = *manifest.add_artifacts();
      artifact.set_component(component.name());
      artifact.set_name(component.name() + ".volume." + claim);
      artifact.set_keeper(v1::Artifact::KEEPER_VELERO);
      artifact.set_bytes(4096);
      artifact.mutable_consistent_at()->set_seconds(1795256100);  // 2026-11-21T10:15:00Z
      artifact.mutable_velero()->set_backup("v-" + component.namespace_());
      artifact.mutable_velero()->set_namespace_(component.namespace_());
      artifact.mutable_velero()->set_claim(claim);
      artifact.mutable_velero()->set_method(v1::VOLUME_METHOD_FILE_SYSTEM);
      artifact.mutable_velero()->set_snapshot_handle("8f1c");
    }
    bool known = component.disk().claims().empty();
    for (const v1::VeleroReport& report : manifest.velero())
      known = known || report.backup() == "v-" + component.namespace_();
    if (!known) manifest.add_velero()->set_backup("v-" + component.namespace_());
  }
  return manifest;
}

using To = std::map<std::string, v1::Component>;

class ClusterRestore : public testing::Test {
 protected:
  explicit ClusterRestore(v1::Manifest manifest = Kept({Claims("uploads", "shop", {"uploads"})}))
      : manifest_(std::move(manifest)), request_(ARestoreRequest(manifest_)) {
    request_.environment = "cluster-b";
    request_.to_cluster = true;
    request_.cluster = FromText<v1::KubernetesCluster>(R"(velero_namespace: "velero-b")");
    request_.asked.set_to("shop-copy");
    to_["uploads"] = Claims("uploads", "shop-copy", {"uploads"});
  }

  StatusOr<RestorePlan> Compile(const std::vector<std::string>& components = {}) {
    return CompileRestore(BuiltInStrategies(), request_, to_, components);
  }
  std::string Refused(const std::vector<std::string>& components = {}) {
    return ErrorText(Compile(components).status());
  }
  void Keep(const std::vector<v1::Component>& components) { manifest_ = Kept(components); }

  v1::Manifest manifest_;
  RestoreRequest request_;
  To to_;
};

TEST_F(ClusterRestore, OfOneVolume) {
  const auto plan = Compile();
  ASSERT_TRUE(plan.ok()) << plan.status();
  ExpectGolden("cluster-restore", plan->flow, plan->effects);
}

TEST_F(ClusterRestore, TellsVeleroWhatAndWhereTo) {
  const auto plan = Compile();
  ASSERT_TRUE(plan.ok()) << plan.status();
  const v1::VeleroRestore& restore =
      StepOf(plan->flow, "volumes.restore.shop-copy").action().velero_restore();
  EXPECT_EQ(restore.DebugString(), FromText<v1::VeleroRestore>(R"(
      cluster { velero_namespace: "velero-b" }
      name: "restore-shop-1" velero_backup: "v-shop" namespace: "shop" target_namespace: "shop-copy"
      volumes { component: "uploads" name: "uploads.volume.uploads" bytes: 4096
                consistent_at { seconds: 1795256100 } keeper: KEEPER_VELERO
                velero { backup: "v-shop" namespace: "shop" claim: "uploads" method: VOLUME_METHOD_FILE_SYSTEM
                         snapshot_handle: "8f1c" } }
      run: "restore-shop-1" backup: "shop-20261121-101500-4f2a" application: "shop-copy" environment: "cluster-b"
      transform { suspend_schedules: true close_load_balancers: true free_node_ports: true leave_out_routes: true })")
                                       .DebugString());
  const v1::Step& check = StepOf(plan->flow, "volumes.check-target.shop-copy");
  EXPECT_EQ(check.purpose(), v1::PURPOSE_GUARD) << "so that --dry-run asks it";
  EXPECT_EQ(check.action().velero_restore_check().restore().DebugString(), restore.DebugString());
}

TEST_F(ClusterRestore, IsDoneWhereverTheClustersApiIsAndNothingElseOfVelerosBesideIt) {
  const auto plan = Compile();
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_EQ(plan->flow.places_size(), 1);
  EXPECT_EQ(plan->flow.places(0).environment(), "cluster-b");
  EXPECT_EQ(plan->flow.places(0).kind(), v1::AGENT_KIND_EXECUTOR);
  for (const v1::Step& step : plan->flow.steps()) EXPECT_EQ(step.place(), "cluster") << step.id();
  const v1::Step& restore = StepOf(plan->flow, "volumes.restore.shop-copy");
  ASSERT_EQ(restore.keys_size(), 1);
  EXPECT_EQ(restore.keys(0).name(), "velero:cluster-b");
  EXPECT_TRUE(restore.keys(0).exclusive());
}

TEST_F(ClusterRestore, GoesToTheNamespaceThatIsNamedWhateverTheTargetDeclares) {
  request_.asked.set_namespace_("elsewhere");
  to_.clear();
  const auto for_all = Compile();
  ASSERT_TRUE(for_all.ok()) << for_all.status();
  EXPECT_EQ(StepOf(for_all->flow, "volumes.restore.elsewhere").action().velero_restore().target_namespace(),
            "elsewhere");
  request_.asked.clear_namespace_();
  (*request_.asked.mutable_options())["uploads"].mutable_disk()->set_namespace_("third");
  const auto for_one = Compile();
  ASSERT_TRUE(for_one.ok()) << for_one.status();
  EXPECT_EQ(StepOf(for_one->flow, "volumes.restore.third").action().velero_restore().namespace_(), "shop");
}

TEST_F(ClusterRestore, OfACopyWithRewrites) {
  request_.asked.mutable_changes()->set_with_ingress(true);
  (*request_.asked.mutable_changes()->mutable_storage_classes())["fast"] = "slow";
  (*request_.asked.mutable_changes()->mutable_hosts())["shop.test"] = "copy.test";
  (*request_.asked.mutable_changes()->mutable_image_prefixes())["a.test/shop"] = "b.test";
  const auto plan = Compile();
  ASSERT_TRUE(plan.ok()) << plan.status();
  ExpectGolden("cluster-restore-rewrites", plan->flow, plan->effects);
  const v1::RestoreTransform& transform =
      StepOf(plan->flow, "volumes.restore.shop-copy").action().velero_restore().transform();
  EXPECT_FALSE(transform.leave_out_routes());
  EXPECT_EQ(transform.hosts().at("shop.test"), "copy.test");
}

TEST_F(ClusterRestore, ToItsOwnPlaceChangesNothingUnlessAsked) {
  to_["uploads"] = Claims("uploads", "shop", {"uploads"});
  request_.asked.set_to("shop");
  auto plan = Compile();
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_FALSE(StepOf(plan->flow, "volumes.restore.shop").action().velero_restore().has_transform());
  request_.asked.set_to("shop-copy");
  plan = Compile();
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(
      StepOf(plan->flow, "volumes.restore.shop").action().velero_restore().transform().suspend_schedules())
      << "another application in the same namespace is a copy, too";
}

TEST_F(ClusterRestore, RefusesChangesThatCannotBeAllAtOnce) {
  (*request_.asked.mutable_changes()->mutable_storage_classes())["Fast"] = "slow";
  (*request_.asked.mutable_changes()->mutable_hosts())["a.test"] = "a.test";
  EXPECT_THAT(Refused(), HasSubstr("changes.storageClasses.Fast: "));
  EXPECT_THAT(Refused(), HasSubstr("changes.hosts.a.test: stays what it is"));
  request_.asked.mutable_changes()->mutable_storage_classes()->clear();
  (*request_.asked.mutable_changes()->mutable_hosts())["a.test"] = "b.test";
  EXPECT_THAT(Refused(), HasSubstr("a copy leaves Ingresses and routes out | Add --with-ingress"));
}

TEST_F(ClusterRestore, NeedsATargetWithANamespace) {
  to_.clear();
  EXPECT_THAT(Refused(), HasSubstr("the target application has no component 'uploads'"));
  to_["uploads"] = Claims("uploads", "", {"uploads"});
  EXPECT_EQ(
      Refused(),
      "component uploads: the target says no namespace for it | Declare one in the target, or name it with "
      "--namespace.");
}

TEST_F(ClusterRestore, TakesNoOptionsOfHostsAndHostsNoneOfClusters) {
  request_.asked.set_disk_root("/srv/restored");
  EXPECT_THAT(Refused(), HasSubstr("options.uploads.disk.root: is for files of a host"));
  request_.asked.clear_disk_root();
  request_.asked.set_namespace_("Shop/../velero");
  EXPECT_THAT(Refused(), HasSubstr("options.uploads.disk.namespace: "));

  const v1::Manifest of_host = AManifest({FilesComponent()});
  RestoreRequest to_host = ARestoreRequest(of_host);
  to_host.asked.set_namespace_("shop-copy");
  EXPECT_THAT(
      ErrorText(CompileRestore(BuiltInStrategies(), to_host, {{"files", FilesComponent()}}, {}).status()),
      HasSubstr("namespace: backup 'backup-shop-20261121-101500-4f2a' has no volumes of a cluster"));
  to_host.asked.clear_namespace_();
  (*to_host.asked.mutable_options())["files"].mutable_disk()->set_namespace_("shop-copy");
  EXPECT_THAT(
      ErrorText(CompileRestore(BuiltInStrategies(), to_host, {{"files", FilesComponent()}}, {}).status()),
      HasSubstr("options.files.disk.namespace: is for claims of a cluster"));
}

TEST_F(ClusterRestore, OfTwoComponentsInOneNamespaceIsOneRestore) {
  Keep({Claims("uploads", "shop", {"uploads"}), Claims("mail", "shop", {"spool", "attic"})});
  to_["mail"] = Claims("mail", "shop-copy", {"spool", "attic"});
  const auto plan = Compile();
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(StepOf(plan->flow, "volumes.restore.shop-copy").action().velero_restore().volumes_size(), 3);

  to_["mail"] = Claims("mail", "post", {"spool", "attic"});
  EXPECT_THAT(Refused(),
              HasSubstr("components 'uploads' and 'mail' are both of namespace shop, and would go to "
                        "shop-copy and post"));
  EXPECT_THAT(
      Refused({"uploads"}),
      HasSubstr(
          "volume spool of shop of component 'mail' is of the same namespace, and would come back, too"));
}

TEST_F(ClusterRestore, OfTwoNamespacesIsARestoreOfEachAndNeverIntoOne) {
  Keep({Claims("uploads", "shop", {"uploads"}), Claims("mail", "post", {"spool"})});
  to_["mail"] = Claims("mail", "post-copy", {"spool"});
  const auto plan = Compile();
  ASSERT_TRUE(plan.ok()) << plan.status();
  const v1::Step& post = StepOf(plan->flow, "volumes.restore.post-copy");
  const v1::Step& shop = StepOf(plan->flow, "volumes.restore.shop-copy");
  EXPECT_EQ(post.action().velero_restore().name(), "restore-shop-1-post-copy");
  EXPECT_EQ(shop.action().velero_restore().name(), "restore-shop-1-shop-copy");
  std::vector<std::string> before;
  for (const v1::Edge& edge : shop.after()) before.push_back(edge.step());
  EXPECT_THAT(before, ElementsAre("volumes.check-target.post-copy", "volumes.check-target.shop-copy"))
      << "nothing is written before everything was looked at";
  EXPECT_TRUE(Compile({"mail"}).ok()) << "another namespace may stay out";

  to_["mail"] = Claims("mail", "shop-copy", {"spool"});
  EXPECT_THAT(Refused(), HasSubstr("namespaces post and shop would both go to shop-copy"));
}

TEST_F(ClusterRestore, NamesWhatTheBackupLacks) {
  Keep({Claims("uploads", "shop", {"uploads", "cache"})});
  manifest_.mutable_artifacts()->RemoveLast();
  v1::MissingArtifact* missing = manifest_.add_missing();
  missing->set_component("uploads");
  missing->set_title("volume cache of shop");
  missing->set_why("Velero skipped its data");
  EXPECT_THAT(Refused(),
              HasSubstr("is partial and lacks volume cache of shop of component uploads (Velero skipped "
                        "its data)"));
}

TEST_F(ClusterRestore, RefusesByNameWhatIsOfHostsBesideIt) {
  manifest_ = Kept({Claims("uploads", "shop", {"uploads"}), FilesComponent()});
  to_["files"] = FilesComponent();
  EXPECT_EQ(Refused(),
            "component 'files' is of hosts, and a restore of it to a cluster is not in this version yet");
  EXPECT_TRUE(Compile({"uploads"}).ok());
}

TEST_F(ClusterRestore, RunsNoChecksOfTheApplicationAndSaysSo) {
  *to_["uploads"].add_checks() =
      FromText<v1::ApplicationCheck>(R"(name: "front" http { url: "http://shop/" })");
  const auto plan = Compile();
  ASSERT_TRUE(plan.ok()) << plan.status();
  bool said = false;
  for (const v1::PlannedEffect& effect : plan->effects)
    said =
        said || (effect.verb() == "skip" && effect.subject() == "1 application check of component uploads");
  EXPECT_TRUE(said);
}

TEST_F(ClusterRestore, GoesToNoHosts) {
  request_.to_cluster = false;
  request_.environment = "host-a";
  EXPECT_EQ(
      Refused(),
      "backup 'shop-20261121-101500-4f2a' is of a cluster, and environment 'host-a' is a set of hosts | Restore "
      "to an application in an environment that is a cluster. What it holds is in Velero's Backup v-shop.");
}

TEST_F(ClusterRestore, NothingOfAHostGoesIntoAClusterYet) {
  const v1::Manifest of_host = AManifest({FilesComponent()});
  RestoreRequest request = ARestoreRequest(of_host);
  request.environment = "cluster-a";
  request.to_cluster = true;
  EXPECT_EQ(
      ErrorText(CompileRestore(BuiltInStrategies(), request, {{"files", FilesComponent()}}, {}).status()),
      "component 'files' is of hosts, and a restore of it to a cluster is not in this version yet");
}

v1::Component Database() {
  return FromText<v1::Component>(R"(name: "db" namespace: "shop"
    postgres { connection { service: "db" secret { name: "db-login" } } databases: "shop" })");
}

TEST_F(ClusterRestore, OfADatabaseGoesToTheServerThatTheTargetDeclares) {
  const v1::Manifest manifest = AManifest({Database()});
  RestoreRequest request = ARestoreRequest(manifest);
  request.environment = "cluster-a";
  request.to_cluster = true;
  v1::Component to = Database();
  to.set_namespace_("shop-b");
  to.mutable_postgres()->mutable_connection()->set_service("postgres");
  const auto plan = CompileRestore(BuiltInStrategies(), request, {{"db", to}}, {});
  ASSERT_TRUE(plan.ok()) << plan.status();
  const v1::Step& restore = StepOf(plan->flow, "db.restore.shop");
  EXPECT_EQ(restore.place(), "cluster");
  EXPECT_EQ(restore.action().postgres_restore().target().connection().host(), "postgres.shop-b.svc");
  EXPECT_EQ(restore.action().postgres_restore().target().connection().secret().namespace_(), "shop-b");
  for (const v1::Step& step : plan->flow.steps()) EXPECT_FALSE(step.action().has_velero_restore());
}

TEST_F(ClusterRestore, OfADatabaseAloneIsNoDrillThereYet) {
  const v1::Manifest manifest = AManifest({Database()});
  RestoreRequest request = ARestoreRequest(manifest);
  request.environment = "cluster-a";
  request.to_cluster = true;
  EXPECT_THAT(ErrorText(CompileDrill(BuiltInStrategies(), request).status()),
              HasSubstr("a drill there of what Velero does not keep is not in this version yet"));
}

}  // namespace
}  // namespace salvor::strategies
