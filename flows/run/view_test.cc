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

}  // namespace
}  // namespace salvor::flows
