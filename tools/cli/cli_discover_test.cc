// Proposing an application by what runs in a namespace: what is typed, what comes out.
#include <thread>

#include "base/text.h"
#include "tools/cli/testing/cli_fixture.h"
#include "tools/cli/testing/samples.h"

namespace salvor::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kCluster[] = R"(apiVersion: salvor.dev/v1
kind: Location
metadata: {name: vault}
spec: {restic: {repository: /srv/backup, passwordFile: /etc/salvor/restic.password}}
---
apiVersion: salvor.dev/v1
kind: Environment
metadata: {name: production}
spec: {runtime: Kubernetes, location: vault}
)";

// A shop as it grows: what is kept, what is a database, and what is neither.
constexpr char kShop[] = R"(
  namespace: "shop"
  claims { name: "data-db-0" phase: "Bound" storage_class: "fast" capacity: "20Gi" source: "csi"
           driver: "csi.example.com" method: VOLUME_METHOD_SNAPSHOT_MOVED }
  claims { name: "spare" phase: "Bound" capacity: "1Gi" source: "nfs" method: VOLUME_METHOD_FILE_SYSTEM }
  claims { name: "uploads.v2" phase: "Bound" capacity: "100Gi" source: "nfs" method: VOLUME_METHOD_FILE_SYSTEM }
  workloads { kind: "Deployment" name: "web" replicas: 2 running: 2
    containers { name: "main" image: "registry.example.com/shop/web:4.2" ports: 8080 }
    volumes { name: "cache" kind: "emptyDir" mounted_by: "main" }
    volumes { name: "data" kind: "persistentVolumeClaim" claims: "uploads.v2" mounted_by: "main" } }
  workloads { kind: "StatefulSet" name: "db" replicas: 1 running: 1 claim_templates: "data"
    containers { name: "postgres" image: "postgres:16-alpine" ports: 5432 }
    volumes { name: "data" kind: "persistentVolumeClaim" claims: "data-db-0" mounted_by: "postgres" } }
)";

v1::Run Looked(const std::string& name, const std::string& facts) {
  return FromText<v1::Run>("header { name: \"" + name +
                           R"(" kind: RUN_KIND_INSPECT environment: "production" }
    phase: RUN_PHASE_SUCCEEDED verdict: VERDICT_COMPLETE finished_at { seconds: 1795256140 }
    steps { id: "discover" title: "look what runs in shop" phase: STEP_PHASE_SUCCEEDED purpose: PURPOSE_PREFLIGHT
            result { discovery {)" +
                           facts + "} } }");
}

v1::Run Failed(const std::string& name, const std::string& reason, const std::string& step) {
  return FromText<v1::Run>("header { name: \"" + name +
                           R"(" kind: RUN_KIND_INSPECT environment: "production" }
    phase: RUN_PHASE_FAILED verdict: VERDICT_FAILED reason: ")" +
                           reason + "\" verdict_reason: \"" + reason +
                           "\" steps { id: \"discover\" purpose: PURPOSE_PREFLIGHT " + step + "}");
}

TEST_F(CliTest, DiscoverProposesADeclarationThatApplyTakesUnchanged) {
  const std::string cluster = WriteFile("cluster.yaml", kCluster);
  ASSERT_EQ(Run({"apply", "-f", cluster}).code, 0);
  control_.AddScript({Looked("inspect-1", kShop)});
  const Result proposed = Run({"discover", "--namespace", "shop"});
  EXPECT_EQ(proposed.code, 0) << proposed.err;
  ExpectGolden("discover_80.txt", proposed.out);
  ExpectFits(proposed.out, 80);
  EXPECT_THAT(proposed.err, HasSubstr("next: salvor apply -f FILE"));
  EXPECT_EQ(control_.last_discovery().environment(), "") << "the control plane knows which there is";
  EXPECT_EQ(control_.last_discovery().namespace_(), "shop");
  const std::string file = WriteFile("proposal.yaml", proposed.out);
  EXPECT_EQ(Run({"validate", "-f", cluster, "-f", file}).out, "3 objects valid\n");
  const Result applied = Run({"apply", "-f", file});
  EXPECT_EQ(applied.out, "application/shop created\n") << applied.err;
  EXPECT_EQ(Run({"apply", "-f", file}).out, "application/shop unchanged\n");
}

TEST_F(CliTest, DiscoverWarnsWhereThatNameIsDeclaredAlready) {
  ASSERT_EQ(Run({"apply", "-f", WriteFile("cluster.yaml", kCluster)}).code, 0);
  for (const char* run : {"inspect-1", "inspect-2", "inspect-3"}) control_.AddScript({Looked(run, kShop)});
  ASSERT_EQ(
      Run({"apply", "-f", WriteFile("proposal.yaml", Run({"discover", "--namespace", "shop"}).out)}).code, 0);
  const Result again = Run({"discover", "--namespace", "shop"});
  EXPECT_EQ(again.code, 0);
  EXPECT_THAT(again.err,
              HasSubstr("warning: application shop is declared already; to apply this replaces its"));
  EXPECT_THAT(again.out, HasSubstr("# Application shop is declared already"));
  const Result renamed =
      Run({"discover", "--namespace", "shop", "--application", "store", "--environment", "production"});
  EXPECT_THAT(renamed.out, AllOf(HasSubstr("\n  name: store\n"), Not(HasSubstr("declared already"))));
  EXPECT_EQ(control_.last_discovery().environment(), "production");
}

TEST_F(CliTest, DiscoverGivesTheFactsAsJson) {
  control_.AddScript({Looked("inspect-1", kShop)});
  const Result facts = Run({"discover", "--namespace", "shop", "-o", "json"});
  EXPECT_EQ(facts.code, 0);
  EXPECT_THAT(facts.out,
              AllOf(StartsWith("{\n \"namespace\": \"shop\""), HasSubstr("\"method\": \"SnapshotMoved\""),
                    HasSubstr("\"image\": \"postgres:16-alpine\"")));
  EXPECT_EQ(Run({"discover", "--namespace", "shop", "-o", "table"}).code, 2);
}

TEST_F(CliTest, DiscoverOfANamespaceWithoutClaimsProposesNothingAndSaysSo) {
  control_.AddScript({Looked("inspect-1", R"(namespace: "shop")")});
  const Result nothing = Run({"discover", "--namespace", "shop"});
  EXPECT_EQ(nothing.code, 0);
  for (const std::string& line : Split(nothing.out, '\n'))
    EXPECT_TRUE(line.empty() || line[0] == '#') << line;
  EXPECT_THAT(nothing.err, HasSubstr("nothing is proposed: no claim that could be kept is mounted"));
  EXPECT_EQ(Run({"validate", "-f", WriteFile("nothing.yaml", nothing.out)}).code, 8)
      << "there is nothing to apply";
}

// Whatever the cluster's people wrote, only comments come of it.
TEST_F(CliTest, DiscoverLetsNoNameOutOfItsComment) {
  const std::string hostile = R"(x\nkind: Location\n---\r\n\342\200\250spec: {})";
  control_.AddScript({Looked("inspect-1", R"(namespace: "shop"
    claims { name: "uploads" phase: "Bound" capacity: ")" +
                                              hostile + R"(" source: ")" + hostile + R"("
             method: VOLUME_METHOD_FILE_SYSTEM }
    claims { name: ")" + hostile + R"(" phase: "Bound" }
    workloads { kind: ")" + hostile + R"(" name: ")" +
                                              hostile + R"(" running: 1
      containers { name: "c" image: "postgres:)" +
                                              hostile + R"(" }
      volumes { name: "v" kind: "persistentVolumeClaim" claims: "uploads" mounted_by: "c" }
      volumes { name: ")" + hostile + R"(" kind: ")" +
                                              hostile + R"(" mounted_by: "c" } })")});
  const Result proposed = Run({"discover", "--namespace", "shop"});
  EXPECT_EQ(proposed.code, 0) << proposed.err;
  std::string data;
  for (const std::string& line : Split(proposed.out, '\n')) {
    const std::string_view text = Trim(line);
    if (!text.empty() && text[0] != '#') data += line + "\n";
  }
  EXPECT_EQ(data,
            "apiVersion: salvor.dev/v1\nkind: Application\nmetadata:\n  name: shop\nspec:\n"
            "  environment: production\n  namespace: shop\n  components:\n  - name: uploads\n    disk:\n"
            "      claims:\n      - uploads\n      method: FileSystem\n");
}

TEST_F(CliTest, DiscoverThatCouldNotLookSaysWhyAndWhatToDo) {
  control_.AddScript({Failed("inspect-1", "not started within 30.0s: no agent serves environment production",
                             "phase: STEP_PHASE_CANCELLED reason: \"not begun\"")});
  const Result away = Run({"discover", "--namespace", "shop"});
  EXPECT_EQ(away.code, 1);
  EXPECT_EQ(away.out, "");
  EXPECT_THAT(away.err,
              HasSubstr("error: discover what runs in shop\n"
                        "  cause: not started within 30.0s: no agent serves environment production\n"
                        "  hint: See whether an executor of that environment is connected: "));
  control_.AddScript({Failed(
      "inspect-2", "discover: list pods: forbidden",
      R"(phase: STEP_PHASE_FAILED result { error { reason: REASON_REFUSED message: "list pods: forbidden"
         hint: "Let Salvor look there: kubectl -n shop create rolebinding salvor" } })")});
  const Result forbidden = Run({"discover", "--namespace", "shop"});
  EXPECT_EQ(forbidden.code, 1);
  EXPECT_THAT(forbidden.err,
              AllOf(HasSubstr("list pods: forbidden"),
                    HasSubstr("hint: Let Salvor look there: kubectl -n shop create rolebinding")));
}

TEST_F(CliTest, DiscoverThatIsRefusedStartsNothing) {
  EXPECT_EQ(Run({"discover"}).code, 2) << "a namespace is needed";
  EXPECT_EQ(Run({"discover", "--namespace", "Shop!"}).code, 2);
  EXPECT_EQ(Run({"discover", "--namespace", "shop", "--application", "a b"}).code, 2);
  EXPECT_EQ(control_.last_discovery().namespace_(), "");
  control_.SetVersion("0.1.4");
  const Result old = Run({"discover", "--namespace", "shop"});
  EXPECT_EQ(old.code, 7);
  EXPECT_THAT(old.err, HasSubstr("version 0.1.4, does not know salvor discover"));
}

TEST_F(CliTest, DiscoverThatIsNotWaitedForSaysSoByItsCode) {
  v1::Run going = Looked("inspect-1", kShop);
  going.set_phase(v1::RUN_PHASE_RUNNING);
  going.clear_verdict();
  going.clear_finished_at();
  control_.AddScript({going, Looked("inspect-1", kShop)});
  control_.AddScript({going, Looked("inspect-1", kShop)});
  control_.Allow(1);
  EXPECT_EQ(Run({"discover", "--namespace", "shop", "--timeout", "300ms"}).code, 124);
  const int watched = control_.watches();
  std::thread somebody([&] {
    while (control_.watches() == watched) std::this_thread::yield();
    interrupts_.raised = true;
  });
  const Result stopped = Run({"discover", "--namespace", "shop"});
  somebody.join();
  EXPECT_EQ(stopped.code, 130);
  EXPECT_THAT(stopped.err, HasSubstr("stopped waiting; inspect-1 goes on"));
  EXPECT_EQ(stopped.out, "");
}

}  // namespace
}  // namespace salvor::cli
