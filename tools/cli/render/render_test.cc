// Screens are compared as whole texts: testdata/*.txt are the expected ones.
#include <gmock/gmock.h>

#include "tools/cli/render/graph.h"
#include "tools/cli/render/outcome.h"
#include "tools/cli/render/render_backup.h"
#include "tools/cli/render/render_objects.h"
#include "tools/cli/render/render_run.h"
#include "tools/cli/testing/samples.h"

namespace salvor::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(RunScreen, ShowsARunningBackupByWavesIn80And120ColumnsAndInAPipe) {
  ExpectGolden("run_running_80.txt", RenderRun(RunningBackup(), StyleOf(80)));
  ExpectFits(RenderRun(RunningBackup(), StyleOf(80)), 80);
  ExpectGolden("run_running_120.txt", RenderRun(RunningBackup(), StyleOf(120)));
  ExpectFits(RenderRun(RunningBackup(), StyleOf(120)), 120);
  ExpectGolden("run_running_pipe.txt", RenderRun(RunningBackup(), StyleOf(0)));
}

TEST(RunScreen, ShowsWhyAStepFailedAndWhatToDo) {
  ExpectGolden("run_partial_80.txt", RenderRun(PartialBackup(), StyleOf(80)));
}

TEST(RunScreen, ShowsChecksThatFailedAndThoseThatCouldNotBeMade) {
  ExpectGolden("run_disproven_80.txt", RenderRun(DisprovenDrill(), StyleOf(80)));
}

// Cancelling can't stop everything: the run and its step say what goes on, and the command that ends it.
TEST(RunScreen, OfACancelledRunSaysWhatGoesOnAndHowItIsTakenBack) {
  v1::Run run = PartialBackup();
  run.set_phase(v1::RUN_PHASE_CANCELLED);
  run.set_verdict(v1::VERDICT_CANCELLED);
  run.set_reason("cancelled by ann");
  run.set_verdict_reason("cancelled by ann");
  run.set_hint("Take it back while it is New or Queued: kubectl -n velero delete backups.velero.io b");
  v1::StepStatus& step = *run.mutable_steps(1);
  step.set_phase(v1::STEP_PHASE_CANCELLED);
  step.set_reason("stopped waiting for Velero's backup b, which is still in Velero's queue");
  step.mutable_result()->mutable_error()->set_message(step.reason());
  step.mutable_result()->mutable_error()->set_hint(run.hint());
  const std::string text = RenderRun(run, StyleOf(0));
  EXPECT_THAT(text, HasSubstr("\n  hint: Take it back while it is New or Queued: kubectl -n velero delete "
                              "backups.velero.io b\n"));
  EXPECT_THAT(text, HasSubstr("stopped waiting for Velero's backup b, which is still in Velero's queue\n"));
  EXPECT_THAT(text, HasSubstr(" hint: Take it back"));
}

TEST(RunScreen, WideAddsAgentsEdgesAndAbsoluteTimes) {
  Style style = StyleOf(120);
  style.wide = true;
  ExpectGolden("run_running_wide_120.txt", RenderRun(RunningBackup(), style));
}

TEST(RunScreen, PaintsStatesOnlyWhenAsked) {
  EXPECT_THAT(RenderRun(PartialBackup(), StyleOf(80)), Not(HasSubstr("\x1b")));
  Style style = StyleOf(80);
  style.color = true;
  EXPECT_THAT(RenderRun(PartialBackup(), style), HasSubstr("\x1b[31mfailed\x1b[0m"));
  ExpectFits(RenderRun(PartialBackup(), style), 80);
}

TEST(RunScreen, LetsNoNameSteerTheTerminal) {
  v1::Run run = PartialBackup();
  run.set_reason("evil \x1b]0;title\x07 text\nerror: forged");
  run.mutable_steps(0)->set_title("\x1b[2J");
  const std::string text = RenderRun(run, StyleOf(0));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, Not(HasSubstr("\x07")));
  EXPECT_THAT(text, HasSubstr("evil \\x1b]0;title\\x07 text error: forged"));
}

TEST(Graph, PutsEachStepOneWaveAfterTheLatestItWaitsFor) {
  EXPECT_THAT(Waves(RunningBackup().steps()),
              ElementsAre(ElementsAre(0), ElementsAre(1, 2), ElementsAre(3), ElementsAre(4)));
}

TEST(Graph, EndsOnACycleAndOnAnEdgeToNowhere) {
  const auto run = FromText<v1::Run>(R"(
    steps { id: "a" after { step: "b" } } steps { id: "b" after { step: "a" } }
    steps { id: "c" after { step: "nowhere" } })");
  EXPECT_THAT(Waves(run.steps()), ElementsAre(ElementsAre(2), ElementsAre(0, 1)));
}

TEST(RunTable, FitsATerminalByCuttingTheReasonAndIsWholeInAPipe) {
  v1::ListRunsResponse runs;
  *runs.add_runs() = RunningBackup();
  *runs.add_runs() = PartialBackup();
  *runs.add_runs() = DisprovenDrill();
  ExpectGolden("run_list_80.txt", RenderRunTable(runs, StyleOf(80)));
  ExpectFits(RenderRunTable(runs, StyleOf(80)), 80);
  ExpectGolden("run_list_120.txt", RenderRunTable(runs, StyleOf(120)));
  EXPECT_THAT(RenderRunTable(runs, StyleOf(40)), HasSubstr("\nbackup-shop-20261121-101500-4f2a  "));
  Style wide = StyleOf(0);
  wide.wide = true;
  ExpectGolden("run_list_wide_pipe.txt", RenderRunTable(runs, wide));
  EXPECT_THAT(RenderRunTable(runs, StyleOf(0)), Not(HasSubstr("…")));
}

TEST(RunTable, HasNoTitlesWhenNoneAreWanted) {
  v1::ListRunsResponse runs;
  *runs.add_runs() = RunningBackup();
  Style style = StyleOf(0);
  style.headers = false;
  EXPECT_EQ(RenderRunTable(runs, style),
            "backup-shop-20261121-101500-4f2a  backup  running  40s ago  40.0s  -\n");
}

TEST(Plan, SaysWhatWouldBeDoneAndByWhichSteps) {
  const auto plan = FromText<v1::CreateRunResponse>(R"(
    effects { verb: "create" subject: "database shop_old" detail: "from snapshot 1a2b3c4d, 3.10 GiB, 42 tables" }
    effects { verb: "refuse" subject: "/srv/shop/uploads" detail: "it exists and is not empty" }
    flow { steps { id: "db.check" title: "look at the target" }
           steps { id: "db.restore.shop" title: "restore database shop" after { step: "db.check" } }
           steps { id: "files.check" title: "look at the target" } })");
  ExpectGolden("plan_80.txt", RenderPlan(plan, StyleOf(80)));
}

TEST(BackupScreen, ShowsCoverageInstantsAndArtifacts) {
  ExpectGolden("backup_complete_80.txt", RenderBackup(CompleteBackup(), StyleOf(80)));
  ExpectFits(RenderBackup(CompleteBackup(), StyleOf(80)), 80);
  Style wide = StyleOf(120);
  wide.wide = true;
  ExpectGolden("backup_complete_wide_120.txt", RenderBackup(CompleteBackup(), wide));
}

TEST(BackupScreen, NamesWhatIsMissing) {
  ExpectGolden("backup_partial_80.txt", RenderBackup(PartialBackupRecord(), StyleOf(80)));
}

TEST(BackupScreen, AComponentOfWhichNothingWasKeptIsNotLeftOut) {
  v1::Backup backup = PartialBackupRecord();
  backup.mutable_manifest()->clear_artifacts();
  backup.mutable_manifest()->clear_components();
  EXPECT_THAT(RenderComponents(backup.manifest(), StyleOf(80)),
              HasSubstr("db         -             -     -       -      -  missing"));
}

v1::Backup ClusterBackup() {
  return FromText<v1::Backup>(R"(
    name: "shop-20261121-101500-4f2a" application: "shop" environment: "production" location: "vault"
    run: "backup-shop-20261121-101500-4f2a" coverage: COVERAGE_PARTIAL verification: VERIFICATION_UNPROVEN
    created_at { seconds: 1795256100 } finished_at { seconds: 1795256138 }
    manifest {
      components { name: "uploads" namespace: "shop" disk { claims: "uploads" claims: "logs" } }
      artifacts { component: "uploads" name: "uploads.volume.uploads" bytes: 12582912 keeper: KEEPER_VELERO
                  contents { word: "volume" role: ROLE_DATA counts { noun: "volume" number: 1 } }
                  velero { backup: "shop-20261121-101500-4f2a" namespace: "shop" claim: "uploads"
                           method: VOLUME_METHOD_FILE_SYSTEM }
                  consistent_at { seconds: 1795256110 } }
      missing { component: "uploads" title: "volume logs of shop" why: "no pod has it mounted" }
      velero { backup: "shop-20261121-101500-4f2a" velero_version: "v1.18.2" namespaces: "shop" objects: 42
               warnings: 1 }
    })");
}

TEST(BackupScreen, TellsTheVolumesThatVeleroKeeps) {
  ExpectGolden("backup_cluster_80.txt", RenderBackup(ClusterBackup(), StyleOf(80)));
  ExpectFits(RenderBackup(ClusterBackup(), StyleOf(80)), 80);
}

TEST(NextStep, OfAClustersBackupIsARestoreWhereItIsWholeAndNoDrillYet) {
  EXPECT_EQ(NextForBackup(ClusterBackup()), "") << "one that is partial is not restored";
  v1::Backup whole = ClusterBackup();
  whole.set_coverage(v1::Backup::COVERAGE_COMPLETE);
  EXPECT_EQ(NextForBackup(whole),
            "salvor restore create --backup shop-20261121-101500-4f2a --to shop --dry-run");
  v1::Backup running = ClusterBackup();
  running.set_coverage(v1::Backup::COVERAGE_RUNNING);
  EXPECT_EQ(NextForBackup(running), "salvor run watch backup-shop-20261121-101500-4f2a");
}

TEST(BackupScreen, ListsEveryVerificationAndNotTheNewestAlone) {
  v1::Backup backup = CompleteBackup();
  EXPECT_THAT(RenderBackup(backup, StyleOf(0)), Not(HasSubstr("verifications")));
  *backup.add_verifications() = FromText<v1::Verification>(
      R"(run: "drill-1" verdict: VERDICT_DISPROVEN reason: "db rows orders: 3 and 4" at { seconds: 1795256080 })");
  *backup.add_verifications() = FromText<v1::Verification>(
      R"(run: "drill-2" verdict: VERDICT_PROVEN at { seconds: 1795256130 } passed: 24 isolation: ISOLATION_HELD)");
  EXPECT_THAT(
      RenderBackup(backup, StyleOf(0)),
      HasSubstr("\nverifications\n"
                "VERIFIED  VERDICT    BY       ISOLATION  CHECKS                REASON\n"
                "60s ago   disproven  drill-1  -          -                     db rows orders: 3 and 4\n"
                "10s ago   proven     drill-2  held       24 checks: 24 passed  -\n"));
  ExpectFits(RenderBackup(backup, StyleOf(80)), 80);
}

TEST(BackupTable, ShowsSizeAgeAndStates) {
  v1::ListBackupsResponse backups;
  *backups.add_backups() = CompleteBackup();
  *backups.add_backups() = PartialBackupRecord();
  backups.mutable_backups(0)->set_verification(v1::Backup::VERIFICATION_PROVEN);
  ExpectGolden("backup_list_80.txt", RenderBackupTable(backups, StyleOf(80)));
  ExpectGolden("backup_list_120.txt", RenderBackupTable(backups, StyleOf(120)));
}

TEST(NextStep, FollowsTheStateOfTheBackup) {
  v1::Backup backup = CompleteBackup();
  EXPECT_EQ(NextForBackup(backup), "salvor drill create --backup backup-shop-20261121-101500-4f2a --wait");
  backup.set_verification(v1::Backup::VERIFICATION_PROVEN);
  EXPECT_EQ(NextForBackup(backup),
            "salvor restore create --backup backup-shop-20261121-101500-4f2a --to shop --dry-run");
  backup.set_verification(v1::Backup::VERIFICATION_DISPROVEN);
  backup.set_proven_by("drill-7");
  EXPECT_EQ(NextForBackup(backup), "salvor run show drill-7");
  backup.set_coverage(v1::Backup::COVERAGE_RUNNING);
  EXPECT_EQ(NextForBackup(backup), "salvor run watch backup-shop-20261121-101500-4f2a");
}

TEST(AgentTable, ShowsWhoIsConnected) {
  const auto agents = FromText<v1::ListAgentsResponse>(R"(
    agents { name: "vps-1" environment: "vps-1" runtime: RUNTIME_HOST version: "0.1.0" connected: true running: 2
             host: "vps-1.example" last_seen_at { seconds: 1795256139 } }
    agents { name: "vps-2" environment: "vps-2" runtime: RUNTIME_HOST last_seen_at { seconds: 1795169740 } }
    agents { name: "salvor-executor-0" environment: "production" runtime: RUNTIME_KUBERNETES connected: true
             kind: AGENT_KIND_EXECUTOR last_seen_at { seconds: 1795256139 } }
    agents { name: "salvor-node-a" environment: "production" runtime: RUNTIME_KUBERNETES connected: true
             kind: AGENT_KIND_NODE last_seen_at { seconds: 1795256139 } })");
  ExpectGolden("agents_80.txt", RenderAgentTable(agents, StyleOf(80)));
}

TEST(AgentTable, ShowsLabelsByNameWhereItIsWideAndNoneOfTheirControlCharacters) {
  const auto agents = FromText<v1::ListAgentsResponse>(R"(
    agents { name: "a" labels { key: "rack" value: "7" } labels { key: "disk" value: "größe 100%\033[2J" } })");
  Style wide = StyleOf(0);
  wide.wide = true;
  const std::string table = RenderAgentTable(agents, wide);
  EXPECT_NE(table.find("disk=größe 100%\\x1b[2J,rack=7\n"), std::string::npos) << table;
  EXPECT_EQ(RenderAgentTable(agents, StyleOf(0)).find("rack"), std::string::npos);
}

TEST(ObjectTable, HasTheColumnsOfItsKind) {
  std::vector<v1::Object> objects = {FromText<v1::Object>(R"(
    metadata { name: "shop" generation: 3 }
    application { environment: "vps-1" driver: "shop" components { name: "db" postgres { } }
                  components { name: "files" disk { } } })")};
  EXPECT_EQ(RenderObjectTable(objects, StyleOf(0)),
            "NAME  ENVIRONMENT  DRIVER  LOCATION  COMPONENTS\n"
            "shop  vps-1        shop    -         db (postgres), files (disk)\n");
  objects.push_back(FromText<v1::Object>(R"(metadata { name: "main" generation: 1 } location { })"));
  EXPECT_EQ(RenderObjectTable(objects, StyleOf(0)),
            "KIND         NAME  GENERATION\n"
            "Application  shop           3\n"
            "Location     main           1\n");
}

TEST(Kinds, AreKnownInAnyCaseAndNumberAndOthersAreExplained) {
  for (const char* word : {"application", "Applications", "APPLICATION"}) {
    EXPECT_EQ(KindNamed(word).value(), "Application") << word;
  }
  EXPECT_EQ(KindNamed("all").value(), "");
  EXPECT_EQ(HintOf(KindNamed("backups").status()), "Use `salvor backup list`.");
  EXPECT_THAT(MessageOf(KindNamed("aplication").status()), HasSubstr("did you mean 'application'?"));
}

}  // namespace
}  // namespace salvor::cli
