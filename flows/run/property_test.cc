// Random flows under random events: whatever happens, the invariants hold, every run ends, replaying the
// stored events gives the same state, and a restart knows everything that is due.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <random>

#include "flows/run/invariants.h"
#include "flows/run/reducer.h"
#include "flows/run/view.h"
#include "proto/time.h"

namespace salvor::flows {
namespace {

class Fate {
 public:
  explicit Fate(uint32_t seed) : random_(seed) {}
  int Below(int n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }
  bool OneIn(int n) { return Below(n) == 0; }

 private:
  std::mt19937 random_;
};

v1::Flow RandomFlow(Fate& fate) {
  v1::Flow flow;
  const int count = 1 + fate.Below(9);
  for (int i = 0; fate.OneIn(2) && i < 3; ++i) {
    v1::Place* place = flow.add_places();
    place->set_name("p" + std::to_string(i));
    place->set_movable(fate.OneIn(3));
    if (fate.OneIn(4)) place->set_agent("agent-0");
  }
  for (int i = 0; i < count; ++i) {
    v1::Step* step = flow.add_steps();
    step->set_id("s" + std::to_string(i));
    if (flow.places().empty()) {
      step->set_movable(fate.OneIn(3));
    } else {
      step->set_place(flow.places(fate.Below(flow.places_size())).name());
    }
    step->mutable_retry()->set_attempts(1 + fate.Below(3));
    if (fate.OneIn(3)) *step->mutable_attempt_timeout() = ToProto(absl::Seconds(10));
    if (fate.OneIn(4)) *step->mutable_queue_timeout() = ToProto(absl::Seconds(10));
    for (int before = 0; before < i; ++before) {
      if (!fate.OneIn(3)) continue;
      v1::Edge* edge = step->add_after();
      edge->set_step("s" + std::to_string(before));
      edge->set_condition(static_cast<v1::Edge::Condition>(fate.Below(3)));
    }
  }
  if (fate.OneIn(2)) {
    v1::Step* release = flow.add_steps();
    release->set_id("release");
    if (!flow.places().empty()) release->set_place("p0");
    release->mutable_retry()->set_attempts(3);
    v1::Obligation* obligation = flow.add_obligations();
    obligation->set_name("hold");
    obligation->set_opened_by("s0");
    obligation->set_released_by("release");
    for (int i = 1; i < count; ++i) {
      if (fate.OneIn(2)) obligation->add_guards("s" + std::to_string(i));
    }
  }
  if (fate.OneIn(4)) *flow.mutable_timeout() = ToProto(absl::Minutes(5));
  if (fate.OneIn(4)) *flow.mutable_start_within() = ToProto(absl::Seconds(20));
  return flow;
}

// The world around a reducer: holds what is due, and lets it happen in any order.
class World {
 public:
  explicit World(uint32_t seed) : fate_(seed), measured_(seed % 4 != 0) {
    auto graph = Graph::Make(RandomFlow(fate_));
    graph_ = std::make_shared<const Graph>(*std::move(graph));
    state_ = NewRun(graph_);
    v1::Event requested;
    requested.mutable_run_requested();
    Happen(requested);
  }

  void Run() {
    for (int turn = 0; turn < 2000 && !state_.Finished(); ++turn) Turn();
    ASSERT_TRUE(state_.Finished()) << "the run never ends";
    RunState replayed = NewRun(graph_);
    for (const v1::Event& event : events_) {
      Effects ignored;
      ASSERT_TRUE(Reduce(replayed, event, ignored).ok());
    }
    EXPECT_EQ(View({}, replayed, true).SerializeAsString(), View({}, state_, true).SerializeAsString());
    EXPECT_EQ(replayed.bound, state_.bound);
  }

 private:
  void Turn() {
    now_ += absl::Milliseconds(fate_.Below(3000));
    if (fate_.OneIn(60) && state_.phase == v1::RUN_PHASE_RUNNING) {
      v1::Event cancel;
      cancel.mutable_cancel_requested()->set_by("a person");
      return Happen(cancel);
    }
    if (fate_.OneIn(80) && !state_.obligations.empty()) {
      v1::Event early;
      early.mutable_released_early()->set_obligation("hold");
      return Happen(early);
    }
    if (fate_.OneIn(2) && FireTimer()) return;
    const int step = fate_.Below(graph_->StepCount());
    const StepState& at = state_.steps[static_cast<size_t>(step)];
    v1::Event event;
    const bool ready = at.phase == v1::STEP_PHASE_READY;
    if (ready || (at.lease_expired && DueHasReady(step) && fate_.OneIn(2))) {
      auto* granted = event.mutable_step_granted();
      granted->set_step(graph_->Step(step).id());
      granted->set_attempt(at.attempt + 1);
      granted->set_epoch(++epoch_);
      SetRandomAgent(step, *granted);
      EXPECT_TRUE(DueHasReady(step)) << "a lost wake-up";
      Happen(event);
    } else if (at.phase == v1::STEP_PHASE_RUNNING && fate_.OneIn(5)) {
      event.mutable_lease_expired()->set_step(graph_->Step(step).id());
      event.mutable_lease_expired()->set_epoch(at.epoch);
      Happen(event);
    } else if (at.phase == v1::STEP_PHASE_RUNNING) {
      auto* reported = event.mutable_step_reported();
      reported->set_step(graph_->Step(step).id());
      reported->set_attempt(at.attempt);
      reported->set_epoch(fate_.OneIn(8) ? at.epoch - 1 : at.epoch);  // now and then from behind the fence
      SetRandomResult(*reported);
      Happen(event, reported->epoch() == at.epoch);
    } else if (at.attempt > 0 && fate_.OneIn(3)) {
      ReportLate(step);
    }
  }

  // The attempt was given up, or has reported already.
  void ReportLate(int step) {
    const StepState& at = state_.steps[static_cast<size_t>(step)];
    v1::Event event;
    auto* reported = event.mutable_step_reported();
    reported->set_step(graph_->Step(step).id());
    reported->set_attempt(at.attempt);
    reported->set_epoch(at.epoch);
    SetRandomResult(*reported);
    const bool succeeded = !reported->result().has_error();
    const bool taken = CheckReport(state_, reported->step(), at.attempt, at.epoch) == Fence::kAccept;
    const bool waited = at.phase == v1::STEP_PHASE_BACKOFF || at.phase == v1::STEP_PHASE_READY;
    const bool first = at.result_attempt != at.attempt;
    EXPECT_EQ(taken, waited && first && !at.must_fail);
    Happen(event, taken);
    if (!taken) return;
    const v1::StepPhase phase = state_.steps[static_cast<size_t>(step)].phase;
    const bool waits = phase == v1::STEP_PHASE_BACKOFF || phase == v1::STEP_PHASE_READY;
    EXPECT_TRUE(succeeded ? phase == v1::STEP_PHASE_SUCCEEDED : waits)
        << "nobody was granted: a success is welcome";
  }

  void SetRandomResult(v1::StepReported& reported) {
    reported.mutable_result();
    if (!graph_->Flow().places().empty() && fate_.OneIn(6)) {
      v1::Binding* binding = reported.mutable_result()->add_bindings();
      binding->set_place("p0");
      binding->set_agent(state_.bound[0].empty() ? "agent-1" : state_.bound[0]);
    }
    if (!fate_.OneIn(3)) return;
    v1::Error* error = reported.mutable_result()->mutable_error();
    error->set_message("it failed");
    error->set_retryable(fate_.OneIn(2));
    if (fate_.OneIn(3)) error->set_reason(v1::Error::REASON_LOST);
  }

  // One of three, or whom the place is bound to; now and then a movable place moves.
  void SetRandomAgent(int step, v1::StepGranted& granted) {
    const v1::Place& place = graph_->PlaceOf(step);
    const std::string& bound = state_.BoundAt(step);
    const bool binds = bound.empty() || (place.movable() && fate_.OneIn(2));
    granted.set_agent(binds ? "agent-" + std::to_string(fate_.Below(3)) : bound);
    if (!binds) return;
    granted.add_bindings()->set_place(place.name());
    granted.mutable_bindings(0)->set_agent(granted.agent());
  }

  bool DueHasReady(int step) {
    for (const Effect& effect : Outstanding(state_)) {
      const auto* ready = std::get_if<StepReady>(&effect);
      if (ready != nullptr && ready->step == step) return true;
    }
    return false;
  }

  // The earliest timer that a restart would set: so the timers of Outstanding alone must suffice.
  bool FireTimer() {
    std::optional<StartTimer> first;
    for (const Effect& effect : Outstanding(state_)) {
      const auto* timer = std::get_if<StartTimer>(&effect);
      if (timer != nullptr && (!first || timer->at < first->at)) first = *timer;
    }
    if (!first) return false;
    now_ = std::max(now_, first->at);
    v1::Event event;
    auto* fired = event.mutable_timer_fired();
    if (first->step >= 0) fired->set_step(graph_->Step(first->step).id());
    fired->set_attempt(first->attempt);
    fired->set_kind(first->kind);
    Happen(event);
    return true;
  }

  void Happen(v1::Event event, bool accepted = true) {
    *event.mutable_at() = ToProto(now_ + wall_clock_is_wrong_by_);
    if (measured_) *event.mutable_elapsed() = ToProto(now_ - began_);
    if (fate_.OneIn(50) && measured_) wall_clock_is_wrong_by_ = absl::Minutes(fate_.Below(121) - 60);
    const RunState before = state_;
    Effects effects;
    const Status status = Reduce(state_, event, effects);
    EXPECT_EQ(status.ok(), accepted) << status << "\n" << event.DebugString();
    if (!status.ok()) {
      EXPECT_EQ(View({}, before, true).SerializeAsString(), View({}, state_, true).SerializeAsString());
      return;
    }
    events_.push_back(event);
    ASSERT_THAT(BrokenInvariants(state_), testing::IsEmpty()) << event.DebugString();
    ASSERT_THAT(BrokenBetween(before, state_), testing::IsEmpty()) << event.DebugString();
  }

  Fate fate_;
  std::shared_ptr<const Graph> graph_;
  RunState state_;
  std::vector<v1::Event> events_;
  const absl::Time began_ = absl::FromUnixSeconds(1795256100);
  absl::Time now_ = began_;
  const bool measured_;  // the engine measures durations; that of 0.1 did not
  absl::Duration wall_clock_is_wrong_by_;
  int64_t epoch_ = 0;
};

TEST(Reducer, HoldsItsInvariantsUnderRandomEvents) {
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World(seed).Run();
    if (HasFailure()) return;
  }
}

TEST(Graph, NamesEveryProblemOfAFlow) {
  v1::Flow flow;
  for (const char* id : {"a", "a", "b"}) flow.add_steps()->set_id(id);
  flow.mutable_steps(2)->add_after()->set_step("nowhere");
  const auto graph = Graph::Make(flow);
  EXPECT_EQ(MessageOf(graph.status()),
            "flow: step id 'a' is used twice; step 'b' is after 'nowhere', which is not in the flow");
}

TEST(Graph, EveryStepHasAPlaceAndOldFlowsHaveThoseOfThen) {
  v1::Flow flow;
  for (const char* id : {"a", "b", "c"}) flow.add_steps()->set_id(id);
  flow.mutable_steps(1)->set_movable(true);
  const auto old = Graph::Make(flow);
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_EQ(old->At(0).place, old->At(2).place);
  EXPECT_FALSE(old->PlaceOf(0).movable());
  EXPECT_TRUE(old->PlaceOf(1).movable());
  EXPECT_EQ(old->PlaceOf(0).environment(), "") << "the run's";
  EXPECT_TRUE(old->Flow().places().empty()) << "the flow is pinned as it is";
  for (const char* name : {"web", "web", ""}) flow.add_places()->set_name(name);
  for (const char* id : {"web", "cellar", ""}) flow.add_steps()->set_place(id);
  for (int i = 0; i < 6; ++i) flow.mutable_steps(i)->set_id(std::string(1, static_cast<char>('a' + i)));
  for (int i = 0; i < 3; ++i) flow.mutable_steps(i)->set_place("web");
  EXPECT_EQ(MessageOf(Graph::Make(flow).status()),
            "flow: place 'web' has no name of its own; place '' has no name of its own; "
            "step 'e' is at place 'cellar', which is not in the flow");
  flow.mutable_places()->DeleteSubrange(1, 2);
  EXPECT_EQ(MessageOf(Graph::Make(flow).status()),
            "flow: step 'e' is at place 'cellar', which is not in the flow; "
            "step 'f' is at place '', which is not in the flow");
}

TEST(Graph, RefusesCircles) {
  v1::Flow flow;
  for (const char* id : {"a", "b", "c"}) flow.add_steps()->set_id(id);
  flow.mutable_steps(1)->add_after()->set_step("c");
  flow.mutable_steps(2)->add_after()->set_step("b");
  EXPECT_EQ(MessageOf(Graph::Make(flow).status()), "flow: steps wait for each other in a circle: b, c");
}

}  // namespace
}  // namespace salvor::flows
