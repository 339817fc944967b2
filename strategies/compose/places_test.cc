// Applications on several hosts, and restores into other environments.
#include "strategies/compose/places.h"

#include <gmock/gmock.h>

#include <set>

#include "strategies/compose/compile.h"
#include "strategies/compose/flow_text.h"
#include "strategies/interface/strategy_testing.h"
#include "strategies/registry.h"

namespace salvor::strategies {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

v1::Component On(const std::string& host, v1::Component component) {
  component.set_host(host);
  return component;
}

// "step at place after those" of each step.
std::vector<std::string> Lines(const v1::Flow& flow) {
  std::vector<std::string> lines;
  for (const v1::Step& step : flow.steps()) {
    std::string line = step.id() + " at " + step.place();
    for (const v1::Edge& edge : step.after()) line += " " + edge.step();
    lines.push_back(line);
  }
  return lines;
}

std::vector<std::string> PlaceLines(const v1::Flow& flow) {
  std::vector<std::string> lines;
  for (const v1::Place& place : flow.places())
    lines.push_back(place.name() + " in " + place.environment() +
                    (place.agent().empty() ? "" : " of " + place.agent()));
  return lines;
}

v1::Component MoreFiles() {
  v1::Component component = FilesComponent();
  component.set_name("more");
  return component;
}

TEST(Places, ABackupOnOneHostHasOnePlace) {
  const auto plan = CompileBackup(BuiltInStrategies(), {FilesComponent()}, AHeader(), ABackupRequest());
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(PlaceLines(plan->flow), ElementsAre("host in host-a"));
  EXPECT_THAT(Lines(plan->flow), ElementsAre("location.open at host", "files.backup at host location.open",
                                             "manifest.write at host location.open files.backup"));
  EXPECT_EQ(plan->flow.places(0).kind(), v1::AGENT_KIND_HOST);
  EXPECT_FALSE(plan->flow.places(0).movable()) << "what is on a host is on no other";
}

TEST(Places, EachHostOpensTheLocationAndTheManifestIsWrittenOnce) {
  BackupRequest request = ABackupRequest();
  request.forget_runs = {"backup-shop-20261120-101500-4f2a"};
  const auto plan = CompileBackup(
      BuiltInStrategies(), {On("web-1", FilesComponent()), On("web-2", MoreFiles())}, AHeader(), request);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(PlaceLines(plan->flow),
              ElementsAre("host:web-1 in host-a of web-1", "host:web-2 in host-a of web-2"));
  EXPECT_THAT(
      Lines(plan->flow),
      ElementsAre("location.open at host:web-1", "location.open.web-2 at host:web-2 location.open",
                  "files.backup at host:web-1 location.open", "more.backup at host:web-2 location.open.web-2",
                  "manifest.write at host:web-1 location.open files.backup more.backup"));
  const v1::LocationOpen& first = plan->flow.steps(0).action().location_open();
  const v1::LocationOpen& second = plan->flow.steps(1).action().location_open();
  EXPECT_TRUE(first.create() && !first.must_exist());
  EXPECT_TRUE(second.create() && second.must_exist()) << "two hosts must not make two repositories";
  EXPECT_EQ(first.forget_runs_size(), 1);
  EXPECT_EQ(second.forget_runs_size(), 0);
  EXPECT_THAT(EffectsText(plan->effects), HasSubstr("on host web-2"));
  EXPECT_THAT(FlowText(plan->flow), HasSubstr("at host:web-2"));
}

TEST(Places, WhatNamesNoHostIsTheMainPlaceWhereverItIsDeclared) {
  const auto plan = CompileBackup(BuiltInStrategies(), {On("web-2", MoreFiles()), FilesComponent()},
                                  AHeader(), ABackupRequest());
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(PlaceLines(plan->flow), ElementsAre("host in host-a", "host:web-2 in host-a of web-2"));
  EXPECT_EQ(plan->flow.steps(0).place(), "host");
}

TEST(Places, ARestoreIntoAnotherEnvironmentIsAtTheTargetsHosts) {
  const v1::Manifest manifest = AManifest({On("web-1", FilesComponent()), On("web-1", DatabaseComponent())});
  RestoreRequest request = ARestoreRequest(manifest);
  request.environment = "cluster";
  const std::map<std::string, v1::Component> to = {{"files", On("new-2", FilesComponent())},
                                                   {"db", On("new-1", DatabaseComponent())}};
  const auto plan = CompileRestore(BuiltInStrategies(), request, to, {});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(ValidateFlow(plan->flow).ok()) << ValidateFlow(plan->flow);
  EXPECT_THAT(PlaceLines(plan->flow),
              ElementsAre("host:new-2 in cluster of new-2", "host:new-1 in cluster of new-1"));
  for (const v1::Step& step : plan->flow.steps()) {
    const bool is_database = step.component() == "db" || step.id() == "location.open.new-1";
    EXPECT_EQ(step.place(), is_database ? "host:new-1" : "host:new-2") << step.id();
    EXPECT_FALSE(step.action().location_open().create() || step.action().location_open().must_exist());
  }
  EXPECT_THAT(Lines(plan->flow), Contains("location.open.new-1 at host:new-1 manifest.check"));
  EXPECT_THAT(Lines(plan->flow), Contains("db.check-target at host:new-1 location.open.new-1"));
}

TEST(Places, TheSameFoldersOnTwoHostsDoNotMeet) {
  v1::Manifest manifest = AManifest({FilesComponent(), MoreFiles()});
  const auto plan = [&](const std::string& one, const std::string& other) {
    return CompileRestore(BuiltInStrategies(), ARestoreRequest(manifest),
                          {{"files", On(one, FilesComponent())}, {"more", On(other, MoreFiles())}}, {});
  };
  EXPECT_TRUE(plan("web-1", "web-2").ok()) << plan("web-1", "web-2").status();
  EXPECT_THAT(MessageOf(plan("web-1", "web-1").status()), HasSubstr("would both restore files"));
  for (const auto& [one, other] : {std::pair("", ""), std::pair("", "web-1"), std::pair("web-1", "")})
    EXPECT_THAT(MessageOf(plan(one, other).status()), HasSubstr("would both restore files")) << one << other;
}

TEST(Places, TheSameSocketOnTwoHostsIsTwoServersAndOneAddressIsOne) {
  v1::Component second = DatabaseComponent();
  second.set_name("more");
  const v1::Manifest manifest = AManifest({DatabaseComponent(), second});
  v1::Component one = On("web-1", DatabaseComponent()), other = On("web-2", second);
  EXPECT_TRUE(
      CompileRestore(BuiltInStrategies(), ARestoreRequest(manifest), {{"db", one}, {"more", other}}, {})
          .ok());
  for (v1::Component* component : {&one, &other}) {
    component->mutable_postgres()->mutable_connection()->clear_socket_directory();
    component->mutable_postgres()->mutable_connection()->set_host("db.example");
  }
  const auto restore = [&] {
    return CompileRestore(BuiltInStrategies(), ARestoreRequest(manifest), {{"db", one}, {"more", other}}, {});
  };
  EXPECT_THAT(MessageOf(restore().status()), HasSubstr("to the same server"));
  for (const char* own : {"localhost", "127.0.0.1", "::1"}) {
    for (v1::Component* component : {&one, &other})
      component->mutable_postgres()->mutable_connection()->set_host(own);
    EXPECT_TRUE(restore().ok()) << own << " is another machine for each host: " << restore().status();
  }
}

std::set<std::string> ServerKeys(const v1::Flow& flow) {
  std::set<std::string> names;
  for (const v1::Step& step : flow.steps()) {
    for (const v1::ConcurrencyKey& key : step.keys()) {
      if (key.name().rfind("postgres", 0) == 0) names.insert(key.name());
    }
  }
  return names;
}

TEST(Places, ADumpWaitsForItsOwnServerAndARestoreForThatOfItsTarget) {
  v1::Component second = DatabaseComponent();
  second.set_name("more");
  v1::Component one = On("web-1", DatabaseComponent()), other = On("web-2", second);
  const auto backup = [&] {
    return ServerKeys(CompileBackup(BuiltInStrategies(), {one, other}, AHeader(), ABackupRequest())->flow);
  };
  EXPECT_EQ(backup().size(), 2u) << "each host's own";
  for (v1::Component* component : {&one, &other}) {
    component->mutable_postgres()->mutable_connection()->clear_socket_directory();
    component->mutable_postgres()->mutable_connection()->set_host("db.example");
  }
  EXPECT_EQ(backup().size(), 1u) << "one address";

  const v1::Manifest manifest = AManifest({DatabaseComponent()});
  RestoreRequest request = ARestoreRequest(manifest);
  std::set<std::string> keys;
  for (const char* environment : {"", "cluster"}) {
    request.environment = environment;
    const auto restore = CompileRestore(BuiltInStrategies(), request, {{"db", DatabaseComponent()}}, {});
    ASSERT_TRUE(restore.ok()) << restore.status();
    keys.merge(ServerKeys(restore->flow));
  }
  EXPECT_THAT(keys, testing::UnorderedElementsAre(HasSubstr(":host-a/"), HasSubstr(":cluster/")));
}

TEST(Places, ADrillIsAtOnePlaceWhateverHostsThereWere) {
  const v1::Manifest manifest = AManifest({On("web-1", FilesComponent()), On("web-2", MoreFiles())});
  const auto plan = CompileDrill(BuiltInStrategies(), ARestoreRequest(manifest, "drill-shop-1"));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(PlaceLines(plan->flow), ElementsAre("host in host-a")) << "a host that is gone proves nothing";
  std::vector<std::string> destinations;
  for (const v1::Step& step : plan->flow.steps()) {
    EXPECT_EQ(step.place(), "host") << step.id();
    for (const v1::DiskDestination& one : step.action().disk_restore().destinations())
      destinations.push_back(one.path() + " " + one.destination());
  }
  EXPECT_THAT(destinations, Contains("/srv/shop /web-1/srv/shop")) << "the same path of two hosts";
  EXPECT_THAT(destinations, Contains("/srv/shop /web-2/srv/shop"));
}

TEST(Places, ADrillHasAServerForEachThatWasBackedUp) {
  v1::Component second = On("db-2", DatabaseComponent()), third = second;
  second.set_name("more");
  third.set_name("most");
  third.mutable_postgres()->clear_databases();
  third.mutable_postgres()->add_databases("stock");
  v1::Manifest manifest = AManifest({On("db-1", DatabaseComponent()), second, third});
  const auto drill = [&manifest] {
    return CompileDrill(BuiltInStrategies(), ARestoreRequest(manifest, "drill-shop-1"));
  };
  const auto plan = drill();
  ASSERT_TRUE(plan.ok()) << plan.status() << ": both hosts have a database of that name";
  std::set<std::string> servers, targets;
  for (const v1::Step& step : plan->flow.steps()) {
    EXPECT_EQ(step.place(), "host") << step.id();
    if (step.action().has_scratch_start())
      servers.insert(step.title() + ": " + step.action().scratch_start().name());
    if (step.action().has_postgres_verify())
      targets.insert(step.component() + ": " + step.action().postgres_verify().target().scratch());
  }
  EXPECT_THAT(servers, ElementsAre("start scratch server of db: drill-shop-1",
                                   "start scratch server of more: drill-shop-1-postgres-2"));
  EXPECT_THAT(targets, ElementsAre("db: drill-shop-1", "more: drill-shop-1-postgres-2",
                                   "most: drill-shop-1-postgres-2"));
  EXPECT_EQ(plan->flow.obligations_size(), 2) << "each is removed";

  *manifest.mutable_components(2)->mutable_postgres()->mutable_databases(0) = "shop";
  manifest = AManifest({manifest.components().begin(), manifest.components().end()});
  EXPECT_THAT(MessageOf(drill().status()), HasSubstr("to the same server")) << "one database, twice";
}

TEST(ValidateFlow, RefusesAnObligationThatAnotherAgentWouldUndo) {
  const v1::Manifest manifest = AManifest({FilesComponent()});
  v1::Flow flow = CompileDrill(BuiltInStrategies(), ARestoreRequest(manifest, "drill-shop-1"))->flow;
  ASSERT_EQ(flow.obligations_size(), 1);
  ASSERT_TRUE(ValidateFlow(flow).ok()) << ValidateFlow(flow);
  v1::Flow moving = flow;
  moving.mutable_places(0)->set_movable(true);
  EXPECT_EQ(MessageOf(ValidateFlow(moving)), "obligation 'scratch' is opened at place 'host', which moves");
  v1::Place* elsewhere = flow.add_places();
  *elsewhere = flow.places(0);
  elsewhere->set_name("elsewhere");
  for (v1::Step& step : *flow.mutable_steps()) {
    if (step.id() == flow.obligations(0).released_by()) step.set_place("elsewhere");
  }
  EXPECT_EQ(MessageOf(ValidateFlow(flow)),
            "obligation 'scratch' is released at another place than it is opened at");
}

TEST(ValidateFlow, RefusesPlacesThatAreNotThere) {
  v1::Flow flow = CompileBackup(BuiltInStrategies(), {FilesComponent()}, AHeader(), ABackupRequest())->flow;
  ASSERT_TRUE(ValidateFlow(flow).ok()) << ValidateFlow(flow);
  v1::Flow lost = flow;
  lost.mutable_steps(1)->set_place("cellar");
  EXPECT_EQ(MessageOf(ValidateFlow(lost)),
            "step 'files.backup' is at place 'cellar', which is not in the flow");
  lost.clear_places();
  EXPECT_EQ(MessageOf(ValidateFlow(lost)),
            "step 'location.open' is at place 'host', which is not in the flow");
  v1::Flow twice = flow;
  *twice.add_places() = flow.places(0);
  EXPECT_EQ(MessageOf(ValidateFlow(twice)), "a place has no name of its own: 'host'");
  flow.mutable_places(0)->clear_environment();
  EXPECT_EQ(MessageOf(ValidateFlow(flow)), "place 'host' is in no environment");
}

}  // namespace
}  // namespace salvor::strategies
