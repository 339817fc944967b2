// Starting, following, showing and cancelling runs: what is typed, what comes out.
#include <thread>

#include "base/text.h"
#include "tools/cli/terminal/live_region.h"
#include "tools/cli/testing/cli_fixture.h"
#include "tools/cli/testing/samples.h"

namespace salvor::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// First the run as it starts, then as it ended.
std::vector<v1::Run> ScriptTo(const v1::Run& end) {
  v1::Run begin = end;
  begin.set_phase(v1::RUN_PHASE_RUNNING);
  begin.clear_finished_at();
  begin.clear_reason();
  begin.clear_verdict();
  begin.clear_verdict_reason();
  begin.clear_verdict_hint();
  for (v1::StepStatus& step : *begin.mutable_steps()) {
    step.set_phase(v1::STEP_PHASE_PENDING);
    step.clear_result();
    step.clear_reason();
  }
  return {begin, end};
}

v1::Run SucceededBackup() {
  v1::Run run = PartialBackup();
  run.set_phase(v1::RUN_PHASE_SUCCEEDED);
  run.clear_reason();
  run.set_verdict(v1::VERDICT_COMPLETE);
  run.clear_verdict_reason();
  v1::StepStatus* audit = run.mutable_steps(1);
  audit->set_phase(v1::STEP_PHASE_SUCCEEDED);
  audit->set_attempt(1);
  audit->clear_reason();
  audit->clear_result();
  return run;
}

TEST_F(CliTest, BackupCreateWithoutWaitSaysHowToComeBack) {
  control_.AddScript(ScriptTo(SucceededBackup()));
  const Result result = Run({"backup", "create", "shop"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "started backup-shop-20261121-101500-4f2a\n");
  EXPECT_EQ(result.err, "next: salvor run watch backup-shop-20261121-101500-4f2a\n");
}

TEST_F(CliTest, BackupCreateWaitSaysEachChangeAndEndsWithTheAccount) {
  control_.AddScript(ScriptTo(SucceededBackup()));
  control_.PutBackup(CompleteBackup());
  const Result result = Run({"backup", "create", "shop", "--wait"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.err,
            "10:15:30 db.dump.shop succeeded 1/3 in 30.0s, 3.10 GiB, 1,204,233 rows\n"
            "10:15:03 db.dump.audit succeeded 2/3 in 3.0s\n"
            "10:15:38 manifest.write succeeded 3/3 in 2.0s\n"
            "10:15:38 run complete\n"
            "next: salvor drill create --backup backup-shop-20261121-101500-4f2a --wait\n");
  ExpectGolden("outcome_backup_complete_80.txt", result.out);
}

TEST_F(CliTest, BackupCreateWaitOfAPartialBackupIsThree) {
  control_.AddScript(ScriptTo(PartialBackup()));
  control_.PutBackup(PartialBackupRecord());
  const Result result = Run({"backup", "create", "shop", "--wait"});
  EXPECT_EQ(result.code, 3);
  ExpectGolden("outcome_backup_partial_80.txt", result.out);
  EXPECT_THAT(result.err, HasSubstr("error: the backup of shop is incomplete\n"
                                    "  cause: db.dump.audit: pg_dump: permission denied for table entries\n"
                                    "  hint: Grant SELECT on audit.entries to the role salvor.\n"
                                    "next: salvor run show backup-shop-20261121-101500-4f2a\n"));
}

TEST_F(CliTest, BackupOutputsForScriptsStandAloneOnStdout) {
  control_.AddScript(ScriptTo(SucceededBackup()));
  EXPECT_EQ(Run({"backup", "create", "shop", "-o", "name"}).out, "backup-shop-20261121-101500-4f2a\n");
  control_.PutBackup(CompleteBackup());
  const Result json = Run({"run", "watch", "backup-shop-20261121-101500-4f2a", "-o", "json"});
  EXPECT_EQ(json.code, 0);
  EXPECT_THAT(json.out,
              AllOf(StartsWith("{"), HasSubstr("\"phase\": \"Succeeded\""), Not(HasSubstr("COMPONENT"))));
  EXPECT_EQ(Run({"backup", "list", "-o", "name"}).out, "backup-shop-20261121-101500-4f2a\n");
}

TEST_F(CliTest, WaitingForANamePrintsTheNameAlone) {
  control_.AddScript(ScriptTo(SucceededBackup()));
  control_.PutBackup(CompleteBackup());
  const Result result = Run({"backup", "create", "shop", "--wait", "-o", "name"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "backup-shop-20261121-101500-4f2a\n");
}

TEST_F(CliTest, ListsOfNothingAreEmptyListsInOneEnvelope) {
  for (const char* noun : {"backup", "run"}) {
    EXPECT_EQ(Run({noun, "list", "-o", "json"}).out, "{\n \"items\": []\n}\n") << noun;
    EXPECT_EQ(Run({noun, "list", "-o", "yaml"}).out, "items: []\n") << noun;
  }
  EXPECT_THAT(Run({"agent", "list", "-o", "json"}).out, StartsWith("{\n \"items\": [\n"));
  EXPECT_EQ(Run({"get", "all", "-o", "json"}).out, "{\"items\":[]}\n");
}

TEST_F(CliTest, AListIsReadToItsEndOrToTheLimitWhateverThePages) {
  for (int i = 0; i < 5; ++i) {
    v1::Run run = SucceededBackup();
    run.mutable_header()->set_name("r" + std::to_string(i));
    control_.AddScript({run});
    v1::Backup backup = CompleteBackup();
    backup.set_name("b" + std::to_string(i));
    control_.PutBackup(backup);
  }
  EXPECT_EQ(Run({"run", "list", "-o", "name"}).out, "r0\nr1\nr2\nr3\nr4\n");
  EXPECT_EQ(Run({"run", "list", "-o", "name", "--limit", "3"}).out, "r0\nr1\nr2\n");
  EXPECT_EQ(Run({"backup", "list", "-o", "name"}).out, "b4\nb3\nb2\nb1\nb0\n");
  EXPECT_EQ(Run({"backup", "list", "-o", "name", "--limit", "1"}).out, "b4\n");
  EXPECT_EQ(Run({"run", "list", "--limit", "3"}).err, "the newest 3; there are more, see --limit\n");
  EXPECT_EQ(Run({"run", "list", "--limit", "5"}).err, "");
  EXPECT_EQ(Run({"run", "list", "--kind", "drill"}).err, "no runs\n");
  EXPECT_EQ(Run({"run", "list", "--phase", "asleep"}).code, 2);
  EXPECT_EQ(Run({"run", "list", "--verdict", "running"}).code, 2);
}

TEST_F(CliTest, AListShowsWhatADrillFound) {
  v1::Run drill = DisprovenDrill();
  drill.set_phase(v1::RUN_PHASE_SUCCEEDED);
  drill.clear_steps();  // as the control plane lists it
  control_.AddScript({drill});
  v1::Backup backup = CompleteBackup();
  backup.set_verification(v1::Backup::VERIFICATION_PROVEN);
  backup.set_proven_by("a-later-drill");
  control_.PutBackup(backup);
  EXPECT_THAT(Run({"run", "list"}).out, HasSubstr("drill-shop-20261121-101600-9c01  drill  disproven"));
  EXPECT_THAT(Run({"run", "list", "-o", "json"}).out, HasSubstr("\"verdict\": \"Disproven\""));
  control_.AddScript({SucceededBackup()});
  EXPECT_EQ(Run({"run", "list", "-o", "name", "--verdict", "disproven"}).out,
            "drill-shop-20261121-101600-9c01\n");
  EXPECT_EQ(Run({"run", "list", "-o", "name", "--verdict", "complete", "--verdict", "proven"}).out,
            "backup-shop-20261121-101500-4f2a\n");
  EXPECT_EQ(Run({"run", "list", "--verdict", "restored"}).err, "no runs\n");
}

TEST_F(CliTest, BackupShowKnowsTheLatestAndWhatToDoNext) {
  control_.PutBackup(CompleteBackup());
  const Result result = Run({"backup", "show", "latest:shop"});
  EXPECT_EQ(result.code, 0);
  ExpectGolden("backup_complete_80.txt", result.out);
  EXPECT_EQ(result.err, "next: salvor drill create --backup backup-shop-20261121-101500-4f2a --wait\n");
  EXPECT_EQ(Run({"backup", "show", "latest:nothing"}).code, 6);
}

TEST_F(CliTest, DrillThatFindsAFaultIsOneAndNamesIt) {
  control_.AddScript(ScriptTo(DisprovenDrill()));
  control_.PutBackup(CompleteBackup());
  const Result result = Run({"drill", "create", "--backup", "latest:shop", "--wait"});
  EXPECT_EQ(result.code, 1);
  ExpectGolden("outcome_drill_disproven_80.txt", result.out);
  EXPECT_THAT(result.err, HasSubstr("error: drill of backup-shop-20261121-101500-4f2a: 1 check failed\n"
                                    "  cause: db rows shop.public.orders\n"));
}

TEST_F(CliTest, DrillThatProvesIsZero) {
  control_.AddScript(ScriptTo(SucceededDrill()));
  control_.PutBackup(CompleteBackup());
  const Result result = Run({"drill", "create", "--backup", "latest:shop", "--wait"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, HasSubstr("verdict: proven (4 checks: 4 passed)\n"));
}

TEST_F(CliTest, RestoreDryRunShowsThePlanAndARefusalIsAConflict) {
  control_.SetPlan(FromText<v1::CreateRunResponse>(R"(
    effects { verb: "create" subject: "database shop_old" detail: "3.10 GiB, 42 tables" }
    flow { steps { id: "db.restore.shop" title: "restore database shop" } })"));
  const std::vector<std::string> arguments = {
      "restore",           "create",        "--backup",          "latest:shop", "--to",        "shop",
      "--rename-database", "shop=shop_old", "--rename-database", "a=b",         "--component", "db",
      "--dry-run"};
  const Result result = Run(arguments);
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out,
            "EFFECT  ON                 DETAIL\n"
            "create  database shop_old  3.10 GiB, 42 tables\n\n"
            "steps  1\n"
            "  1 ── db.restore.shop  restore database shop\n");
  EXPECT_EQ(result.err, "dry run: nothing was started\n");
  EXPECT_EQ(control_.last_restore().rename_databases().at("shop"), "shop_old");
  EXPECT_EQ(control_.last_restore().rename_databases_size(), 2);
  EXPECT_EQ(control_.last_restore().components_size(), 1);
  control_.SetPlan(FromText<v1::CreateRunResponse>(
      R"(effects { verb: "refuse" subject: "database shop" detail: "it exists" })"));
  const Result refused = Run(arguments);
  EXPECT_EQ(refused.code, 7);
  EXPECT_THAT(refused.err, HasSubstr("error: this would be refused: database shop\n  cause: it exists\n"));
}

TEST_F(CliTest, RestoreDryRunSaysWhatEachGuardrailSaid) {
  control_.SetPlan(FromText<v1::CreateRunResponse>(R"(
    run: "inspect-shop-20261121-101500-4f2a"
    effects { verb: "create" subject: "database shop" detail: "3.10 GiB, 42 tables" }
    flow { steps { id: "db.restore.shop" title: "restore database shop" } })"));
  v1::Run looked = FromText<v1::Run>(R"(
    header { name: "inspect-shop-20261121-101500-4f2a" kind: RUN_KIND_INSPECT application: "shop" }
    phase: RUN_PHASE_SUCCEEDED verdict: VERDICT_COMPLETE
    steps { id: "db.check-target" component: "db" title: "check target server" phase: STEP_PHASE_SUCCEEDED
            result { note: "2 roles will be created" warnings: "roles that exist stay as they are: a" } }
    steps { id: "files.check-target" component: "files" title: "check target folder"
            phase: STEP_PHASE_SUCCEEDED result { } })");
  control_.AddScript(ScriptTo(looked));
  const std::vector<std::string> arguments = {"restore", "create", "--backup", "latest:shop",
                                              "--to",    "shop",   "--dry-run"};
  const Result agreed = Run(arguments);
  EXPECT_EQ(agreed.code, 0) << agreed.err;
  EXPECT_TRUE(control_.last_restore().look());
  EXPECT_THAT(agreed.out, HasSubstr("looked at beforehand\n"
                                    "  agrees: db check target server: 2 roles will be created\n"
                                    "    warning: roles that exist stay as they are: a\n"
                                    "  agrees: files check target folder\n"));
  EXPECT_THAT(agreed.err, testing::EndsWith("dry run: nothing was written\n"));
  // A script has the plan alone.
  std::vector<std::string> as_data = arguments;
  as_data.insert(as_data.end(), {"-o", "json"});
  EXPECT_EQ(Run(as_data).code, 0);
  EXPECT_FALSE(control_.last_restore().look());
}

TEST_F(CliTest, RestoreDryRunThatWouldBeRefusedIsAConflictAndOneThatNobodyLookedAtIsNot) {
  const std::vector<std::string> arguments = {"restore", "create", "--backup", "latest:shop",
                                              "--to",    "shop",   "--dry-run"};
  v1::Run looked = FromText<v1::Run>(R"(
    header { name: "inspect-1" kind: RUN_KIND_INSPECT application: "shop" }
    phase: RUN_PHASE_FAILED verdict: VERDICT_FAILED reason: "db.check-target: database shop exists"
    steps { id: "db.check-target" component: "db" title: "check target server" phase: STEP_PHASE_FAILED
            result { error { reason: REASON_REFUSED message: "database shop exists"
                             hint: "Restore under another name." } } purpose: PURPOSE_GUARD })");
  control_.SetPlan(FromText<v1::CreateRunResponse>(R"(run: "inspect-1")"));
  control_.AddScript(ScriptTo(looked));
  const Result refused = Run(arguments);
  EXPECT_EQ(refused.code, 7);
  EXPECT_THAT(refused.out, HasSubstr("  refuses: db check target server: database shop exists\n"));
  EXPECT_THAT(refused.err, HasSubstr("error: this would be refused: database shop exists\n"));
  EXPECT_THAT(refused.err, HasSubstr("Restore under another name."));

  looked.mutable_header()->set_name("inspect-2");
  looked.set_reason("not started within 30.0s: no agent serves environment local");
  looked.set_verdict_reason(looked.reason());
  looked.mutable_steps(0)->set_phase(v1::STEP_PHASE_CANCELLED);
  looked.mutable_steps(0)->set_reason("not begun");
  looked.mutable_steps(0)->clear_result();
  control_.SetPlan(FromText<v1::CreateRunResponse>(R"(run: "inspect-2")"));
  control_.AddScript(ScriptTo(looked));
  const Result unseen = Run(arguments);
  EXPECT_EQ(unseen.code, 0) << "a plan is an answer too";
  EXPECT_THAT(unseen.out, HasSubstr("  did not look: db check target server: not begun\n"));
  EXPECT_THAT(unseen.err, HasSubstr("not looked at: not started within 30.0s: no agent serves"));
}

TEST_F(CliTest, RestoreDryRunTellsARefusalFromWhatWouldFail) {
  control_.SetPlan(FromText<v1::CreateRunResponse>(R"(run: "inspect-1")"));
  struct Case {
    const char* step;
    int code;
    const char* word;
  };
  int number = 0;
  for (const Case& one : {
           Case{R"(id: "manifest.check" purpose: PURPOSE_VERIFY phase: STEP_PHASE_FAILED
                   result { error { reason: REASON_FAILED message: "no repository" } })",
                1, "  fails: "},
           Case{R"(id: "manifest.check" purpose: PURPOSE_VERIFY phase: STEP_PHASE_FAILED
                   result { error { reason: REASON_REFUSED message: "wrong password" } })",
                1, "  fails: "},
           Case{R"(id: "manifest.check" purpose: PURPOSE_VERIFY phase: STEP_PHASE_SUCCEEDED
                   result { checks { verdict: VERDICT_FAILED compared: "it is another one" } })",
                1, "  fails: "},
           Case{R"(id: "db.check-target" purpose: PURPOSE_GUARD phase: STEP_PHASE_FAILED
                   result { error { reason: REASON_REFUSED } })",
                7, "  refuses: "},
           Case{R"(id: "db.check-target" purpose: PURPOSE_GUARD phase: STEP_PHASE_FAILED
                   result { error { reason: REASON_UNAVAILABLE message: "no answer" } })",
                0, "  did not look: "},
       }) {
    SCOPED_TRACE(one.step);
    v1::Run looked = FromText<v1::Run>(std::string(R"(
      header { kind: RUN_KIND_INSPECT application: "shop" } phase: RUN_PHASE_FAILED verdict: VERDICT_FAILED
      steps { title: "look" )") + one.step +
                                       " }");
    looked.mutable_header()->set_name("inspect-" + std::to_string(++number));
    control_.SetPlan(FromText<v1::CreateRunResponse>("run: \"" + looked.header().name() + "\""));
    control_.AddScript(ScriptTo(looked));
    const Result result = Run({"restore", "create", "--backup", "latest:shop", "--to", "shop", "--dry-run"});
    EXPECT_EQ(result.code, one.code) << result.err;
    EXPECT_THAT(result.out, HasSubstr(one.word));
    const int watched = Run({"run", "watch", looked.header().name()}).code;
    EXPECT_EQ(watched, one.code == 0 ? 1 : one.code);
  }
}

TEST_F(CliTest, WhatAnOlderControlPlaneWouldPassOverIsRefused) {
  control_.AddScript(ScriptTo(PartialRestore()));
  control_.SetVersion("0.1.3");
  const Result restore = Run({"restore", "create", "--backup", "latest:shop", "--to", "shop", "--option",
                              "files.disk.root=/srv/copy"});
  EXPECT_EQ(restore.code, 7) << restore.err;
  EXPECT_THAT(restore.err, HasSubstr("version 0.1.3, does not know --option"));
  const Result elsewhere =
      Run({"restore", "create", "--backup", "latest:shop", "--to", "shop", "--namespace", "shop-copy"});
  EXPECT_EQ(elsewhere.code, 7) << elsewhere.err;
  EXPECT_THAT(elsewhere.err, HasSubstr("version 0.1.3, does not know --namespace"));
  EXPECT_EQ(control_.last_restore().backup(), "") << "it was not asked to restore";
  EXPECT_EQ(Run({"run", "list", "--verdict", "disproven"}).code, 7);
  EXPECT_EQ(Run({"run", "list"}).code, 0);
}

TEST_F(CliTest, RestoreThatKeepsGoingIsThreeAndSaysWhatItLeftOut) {
  control_.AddScript(ScriptTo(PartialRestore()));
  const Result result =
      Run({"restore", "create", "--backup", "latest:shop", "--to", "shop", "--keep-going", "--wait"});
  EXPECT_EQ(result.code, 3);
  EXPECT_TRUE(control_.last_restore().keep_going());
  EXPECT_THAT(result.out, HasSubstr("could not be built\n  db shop, rows of table public.vouchers: new row"));
  EXPECT_THAT(result.err,
              HasSubstr("error: the restore of backup-shop-20261121-101500-4f2a to shop is partial\n"
                        "  cause: could not be built: rows of table public.vouchers"));
  EXPECT_EQ(Run({"run", "watch", "restore-shop-20261121-101600-9c01"}).code, 3);
  const Result shown = Run({"run", "show", "restore-shop-20261121-101600-9c01"});
  EXPECT_THAT(shown.out, HasSubstr("verdict      partial in"));
  EXPECT_THAT(shown.out, HasSubstr("could not be built\n  db shop, rows of table public.vouchers: new row"));
  const Result json = Run({"run", "show", "restore-shop-20261121-101600-9c01", "-o", "json"});
  EXPECT_THAT(json.out, HasSubstr("\"title\": \"foreign key public.orders orders_customer_fkey\""));
}

TEST_F(CliTest, RestoreKeepsGoingOnlyWhenToldTo) {
  control_.AddScript(ScriptTo(PartialRestore()));
  Run({"restore", "create", "--backup", "latest:shop", "--to", "shop"});
  EXPECT_FALSE(control_.last_restore().keep_going());
  EXPECT_THAT(Run({"restore", "create", "--help"}).out, HasSubstr("--keep-going"));
}

TEST_F(CliTest, RestoreTakesOptionsOfOneComponent) {
  control_.AddScript(ScriptTo(PartialRestore()));
  Run({"restore", "create", "--backup", "latest:shop", "--to", "shop", "--option",
       "files.disk.root=/srv/copy"});
  EXPECT_EQ(control_.last_restore().options().at("files").disk().root(), "/srv/copy");
  EXPECT_EQ(Run({"restore", "create", "--backup", "b", "--to", "a", "--option", "files=/srv"}).code, 2);
}

TEST_F(CliTest, RestoreTakesANamespace) {
  control_.AddScript(ScriptTo(PartialRestore()));
  EXPECT_EQ(Run({"restore", "create", "--backup", "b", "--to", "a", "--namespace", "Shop/Copy"}).code, 2);
  EXPECT_EQ(control_.last_restore().backup(), "");
  Run({"restore", "create", "--backup", "latest:shop", "--to", "shop", "--namespace", "shop-copy"});
  EXPECT_EQ(control_.last_restore().namespace_(), "shop-copy");
}

TEST_F(CliTest, RestoreRefusesARenameThatCannotBeMeant) {
  for (const char* rename : {"shop", "=x", "x=", "a=b=c", "a=-x"}) {
    EXPECT_EQ(Run({"restore", "create", "--backup", "b", "--to", "a", "--rename-database", rename}).code, 2)
        << rename;
  }
}

TEST_F(CliTest, RunCommandsListShowCancelAndLog) {
  const v1::Run run = RunningBackup();
  control_.AddScript({run});
  v1::LogLines lines;
  lines.set_step("db.dump.shop");
  v1::LogLine* line = lines.add_lines();
  line->mutable_at()->set_seconds(1795256102);
  line->set_source("pg_dump");
  line->set_text("reading \x1b[31mschemas");
  control_.PutLogs(run.header().name(), {lines});
  EXPECT_EQ(Run({"run", "list", "--active", "-o", "name"}).out, run.header().name() + "\n");
  ExpectGolden("run_running_pipe.txt", Run({"run", "show", run.header().name()}).out);
  EXPECT_EQ(Run({"run", "logs", run.header().name()}).out,
            "2026-11-21T10:15:02+00:00 db.dump.shop pg_dump reading \\x1b[31mschemas\n");
  EXPECT_EQ(Run({"run", "logs", run.header().name(), "--step", "x"}).out, "");
  const Result cancelled = Run({"run", "cancel", run.header().name(), "--reason", "wrong one"});
  EXPECT_EQ(cancelled.out, run.header().name() + " cancelling\n");
  EXPECT_EQ(Run({"run", "show", "nothing"}).code, 6);
}

TEST_F(CliTest, FollowedLogsGoOnOverBrokenStreamsUntilTheRunIsOverAndShowEachLineOnce) {
  control_.AddScript(ScriptTo(SucceededBackup()));
  const std::string run = SucceededBackup().header().name();
  v1::LogLines lines;
  lines.set_step("db.dump.shop");
  for (const char* text : {"one", "two", "two"}) lines.add_lines()->set_text(text);
  control_.PutLogs(run, {lines});
  control_.ForgetCursors();  // the first versions had none
  // The fake ends each stream after what there is, as a control plane does that stops.
  std::thread somebody([&] {
    while (control_.log_reads() < 2) std::this_thread::yield();
    control_.Finish();
  });
  const Result result = Run({"run", "logs", run, "-f", "--step", "db.dump.shop"});
  somebody.join();
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "-  one\n-  two\n-  two\n");
}

TEST_F(CliTest, FollowedLogsGoOnFromTheirCursorAfterEachBreakWithoutALineLostOrDoubled) {
  control_.AddScript(ScriptTo(SucceededBackup()));
  const std::string run = SucceededBackup().header().name();
  std::vector<v1::LogLines> logs;
  for (const char* text : {"one", "two", "same", "same", "same", "six"}) {
    v1::LogLines& lines = logs.emplace_back();
    lines.set_step("db.dump.shop");
    lines.add_lines()->set_text(text);
  }
  logs[1].set_step("another");
  control_.PutLogs(run, logs);
  control_.BreakLogsAfter(1);
  std::thread somebody([&] {
    while (control_.log_reads() < 6) std::this_thread::yield();
    control_.Finish();
  });
  const Result result = Run({"run", "logs", run, "-f", "--step", "db.dump.shop"});
  somebody.join();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "-  one\n-  same\n-  same\n-  same\n-  six\n");
}

TEST_F(CliTest, ATerminalGetsOneFrameRedrawnInPlaceThatNeverWraps) {
  tty_ = true;
  control_.AddScript(ScriptTo(SucceededBackup()));
  control_.PutBackup(CompleteBackup());
  const Result result = Run({"backup", "create", "shop", "--wait", "--color", "never"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.err, HasSubstr("\x1b[4A\r\x1b[J"));  // over the head and three steps
  EXPECT_THAT(result.err, HasSubstr("  ✓ db.dump.shop    30.0s, 3.10 GiB, 1,204,233 rows\n"));
  for (const std::string& line : Split(result.err, '\n')) EXPECT_LE(VisibleWidth(line), 80) << line;
}

TEST_F(CliTest, ADumbTerminalGetsLinesInstead) {
  tty_ = true;
  variables_["TERM"] = "dumb";
  control_.AddScript(ScriptTo(SucceededBackup()));
  control_.PutBackup(CompleteBackup());
  EXPECT_THAT(Run({"backup", "create", "shop", "--wait"}).err,
              AllOf(HasSubstr("manifest.write succeeded"), Not(HasSubstr("\x1b"))));
}

TEST_F(CliTest, InterruptStopsWaitingOnlyAndSaysHowToComeBack) {
  control_.AddScript(ScriptTo(SucceededBackup()));
  control_.Allow(1);
  std::thread somebody([&] {
    while (control_.watches() == 0) std::this_thread::yield();
    interrupts_.raised = true;
  });
  const Result result = Run({"backup", "create", "shop", "--wait"});
  somebody.join();
  EXPECT_EQ(result.code, 130);
  EXPECT_EQ(result.err,
            "\nstopped waiting; backup-shop-20261121-101500-4f2a goes on\n"
            "  come back:  salvor run watch backup-shop-20261121-101500-4f2a\n"
            "  stop it:    salvor run cancel backup-shop-20261121-101500-4f2a\n");
  EXPECT_FALSE(interrupts_.caught) << "Ctrl-C works as always afterwards";
}

TEST_F(CliTest, ADryRunThatIsNotWaitedForSaysSoByItsCode) {
  v1::Run looking = FromText<v1::Run>(
      R"(header { name: "inspect-1" kind: RUN_KIND_INSPECT application: "shop" } phase: RUN_PHASE_SUCCEEDED)");
  control_.SetPlan(FromText<v1::CreateRunResponse>(R"(
    run: "inspect-1" effects { verb: "create" subject: "database shop" })"));
  control_.AddScript(ScriptTo(looking));
  control_.Allow(1);
  const Result late = Run(
      {"restore", "create", "--backup", "latest:shop", "--to", "shop", "--dry-run", "--timeout", "300ms"});
  EXPECT_EQ(late.code, 124);
  EXPECT_THAT(late.out, HasSubstr("database shop")) << "the plan is there all the same";
  std::thread somebody([&] {
    while (control_.watches() < 2) std::this_thread::yield();
    interrupts_.raised = true;
  });
  const Result stopped = Run({"restore", "create", "--backup", "latest:shop", "--to", "shop", "--dry-run"});
  somebody.join();
  EXPECT_EQ(stopped.code, 130);
  EXPECT_THAT(stopped.err, HasSubstr("stopped waiting; inspect-1 goes on"));
}

TEST_F(CliTest, TimeoutStopsWaitingOnlyWith124) {
  control_.AddScript(ScriptTo(SucceededBackup()));
  control_.Allow(1);
  const Result result = Run({"backup", "create", "shop", "--wait", "--timeout", "300ms"});
  EXPECT_EQ(result.code, 124);
  EXPECT_EQ(result.err,
            "error: backup-shop-20261121-101500-4f2a is still running after 300ms\n"
            "  hint: It continues in the background: `salvor run watch backup-shop-20261121-101500-4f2a`.\n");
}

TEST_F(CliTest, WatchingGoesOnWhenTheControlPlaneRestarts) {
  control_.AddScript(ScriptTo(SucceededBackup()));
  control_.PutBackup(CompleteBackup());
  control_.Allow(1);
  std::thread somebody([&] {
    while (control_.watches() == 0) std::this_thread::yield();
    StopServer();
    control_.Allow(1000);
    StartServer();
  });
  const Result result = Run({"run", "watch", "backup-shop-20261121-101500-4f2a", "--timeout", "30s"});
  somebody.join();
  EXPECT_EQ(result.code, 0);
  EXPECT_GE(control_.watches(), 2);
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("control plane not reachable at unix://" + directory_ + "/s, waiting\n"),
                    HasSubstr("control plane reachable again\n"), HasSubstr("manifest.write succeeded 3/3")));
}

TEST_F(CliTest, AControlPlaneOfBeforeSendsTheWholeRunEachTimeAndIsUnderstood) {
  control_.ForgetChanges();
  control_.AddScript(ScriptTo(SucceededBackup()));
  control_.PutBackup(CompleteBackup());
  const Result result = Run({"backup", "create", "shop", "--wait"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.err,
              HasSubstr("10:15:38 manifest.write succeeded 3/3 in 2.0s\n10:15:38 run complete\n"));
  ExpectGolden("outcome_backup_complete_80.txt", result.out);
}

TEST_F(CliTest, WatchingARunThatIsNotThereEndsAtOnce) {
  const Result result = Run({"run", "watch", "nothing"});
  EXPECT_EQ(result.code, 6);
  EXPECT_EQ(result.err, "error: watch nothing\n  cause: there is no run 'nothing'\n");
}

}  // namespace
}  // namespace salvor::cli
