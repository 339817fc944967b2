#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/names.h"
#include "strategies/compose/compile.h"
#include "strategies/compose/flow_text.h"
#include "strategies/interface/scratch_folder.h"
#include "strategies/interface/strategy_testing.h"
#include "strategies/registry.h"

namespace salvor::strategies {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

ScratchPlace Server(const std::string& key, int64_t bytes) {
  ScratchPlace place;
  place.key = key;
  place.start.mutable_noop()->set_fail_with("start " + key);
  place.stop.mutable_noop()->set_fail_with("stop " + key);
  place.title = place.contents = "scratch server of " + key;
  place.is_server = true;
  place.bytes = bytes;
  return place;
}

// A component needs the places that its label names: "graph", "files graph".
class Needing final : public Strategy {
 public:
  std::string_view Name() const override { return "needing"; }
  bool IsOf(const v1::Component&) const override { return true; }
  std::vector<FieldProblem> Validate(const v1::Component&) const override { return {}; }
  StatusOr<Fragment> Backup(const v1::Component&, const BackupRequest&) const override { return Fragment(); }
  StatusOr<Fragment> Restore(const v1::Component& component, const RestoreRequest& request) const override {
    Fragment fragment;
    for (const char* text : {R"(id: "$.check" purpose: PURPOSE_GUARD action { noop {} })",
                             R"(id: "$.restore" purpose: PURPOSE_RESTORE action { noop {} })"}) {
      std::string with_name = text;
      with_name.replace(with_name.find('$'), 1, component.name());
      fragment.steps.push_back(FromText<v1::Step>(with_name));
    }
    const std::string& needs = component.name();
    if (needs.find("files") != std::string::npos) fragment.scratch.push_back(ScratchFolder(request, 10));
    if (needs.find("moon") != std::string::npos)
      fragment.scratch.push_back(ScratchServer(request, "moon", needs == "moon-2" ? 2 : 1, needs, 7, 10));
    for (const char* key : {"graph", "wide"}) {
      if (needs.find(key) != std::string::npos) fragment.scratch.push_back(Server(key, 1 << 20));
    }
    return fragment;
  }
};

class ScratchTest : public testing::Test {
 protected:
  ScratchTest()
      : registry_([] {
          std::vector<std::unique_ptr<const Strategy>> strategies;
          strategies.push_back(std::make_unique<Needing>());
          return strategies;
        }()) {}

  RestorePlan Drill(const std::vector<std::string>& names) {
    v1::Manifest manifest = AHeader();
    for (const std::string& name : names) manifest.add_components()->set_name(name);
    auto plan = CompileDrill(registry_, ARestoreRequest(manifest, "drill-shop-1"));
    EXPECT_TRUE(plan.ok()) << plan.status();
    return plan.ok() ? *std::move(plan) : RestorePlan();
  }

  // "step after those" of each step.
  static std::vector<std::string> Lines(const v1::Flow& flow) {
    std::vector<std::string> lines;
    for (const v1::Step& step : flow.steps()) {
      std::string line = step.id();
      for (const v1::Edge& edge : step.after()) line += " " + edge.step();
      lines.push_back(line);
    }
    return lines;
  }

  const StrategyRegistry registry_;
};

TEST_F(ScratchTest, APlaceOfEachKindIsMadeForWhatNeedsItAndRemovedByItself) {
  const RestorePlan plan = Drill({"files", "graph", "wide"});
  EXPECT_THAT(
      Lines(plan.flow),
      ElementsAre("location.open", "manifest.check location.open", "scratch.start manifest.check",
                  "scratch.start.graph manifest.check", "scratch.start.wide manifest.check",
                  "files.check scratch.start", "graph.check scratch.start.graph",
                  "wide.check scratch.start.wide", "files.restore files.check", "graph.restore graph.check",
                  "wide.restore wide.check", "scratch.stop", "scratch.stop.graph", "scratch.stop.wide",
                  "verification.write location.open files.restore graph.restore wide.restore scratch.stop "
                  "scratch.stop.graph scratch.stop.wide"));
  ASSERT_EQ(plan.flow.obligations_size(), 3);
  const v1::Obligation& graph = plan.flow.obligations(1);
  EXPECT_EQ(graph.name(), "scratch.graph");
  EXPECT_EQ(graph.opened_by(), "scratch.start.graph");
  EXPECT_EQ(graph.released_by(), "scratch.stop.graph");
  EXPECT_EQ(graph.undo().noop().fail_with(), "stop graph");
  EXPECT_THAT(graph.guards(), ElementsAre("graph.check", "graph.restore")) << "and no other component's";
  EXPECT_THAT(FlowText(plan.flow), HasSubstr("\"start scratch server of graph\""));
  EXPECT_THAT(EffectsText(plan.effects), HasSubstr("scratch server of wide"));
}

TEST_F(ScratchTest, NeedsOfOneKeyAreOnePlaceWithRoomForAll) {
  const RestorePlan plan = Drill({"graph", "graph-2", "graph-3"});
  EXPECT_THAT(Lines(plan.flow), testing::Contains("graph-3.check scratch.start.graph"));
  ASSERT_EQ(plan.flow.obligations_size(), 1);
  EXPECT_EQ(plan.flow.obligations(0).guards_size(), 6);
  EXPECT_THAT(EffectsText(plan.effects), HasSubstr("about 3.00 MiB"));
}

TEST_F(ScratchTest, WhatNeedsTwoPlacesWaitsForBothAndBothWaitForIt) {
  const RestorePlan plan = Drill({"wide-files", "graph"});
  EXPECT_THAT(Lines(plan.flow), testing::Contains("wide-files.check scratch.start scratch.start.wide"));
  for (const int i : {0, 1})
    EXPECT_THAT(plan.flow.obligations(i).guards(), ElementsAre("wide-files.check", "wide-files.restore"));
}

TEST_F(ScratchTest, WhatNeedsNoPlaceWaitsForTheFirstAndKeepsNone) {
  const RestorePlan plan = Drill({"idle", "graph", "wide"});
  EXPECT_THAT(Lines(plan.flow), testing::Contains("idle.check scratch.start.graph"));
  EXPECT_THAT(plan.flow.obligations(0).guards(), ElementsAre("graph.check", "graph.restore"));
  EXPECT_THAT(Lines(Drill({"idle"}).flow),
              ElementsAre("location.open", "manifest.check location.open", "idle.check manifest.check",
                          "idle.restore idle.check", "verification.write location.open idle.restore"));
}

TEST_F(ScratchTest, AServerOfAnyKindIsAskedForByItsNameAndHasAPlaceOfItsOwn) {
  const RestorePlan plan = Drill({"files", "moon", "moon-2"});
  const auto start = [&plan](int step) { return plan.flow.steps(step).action().scratch_start(); };
  EXPECT_THAT(
      Lines(plan.flow),
      testing::IsSupersetOf({"scratch.start manifest.check", "scratch.start.moon manifest.check",
                             "scratch.start.moon-2 manifest.check", "moon-2.check scratch.start.moon-2"}));
  EXPECT_EQ(start(2).engine(), "") << "the folder";
  EXPECT_EQ(start(3).engine(), "moon");
  EXPECT_EQ(start(3).server_version_num(), 7);
  EXPECT_FALSE(start(3).postgres()) << "an agent of 0.1 would start that";
  EXPECT_EQ(start(3).name(), "drill-shop-1-moon");
  EXPECT_EQ(start(4).name(), "drill-shop-1-moon-2");
  ASSERT_EQ(plan.flow.obligations_size(), 3);
  EXPECT_EQ(plan.flow.obligations(1).undo().scratch_stop().name(), "drill-shop-1-moon");
  EXPECT_THAT(EffectsText(plan.effects), HasSubstr("scratch server of moon-2"));
}

TEST(ScratchServerName, IsAnObjectsNameThatEndsAsItsRunDoes) {
  RestoreRequest request;
  for (const char* application : {"shop", "a-very-long-application-which-leaves-no-room-at-all-for-more"}) {
    const absl::Time at = absl::FromUnixSeconds(1'795'256'100);
    request.run = MakeRunName("drill", application, at, 0x4f2a);
    const std::string name = ScratchServerName(request, "mariadb", 12);
    EXPECT_EQ(CheckObjectName(name), OkStatus()) << name;
    EXPECT_THAT(name, HasSubstr("-20261121-101500-4f2a-mariadb-12"));
    EXPECT_EQ(ScratchServerName(request, "postgres", 1), request.run) << "as 0.1 had it";
  }
}

TEST(ScratchFolder, IsOneForFilesAndServersOfTheNewestVersion) {
  v1::Component second = DatabaseComponent();
  second.set_name("more");
  second.mutable_postgres()->clear_databases();
  second.mutable_postgres()->add_databases("more");
  v1::Manifest manifest = AManifest({FilesComponent(), second, DatabaseComponent()});
  for (v1::Artifact& artifact : *manifest.mutable_artifacts()) {
    if (artifact.component() == "more" && artifact.has_postgres())
      artifact.mutable_postgres()->set_server_version_num(140005);
  }
  RestoreRequest request = ARestoreRequest(manifest, "drill-shop-1");
  request.require_isolation = true;
  const auto plan = CompileDrill(BuiltInStrategies(), request);
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_EQ(plan->flow.obligations_size(), 1);
  const v1::Step& start = plan->flow.steps(2);
  EXPECT_EQ(start.title(), "start scratch server") << "though the first of them wants no server";
  const v1::ScratchStart& scratch = start.action().scratch_start();
  EXPECT_EQ(scratch.engine(), "postgres");
  EXPECT_TRUE(scratch.require_isolation());
  EXPECT_EQ(scratch.name(), "drill-shop-1");
  EXPECT_EQ(scratch.server_version_num(), 150018);
  EXPECT_EQ(scratch.expected_bytes(), 4096 + int64_t{6} * 1'181'116'006);
}

}  // namespace
}  // namespace salvor::strategies
