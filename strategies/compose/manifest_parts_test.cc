// No size of application is refused because its manifest is too large for one action.
#include "strategies/compose/manifest_parts.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "base/io/grpc/limits.h"
#include "strategies/compose/compile.h"
#include "strategies/compose/sizes.h"
#include "strategies/interface/strategy_testing.h"
#include "strategies/registry.h"

namespace salvor::strategies {
namespace {

using testing::HasSubstr;

std::vector<v1::Component> ManyFiles(int count, int paths) {
  std::vector<v1::Component> components;
  for (int i = 0; i < count; ++i) {
    v1::Component component;
    component.set_name(fmt::format("files-{}", i));
    component.set_doubt_below("never");
    for (int j = 0; j < paths; ++j)
      component.mutable_disk()->add_paths(fmt::format("/srv/{}/{}-{}", i, j, std::string(90, 'x')));
    components.push_back(std::move(component));
  }
  return components;
}

v1::Component ManyDatabases(int count) {
  v1::Component component = DatabaseComponent();
  component.mutable_postgres()->clear_databases();
  for (int i = 0; i < count; ++i) component.mutable_postgres()->add_databases(fmt::format("tenant_{:04}", i));
  component.mutable_checks(0)->mutable_sql()->set_database("tenant_0000");
  return component;
}

StatusOr<BackupPlan> Backup(const std::vector<v1::Component>& components) {
  return CompileBackup(BuiltInStrategies(), components, AHeader(), ABackupRequest());
}

const v1::Step& LastStep(const v1::Flow& flow) { return flow.steps(flow.steps_size() - 1); }

std::vector<v1::Step> PartsOf(const v1::Flow& flow) {
  std::vector<v1::Step> parts;
  for (const v1::Step& step : flow.steps()) {
    if (step.action().has_manifest_part()) parts.push_back(step);
  }
  return parts;
}

// Everything that the step is given: what stands in it and in its parts, as an agent puts it together.
v1::ManifestWrite Whole(const v1::Flow& flow) {
  v1::ManifestWrite whole = LastStep(flow).action().manifest_write();
  for (const v1::Step& step : PartsOf(flow)) {
    const v1::ManifestPart& part = step.action().manifest_part();
    whole.mutable_manifest()->mutable_components()->MergeFrom(part.components());
    whole.mutable_manifest()->mutable_warnings()->MergeFrom(part.warnings());
    whole.mutable_planned()->MergeFrom(part.planned());
  }
  return whole;
}

TEST(ManifestParts, AManifestThatFitsIsWrittenByOneStep) {
  const auto plan = Backup({DatabaseComponent(), FilesComponent()});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(PartsOf(plan->flow).empty());
  EXPECT_EQ(LastStep(plan->flow).action().manifest_write().manifest().components_size(), 2);
}

TEST(ManifestParts, WhatIsTooLargeForOneActionReachesTheManifestByOthers) {
  const std::vector<v1::Component> components = ManyFiles(300, 10);
  const auto plan = Backup(components);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const std::vector<v1::Step> parts = PartsOf(plan->flow);
  EXPECT_GT(parts.size(), 5u);
  const v1::Step& write = LastStep(plan->flow);
  EXPECT_EQ(write.id(), "manifest.write");
  EXPECT_LT(write.action().ByteSizeLong(), 1000u);
  EXPECT_EQ(write.action().manifest_write().manifest().application(), "shop");

  const v1::ManifestWrite whole = Whole(plan->flow);
  ASSERT_EQ(whole.manifest().components_size(), 300);
  for (int i = 0; i < 300; ++i)
    EXPECT_EQ(whole.manifest().components(i).SerializeAsString(),
              components[static_cast<size_t>(i)].SerializeAsString());
  EXPECT_EQ(whole.planned_size(), 300);
  EXPECT_EQ(whole.manifest().warnings_size(), 300);

  std::string before;
  for (const v1::Step& part : parts) {
    EXPECT_LT(before, part.id()) << "an agent goes by their names";
    before = part.id();
    EXPECT_EQ(part.purpose(), v1::PURPOSE_RECORD);
    EXPECT_EQ(part.after_size(), 1);
    EXPECT_EQ(part.after(0).step(), "location.open");
    EXPECT_THAT(write.inputs(), testing::Contains(part.id()));
    const bool waits = std::any_of(write.after().begin(), write.after().end(), [&](const v1::Edge& edge) {
      return edge.step() == part.id() && edge.condition() == v1::Edge::CONDITION_SUCCEEDED;
    });
    EXPECT_TRUE(waits) << "a manifest that lacks " << part.id() << " must not be written";
  }
}

TEST(ManifestParts, AServerOfManyDatabasesIsBackedUpRestoredAndDrilled) {
  const v1::Component component = ManyDatabases(900);
  const auto plan = Backup({component});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(Whole(plan->flow).planned_size(), 901);
  const v1::Manifest manifest = AManifest({component});
  const auto restore =
      CompileRestore(BuiltInStrategies(), ARestoreRequest(manifest), {{"db", component}}, {});
  EXPECT_TRUE(restore.ok()) << restore.status();
  const auto drill = CompileDrill(BuiltInStrategies(), ARestoreRequest(manifest, "drill-shop-1"));
  EXPECT_TRUE(drill.ok()) << drill.status();
}

TEST(ManifestParts, AComponentOfTheLargestSizeFitsIntoAPart) {
  v1::Component component = FilesComponent();
  v1::ApplicationCheck* check = component.add_checks();
  check->set_name("long");
  check->mutable_command()->add_argv("/usr/bin/true");
  for (size_t size = 40'000; !FindTooLarge(component).has_value(); size += 100) {
    check->mutable_command()->clear_argv();
    check->mutable_command()->add_argv("/usr/bin/true");
    check->mutable_command()->add_argv(std::string(size, 'x'));
    if (FindTooLarge(component).has_value()) break;
    v1::Component other = component;
    other.set_name("other");
    other.mutable_disk()->clear_paths();
    other.mutable_disk()->add_paths("/srv/other");
    ASSERT_TRUE(Backup({component, other}).ok()) << Backup({component, other}).status();
  }
}

TEST(ManifestParts, AManifestThatCannotBeKeptIsRefusedBeforeAnythingIsDone) {
  const auto plan = Backup(ManyFiles(1000, 30));
  EXPECT_THAT(MessageOf(plan.status()),
              HasSubstr("the manifest of 1000 components with 2000 artifacts would take about"));
  EXPECT_EQ(HintOf(plan.status()), "Split the application into several.");
  EXPECT_LT(kMostManifestBytes, kLargestResult)
      << "or a whole backup would be made, and then not be recorded";
}

}  // namespace
}  // namespace salvor::strategies
