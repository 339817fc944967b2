#include "strategies/volumes/quiesce.h"

#include <gmock/gmock.h>

#include "strategies/interface/strategy_testing.h"
#include "strategies/volumes/volumes.h"

namespace salvor::strategies {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kWhole[] = R"(command: "freeze" command: "--fast" release: "thaw")";

v1::Component Declared(const std::string& quiesce, const std::string& hooks = "") {
  v1::Component component =
      FromText<v1::Component>(R"(name: "db" disk { claims: "data" } namespace: "shop")");
  if (!quiesce.empty()) *component.mutable_quiesce() = FromText<v1::Quiesce>(quiesce);
  component.set_hooks(hooks);
  return component;
}

std::vector<std::string> ProblemsOf(const v1::Component& component) {
  Problems problems;
  ValidateQuiesce(component, &problems);
  return ProblemLines(problems.Take());
}

TEST(Quiesce, IsTakenWhereItIsWhole) {
  EXPECT_THAT(ProblemsOf(Declared("")), IsEmpty());
  EXPECT_THAT(ProblemsOf(Declared("", "velero")), IsEmpty());
  EXPECT_THAT(ProblemsOf(Declared(kWhole)), IsEmpty());
  EXPECT_THAT(ProblemsOf(Declared(std::string(kWhole) + R"( deadline: "1h" container: "db"
                                                           labels { key: "app" value: "db" })")),
              IsEmpty());
}

TEST(Quiesce, IsRefusedByField) {
  struct Case {
    std::string quiesce, problem;
  };
  const std::string whole = kWhole;
  for (const Case& one : {
           Case{R"(release: "thaw")", "quiesce.command: needs a program (incomplete)"},
           Case{R"(command: "freeze")", "quiesce.release: needs a program (incomplete)"},
           Case{R"(command: "" release: "thaw")", "quiesce.command: needs a program (incomplete)"},
           Case{R"(command: "a\000b" release: "thaw")", "quiesce.command[0]: must have no NUL bytes"},
           Case{whole + R"( deadline: "soon")",
                "quiesce.deadline: 'soon' is not a duration of 2s to 1h; write it like 30s"},
           Case{whole + R"( deadline: "1s")",
                "quiesce.deadline: '1s' is not a duration of 2s to 1h; write it like 30s"},
           Case{whole + R"( deadline: "61m")",
                "quiesce.deadline: '61m' is not a duration of 2s to 1h; write it like 30s"},
           Case{whole + R"( labels { key: "" value: "db" })",
                "quiesce.labels: must be printable, and have a name each"},
       })
    EXPECT_THAT(ProblemsOf(Declared(one.quiesce)), ElementsAre(one.problem)) << one.quiesce;
  EXPECT_THAT(ProblemsOf(Declared(whole + R"( container: "-x")")),
              ElementsAre(HasSubstr("quiesce.container: ")));
  EXPECT_THAT(ProblemsOf(Declared(whole + " release: \"" + std::string(4096, 'x') + "\"")),
              ElementsAre(HasSubstr("put a script into the image")));
  EXPECT_THAT(ProblemsOf(Declared("", "restic")), ElementsAre(HasSubstr("hooks: 'restic' is not known")));
}

BackupRequest Request() {
  BackupRequest request = ABackupRequest();
  request.backup = "shop-1";
  request.environment = "cluster-a";
  request.cluster.emplace();
  return request;
}

ComponentVolumes Wanted(const std::string& name, const std::string& in_namespace,
                        const std::string& quiesce) {
  ComponentVolumes wanted{name, {{in_namespace, name}}};
  if (!quiesce.empty()) wanted.quiesce = FromText<v1::Quiesce>(quiesce);
  return wanted;
}

v1::Step StepNamed(const Fragment& fragment, const std::string& id) {
  for (const v1::Step& step : fragment.steps) {
    if (step.id() == id) return step;
  }
  ADD_FAILURE() << "no step " << id;
  return {};
}

std::vector<std::string> Before(const v1::Step& step) {
  std::vector<std::string> before;
  for (const v1::Edge& edge : step.after())
    before.push_back(edge.step() + (edge.condition() == v1::Edge::CONDITION_FINISHED ? " finished" : ""));
  return before;
}

TEST(Quiesce, HoldsPodsStillAfterTheDumpsAndVelerosTurnAndLetsThemGoBeforeTheBackupIsAwaited) {
  const auto fragment =
      KeepVolumes({Wanted("db", "shop", kWhole), Wanted("logs", "shop", "")}, AHeader(), Request(), {"dump"});
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  EXPECT_THAT(Before(StepNamed(*fragment, "volumes.turn.shop")),
              ElementsAre("volumes.preflight", "dump finished"));
  const v1::Step snapshot = StepNamed(*fragment, "volumes.snapshot.shop");
  EXPECT_EQ(snapshot.purpose(), v1::PURPOSE_QUIESCE);
  EXPECT_THAT(Before(snapshot), ElementsAre("volumes.turn.shop"));
  EXPECT_TRUE(snapshot.keys(0).exclusive()) << "no other backup of Salvor's takes the turn";
  const v1::VeleroSnapshot& action = snapshot.action().velero_snapshot();
  EXPECT_EQ(action.backup().volumes_size(), 2);
  EXPECT_FALSE(action.backup().must_exist());
  ASSERT_EQ(action.quiesces_size(), 1);
  EXPECT_EQ(action.quiesces(0).DebugString(), FromText<v1::PodQuiesce>(R"(
      component: "db" namespace: "shop" claims: "db" command: "freeze" command: "--fast" release: "thaw"
      deadline_ms: 30000)")
                                                  .DebugString());
  const v1::Step backup = StepNamed(*fragment, "volumes.backup.shop");
  EXPECT_THAT(Before(backup), ElementsAre("volumes.snapshot.shop"));
  EXPECT_THAT(backup.inputs(), ElementsAre("volumes.preflight", "volumes.snapshot.shop"));
  EXPECT_TRUE(backup.action().velero_backup().must_exist())
      << "another one would be of an application at work";
  EXPECT_FALSE(backup.keys(0).exclusive());
  EXPECT_EQ(StepNamed(*fragment, "volumes.preflight").action().velero_preflight().quiesces_size(), 1);
}

TEST(Quiesce, IsAnObligationThatNeedsNothingButTheReleases) {
  const auto fragment = KeepVolumes({Wanted("db", "shop", kWhole)}, AHeader(), Request(), {});
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  ASSERT_EQ(fragment->obligations.size(), 1u);
  const v1::Obligation& obligation = fragment->obligations[0];
  EXPECT_EQ(obligation.name(), "quiesce");
  EXPECT_EQ(obligation.opened_by(), "volumes.snapshot.shop");
  EXPECT_EQ(obligation.released_by(), "volumes.release.shop");
  EXPECT_THAT(obligation.guards(), ElementsAre("volumes.snapshot.shop"))
      << "an early release makes the snapshots worthless, and does not wait for the uploads";
  EXPECT_EQ(obligation.undo().velero_release().DebugString(), FromText<v1::VeleroRelease>(R"(
      cluster {} quiesces { component: "db" namespace: "shop" claims: "db" release: "thaw" })")
                                                                  .DebugString());
  const v1::Step release = StepNamed(*fragment, "volumes.release.shop");
  EXPECT_EQ(release.purpose(), v1::PURPOSE_UNDO);
  EXPECT_THAT(release.after(), IsEmpty());
  EXPECT_EQ(release.action().DebugString(), obligation.undo().DebugString());
  EXPECT_GT(obligation.deadline().seconds(),
            StepNamed(*fragment, "volumes.snapshot.shop").attempt_timeout().seconds());
}

TEST(Quiesce, OfOneNamespaceIsNotAtWorkWhileAnothersBackupIsMade) {
  const auto fragment =
      KeepVolumes({Wanted("a", "alpha", ""), Wanted("b", "beta", kWhole), Wanted("c", "gamma", kWhole)},
                  AHeader(), Request(), {});
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  EXPECT_THAT(Before(StepNamed(*fragment, "volumes.backup.alpha")), ElementsAre("volumes.preflight"));
  EXPECT_THAT(Before(StepNamed(*fragment, "volumes.turn.beta")),
              ElementsAre("volumes.preflight", "volumes.backup.alpha finished"));
  EXPECT_THAT(Before(StepNamed(*fragment, "volumes.turn.gamma")),
              ElementsAre("volumes.preflight", "volumes.backup.beta finished"));
  ASSERT_EQ(fragment->obligations.size(), 2u);
  EXPECT_EQ(fragment->obligations[0].name(), "quiesce.beta");
  EXPECT_EQ(fragment->obligations[1].name(), "quiesce.gamma");
}

TEST(Quiesce, OfNobodyLeavesTheBackupsAsTheyWere) {
  const auto fragment =
      KeepVolumes({Wanted("a", "alpha", ""), Wanted("b", "beta", "")}, AHeader(), Request(), {});
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  EXPECT_EQ(fragment->steps.size(), 3u);
  EXPECT_THAT(Before(StepNamed(*fragment, "volumes.backup.beta")), ElementsAre("volumes.preflight"));
  EXPECT_THAT(fragment->obligations, IsEmpty());
}

TEST(Quiesce, OfAComponentWithoutVolumesIsRefused) {
  ComponentVolumes nothing{"web", {}};
  nothing.quiesce = FromText<v1::Quiesce>(kWhole);
  const auto fragment = KeepVolumes({Wanted("db", "shop", ""), nothing}, AHeader(), Request(), {});
  EXPECT_THAT(fragment.status().ToString(), HasSubstr("component 'web' has no volumes"));
}

TEST(Hooks, AreAskedOfPreflightAndBackupByComponent) {
  ComponentVolumes relies = Wanted("db", "shop", "");
  relies.relies_on_hooks = true;
  const auto fragment = KeepVolumes({relies, Wanted("logs", "shop", "")}, AHeader(), Request(), {});
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  EXPECT_THAT(StepNamed(*fragment, "volumes.preflight").action().velero_preflight().hook_components(),
              ElementsAre("db"));
  EXPECT_THAT(StepNamed(*fragment, "volumes.backup.shop").action().velero_backup().hook_components(),
              ElementsAre("db"));
  EXPECT_THAT(fragment->obligations, IsEmpty());
}

}  // namespace
}  // namespace salvor::strategies
