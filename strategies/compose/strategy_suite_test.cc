// The suite of every strategy: a new one joins the list at the end.
#include <gmock/gmock.h>

#include <map>
#include <set>

#include "base/names.h"
#include "strategies/compose/compile.h"
#include "strategies/interface/strategy_testing.h"
#include "strategies/registry.h"

namespace salvor::strategies {
namespace {

v1::Component OtherFiles() {
  return FromText<v1::Component>(R"(name: "other" disk { paths: "/srv/other" })");
}

class EveryStrategy : public testing::TestWithParam<v1::Component (*)()> {
 protected:
  v1::Component Component() const { return GetParam()(); }
  const Strategy& TheStrategy() const { return *BuiltInStrategies().Find(Component()); }

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
    for (const v1::Step& step : fragment.steps) {
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
  if (component.has_mariadb()) {
    component.mutable_mariadb()->set_databases(0, std::string(64, 'd'));
    component.clear_checks();
  }
  const auto backup = CompileBackup(BuiltInStrategies(), {component}, AHeader(), ABackupRequest());
  EXPECT_TRUE(backup.ok()) << backup.status();
  const v1::Manifest manifest = AManifest({component});
  const std::string run =
      MakeRunName("restore", std::string(63, 'a'), absl::FromUnixSeconds(1795256100), 0xabcd);
  const auto drill = CompileDrill(BuiltInStrategies(), ARestoreRequest(manifest, run));
  EXPECT_TRUE(drill.ok()) << drill.status();
  EXPECT_TRUE(ValidateFlow(drill->flow).ok()) << ValidateFlow(drill->flow);
  const auto restore = CompileRestore(BuiltInStrategies(), ARestoreRequest(manifest, run),
                                      {{component.name(), component}}, {});
  EXPECT_TRUE(restore.ok()) << restore.status();
  EXPECT_TRUE(ValidateFlow(restore->flow).ok()) << ValidateFlow(restore->flow);
}

TEST_P(EveryStrategy, PointsOnlyBackWithinItsFragment) {
  for (const Fragment& fragment : AllFragments()) {
    std::set<std::string> earlier;
    for (const v1::Step& step : fragment.steps) {
      for (const v1::Edge& edge : step.after()) EXPECT_EQ(earlier.count(edge.step()), 1u) << step.id();
      for (const std::string& input : step.inputs()) EXPECT_EQ(earlier.count(input), 1u) << step.id();
      earlier.insert(step.id());
    }
  }
}

TEST_P(EveryStrategy, ProducesEveryPlannedArtifactInOneStep) {
  const Fragment fragment = Backup();
  std::set<std::string> captures, artifacts;
  for (const v1::Step& step : StepsFor(fragment, v1::PURPOSE_CAPTURE)) captures.insert(step.id());
  for (const v1::PlannedArtifact& planned : fragment.artifacts) {
    EXPECT_EQ(captures.count(planned.step()), 1u) << planned.artifact();
    EXPECT_EQ(planned.component(), Component().name());
    EXPECT_TRUE(artifacts.insert(planned.artifact()).second) << planned.artifact();
    EXPECT_FALSE(planned.title().empty());
  }
}

TEST_P(EveryStrategy, SaysWhatEachStepIsFor) {
  const std::set<v1::Purpose> backup = {v1::PURPOSE_PREFLIGHT, v1::PURPOSE_QUIESCE, v1::PURPOSE_CAPTURE};
  const std::set<v1::Purpose> restore = {v1::PURPOSE_PREFLIGHT, v1::PURPOSE_GUARD, v1::PURPOSE_RESTORE,
                                         v1::PURPOSE_VERIFY, v1::PURPOSE_CHECK};
  for (const v1::Step& step : Backup().steps) EXPECT_EQ(backup.count(step.purpose()), 1u) << step.id();
  for (const bool drill : {true, false}) {
    for (const v1::Step& step : Restore(drill).steps)
      EXPECT_EQ(restore.count(step.purpose()), 1u) << step.id();
  }
}

// Each writing step of the composed flow waits for every guardrail, of other components as well.
TEST_P(EveryStrategy, WritesNothingBeforeTheGuardrailsOfARestore) {
  const v1::Manifest manifest = AManifest({Component(), OtherFiles()});
  const auto plan =
      CompileRestore(BuiltInStrategies(), ARestoreRequest(manifest),
                     {{Component().name(), Component()}, {OtherFiles().name(), OtherFiles()}}, {});
  ASSERT_TRUE(plan.ok()) << plan.status();
  std::map<std::string, std::set<std::string>> ancestors;
  std::set<std::string> guardrails;
  for (const v1::Step& step : plan->flow.steps()) {
    for (const v1::Edge& edge : step.after()) {
      ancestors[step.id()].insert(edge.step());
      ancestors[step.id()].insert(ancestors[edge.step()].begin(), ancestors[edge.step()].end());
    }
    if (step.purpose() == v1::PURPOSE_GUARD) guardrails.insert(step.id());
  }
  EXPECT_FALSE(guardrails.empty());
  for (const v1::Step& step : plan->flow.steps()) {
    if (step.purpose() != v1::PURPOSE_RESTORE) continue;
    for (const std::string& guardrail : guardrails) {
      EXPECT_EQ(ancestors[step.id()].count(guardrail), 1u) << step.id() << " writes before " << guardrail;
    }
  }
}

TEST_P(EveryStrategy, RestoresWhatItKeeps) {
  const v1::Manifest manifest = AManifest({Component()});
  const auto drill = CompileDrill(BuiltInStrategies(), ARestoreRequest(manifest, "drill-shop-1"));
  EXPECT_TRUE(drill.ok()) << drill.status();
  const auto restore =
      CompileRestore(BuiltInStrategies(), ARestoreRequest(manifest), {{Component().name(), Component()}}, {});
  EXPECT_TRUE(restore.ok()) << restore.status();
}

TEST_P(EveryStrategy, AnswersTheSameToTheSameQuestion) {
  const auto first = CompileBackup(BuiltInStrategies(), {Component()}, AHeader(), ABackupRequest());
  const auto second = CompileBackup(BuiltInStrategies(), {Component()}, AHeader(), ABackupRequest());
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->flow.SerializeAsString(), second->flow.SerializeAsString());
}

INSTANTIATE_TEST_SUITE_P(Strategies, EveryStrategy,
                         testing::Values(DatabaseComponent, FilesComponent, DummyChain, MariadbDatabases,
                                         OwnProgram),
                         [](const auto& test) {
                           return std::string(BuiltInStrategies().Find(test.param())->Name());
                         });

}  // namespace
}  // namespace salvor::strategies
