// Declarations and plans that are too large are refused, by the name of what to make smaller.
#include "strategies/compose/sizes.h"

#include <gmock/gmock.h>

#include "strategies/compose/compile.h"
#include "strategies/interface/strategy_testing.h"
#include "strategies/registry.h"

namespace salvor::strategies {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

v1::Component FilesOf(const std::string& name, int paths) {
  v1::Component component;
  component.set_name(name);
  for (int i = 0; i < paths; ++i)
    component.mutable_disk()->add_paths(fmt::format("/srv/{}/{:05}-{}", name, i, std::string(80, 'x')));
  return component;
}

StatusOr<BackupPlan> Backup(const std::vector<v1::Component>& components) {
  return CompileBackup(BuiltInStrategies(), components, AHeader(), ABackupRequest());
}

TEST(Sizes, AComponentThatIsAcceptedCanBeBackedUpAndRestored) {
  int most = 0;
  for (int paths = 1; paths < 1000; ++paths) {
    const v1::Component component = FilesOf("files", paths);
    if (FindTooLarge(component).has_value()) break;
    most = paths;
  }
  EXPECT_GT(most, 150);
  const v1::Component component = FilesOf("files", most);
  EXPECT_TRUE(Backup({component}).ok()) << Backup({component}).status();
  const v1::Manifest manifest = AManifest({component});
  const auto restore =
      CompileRestore(BuiltInStrategies(), ARestoreRequest(manifest), {{"files", component}}, {});
  EXPECT_TRUE(restore.ok()) << restore.status();
  const auto drill = CompileDrill(BuiltInStrategies(), ARestoreRequest(manifest, "drill-shop-1"));
  EXPECT_TRUE(drill.ok()) << drill.status();
}

TEST(Sizes, AComponentThatCouldNotBeRestoredIsNotBackedUp) {
  const auto plan = Backup({FilesOf("files", 400)});
  EXPECT_EQ(
      MessageOf(plan.status()),
      "component 'files': disk.paths: takes 37.9 KiB, and a component of that size could not be restored; "
      "shorten it, or split the component");
}

TEST(Sizes, AComponentsChecksCountToo) {
  v1::Component component = DatabaseComponent();
  EXPECT_FALSE(FindTooLarge(component).has_value());
  for (int i = 0; i < 70; ++i) {
    v1::ApplicationCheck* check = component.add_checks();
    check->set_name("check-" + std::to_string(i));
    check->mutable_sql()->set_query("SELECT '" + std::string(1000, 'x') + "'");
  }
  EXPECT_EQ(FindTooLarge(component)->field, "checks");
  component.mutable_checks(3)->mutable_sql()->set_query(std::string(100'000, 'x'));
  EXPECT_EQ(FindTooLarge(component)->field, "checks[3].sql.query");
}

TEST(Sizes, ADeclarationIsRefusedWhereItIsMade) {
  v1::Object driver;
  driver.mutable_metadata()->set_name("shop");
  *driver.mutable_driver()->add_components() = FilesComponent();
  *driver.mutable_driver()->add_components() = FilesOf("more", 400);
  std::vector<std::string> lines;
  for (const v1::Problem& problem : ValidateObjects(BuiltInStrategies(), {driver}, {}))
    lines.push_back(problem.field() + ": " + problem.message());
  EXPECT_THAT(lines, ElementsAre(HasSubstr("spec.components[1].disk.paths: takes 37.5 KiB")));
}

TEST(Sizes, EveryStepThatIsTooLargeIsNamedWithItsComponentAndWhatTakesTheRoom) {
  v1::Flow flow = Backup({FilesComponent()})->flow;
  const auto text = [&] { return MessageOf(CheckSizes(flow)) + " | " + HintOf(CheckSizes(flow)); };
  ASSERT_TRUE(CheckSizes(flow).ok());
  v1::Action& backup = *flow.mutable_steps(1)->mutable_action();
  *backup.mutable_disk_backup()->mutable_component() = FilesOf("files", 700).disk();
  EXPECT_EQ(
      text(),
      "step 'files.backup': its action has 3.78 KiB more than the 64.0 KiB that it may have, and 66.3 KiB are "
      "paths of component 'files' | Shorten paths of component 'files', or split the component.");
  v1::Manifest& manifest =
      *flow.mutable_steps(2)->mutable_action()->mutable_manifest_write()->mutable_manifest();
  *manifest.add_components() = FilesOf("more", 800);
  EXPECT_THAT(text(),
              HasSubstr("; step 'manifest.write': its action has 12.8 KiB more than the 64.0 KiB that it may "
                        "have, and 75.0 KiB are disk.paths of component 'more'"));
}

TEST(Sizes, OfManySmallComponentsNoneIsToBlame) {
  v1::Flow flow = Backup({FilesComponent()})->flow;
  v1::Manifest& manifest =
      *flow.mutable_steps(2)->mutable_action()->mutable_manifest_write()->mutable_manifest();
  for (int i = 0; i < 1000; ++i) *manifest.add_components() = FilesOf("files-" + std::to_string(i), 1);
  EXPECT_THAT(MessageOf(CheckSizes(flow)), HasSubstr(" are manifest.components"));
  EXPECT_EQ(HintOf(CheckSizes(flow)), "Shorten manifest.components, or split the application.");
}

TEST(Sizes, OfManyStepsThatAreTooLargeSomeAreNamed) {
  v1::Flow flow;
  for (int i = 0; i < 9; ++i) {
    v1::Step* step = flow.add_steps();
    step->set_id("s" + std::to_string(i));
    step->mutable_action()->mutable_noop()->set_fail_with(std::string(70'000, 'x'));
  }
  const std::string text = MessageOf(CheckSizes(flow));
  EXPECT_THAT(text, testing::AllOf(HasSubstr("'s4'"), testing::Not(HasSubstr("'s5'")),
                                   testing::EndsWith("; 4 more steps are too large")));
}

}  // namespace
}  // namespace salvor::strategies
