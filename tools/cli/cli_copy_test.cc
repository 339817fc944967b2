// A restore on a cluster that makes a copy: what is asked for, and what a look beforehand says.
#include <gmock/gmock.h>

#include "tools/cli/testing/cli_fixture.h"
#include "tools/cli/testing/samples.h"

namespace salvor::cli {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> Copy(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"restore", "create", "--backup",    "latest:shop",
                                        "--to",    "shop",   "--namespace", "shop-copy"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST_F(CliTest, ACopyIsAskedForWithItsChanges) {
  control_.SetPlan(FromText<v1::CreateRunResponse>(R"(effects { verb: "create" subject: "a" })"));
  const Result plain = Run(Copy({"--dry-run", "-o", "json"}));
  EXPECT_EQ(plain.code, 0) << plain.err;
  EXPECT_FALSE(control_.last_restore().has_changes()) << "what is safe is up to the control plane";
  const Result all =
      Run(Copy({"--storage-class", "fast=slow", "--storage-class", "old=new", "--image-prefix",
                "a.test/shop=b.test", "--host", "shop.test=copy.test", "--with-ingress", "--keep-schedules",
                "--keep-load-balancers", "--keep-node-ports", "--dry-run", "-o", "json"}));
  EXPECT_EQ(all.code, 0) << all.err;
  const v1::RestoreChanges changes = control_.last_restore().changes();
  EXPECT_TRUE(changes.keep_schedules() && changes.keep_load_balancers() && changes.keep_node_ports() &&
              changes.with_ingress());
  EXPECT_EQ(changes.storage_classes().at("old"), "new");
  EXPECT_EQ(changes.image_prefixes().at("a.test/shop"), "b.test");
  EXPECT_EQ(changes.hosts().at("shop.test"), "copy.test");
}

TEST_F(CliTest, AChangeThatIsNoneIsRefusedBeforeAnybodyIsAsked) {
  const Result result = Run(Copy({"--host", "shop.test"}));
  EXPECT_NE(result.code, 0);
  EXPECT_THAT(result.err, HasSubstr("--host wants OLD=NEW, not 'shop.test'"));
  EXPECT_EQ(control_.last_restore().backup(), "");
}

TEST_F(CliTest, AChangeThatAnOlderControlPlaneWouldPassOverIsRefused) {
  control_.SetVersion("0.1.3");
  const Result result =
      Run({"restore", "create", "--backup", "latest:shop", "--to", "shop", "--with-ingress"});
  EXPECT_EQ(result.code, 7) << result.err;
  EXPECT_THAT(result.err, HasSubstr("version 0.1.3, does not know a change of objects"));
  EXPECT_EQ(control_.last_restore().backup(), "");
}

TEST_F(CliTest, ALookBeforehandSaysWhatBecomesOfEachObject) {
  control_.SetPlan(FromText<v1::CreateRunResponse>(R"(
    run: "inspect-shop-20261121-101500-4f2a"
    effects { verb: "change" subject: "CronJobs and Jobs of shop-copy" detail: "are suspended" })"));
  control_.AddScript({FromText<v1::Run>(R"(
    header { name: "inspect-shop-20261121-101500-4f2a" kind: RUN_KIND_INSPECT application: "shop" }
    phase: RUN_PHASE_SUCCEEDED verdict: VERDICT_COMPLETE
    steps { id: "volumes.check-target.shop-copy" title: "check namespace shop-copy" phase: STEP_PHASE_SUCCEEDED
            result { note: "creates 3 objects" warnings: "there already: Service db"
                     velero_restore_preview {
                       creates { kind: "batch/v1/CronJob" objects: 1 } objects: 3
                       changes { kind: "CronJob" name: "tick" field: "suspend" from: "false" to: "true" }
                       conflicts: "Service db" left_out: "Ingress front" } } })")});
  const Result result = Run(Copy({"--dry-run"}));
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("  agrees: check namespace shop-copy: creates 3 objects\n"
                                    "    warning: there already: Service db\n"
                                    "    create 1 CronJob\n"
                                    "    change CronJob tick: suspend: false → true\n"
                                    "    leave out Ingress front\n"
                                    "    there already Service db\n"));
}

}  // namespace
}  // namespace salvor::cli
