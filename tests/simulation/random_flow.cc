#include "tests/simulation/random_flow.h"

#include "proto/time.h"

namespace salvor::simulation {
namespace {

void SetRandomLimits(Fate& fate, v1::Step& step) {
  v1::RetryPolicy* retry = step.mutable_retry();
  retry->set_attempts(1 + fate.Below(4));
  retry->set_jitter(fate.OneIn(2) ? 0.5 : 0);
  if (fate.OneIn(4)) *retry->mutable_initial() = ToProto(absl::Seconds(5));
  if (fate.OneIn(5)) *retry->mutable_budget() = ToProto(absl::Minutes(5));
  if (fate.OneIn(2)) *step.mutable_attempt_timeout() = ToProto(absl::Seconds(5 + fate.Below(40)));
  if (fate.OneIn(10)) *step.mutable_queue_timeout() = ToProto(absl::Seconds(120 + fate.Below(300)));
}

// How many may hold a key is the key's own: the first any number, the second one, the third two.
void SetRandomKeys(Fate& fate, v1::Step& step) {
  if (!fate.OneIn(3)) return;
  const int which = fate.Below(3);
  v1::ConcurrencyKey* key = step.add_keys();
  key->set_name("key-" + std::to_string(which));
  key->set_exclusive(fate.OneIn(3));
  key->set_limit(which);
}

// Some in the run's environment and some in another, of which some may move.
void AddPlaces(Fate& fate, v1::Flow& flow) {
  const int count = 1 + fate.Below(3);
  for (int i = 0; i < count; ++i) {
    v1::Place* place = flow.add_places();
    place->set_name("p" + std::to_string(i));
    if (fate.OneIn(3)) place->set_environment(fate.OneIn(2) ? "other" : "local");
    place->set_movable(!fate.OneIn(3));
    if (!fate.OneIn(4)) continue;
    place->set_agent(fate.OneIn(2) ? "a" : "b");  // a named host: each environment has both
    place->set_movable(false);
  }
  for (v1::Step& step : *flow.mutable_steps()) step.set_place("p" + std::to_string(fate.Below(count)));
}

// Other ones than an absent message means, each of them now and then.
void SetRandomGraces(Fate& fate, v1::Graces& graces) {
  const auto ms = [&](int least_s, int most_s) {
    return 1000 * (least_s + fate.Below(most_s - least_s + 1));
  };
  if (fate.OneIn(2)) graces.set_attempt_report_grace_ms(ms(1, 90));
  if (fate.OneIn(2)) graces.set_cancel_answer_grace_ms(ms(1, 180));
  if (fate.OneIn(2)) graces.set_agent_deaths_forgiven(fate.Below(8));
  if (fate.OneIn(2)) graces.set_retry_initial_delay_ms(ms(1, 10));
  if (fate.OneIn(2)) graces.set_retry_delay_factor(1 + 2 * fate.Fraction());
  if (fate.OneIn(2)) graces.set_retry_delay_cap_ms(ms(10, 120));
  if (fate.OneIn(2)) graces.set_retry_attempts(1 + fate.Below(3));
}

// A place that a step opened is where it opened it.
void StaysWhereItIs(v1::Flow& flow, v1::Step& step) {
  step.set_movable(false);
  for (v1::Place& place : *flow.mutable_places()) {
    if (place.name() == step.place()) place.set_movable(false);
  }
}

// Adds an obligation: `opener` makes something, and a step of its own undoes it, when what it guards is over.
void AddObligation(Fate& fate, v1::Flow& flow, int opener, int count, const std::string& run) {
  const std::string name = "place-" + std::to_string(flow.obligations_size());
  v1::Action undo;
  undo.mutable_scratch_stop()->set_name(run + "/" + name);
  v1::Step* opens = flow.mutable_steps(opener);
  opens->mutable_action()->mutable_scratch_start()->set_name(run + "/" + name);
  StaysWhereItIs(flow, *opens);
  v1::Obligation* obligation = flow.add_obligations();
  obligation->set_name(name);
  obligation->set_opened_by(opens->id());
  obligation->set_released_by("undo-" + name);
  *obligation->mutable_undo() = undo;
  if (fate.OneIn(2)) *obligation->mutable_deadline() = ToProto(absl::Seconds(60 + fate.Below(600)));
  for (int guarded = opener + 1; guarded < count; ++guarded) {
    if (!fate.OneIn(2)) continue;
    v1::Step* step = flow.mutable_steps(guarded);
    bool follows = false;
    for (const v1::Edge& edge : step->after()) follows |= edge.step() == opens->id();
    if (!follows) step->add_after()->set_step(opens->id());
    if (flow.places().empty()) step->set_movable(false);
    obligation->add_guards(step->id());
  }
  v1::Step* release = flow.add_steps();
  release->set_id("undo-" + name);
  *release->mutable_action() = undo;
  release->mutable_retry()->set_attempts(3);
  *release->mutable_attempt_timeout() = ToProto(absl::Seconds(60));
  release->set_place(opens->place());
}

}  // namespace

v1::Flow RandomFlow(Fate& fate, const std::string& run) {
  v1::Flow flow;
  const int count = 1 + fate.Below(8);
  for (int i = 0; i < count; ++i) {
    v1::Step* step = flow.add_steps();
    step->set_id("s" + std::to_string(i));
    step->mutable_action()->mutable_noop();
    step->set_movable(fate.OneIn(2));
    SetRandomLimits(fate, *step);
    SetRandomKeys(fate, *step);
    for (int before = 0; before < i; ++before) {
      if (!fate.OneIn(3)) continue;
      v1::Edge* edge = step->add_after();
      edge->set_step("s" + std::to_string(before));
      if (fate.OneIn(3)) edge->set_condition(v1::Edge::CONDITION_FINISHED);
    }
  }
  if (fate.OneIn(2)) AddPlaces(fate, flow);
  const int obligations = fate.Below(3);
  for (int i = 0; i < obligations && i < count; ++i) AddObligation(fate, flow, i, count, run);
  if (fate.OneIn(2)) SetRandomGraces(fate, *flow.mutable_graces());
  if (fate.OneIn(4)) *flow.mutable_timeout() = ToProto(absl::Minutes(3 + fate.Below(20)));
  if (fate.OneIn(5)) *flow.mutable_start_within() = ToProto(absl::Seconds(60 + fate.Below(300)));
  return flow;
}

}  // namespace salvor::simulation
