// A watch sends a run from its beginning to its end, whole and by changes.
#include "proto/run_change.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <vector>

#include "flows/run/reducer.h"
#include "flows/run/view.h"
#include "proto/time.h"

namespace salvor::flows {
namespace {

using google::protobuf::util::MessageDifferencer;

// All states of a run of a chain of so many steps in which everything succeeds, with what a real one has in each step.
std::vector<v1::Run> StatesOf(int steps) {
  v1::Flow flow;
  for (int i = 0; i < steps; ++i) {
    v1::Step* step = flow.add_steps();
    step->set_id(fmt::format("databases.dump-{}", i));
    step->set_title(fmt::format("dump table group {}", i));
    step->set_component("databases");
    step->mutable_action()->mutable_noop();
    if (i > 0) step->add_after()->set_step(flow.steps(i - 1).id());
  }
  v1::Obligation* obligation = flow.add_obligations();
  obligation->set_name("scratch");
  obligation->set_opened_by(flow.steps(0).id());
  obligation->set_released_by("release");
  flow.add_steps()->set_id("release");
  flow.mutable_steps()->rbegin()->mutable_action()->mutable_noop();
  auto graph = Graph::Make(flow);
  EXPECT_TRUE(graph.ok()) << graph.status();
  RunState state = NewRun(std::make_shared<const Graph>(*std::move(graph)));
  v1::RunHeader header;
  header.set_name("backup-shop-20261126");
  header.set_application("shop");
  std::vector<v1::Run> states;
  absl::Time now = absl::FromUnixSeconds(1795256100);
  const auto happen = [&](v1::Event event) {
    now += absl::Seconds(1);
    *event.mutable_at() = ToProto(now);
    Effects ignored;
    const Status reduced = Reduce(state, event, ignored);
    EXPECT_TRUE(reduced.ok()) << reduced;
    states.push_back(View(header, state, true));
    states.back().set_revision(static_cast<int64_t>(states.size()));
  };
  v1::Event event;
  event.mutable_run_requested();
  happen(event);
  for (const v1::Step& step : flow.steps()) {
    event.mutable_step_granted()->set_step(step.id());
    event.mutable_step_granted()->set_attempt(1);
    event.mutable_step_granted()->set_epoch(1);
    event.mutable_step_granted()->set_agent("agent-a");
    happen(event);
    event.mutable_step_reported()->set_step(step.id());
    event.mutable_step_reported()->set_attempt(1);
    event.mutable_step_reported()->set_epoch(1);
    event.mutable_step_reported()->mutable_result()->set_note(
        "it was dumped, and what was dumped was counted");
    happen(event);
  }
  EXPECT_EQ(states.back().phase(), v1::RUN_PHASE_SUCCEEDED);
  return states;
}

TEST(RunChange, AWatchOfTwoHundredStepsSendsAFewHundredBytesForEachChangeAndNotTheWholeRun) {
  const std::vector<v1::Run> states = StatesOf(200);
  size_t whole = states[0].ByteSizeLong(), changes = whole, largest = 0;
  v1::Run seen = states[0];
  for (size_t i = 1; i < states.size(); ++i) {
    const v1::Run change = ChangeBetween(states[i - 1], states[i]);
    EXPECT_TRUE(change.is_change());
    whole += states[i].ByteSizeLong();
    changes += change.ByteSizeLong();
    largest = std::max(largest, change.ByteSizeLong());
    TakeNext(change, seen);
    ASSERT_TRUE(MessageDifferencer::Equals(seen, states[i])) << i;
  }
  std::cout << states.size() << " states: " << whole << " bytes whole, " << changes
            << " bytes by changes, of which the largest has " << largest << "\n";
  EXPECT_LT(largest, 1000u);
  EXPECT_GT(whole, 20 * changes);
}

TEST(RunChange, AClientThatMissedStatesGetsAllOfThemAtOnce) {
  const std::vector<v1::Run> states = StatesOf(5);
  for (size_t from = 0; from < states.size(); ++from) {
    for (size_t to = from; to < states.size(); ++to) {
      v1::Run seen = states[from];
      TakeNext(ChangeBetween(states[from], states[to]), seen);
      EXPECT_TRUE(MessageDifferencer::Equals(seen, states[to])) << from << " to " << to;
    }
  }
}

TEST(RunChange, WhatIsThereNoMoreIsTakenAway) {
  v1::Run before = StatesOf(2)[3], now = before;
  before.set_reason("it waits");
  before.mutable_steps(1)->set_reason("it waits");
  before.mutable_steps(1)->mutable_progress()->set_bytes_done(5);
  v1::Run seen = before;
  TakeNext(ChangeBetween(before, now), seen);
  EXPECT_TRUE(MessageDifferencer::Equals(seen, now)) << seen.ShortDebugString();
}

TEST(RunChange, ARunThatHasOtherStepsThanBeforeIsSentWhole) {
  const v1::Run before = StatesOf(2)[3];
  v1::Run now = before;
  now.clear_steps();  // its records were lost meanwhile
  v1::Run seen = before;
  const v1::Run next = ChangeBetween(before, now);
  EXPECT_FALSE(next.is_change());
  TakeNext(next, seen);
  EXPECT_TRUE(MessageDifferencer::Equals(seen, now));
}

// A field that is added to a run is sent of a change too: this fails until it is.
TEST(RunChange, HasEveryFieldOfARun) {
  v1::Run now;
  const auto* type = v1::Run::descriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const auto* field = type->field(i);
    const auto* reflection = now.GetReflection();
    if (field->is_repeated() || field->name() == "header" || field->name() == "is_change") continue;
    switch (field->cpp_type()) {
      case google::protobuf::FieldDescriptor::CPPTYPE_STRING:
        reflection->SetString(&now, field, "some text");
        break;
      case google::protobuf::FieldDescriptor::CPPTYPE_INT64:
        reflection->SetInt64(&now, field, 7);
        break;
      case google::protobuf::FieldDescriptor::CPPTYPE_ENUM:
        reflection->SetEnumValue(&now, field, 1);
        break;
      case google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE:
        reflection->MutableMessage(&now, field);
        break;
      default:
        FAIL() << field->full_name() << " is of a type that this test does not know";
    }
  }
  v1::Run seen;
  TakeNext(ChangeBetween(seen, now), seen);
  EXPECT_TRUE(MessageDifferencer::Equals(seen, now)) << seen.ShortDebugString();
}

}  // namespace
}  // namespace salvor::flows
