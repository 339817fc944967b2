#include "flows/run/view.h"

#include <gtest/gtest.h>

#include "flows/run/reducer.h"

namespace salvor::flows {
namespace {

void Fail(StepState* step, int64_t at_s, const std::string& hint) {
  v1::ActionResult result;
  result.mutable_error()->set_message("it failed");
  result.mutable_error()->set_hint(hint);
  step->phase = v1::STEP_PHASE_FAILED;
  step->finished_at = absl::FromUnixSeconds(at_s);
  step->result = std::make_shared<const v1::ActionResult>(result);
}

TEST(View, HasTheHintOfTheStepThatItsReasonNames) {
  v1::Flow flow;
  for (const char* id : {"a", "b", "c"}) {
    flow.add_steps()->set_id(id);
    flow.mutable_steps()->rbegin()->mutable_action()->mutable_noop();
  }
  auto graph = Graph::Make(flow);
  ASSERT_TRUE(graph.ok());
  RunState state = NewRun(std::make_shared<const Graph>(*std::move(graph)));
  state.phase = v1::RUN_PHASE_FAILED;
  Fail(&state.steps[0], 30, "For the last one.");
  Fail(&state.steps[1], 10, "For the first one.");
  Fail(&state.steps[2], 20, "For the second one.");
  EXPECT_EQ(View(v1::RunHeader(), state, false).hint(), "For the first one.");
  Fail(&state.steps[1], 10, "");
  EXPECT_EQ(View(v1::RunHeader(), state, false).hint(), "") << "another step's hint would mislead";
  state.steps[1].result = nullptr;  // its agent was lost
  EXPECT_EQ(View(v1::RunHeader(), state, true).hint(), "");
}

TEST(View, OfACancelledRunHasTheHintOfTheStepThatCouldNotStopAll) {
  v1::Flow flow;
  for (const char* id : {"a", "b", "c"}) {
    flow.add_steps()->set_id(id);
    flow.mutable_steps()->rbegin()->mutable_action()->mutable_noop();
  }
  auto graph = Graph::Make(flow);
  ASSERT_TRUE(graph.ok());
  RunState state = NewRun(std::make_shared<const Graph>(*std::move(graph)));
  state.phase = v1::RUN_PHASE_CANCELLED;
  state.reason = "cancelled by ann";
  for (StepState& at : state.steps) at.phase = v1::STEP_PHASE_CANCELLED;  // not begun
  EXPECT_EQ(View(v1::RunHeader(), state, false).hint(), "");
  const auto cancel = [](StepState* step, int64_t at_s, const std::string& hint) {
    Fail(step, at_s, hint);
    step->phase = v1::STEP_PHASE_CANCELLED;
  };
  cancel(&state.steps[0], 10, "");
  cancel(&state.steps[1], 30, "Take back the second.");
  cancel(&state.steps[2], 20, "Take back the first.");
  EXPECT_EQ(View(v1::RunHeader(), state, false).hint(), "Take back the first.");
  state.steps[2].attempt = 2;
  state.steps[2].result_attempt = 1;
  EXPECT_EQ(View(v1::RunHeader(), state, false).hint(), "Take back the second.")
      << "an earlier attempt's failure says nothing of what goes on";
  state.phase = v1::RUN_PHASE_CANCELLING;
  EXPECT_EQ(View(v1::RunHeader(), state, false).hint(), "") << "it is not over yet";
  state.phase = v1::RUN_PHASE_FAILED;
  EXPECT_EQ(View(v1::RunHeader(), state, false).hint(), "Take back the second.") << "its time was over";
  state.phase = v1::RUN_PHASE_CANCELLED;
  Fail(&state.steps[0], 40, "Of the failure.");
  EXPECT_EQ(View(v1::RunHeader(), state, false).hint(), "Of the failure.");
}

// A flow of 0.1 does not say what its steps are for, and clients ask that.
TEST(View, KnowsWhatTheStepsOfAnOldFlowWereFor) {
  v1::Flow flow;
  const auto add = [&flow](const std::string& id) {
    v1::Step* step = flow.add_steps();
    step->set_id(id);
    return step->mutable_action();
  };
  add("open")->mutable_location_open();
  add("guard")->mutable_disk_target_check();
  add("roles")->mutable_postgres_restore_roles();
  add("restore")->mutable_disk_restore();
  add("verify")->mutable_postgres_verify();
  add("nothing")->mutable_noop();
  add("said")->mutable_disk_restore();
  flow.mutable_steps(6)->set_purpose(v1::PURPOSE_CAPTURE);
  auto graph = Graph::Make(flow);
  ASSERT_TRUE(graph.ok());
  const v1::Run run = View(v1::RunHeader(), NewRun(std::make_shared<const Graph>(*std::move(graph))), true);
  const v1::Purpose expected[] = {v1::PURPOSE_PREPARE, v1::PURPOSE_GUARD,  v1::PURPOSE_RESTORE,
                                  v1::PURPOSE_RESTORE, v1::PURPOSE_VERIFY, v1::PURPOSE_UNSPECIFIED,
                                  v1::PURPOSE_CAPTURE};
  for (int i = 0; i < run.steps_size(); ++i)
    EXPECT_EQ(run.steps(i).purpose(), expected[i]) << run.steps(i).id();
}

TEST(View, SaysWhenAnObligationWasOpenedAndWhenItWasSettled) {
  v1::Flow flow;
  for (const char* id : {"open", "release"}) {
    flow.add_steps()->set_id(id);
    flow.mutable_steps()->rbegin()->mutable_action()->mutable_noop();
  }
  v1::Obligation* hold = flow.add_obligations();
  hold->set_name("hold");
  hold->set_opened_by("open");
  hold->set_released_by("release");
  auto graph = Graph::Make(flow);
  ASSERT_TRUE(graph.ok()) << graph.status();
  RunState state = NewRun(std::make_shared<const Graph>(*std::move(graph)));
  int64_t second = 0;
  const auto happen = [&](v1::Event event) {
    event.mutable_at()->set_seconds(++second);
    Effects ignored;
    const Status reduced = Reduce(state, event, ignored);
    EXPECT_TRUE(reduced.ok()) << reduced;
    return View(v1::RunHeader(), state, true).obligations(0);
  };
  v1::Event requested;
  requested.mutable_run_requested();
  EXPECT_FALSE(happen(requested).has_opened_at());
  for (const char* id : {"open", "release"}) {
    v1::Event granted;
    granted.mutable_step_granted()->set_step(id);
    granted.mutable_step_granted()->set_attempt(1);
    granted.mutable_step_granted()->set_epoch(1);
    granted.mutable_step_granted()->set_agent("a1");
    const v1::ObligationStatus open = happen(granted);
    EXPECT_EQ(open.opened_at().seconds(), 2) << "when its step was granted";
    EXPECT_FALSE(open.has_settled_at());
    v1::Event reported;
    reported.mutable_step_reported()->set_step(id);
    reported.mutable_step_reported()->set_attempt(1);
    reported.mutable_step_reported()->set_epoch(1);
    happen(reported);
  }
  const v1::ObligationStatus released = View(v1::RunHeader(), state, true).obligations(0);
  EXPECT_EQ(released.phase(), v1::ObligationStatus::PHASE_RELEASED);
  EXPECT_EQ(released.settled_at().seconds(), second);
}

}  // namespace
}  // namespace salvor::flows
