#include "strategies/compose/compile.h"

#include <gmock/gmock.h>

#include "base/text.h"
#include "flows/graph/graces.h"
#include "strategies/compose/compile_testing.h"
#include "strategies/interface/strategy_testing.h"
#include "strategies/registry.h"

namespace salvor::strategies {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> EffectLines(const std::vector<v1::PlannedEffect>& effects) {
  return Split(EffectsText(effects), '\n');
}

const std::vector<v1::Component> kShop = {DatabaseComponent(), FilesComponent()};

std::map<std::string, v1::Component> OtherPlace() {
  v1::Component database = DatabaseComponent();
  database.mutable_postgres()->mutable_connection()->clear_socket_directory();
  database.mutable_postgres()->mutable_connection()->set_host("db2.example");
  return {{"db", database}, {"files", FilesComponent()}};
}

TEST(CompileBackup, CapturesEverythingAndWritesTheManifestLast) {
  const auto plan = CompileBackup(BuiltInStrategies(), kShop, AHeader(), ABackupRequest());
  ASSERT_TRUE(plan.ok()) << plan.status();
  ExpectGolden("backup", plan->flow, plan->effects);
}

TEST(CompileBackup, TellsTheManifestWhatWasPromisedAndFromWhat) {
  const auto plan = CompileBackup(BuiltInStrategies(), kShop, AHeader(), ABackupRequest());
  ASSERT_TRUE(plan.ok()) << plan.status();
  const v1::ManifestWrite& write = StepOf(plan->flow, "manifest.write").action().manifest_write();
  std::vector<std::string> planned;
  for (const v1::PlannedArtifact& one : write.planned()) {
    planned.push_back(one.step() + " " + one.artifact() + " " + one.title());
  }
  EXPECT_THAT(planned,
              ElementsAre("db.globals db.globals roles", "db.dump.shop db.dump.shop database shop",
                          "db.dump.shop-2 db.dump.shop-2 database Shop", "files.backup files.tree files"));
  EXPECT_EQ(write.manifest().components_size(), 2);
  EXPECT_EQ(write.manifest().application(), "shop");
}

TEST(CompileBackup, SaysWhereACopyMayShrinkUnseen) {
  std::vector<v1::Component> components = kShop;
  components[0].set_doubt_below("never");
  components[1].set_doubt_below("10%");
  const auto plan = CompileBackup(BuiltInStrategies(), components, AHeader(), ABackupRequest());
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(StepOf(plan->flow, "manifest.write").action().manifest_write().manifest().warnings(),
              ElementsAre("component db: doubtBelow is never, so a copy that shrank is not doubted"));
  EXPECT_THAT(EffectsText(plan->effects), HasSubstr("component db: doubtBelow is never"));
}

TEST(CompileBackup, WaitsOnlyForTheEndOfAChainThatKeepsNothing) {
  const auto plan = CompileBackup(BuiltInStrategies(), {DummyChain()}, AHeader(), ABackupRequest());
  ASSERT_TRUE(plan.ok()) << plan.status();
  ExpectGolden("backup-dummy", plan->flow, plan->effects);
}

TEST(CompileBackup, RefusesWhatCannotWork) {
  EXPECT_EQ(ErrorText(CompileBackup(BuiltInStrategies(), {}, AHeader(), ABackupRequest()).status()),
            "the application has no components");
  v1::Component broken = DatabaseComponent();
  broken.mutable_postgres()->clear_databases();
  EXPECT_EQ(ErrorText(CompileBackup(BuiltInStrategies(), {broken}, AHeader(), ABackupRequest()).status()),
            "component 'db': postgres.databases: needs at least one database | Correct the declaration, then "
            "apply it again.");
  broken.clear_strategy();
  EXPECT_EQ(ErrorText(CompileBackup(BuiltInStrategies(), {broken}, AHeader(), ABackupRequest()).status()),
            "component 'db' has no strategy that this version knows");
  v1::Component wordy = DatabaseComponent();
  wordy.mutable_checks(0)->mutable_sql()->set_query(std::string(70'000, 'x'));
  EXPECT_EQ(ErrorText(CompileBackup(BuiltInStrategies(), {wordy}, AHeader(), ABackupRequest()).status()),
            "component 'db': checks[0].sql.query: takes 68.4 KiB, and a component of that size could not be "
            "restored; shorten it, or split the component | Correct the declaration, then apply it again.");
}

TEST(CompileBackup, KeepsPayloadsSmallForManyDatabases) {
  v1::Component many = DatabaseComponent();
  many.clear_checks();
  many.mutable_postgres()->clear_databases();
  for (int i = 0; i < 300; ++i)
    many.mutable_postgres()->add_databases("tenant_database_" + std::to_string(i));
  EXPECT_TRUE(CompileBackup(BuiltInStrategies(), {many}, AHeader(), ABackupRequest()).ok());
  const v1::Manifest manifest = AManifest({many});
  const auto drill = CompileDrill(BuiltInStrategies(), ARestoreRequest(manifest, "drill-shop-1"));
  ASSERT_TRUE(drill.ok()) << drill.status();
  EXPECT_EQ(StepOf(drill->flow, "db.check-target-6").action().postgres_target_check().databases_size(), 50);
  EXPECT_EQ(StepOf(drill->flow, "db.restore-roles").after_size(), 6);
}

TEST(CompileBackup, ForgetsWhatRunsWithoutABackupLeft) {
  BackupRequest request = ABackupRequest();
  request.forget_runs = {"backup-shop-1"};
  const auto plan = CompileBackup(BuiltInStrategies(), kShop, AHeader(), request);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(StepOf(plan->flow, "location.open").action().location_open().forget_runs(),
              ElementsAre("backup-shop-1"));
}

TEST(CompileRestore, ComparesTheManifestWithWhatTheLocationHoldsAsFarAsItFits) {
  const v1::Manifest manifest = AManifest(kShop);
  const auto restore = CompileRestore(BuiltInStrategies(), ARestoreRequest(manifest), OtherPlace(), {"db"});
  ASSERT_TRUE(restore.ok()) << restore.status();
  const v1::ManifestCheck& check = StepOf(restore->flow, "manifest.check").action().manifest_check();
  EXPECT_EQ(check.manifest().SerializeAsString(), manifest.SerializeAsString());
  EXPECT_THAT(check.components(), ElementsAre("db"));
  EXPECT_FALSE(check.essentials_only());

  v1::Component many = DatabaseComponent();
  many.clear_checks();
  many.mutable_postgres()->clear_databases();
  for (int i = 0; i < 300; ++i)
    many.mutable_postgres()->add_databases("tenant_database_" + std::to_string(i));
  const v1::Manifest large = AManifest({many});
  const auto drill = CompileDrill(BuiltInStrategies(), ARestoreRequest(large, "drill-shop-1"));
  ASSERT_TRUE(drill.ok()) << drill.status();
  const v1::ManifestCheck& part = StepOf(drill->flow, "manifest.check").action().manifest_check();
  EXPECT_TRUE(part.essentials_only());
  EXPECT_GT(part.manifest().artifacts_size(), 100);
  EXPECT_EQ(part.manifest().artifacts_size() + part.artifacts_left_out(), large.artifacts_size());
}

TEST(CompileBackup, DumpsTheDatabasesOfOneServerOneAfterAnotherWhoeverTheyBelongTo) {
  v1::Component second = DatabaseComponent();
  second.set_name("db2");
  const auto plan =
      CompileBackup(BuiltInStrategies(), {DatabaseComponent(), second}, AHeader(), ABackupRequest());
  ASSERT_TRUE(plan.ok()) << plan.status();
  const auto key = [&](const std::string& step) { return StepOf(plan->flow, step).keys(1); };
  EXPECT_EQ(key("db.dump.shop").name(), "postgres:host-a//run/postgresql:5432");
  EXPECT_EQ(key("db.dump.shop").name(), key("db2.dump.shop").name());
  EXPECT_EQ(key("db.dump.shop").limit(), 1);
}

TEST(CompileBackup, NeverShowsTheRepositorysAddress) {
  BackupRequest request = ABackupRequest();
  request.location.set_repository("rest:https://user:hunter2@vault.example/");
  const auto plan = CompileBackup(BuiltInStrategies(), kShop, AHeader(), request);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(FlowText(plan->flow) + EffectsText(plan->effects), Not(HasSubstr("hunter2")));
}

TEST(CompileRestore, AsksEveryGuardrailBeforeAnythingIsWritten) {
  const v1::Manifest manifest = AManifest(kShop);
  RestoreRequest request = ARestoreRequest(manifest);
  (*request.asked.mutable_rename_databases())["shop"] = "shop_copy";
  request.asked.set_disk_root("/srv/restored");
  const auto plan = CompileRestore(BuiltInStrategies(), request, OtherPlace(), {});
  ASSERT_TRUE(plan.ok()) << plan.status();
  ExpectGolden("restore", plan->flow, plan->effects);
}

TEST(CompileRestore, KeepsGoingWhereItIsToldToAndSaysSoInItsPlan) {
  const v1::Manifest manifest = AManifest({DatabaseComponent(), FilesComponent()});
  RestoreRequest request = ARestoreRequest(manifest);
  const auto goes_on = [](const RestorePlan& plan) {
    int restores = 0, checks = 0, inputs = 0;
    for (const v1::Step& step : plan.flow.steps()) {
      restores += step.action().postgres_restore().keep_going() ? 1 : 0;
      checks += step.action().postgres_target_check().keep_going() ? 1 : 0;
      if (!step.action().has_postgres_verify()) continue;
      for (const std::string& input : step.inputs()) inputs += input.rfind("db.restore.", 0) == 0 ? 1 : 0;
    }
    return std::vector<int>{restores, checks, inputs};
  };
  const auto says_so = [](const RestorePlan& plan) {
    return std::any_of(plan.effects.begin(), plan.effects.end(), [](const v1::PlannedEffect& effect) {
      return effect.verb() == "skip" && effect.subject() == "parts that cannot be built";
    });
  };
  const auto stops = CompileRestore(BuiltInStrategies(), request, OtherPlace(), {});
  ASSERT_TRUE(stops.ok()) << stops.status();
  EXPECT_EQ(goes_on(*stops), (std::vector<int>{0, 0, 0}));
  EXPECT_FALSE(says_so(*stops));
  request.asked.set_keep_going(true);
  const auto plan = CompileRestore(BuiltInStrategies(), request, OtherPlace(), {});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(goes_on(*plan), (std::vector<int>{2, 1, 2})) << "each comparison knows what its restore left out";
  EXPECT_TRUE(says_so(*plan));
  const auto drill = CompileDrill(BuiltInStrategies(), request);
  ASSERT_TRUE(drill.ok()) << drill.status();
  EXPECT_EQ(goes_on(*drill), (std::vector<int>{0, 0, 0})) << "a drill leaves nothing out";
  EXPECT_FALSE(says_so(*drill));
}

TEST(CompileRestore, TakesTheChecksOfTheTargetWithItsNames) {
  const v1::Manifest manifest = AManifest({DatabaseComponent()});
  RestoreRequest request = ARestoreRequest(manifest);
  (*request.asked.mutable_rename_databases())["shop"] = "shop_copy";
  auto to = OtherPlace();
  to["db"].mutable_checks(0)->mutable_sql()->set_query("SELECT 1");
  const auto plan = CompileRestore(BuiltInStrategies(), request, to, {"db"});
  ASSERT_TRUE(plan.ok()) << plan.status();
  const v1::ApplicationChecks& checks =
      StepOf(plan->flow, "db.application-checks").action().application_checks();
  EXPECT_EQ(checks.checks(0).sql().query(), "SELECT 1");
  EXPECT_FALSE(checks.drill());
  EXPECT_EQ(checks.database_names().at("shop"), "shop_copy");
  EXPECT_EQ(checks.database_names().at("shop_copy"), "shop_copy");
  EXPECT_EQ(checks.postgres().connection().host(), "db2.example");
}

TEST(CompileRestore, ExchangesTwoDatabasesNames) {
  const v1::Manifest manifest = AManifest({DatabaseComponent()});
  RestoreRequest request = ARestoreRequest(manifest);
  (*request.asked.mutable_rename_databases())["shop"] = "Shop";
  (*request.asked.mutable_rename_databases())["Shop"] = "shop";
  const auto plan = CompileRestore(BuiltInStrategies(), request, OtherPlace(), {});
  ASSERT_TRUE(plan.ok()) << plan.status();
  const auto& names =
      StepOf(plan->flow, "db.application-checks").action().application_checks().database_names();
  EXPECT_EQ(names.at("shop"), "Shop");
  EXPECT_EQ(names.at("Shop"), "shop");
}

TEST(CompileRestore, RefusesAPartialBackupAndNamesWhatItLacks) {
  v1::Manifest manifest = AManifest(kShop);
  Lose(v1::Artifact::KIND_POSTGRES_DUMP, "shop", "db", "database shop", &manifest);
  Lose(v1::Artifact::KIND_TREE, "", "files", "files", &manifest);
  EXPECT_EQ(
      ErrorText(CompileRestore(BuiltInStrategies(), ARestoreRequest(manifest), OtherPlace(), {}).status()),
      "backup 'backup-shop-20261121-101500-4f2a' is partial and lacks database shop of component db "
      "(pg_dump: "
      "connection refused); files of component files (pg_dump: connection refused) | Choose a complete "
      "backup, or name the components to restore.");
}

TEST(CompileRestore, LeavesOutWhatWasNotChosen) {
  v1::Manifest manifest = AManifest(kShop);
  Lose(v1::Artifact::KIND_POSTGRES_DUMP, "shop", "db", "database shop", &manifest);
  auto to = OtherPlace();
  to.erase("db");
  const auto plan = CompileRestore(BuiltInStrategies(), ARestoreRequest(manifest), to, {"files"});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(FlowText(plan->flow), Not(HasSubstr("db.")));
}

TEST(CompileRestore, RefusesRequestsThatCannotBeMeant) {
  const v1::Manifest manifest = AManifest(kShop);
  const auto error = [&](auto change, std::map<std::string, v1::Component> to = OtherPlace(),
                         const std::vector<std::string>& components = {}) {
    RestoreRequest request = ARestoreRequest(manifest);
    change(&request, &to);
    return ErrorText(CompileRestore(BuiltInStrategies(), request, to, components).status());
  };
  using To = std::map<std::string, v1::Component>;
  EXPECT_EQ(error([](RestoreRequest* r, To*) { r->manifest = nullptr; }),
            "there is no manifest to restore from");
  EXPECT_EQ(error([](RestoreRequest* r, To*) { r->asked.set_disk_root("../srv"); }),
            "options.files.disk.root: path '../srv' must be absolute | Correct the options, then ask again.");
  EXPECT_EQ(
      error([](RestoreRequest*, To* to) { to->erase("files"); }),
      "the target application has no component 'files' | Declare it there, or name the components to restore "
      "and leave this one out.");
  EXPECT_EQ(error([](RestoreRequest*, To* to) { (*to)["files"] = DatabaseComponent(); }),
            "component 'files' is of kind disk in the backup and of another kind in the target");
  EXPECT_EQ(error([](RestoreRequest*, To*) {}, OtherPlace(), {"files", "fiels"}),
            "backup 'backup-shop-20261121-101500-4f2a' has no component 'fiels', it has db, files");
}

TEST(CompileRestore, RefusesTwoComponentsThatWouldMeetInOneDatabase) {
  v1::Component second = DatabaseComponent();
  second.set_name("db2");
  const v1::Manifest manifest = AManifest({DatabaseComponent(), second});
  auto to = OtherPlace();
  to["db2"] = to["db"];
  EXPECT_THAT(ErrorText(CompileRestore(BuiltInStrategies(), ARestoreRequest(manifest), to, {}).status()),
              HasSubstr("components 'db' and 'db2' would both restore database 'shop' to the same server"));
  to["db2"].mutable_postgres()->mutable_connection()->set_port(5433);
  EXPECT_TRUE(CompileRestore(BuiltInStrategies(), ARestoreRequest(manifest), to, {}).ok());
}

TEST(CompileRestore, RefusesTwoComponentsThatWouldMeetInOneFolder) {
  v1::Component second = FilesComponent();
  second.set_name("more");
  second.mutable_disk()->clear_paths();
  second.mutable_disk()->add_paths("/srv/more");
  const v1::Manifest manifest = AManifest({FilesComponent(), second});
  std::map<std::string, v1::Component> to = {{"files", FilesComponent()}, {"more", second}};
  EXPECT_TRUE(CompileRestore(BuiltInStrategies(), ARestoreRequest(manifest), to, {}).ok());
  to["more"].mutable_disk()->set_paths(0, "/srv/shop/more");
  EXPECT_THAT(ErrorText(CompileRestore(BuiltInStrategies(), ARestoreRequest(manifest), to, {}).status()),
              HasSubstr("components 'files' and 'more' would both restore files to /srv/shop/more"));
}

TEST(CompileRestore, ShowsWhereTheOtherApplicationsFilesGo) {
  const v1::Manifest manifest = AManifest({FilesComponent()});
  auto to = OtherPlace();
  to["files"].mutable_disk()->set_paths(0, "/srv/copy");
  const auto plan = CompileRestore(BuiltInStrategies(), ARestoreRequest(manifest), to, {});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(EffectLines(plan->effects),
              Contains(testing::AllOf(HasSubstr("create  files /srv/copy"),
                                      HasSubstr("which the target declares for /srv/shop"))));
}

TEST(CompileDrill, RestoresIntoAScratchPlaceThatIsAlwaysRemoved) {
  const v1::Manifest manifest = AManifest({DatabaseComponent(), FilesComponent(), DummyChain()});
  const auto plan = CompileDrill(BuiltInStrategies(), ARestoreRequest(manifest, "drill-shop-1"));
  ASSERT_TRUE(plan.ok()) << plan.status();
  ExpectGolden("drill", plan->flow, plan->effects);
  const v1::ScratchStart& scratch = StepOf(plan->flow, "scratch.start").action().scratch_start();
  EXPECT_EQ(scratch.engine(), "postgres");
  EXPECT_TRUE(scratch.postgres()) << "an agent of 0.1 reads nothing else";
  EXPECT_EQ(scratch.server_version_num(), 150018);
  EXPECT_EQ(scratch.expected_bytes(), int64_t{4} * 1'181'116'006 + 4096);
}

TEST(CompileDrill, CarriesTheEnvironmentsDemandForIsolation) {
  const v1::Manifest manifest = AManifest(kShop);
  RestoreRequest request = ARestoreRequest(manifest, "drill-shop-1");
  const auto demanded = [&request] {
    const auto plan = CompileDrill(BuiltInStrategies(), request);
    EXPECT_TRUE(plan.ok()) << plan.status();
    return plan.ok() && StepOf(plan->flow, "scratch.start").action().scratch_start().require_isolation();
  };
  EXPECT_FALSE(demanded());
  request.require_isolation = true;
  EXPECT_TRUE(demanded());
}

TEST(CompileDrill, NeverNamesAPlaceOutsideItsScratch) {
  const v1::Manifest manifest = AManifest(kShop);
  RestoreRequest request = ARestoreRequest(manifest, "drill-shop-1");
  request.to = DatabaseComponent();
  request.asked.set_disk_root("/srv");
  (*request.asked.mutable_rename_databases())["shop"] = "production";
  const auto plan = CompileDrill(BuiltInStrategies(), request);
  ASSERT_TRUE(plan.ok()) << plan.status();
  for (const v1::Step& step : plan->flow.steps()) {
    if (step.action().has_manifest_check())
      continue;  // compares the manifest, which names the original's places
    const std::string action = step.action().DebugString();
    EXPECT_THAT(action, Not(HasSubstr("connection {"))) << step.id();
    EXPECT_THAT(action, Not(HasSubstr("root:"))) << step.id();
    EXPECT_THAT(action, Not(HasSubstr("production"))) << step.id();
  }
}

TEST(CompileDrill, ProvesWhatIsThereAndSaysWhatIsNot) {
  v1::Manifest manifest = AManifest(kShop);
  Lose(v1::Artifact::KIND_POSTGRES_DUMP, "shop", "db", "database shop", &manifest);
  const auto plan = CompileDrill(BuiltInStrategies(), ARestoreRequest(manifest, "drill-shop-1"));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(FlowText(plan->flow), HasSubstr("db.restore.shop-2 "));
  EXPECT_THAT(FlowText(plan->flow), Not(HasSubstr("db.restore.shop ")));
  EXPECT_THAT(
      EffectLines(plan->effects),
      Contains(AllOf(HasSubstr("skip    database shop of db"),
                     HasSubstr("not in the backup (pg_dump: connection refused), so it cannot be proven"))));
}

TEST(CompileDrill, LetsOneComponentFailWithoutTheOthers) {
  const v1::Manifest manifest = AManifest(kShop);
  const auto plan = CompileDrill(BuiltInStrategies(), ARestoreRequest(manifest, "drill-shop-1"));
  ASSERT_TRUE(plan.ok()) << plan.status();
  const v1::Step& files = StepOf(plan->flow, "files.restore");
  ASSERT_EQ(files.after_size(), 1);
  EXPECT_EQ(files.after(0).step(), "files.check-target");
}

TEST(CompileDrill, LeavesAServersDatabasesOutWhenItsRolesAreLost) {
  v1::Manifest manifest = AManifest(kShop);
  Lose(v1::Artifact::KIND_POSTGRES_GLOBALS, "", "db", "roles", &manifest);
  const auto plan = CompileDrill(BuiltInStrategies(), ARestoreRequest(manifest, "drill-shop-1"));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(FlowText(plan->flow), Not(HasSubstr("db.")));
  EXPECT_EQ(StepOf(plan->flow, "scratch.start").action().scratch_start().engine(), "");

  v1::Manifest alone = AManifest({DatabaseComponent()});
  Lose(v1::Artifact::KIND_POSTGRES_GLOBALS, "", "db", "roles", &alone);
  EXPECT_THAT(ErrorText(CompileDrill(BuiltInStrategies(), ARestoreRequest(alone, "drill-shop-1")).status()),
              HasSubstr("is partial and lacks roles of component db"));
}

TEST(CompileDrill, NeedsNoScratchPlaceForNothing) {
  const v1::Manifest manifest = AManifest({DummyChain()});
  const auto plan = CompileDrill(BuiltInStrategies(), ARestoreRequest(manifest, "drill-x-1"));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(plan->flow.obligations(), IsEmpty());
  EXPECT_THAT(FlowText(plan->flow), Not(HasSubstr("scratch")));
}

TEST(ValidateFlow, NamesWhatIsWrong) {
  const auto error = [](const std::string& text) {
    return MessageOf(ValidateFlow(FromText<v1::Flow>(text)));
  };
  const std::string ab =
      R"(steps { id: "a" action { noop {} } } steps { id: "b" action { noop {} } after { step: "a" } )";
  EXPECT_EQ(error(ab + "}"), "");
  EXPECT_EQ(error(""), "the flow has no steps");
  EXPECT_EQ(error(R"(steps { id: "A b" action { noop {} } })"), "'A b' is no step id");
  EXPECT_EQ(error("steps { id: \"" + std::string(129, 'a') + "\" action { noop {} } }"),
            "'" + std::string(100, 'a') + "' is no step id");
  EXPECT_EQ(error(R"(steps { id: "a" })"), "step 'a' has no action");
  EXPECT_EQ(error(ab + R"(} steps { id: "a" action { noop {} } })"), "two steps have the id 'a'");
  EXPECT_EQ(error(ab + R"(after { step: "c" } })"), "step 'b' comes after 'c', which is not in the flow");
  EXPECT_EQ(error(ab + R"(after { step: "b" } })"), "step 'b' waits for itself, directly or through others");
  EXPECT_EQ(error(R"(steps { id: "a" action { noop {} } after { step: "b" } }
                     steps { id: "b" action { noop {} } after { step: "a" } })"),
            "step 'a' waits for itself, directly or through others");
  EXPECT_EQ(error(ab + R"(inputs: "a" })"), "");
  EXPECT_EQ(error(ab + R"(inputs: "b" })"),
            "step 'b' takes the result of 'b', which does not come before it");
  EXPECT_EQ(error(ab + R"(} steps { id: "c" action { noop {} } inputs: "a" })"),
            "step 'c' takes the result of 'a', which does not come before it");
  EXPECT_EQ(
      error(R"(steps { id: "a" action { noop { fail_with: ")" + std::string(65536, 'x') + "\" } } }"),
      "step 'a': its action has 8 B more than the 64.0 KiB that it may have, and 64.0 KiB are failWith");
}

TEST(ValidateFlow, NamesAllGracesThatMakeNoSense) {
  v1::Flow flow = FromText<v1::Flow>(R"(steps { id: "a" action { noop {} } })");
  EXPECT_TRUE(ValidateFlow(flow).ok()) << "flows of 0.1 have none";
  flow.mutable_graces()->set_cancel_answer_grace_ms(0);
  flow.mutable_graces()->set_retry_attempts(-1);
  EXPECT_EQ(MessageOf(ValidateFlow(flow)),
            "graces.cancel_answer_grace_ms is 0, and not from 1000 to 86400000; "
            "graces.retry_attempts is -1, and not from 1 to 1000");
}

TEST(Compile, EveryFlowHasItsGracesWrittenDown) {
  const v1::Manifest manifest = AManifest({FilesComponent()});
  const auto backup = CompileBackup(BuiltInStrategies(), {FilesComponent()}, AHeader(), ABackupRequest());
  const auto restore =
      CompileRestore(BuiltInStrategies(), ARestoreRequest(manifest), {{"files", FilesComponent()}}, {});
  const auto drill = CompileDrill(BuiltInStrategies(), ARestoreRequest(manifest, "drill-shop-1"));
  const std::string graces = flows::DefaultGraces().DebugString();
  EXPECT_EQ(backup->flow.graces().DebugString(), graces);
  EXPECT_EQ(restore->flow.graces().DebugString(), graces);
  EXPECT_EQ(drill->flow.graces().DebugString(), graces);
}

TEST(ValidateFlow, NamesWhatIsWrongWithObligations) {
  const auto error = [](const std::string& obligation, const std::string& release = "") {
    return MessageOf(ValidateFlow(FromText<v1::Flow>(
        R"(steps { id: "a" action { noop {} } } steps { id: "b" action { noop {} } after { step: "a" } }
           steps { id: "z" action { noop {} } )" +
        release + "} obligations { " + obligation + " }")));
  };
  const std::string good = R"(name: "o" opened_by: "a" released_by: "z" guards: "b" undo { noop {} })";
  EXPECT_EQ(error(good), "");
  EXPECT_EQ(error(good, R"(after { step: "a" })"),
            "step 'z' releases obligation 'o' and must not have edges");
  EXPECT_EQ(error(R"(opened_by: "a" released_by: "z")"), "an obligation has no name of its own: ''");
  EXPECT_EQ(error(good + "} obligations { " + good), "an obligation has no name of its own: 'o'");
  EXPECT_EQ(error(good + R"( guards: "x")"), "obligation 'o' names step 'x', which is not in the flow");
  EXPECT_EQ(error(good + R"( guards: "z")"),
            "obligation 'o' needs a release of its own, which it does not guard");
  EXPECT_EQ(error(R"(name: "o" opened_by: "a" released_by: "a")"),
            "obligation 'o' needs a release of its own, which it does not guard");
  EXPECT_EQ(error(good + R"(} obligations { name: "p" opened_by: "a" released_by: "b")"),
            "step 'b' releases obligation 'p' and must not have edges");
  EXPECT_EQ(error(good, R"(} steps { id: "y" action { noop {} } } obligations {
                           name: "p" opened_by: "a" released_by: "y" undo { noop {} } )"),
            "step 'a' opens more than one obligation");
  for (const char* undo : {"", "undo { noop { retryable: true } }"})
    EXPECT_EQ(error(R"(name: "o" opened_by: "a" released_by: "z" )" + std::string(undo)),
              "obligation 'o' is undone by another action than that of step 'z'")
        << undo;
}

TEST(ValidateFlow, RefusesAStepThatWouldWaitForAPersonForGood) {
  EXPECT_EQ(MessageOf(ValidateFlow(FromText<v1::Flow>(
                R"(steps { id: "a" action { noop {} } retry { on_exhausted: ON_EXHAUSTED_PAUSE } })"))),
            "step 'a' would pause, and nothing lets it go on");
}

TEST(Compile, RefusesAKindThatNobodyKnowsByItsName) {
  v1::Component component;
  component.set_name("c");
  component.mutable_extension()->PackFrom(v1::Metadata());
  const auto plan = CompileBackup(BuiltInStrategies(), {component}, AHeader(), ABackupRequest());
  EXPECT_EQ(MessageOf(plan.status()),
            "component 'c' is of kind salvor.v1.Metadata, which this version does not know");
}

// Holds an application still while it is captured.
class Quiescing final : public Strategy {
 public:
  std::string_view Name() const override { return "quiescing"; }
  bool IsOf(const v1::Component&) const override { return true; }
  std::vector<FieldProblem> Validate(const v1::Component&) const override { return {}; }
  StatusOr<Fragment> Backup(const v1::Component&, const BackupRequest&) const override { return Held(); }
  StatusOr<Fragment> Restore(const v1::Component&, const RestoreRequest&) const override { return Held(); }

 private:
  static Fragment Held() {
    Fragment fragment;
    for (const char* text :
         {R"(id: "c.quiesce" purpose: PURPOSE_QUIESCE action { noop {} })",
          R"(id: "c.copy" purpose: PURPOSE_CAPTURE action { noop {} } after { step: "c.quiesce" })",
          R"(id: "c.thaw" purpose: PURPOSE_UNDO action { noop {} })"}) {
      fragment.steps.push_back(FromText<v1::Step>(text));
    }
    fragment.obligations.push_back(FromText<v1::Obligation>(
        R"(name: "c.quiesced" opened_by: "c.quiesce" released_by: "c.thaw" guards: "c.copy" undo { noop {} })"));
    return fragment;
  }
};

TEST(Compile, AStrategysObligationIsInTheFlowAndWaitsForItsGuardsAlone) {
  std::vector<std::unique_ptr<const Strategy>> strategies;
  strategies.push_back(std::make_unique<Quiescing>());
  const StrategyRegistry registry(std::move(strategies));
  const v1::Component component = FromText<v1::Component>(R"(name: "c")");
  const auto backup = CompileBackup(registry, {component}, AHeader(), ABackupRequest());
  ASSERT_TRUE(backup.ok()) << backup.status();
  v1::Manifest manifest = AHeader();
  *manifest.add_components() = component;
  RestoreRequest request;
  request.run = "drill-1";
  request.manifest = &manifest;
  const auto restore = CompileRestore(registry, request, {{"c", component}}, {});
  const auto drill = CompileDrill(registry, request);
  ASSERT_TRUE(restore.ok() && drill.ok()) << restore.status() << drill.status();
  for (const v1::Flow& flow : {backup->flow, restore->flow, drill->flow}) {
    ASSERT_EQ(flow.obligations_size(), 1);
    EXPECT_EQ(flow.obligations(0).name(), "c.quiesced");
    EXPECT_THAT(StepOf(flow, "c.thaw").after(), IsEmpty());
    EXPECT_EQ(StepOf(flow, "c.quiesce").after_size(), 1) << "it waits for the run's beginning";
  }
}

}  // namespace
}  // namespace salvor::strategies
