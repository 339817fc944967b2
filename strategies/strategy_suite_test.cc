// What must hold of every strategy: a new one joins the list at the end.
#include <gmock/gmock.h>

#include <set>

#include "base/names.h"
#include "strategies/compile.h"
#include "strategies/strategy_testing.h"

namespace salvor::strategies {
namespace {

class EveryStrategy : public testing::TestWithParam<v1::Component (*)()> {
 protected:
  v1::Component Component() const { return GetParam()(); }
  const Strategy& TheStrategy() const { return *StrategyOf(Component()); }

  Fragment Backup() const { return Value(TheStrategy().Backup(Component(), ABackupRequest())); }
  Fragment Restore(bool drill) const {
    const v1::Manifest manifest = AManifest({Component()});
    RestoreRequest request = ARestoreRequest(manifest);
    request.drill = drill;
    if (!drill) request.to = Component();
    return Value(TheStrategy().Restore(Component(), request));
  }

  static Fragment Value(StatusOr<Fragment> fragment) {
    EXPECT_TRUE(fragment.ok()) << fragment.status();
    return fragment.ok() ? *std::move(fragment) : Fragment();
  }
  static std::vector<v1::Step> StepsOf(const Fragment& fragment) {
    std::vector<v1::Step> steps = fragment.before;
    steps.insert(steps.end(), fragment.capture.begin(), fragment.capture.end());
    steps.insert(steps.end(), fragment.after.begin(), fragment.after.end());
    return steps;
  }
  std::vector<Fragment> AllFragments() const { return {Backup(), Restore(true), Restore(false)}; }
};

TEST_P(EveryStrategy, IsNamedLikeItsFieldInAComponent) {
  const auto* strategies = v1::Component::descriptor()->FindOneofByName("strategy");
  const v1::Component component = Component();
  EXPECT_EQ(component.GetReflection()->GetOneofFieldDescriptor(component, strategies)->name(),
            TheStrategy().Name());
}

TEST_P(EveryStrategy, FindsNothingWrongWithAGoodDeclaration) {
  EXPECT_THAT(ProblemLines(TheStrategy().Validate(Component())), testing::IsEmpty());
}

TEST_P(EveryStrategy, NamesItsStepsAfterTheComponentAndForPeople) {
  for (const Fragment& fragment : AllFragments()) {
    std::set<std::string> ids;
    for (const v1::Step& step : StepsOf(fragment)) {
      EXPECT_EQ(step.id().rfind(Component().name() + ".", 0), 0u) << step.id();
      EXPECT_EQ(step.component(), Component().name()) << step.id();
      EXPECT_FALSE(step.title().empty()) << step.id();
      EXPECT_LE(step.title().size(), 100u) << step.id();
      EXPECT_TRUE(ids.insert(step.id()).second) << step.id();
      EXPECT_FALSE(step.movable()) << step.id();
    }
  }
}

TEST_P(EveryStrategy, StaysWithinAStepIdsLengthForTheLongestNames) {
  v1::Component component = Component();
  component.set_name(std::string(63, 'c'));
  if (component.has_postgres()) {
    component.mutable_postgres()->clear_databases();
    for (const char last : {'a', 'b', 'c'}) {
      component.mutable_postgres()->add_databases(std::string(62, 'd') + last);
    }
    component.clear_checks();
  }
  const auto backup = CompileBackup({component}, AHeader(), ABackupRequest());
  EXPECT_TRUE(backup.ok()) << backup.status();
  const v1::Manifest manifest = AManifest({component});
  const std::string run =
      MakeRunName("restore", std::string(63, 'a'), absl::FromUnixSeconds(1795256100), 0xabcd);
  const auto drill = CompileDrill(ARestoreRequest(manifest, run));
  EXPECT_TRUE(drill.ok()) << drill.status();
  EXPECT_TRUE(ValidateFlow(drill->flow).ok()) << ValidateFlow(drill->flow);
  const auto restore = CompileRestore(ARestoreRequest(manifest, run), {{component.name(), component}}, {});
  EXPECT_TRUE(restore.ok()) << restore.status();
  EXPECT_TRUE(ValidateFlow(restore->flow).ok()) << ValidateFlow(restore->flow);
}

TEST_P(EveryStrategy, PointsOnlyBackWithinItsFragment) {
  for (const Fragment& fragment : AllFragments()) {
    std::set<std::string> earlier;
    for (const v1::Step& step : StepsOf(fragment)) {
      for (const v1::Edge& edge : step.after()) EXPECT_EQ(earlier.count(edge.step()), 1u) << step.id();
      for (const std::string& input : step.inputs()) EXPECT_EQ(earlier.count(input), 1u) << step.id();
      earlier.insert(step.id());
    }
  }
}

TEST_P(EveryStrategy, ProducesEveryPlannedArtifactInOneStep) {
  const Fragment fragment = Backup();
  std::set<std::string> captures, artifacts;
  for (const v1::Step& step : fragment.capture) captures.insert(step.id());
  for (const v1::PlannedArtifact& planned : fragment.artifacts) {
    EXPECT_EQ(captures.count(planned.step()), 1u) << planned.artifact();
    EXPECT_EQ(planned.component(), Component().name());
    EXPECT_TRUE(artifacts.insert(planned.artifact()).second) << planned.artifact();
    EXPECT_FALSE(planned.title().empty());
  }
}

TEST_P(EveryStrategy, WritesNothingBeforeTheGuardrailsOfARestore) {
  for (const bool drill : {true, false}) {
    for (const v1::Step& step : Restore(drill).before) {
      EXPECT_TRUE(step.action().has_postgres_target_check() || step.action().has_disk_target_check())
          << step.id();
    }
  }
}

TEST_P(EveryStrategy, RestoresWhatItKeeps) {
  const v1::Manifest manifest = AManifest({Component()});
  const auto drill = CompileDrill(ARestoreRequest(manifest, "drill-shop-1"));
  EXPECT_TRUE(drill.ok()) << drill.status();
  const auto restore = CompileRestore(ARestoreRequest(manifest), {{Component().name(), Component()}}, {});
  EXPECT_TRUE(restore.ok()) << restore.status();
}

TEST_P(EveryStrategy, AnswersTheSameToTheSameQuestion) {
  const auto first = CompileBackup({Component()}, AHeader(), ABackupRequest());
  const auto second = CompileBackup({Component()}, AHeader(), ABackupRequest());
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->flow.SerializeAsString(), second->flow.SerializeAsString());
}

INSTANTIATE_TEST_SUITE_P(Strategies, EveryStrategy,
                         testing::Values(DatabaseComponent, FilesComponent, DummyChain),
                         [](const auto& test) { return std::string(StrategyOf(test.param())->Name()); });

}  // namespace
}  // namespace salvor::strategies
