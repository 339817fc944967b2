// Runs with several places: in two environments, on two hosts of one, and on agents of another kind.
#include "controlplane/runs/engine_testing.h"
#include "proto/time.h"

namespace salvor::controlplane {
namespace {

using testing::HasSubstr;

class EnginePlacesTest : public EngineTest {
 protected:
  static v1::Place Place(const std::string& name, const std::string& environment,
                         const std::string& agent = "") {
    v1::Place place;
    place.set_name(name);
    place.set_environment(environment);
    place.set_agent(agent);
    return place;
  }
  // A chain with one step at each place, in their order.
  static v1::Flow ChainAt(const std::vector<v1::Place>& places) {
    v1::Flow flow = Chain(static_cast<int>(places.size()), 2);
    for (size_t i = 0; i < places.size(); ++i) {
      *flow.add_places() = places[i];
      flow.mutable_steps(static_cast<int>(i))->set_place(places[i].name());
    }
    return flow;
  }
  Agent ConnectOf(const std::string& environment, const std::string& name = "agent-a",
                  std::vector<v1::LeaseKey> held = {}) {
    return Connect(name, std::move(held), 8, environment);
  }
  // The only task that has come; none fails the test.
  v1::LeaseKey Lease(const Agent& agent) {
    const v1::ControlMessage message = Take(agent);
    EXPECT_EQ(message.tasks_size(), 1);
    return message.tasks().empty() ? v1::LeaseKey() : message.tasks(0).lease();
  }
  int TasksOf(const Agent& agent) { return Take(agent).tasks_size(); }
  std::string WhyItWaits(int step) { return engine_->GetRun("r1")->steps(step).reason(); }
  void Silence(const Agent& alive) { KeepConnected(alive, absl::Minutes(1)); }
};

TEST_F(EnginePlacesTest, ARunGoesThroughTwoEnvironmentsWhoseAgentsHaveOneName) {
  const Agent here = ConnectOf("local"), there = ConnectOf("cluster");
  Start("r1", ChainAt({Place("source", "local"), Place("target", "cluster"), Place("back", "local")}));
  const v1::LeaseKey a = Lease(here);
  EXPECT_EQ(TasksOf(there), 0);
  Report(there, a);
  EXPECT_EQ(Take(there).superseded_size(), 1) << "it is another agent's, though of the same name";
  Report(here, a);
  const v1::LeaseKey b = Lease(there);
  EXPECT_EQ(b.step(), "b");
  Report(there, b);
  Report(here, Lease(here));
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
}

TEST_F(EnginePlacesTest, TheBindingOutlivesARestart) {
  Agent first = ConnectOf("local", "web-1");
  v1::Flow flow = Chain(3, 2);
  *flow.add_places() = Place("host", "local");
  for (v1::Step& step : *flow.mutable_steps()) step.set_place("host");
  Start("r1", flow);
  const Agent second = ConnectOf("local", "web-2");
  Report(first, Lease(first));
  const v1::LeaseKey b = Lease(first);
  Restart();
  const Agent other = ConnectOf("local", "web-2");
  first = ConnectOf("local", "web-1", {b});
  Report(first, b);
  const v1::LeaseKey c = Lease(first);
  EXPECT_EQ(c.step(), "c");
  EXPECT_EQ(TasksOf(other), 0) << "the place is web-1's";
  const StatusOr<StoredRun> stored = store_.LoadRun("r1");
  int bindings = 0;
  for (const v1::Event& event : stored->events) bindings += event.step_granted().bindings_size();
  EXPECT_EQ(bindings, 1) << "the first grant alone binds it";
  Report(first, c);
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
}

TEST_F(EnginePlacesTest, ARunOf02GoesOnWithTheAgentThatBeganItAlthoughNoGrantSaidSo) {
  v1::RunHeader header;
  header.set_name("r1");
  header.set_environment("local");
  v1::EventBatch events;
  events.add_events()->mutable_run_requested();
  v1::StepGranted* granted = events.add_events()->mutable_step_granted();
  granted->set_step("a");
  granted->set_attempt(1);
  granted->set_epoch(1);
  granted->set_agent("web-1");
  for (v1::Event& event : *events.mutable_events()) *event.mutable_at() = ToProto(clock_.Now());
  ASSERT_TRUE(CommitAndWait(store_, {PutRun{header, std::make_shared<v1::Flow>(Chain(2))},
                                     AppendEvents{"r1", 0, events}})
                  .ok());
  Restart();
  const Agent other = ConnectOf("local", "web-2");
  v1::LeaseKey a;
  a.set_run("r1");
  a.set_step("a");
  a.set_attempt(1);
  a.set_epoch(1);
  const Agent first = ConnectOf("local", "web-1", {a});
  engine_->Disconnect(first.session);
  EXPECT_EQ(WhyItWaits(0), "agent web-1 is not connected; its result is awaited");
  const Agent again = ConnectOf("local", "web-1", {a});
  Report(again, a);
  EXPECT_EQ(TasksOf(other), 0);
  Report(again, Lease(again));
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
}

TEST_F(EnginePlacesTest, ANamedHostIsWaitedForAndNamedWhateverOthersThereAre) {
  const Agent other = ConnectOf("local", "web-1");
  Start("r1", ChainAt({Place("host:web-2", "local", "web-2")}));
  EXPECT_EQ(TasksOf(other), 0);
  EXPECT_EQ(WhyItWaits(0), "agent web-2 of environment local is not connected");
  const Agent elsewhere = ConnectOf("cluster", "web-2");
  EXPECT_EQ(TasksOf(elsewhere), 0) << "a name is of one environment";
  EXPECT_EQ(WhyItWaits(0), "agent web-2 of environment local is not connected");
  const Agent full = Connect("web-2", {}, 0);
  EXPECT_EQ(WhyItWaits(0), "agent web-2 of environment local has no room for one more task");
  engine_->Disconnect(full.session);
  const Agent named = Connect("web-2");
  Report(named, Lease(named));
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
}

TEST_F(EnginePlacesTest, TwoHostsOfOneRunWorkBesideEachOtherAndOneIsLostAndComesBack) {
  Agent web = ConnectOf("local", "web-1"), db = ConnectOf("local", "db-1");
  v1::Flow flow = ChainAt({Place("host:web-1", "local", "web-1"), Place("host:db-1", "local", "db-1")});
  flow.mutable_steps(1)->clear_after();
  Start("r1", flow);
  const v1::LeaseKey files = Lease(web), dump = Lease(db);
  engine_->Disconnect(db.session);
  Silence(web);
  Report(web, files);
  EXPECT_EQ(TasksOf(web), 0) << "its neighbour's step waits for its neighbour";
  EXPECT_THAT(WhyItWaits(1), HasSubstr("agent db-1 is not connected"));
  db = ConnectOf("local", "db-1");  // it was killed, and knows nothing of the attempt
  const v1::LeaseKey again = Lease(db);
  EXPECT_EQ(again.attempt(), dump.attempt() + 1);
  Report(db, again);
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
}

TEST_F(EnginePlacesTest, AMovablePlaceMovesWhenItsAgentIsGoneAndStaysWhileItIsThere) {
  Agent first = ConnectOf("local", "agent-a");
  v1::Flow flow = Chain(3, 2);
  *flow.add_places() = Place("pod", "local");
  flow.mutable_places(0)->set_movable(true);
  for (v1::Step& step : *flow.mutable_steps()) step.set_place("pod");
  Start("r1", flow);
  const Agent second = ConnectOf("local", "agent-b");
  Report(first, Lease(first));
  const v1::LeaseKey b = Lease(first);
  EXPECT_EQ(TasksOf(second), 0) << "agent-a is there";
  engine_->Disconnect(first.session);
  Silence(second);
  const v1::LeaseKey moved = Lease(second);
  EXPECT_EQ(moved.step(), "b");
  first = ConnectOf("local", "agent-a", {b});
  EXPECT_EQ(Take(first).superseded_size(), 1);
  Report(second, moved);
  EXPECT_EQ(Lease(second).step(), "c") << "the place has moved";
  EXPECT_EQ(TasksOf(first), 0);
}

TEST_F(EnginePlacesTest, AResultBindsAPlaceForWhatComesLater) {
  const Agent control = ConnectOf("local", "agent-a"), node = ConnectOf("local", "node-7");
  Start("r1", ChainAt({Place("control", "local", "agent-a"), Place("node", "local")}));
  v1::AgentMessage message;
  v1::Report* report = message.add_reports();
  *report->mutable_lease() = Lease(control);
  v1::Binding* binding = report->mutable_result()->add_bindings();
  binding->set_place("node");
  binding->set_agent("node-7");
  engine_->Receive(control.session, message);
  EXPECT_EQ(TasksOf(control), 0);
  Report(node, Lease(node));
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
}

TEST_F(EnginePlacesTest, WhatWaitsAtAPlaceOfAnotherEnvironmentIsGivenAtOnceToWhomAResultBindsIt) {
  const Agent control = ConnectOf("local"), busy = Connect("node-3", {}, 1, "cluster");
  v1::Place pod = Place("pod", "cluster");
  pod.set_movable(true);
  v1::Flow flow = ChainAt({pod, Place("control", "local")});
  flow.mutable_steps(1)->clear_after();
  v1::Step* waiting = flow.add_steps();
  waiting->set_id("c");
  waiting->set_place("pod");
  waiting->mutable_action()->mutable_noop();
  Start("r1", flow);
  Lease(busy);
  const Agent node = ConnectOf("cluster", "node-7");
  EXPECT_EQ(TasksOf(node), 0) << "the pod is at node-3";
  v1::AgentMessage message;
  v1::Report* report = message.add_reports();
  *report->mutable_lease() = Lease(control);
  v1::Binding* binding = report->mutable_result()->add_bindings();
  binding->set_place("pod");
  binding->set_agent("node-7");
  engine_->Receive(control.session, message);
  EXPECT_EQ(Lease(node).step(), "c");
}

TEST_F(EnginePlacesTest, AnAgentOfAnotherKindOrRuntimeGetsNothing) {
  v1::Place node = Place("node", "local");
  node.set_kind(v1::AGENT_KIND_NODE);
  node.set_runtime(v1::RUNTIME_KUBERNETES);
  const Agent host = ConnectOf("local");
  Start("r1", ChainAt({node}));
  EXPECT_EQ(TasksOf(host), 0);
  EXPECT_EQ(WhyItWaits(0), "no agent serves environment local") << "none that works on nodes";
  v1::Place named = node;
  named.set_agent("agent-a");
  Start("r2", ChainAt({named}));
  EXPECT_EQ(engine_->GetRun("r2")->steps(0).reason(),
            "agent agent-a of environment local is of another kind or runtime than the place");
  v1::AgentHello hello;
  hello.set_agent("node-7");
  hello.set_environment("local");
  hello.set_protocol(1);
  hello.set_kind(v1::AGENT_KIND_NODE);
  hello.set_runtime(v1::RUNTIME_KUBERNETES);
  hello.add_capabilities("noop");
  Agent agent;
  agent.link = std::make_shared<RecordedLink>();
  agent.session = *engine_->Connect(hello, agent.link);
  v1::AgentMessage room;
  room.set_task_limit(1);
  engine_->Receive(agent.session, room);
  Report(agent, Lease(agent));
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
}

TEST_F(EnginePlacesTest, AnObligationIsThatOfWhoOpenedItWhereverTheRunIs) {
  v1::Flow flow = WithObligation();
  *flow.add_places() = Place("scratch", "cluster");
  for (v1::Step& step : *flow.mutable_steps()) step.set_place("scratch");
  const Agent here = ConnectOf("local");
  Agent there = ConnectOf("cluster");
  Start("r1", flow);
  Lease(there);
  v1::AgentMessage early;
  early.add_early_releases()->set_run("r1");
  early.mutable_early_releases(0)->set_name("scratch");
  engine_->Receive(here.session, early);
  EXPECT_EQ(engine_->GetRun("r1")->obligations(0).phase(), v1::ObligationStatus::PHASE_OPEN)
      << "it is another's";
  engine_->Disconnect(there.session);
  ASSERT_TRUE(CancelRunAndWait(*engine_, "r1", "operator", "").ok());
  for (int i = 0; i < 2; ++i) {
    clock_.Advance(absl::Minutes(2));
    engine_->Tick();
  }
  ASSERT_EQ(PhaseOf("r1"), v1::RUN_PHASE_CANCELLED);
  Restart();
  ConnectOf("local");  // and holds nothing: that says nothing of the other environment
  EXPECT_EQ(engine_->OpenObligationCount(), 1);
  ConnectOf("cluster");
  EXPECT_EQ(engine_->OpenObligationCount(), 0);
}

TEST_F(EnginePlacesTest, LogLinesAreTakenFromTheHolderInItsEnvironmentAlone) {
  const Agent here = ConnectOf("local"), there = ConnectOf("cluster");
  Start("r1", ChainAt({Place("target", "cluster")}));
  const v1::LeaseKey a = Lease(there);
  const auto log = [&](const Agent& agent) {
    v1::AgentMessage message;
    v1::LogLines* lines = message.add_logs();
    lines->set_run("r1");
    lines->set_step("a");
    lines->add_lines()->set_text("a line");
    engine_->Receive(agent.session, message);
  };
  log(here);
  log(there);
  Report(there, a);
  EXPECT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
  Restart();  // now the holders are read from the store
  log(ConnectOf("local"));
  log(ConnectOf("cluster"));
  EXPECT_TRUE(CommitAndWait(store_, {}).ok());
  int64_t next = 0;
  size_t lines = 0;
  const auto log_of_run = store_.ReadLog("r1", 0, next);
  ASSERT_TRUE(log_of_run.ok()) << log_of_run.status();
  for (const v1::LogLines& read : *log_of_run) lines += static_cast<size_t>(read.lines_size());
  EXPECT_EQ(lines, 2u);
}

TEST_F(EnginePlacesTest, WhoOpenedAnObligationAloneLearnsHowItIsUndoneWhereverItIs) {
  Agent opener = ConnectOf("cluster", "agent-a"), other = ConnectOf("local", "agent-a");
  v1::Flow flow = WithObligation();
  *flow.add_places() = Place("target", "cluster");
  *flow.add_places() = Place("source", "local");
  for (v1::Step& step : *flow.mutable_steps()) step.set_place("target");
  v1::Step* elsewhere = flow.add_steps();
  elsewhere->set_id("c");
  elsewhere->set_place("source");
  elsewhere->mutable_action()->mutable_noop();
  Start("r1", flow);
  Report(other, Lease(other));
  Report(opener, Lease(opener));
  Report(opener, Lease(opener));
  ASSERT_EQ(PhaseOf("r1"), v1::RUN_PHASE_SUCCEEDED);
  for (const bool restarted : {false, true}) {
    if (restarted) {
      Restart();
      opener = ConnectOf("cluster", "agent-a");
      other = ConnectOf("local", "agent-a");
    }
    const Agent stranger = ConnectOf("cluster", "agent-b");
    for (const Agent& agent : {opener, other, stranger}) {
      v1::AgentMessage message;
      v1::HeldObligation* held = message.mutable_hello()->add_obligations();
      held->set_run("r1");
      held->set_name("scratch");
      engine_->Receive(agent.session, message);
      const v1::ControlMessage order = Take(agent);
      ASSERT_EQ(order.release_size(), 1) << "what it holds is to be undone, whoever it is";
      EXPECT_EQ(order.release(0).has_undo(), agent.session == opener.session)
          << "the run is in " << (agent.session == other.session ? "its environment" : "another one");
    }
  }
}

}  // namespace
}  // namespace salvor::controlplane
