// The graces of a flow decide how its run goes. A flow that has none, as 0.1 wrote them, goes by what that had
// built in, which the stories under testdata/ show too.
#include "flows/graph/graces.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "flows/run/reducer.h"
#include "proto/time.h"

namespace salvor::flows {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

v1::Graces OtherGraces() {
  v1::Graces graces;
  graces.set_attempt_report_grace_ms(7'000);
  graces.set_cancel_answer_grace_ms(20'000);
  graces.set_agent_deaths_forgiven(2);
  graces.set_retry_initial_delay_ms(3'000);
  graces.set_retry_delay_factor(3);
  graces.set_retry_delay_cap_ms(10'000);
  graces.set_retry_attempts(4);
  return graces;
}

// A flow of one step, "work"; or of "open", which opens an obligation that "close" releases once "work" is over.
v1::Flow AFlow(const std::optional<v1::Graces>& graces, bool obliges = false) {
  v1::Flow flow;
  flow.add_steps()->set_id("work");
  if (obliges) {
    flow.add_steps()->set_id("open");
    flow.add_steps()->set_id("close");
    flow.mutable_steps(0)->add_after()->set_step("open");
    v1::Obligation* obligation = flow.add_obligations();
    obligation->set_name("place");
    obligation->set_opened_by("open");
    obligation->set_released_by("close");
    obligation->add_guards("work");
  }
  if (graces.has_value()) *flow.mutable_graces() = *graces;
  return flow;
}

class OneRun {
 public:
  explicit OneRun(v1::Flow flow) {
    auto graph = Graph::Make(std::move(flow));
    EXPECT_TRUE(graph.ok()) << graph.status();
    state_ = NewRun(std::make_shared<const Graph>(*std::move(graph)));
    v1::Event event;
    event.mutable_run_requested();
    Happens(event);
  }

  void Passes(absl::Duration time) { now_ += time; }

  Effects Happens(v1::Event event) {
    *event.mutable_at() = ToProto(now_);
    *event.mutable_elapsed() = ToProto(now_ - began_);
    Effects effects;
    const Status status = Reduce(state_, event, effects);
    EXPECT_TRUE(status.ok()) << status;
    return effects;
  }

  Effects Granted(const std::string& step) {
    v1::Event event;
    event.mutable_step_granted()->set_step(step);
    event.mutable_step_granted()->set_attempt(At(step).attempt + 1);
    event.mutable_step_granted()->set_epoch(At(step).attempt + 1);
    event.mutable_step_granted()->set_agent("agent");
    return Happens(event);
  }

  Effects Reported(const std::string& step, std::optional<v1::Error::Reason> failed = std::nullopt) {
    v1::Event event;
    v1::StepReported* reported = event.mutable_step_reported();
    reported->set_step(step);
    reported->set_attempt(At(step).attempt);
    reported->set_epoch(At(step).epoch);
    reported->mutable_result();
    if (failed.has_value()) {
      reported->mutable_result()->mutable_error()->set_reason(*failed);
      reported->mutable_result()->mutable_error()->set_retryable(true);
    }
    return Happens(event);
  }

  Effects Cancelled() {
    v1::Event event;
    event.mutable_cancel_requested()->set_by("a person");
    return Happens(event);
  }

  Effects Fires(v1::TimerFired::Kind kind) {
    v1::Event event;
    event.mutable_timer_fired()->set_kind(kind);
    return Happens(event);
  }

  const StepState& At(const std::string& step) const {
    return state_.steps[static_cast<size_t>(state_.graph->Find(step))];
  }
  const RunState& State() const { return state_; }
  absl::Time Now() const { return now_; }

 private:
  const absl::Time began_ = absl::FromUnixSeconds(1795256100);
  absl::Time now_ = began_;
  RunState state_;
};

// How long from now the last timer of that kind fires; nothing when there is none.
std::optional<absl::Duration> Due(const OneRun& run, const Effects& effects, v1::TimerFired::Kind kind) {
  std::optional<absl::Duration> due;
  for (const Effect& effect : effects) {
    const auto* timer = std::get_if<StartTimer>(&effect);
    if (timer != nullptr && timer->kind == kind)
      due = std::max(due.value_or(timer->at - run.Now()), timer->at - run.Now());
  }
  return due;
}

// Two effects say when the timer of that kind fires: that of a transition, and that of a restart after it.
void ExpectDue(const OneRun& run, const Effects& started, v1::TimerFired::Kind kind, absl::Duration due) {
  EXPECT_EQ(Due(run, started, kind), due);
  EXPECT_EQ(Due(run, Outstanding(run.State()), kind), due) << "after a restart";
}

// How many deaths of its agent in a row leave the step ready at once.
int DeathsForgiven(const std::optional<v1::Graces>& graces) {
  OneRun run(AFlow(graces));
  int deaths = 0;
  while (deaths < 100) {
    run.Granted("work");
    run.Reported("work", v1::Error::REASON_LOST);
    if (run.At("work").phase != v1::STEP_PHASE_READY) break;
    ++deaths;
  }
  return deaths;
}

TEST(Graces, SayHowManyDeathsOfItsAgentAStepIsForgiven) {
  EXPECT_EQ(DeathsForgiven(std::nullopt), 5);
  v1::Graces graces = OtherGraces();
  EXPECT_EQ(DeathsForgiven(graces), 2);
  graces.set_agent_deaths_forgiven(0);
  EXPECT_EQ(DeathsForgiven(graces), 0) << "none is another word than none said";
}

TEST(Graces, OfDeathsAreForNothingElse) {
  for (const v1::Error::Reason death : {v1::Error::REASON_LOST, v1::Error::REASON_INTERRUPTED}) {
    OneRun run(AFlow(std::nullopt));
    run.Granted("work");
    run.Reported("work", death);
    EXPECT_EQ(run.At("work").phase, v1::STEP_PHASE_READY) << v1::Error::Reason_Name(death);
    EXPECT_EQ(run.At("work").deaths, 1);
  }
  // A conflict that the API server answered with is one: it takes its time, and a try.
  for (const v1::Error::Reason other : {v1::Error::REASON_DISTURBED, v1::Error::REASON_UNAVAILABLE}) {
    v1::Flow flow = AFlow(std::nullopt);
    flow.mutable_steps(0)->mutable_retry()->set_attempts(2);
    OneRun run(flow);
    run.Granted("work");
    run.Reported("work", other);
    EXPECT_EQ(run.At("work").phase, v1::STEP_PHASE_BACKOFF) << v1::Error::Reason_Name(other);
    run.Passes(absl::Minutes(1));
    v1::Event due;
    due.mutable_timer_fired()->set_kind(v1::TimerFired::KIND_BACKOFF);
    due.mutable_timer_fired()->set_step("work");
    due.mutable_timer_fired()->set_attempt(1);
    run.Happens(due);
    run.Granted("work");
    run.Reported("work", other);
    EXPECT_EQ(run.At("work").phase, v1::STEP_PHASE_FAILED) << v1::Error::Reason_Name(other);
    EXPECT_EQ(run.At("work").deaths, 0);
  }
}

TEST(Graces, SayHowLongAfterItsTimeoutAnAttemptMayReport) {
  for (const auto& [graces, seconds] :
       {std::pair<std::optional<v1::Graces>, int>{std::nullopt, 90}, {OtherGraces(), 67}}) {
    v1::Flow flow = AFlow(graces);
    flow.mutable_steps(0)->mutable_attempt_timeout()->set_seconds(60);
    OneRun run(flow);
    ExpectDue(run, run.Granted("work"), v1::TimerFired::KIND_ATTEMPT_TIMEOUT, absl::Seconds(seconds));
  }
}

TEST(Graces, SayHowLongACancelledStepsAgentMayTakeToAnswer) {
  for (const auto& [graces, seconds] :
       {std::pair<std::optional<v1::Graces>, int>{std::nullopt, 60}, {OtherGraces(), 20}}) {
    OneRun run(AFlow(graces));
    run.Granted("work");
    ExpectDue(run, run.Cancelled(), v1::TimerFired::KIND_CANCEL_GRACE, absl::Seconds(seconds));
  }
}

TEST(Graces, SayHowLongTheReleaseOfACancelledRunIsWaitedFor) {
  for (const auto& [graces, seconds] :
       {std::pair<std::optional<v1::Graces>, int>{std::nullopt, 60}, {OtherGraces(), 20}}) {
    OneRun run(AFlow(graces, true));
    run.Granted("open");
    run.Reported("open");
    run.Granted("work");
    run.Cancelled();
    run.Passes(absl::Seconds(5));
    ExpectDue(run, run.Reported("work", v1::Error::REASON_CANCELLED), v1::TimerFired::KIND_CANCEL_GRACE,
              absl::Seconds(seconds));
    run.Passes(absl::Seconds(seconds - 5));
    run.Fires(v1::TimerFired::KIND_CANCEL_GRACE);
    EXPECT_EQ(run.At("close").phase, v1::STEP_PHASE_READY) << "its own time is not over";
    run.Passes(absl::Seconds(5));
    run.Fires(v1::TimerFired::KIND_CANCEL_GRACE);
    EXPECT_EQ(run.At("close").phase, v1::STEP_PHASE_FAILED);
    EXPECT_EQ(run.State().phase, v1::RUN_PHASE_CANCELLED);
  }
}

TEST(Graces, SayHowAStepIsTriedAgainWhosePolicySaysNothing) {
  const auto delays_s = [](const std::optional<v1::Graces>& graces, int attempts) {
    v1::Flow flow = AFlow(graces);
    if (attempts > 0) flow.mutable_steps(0)->mutable_retry()->set_attempts(attempts);
    OneRun run(flow);
    std::vector<int64_t> delays;
    while (delays.size() < 20) {
      run.Granted("work");
      const auto due =
          Due(run, run.Reported("work", v1::Error::REASON_UNAVAILABLE), v1::TimerFired::KIND_BACKOFF);
      if (!due.has_value()) break;
      EXPECT_EQ(Due(run, Outstanding(run.State()), v1::TimerFired::KIND_BACKOFF), due) << "after a restart";
      delays.push_back(absl::ToInt64Seconds(*due));
      run.Passes(*due);
      v1::Event event;
      event.mutable_timer_fired()->set_kind(v1::TimerFired::KIND_BACKOFF);
      event.mutable_timer_fired()->set_step("work");
      event.mutable_timer_fired()->set_attempt(run.At("work").attempt);
      run.Happens(event);
    }
    EXPECT_EQ(run.State().phase, v1::RUN_PHASE_FAILED);
    return delays;
  };
  EXPECT_THAT(delays_s(std::nullopt, 0), testing::IsEmpty()) << "one attempt";
  EXPECT_THAT(delays_s(std::nullopt, 9), testing::ElementsAre(1, 2, 4, 8, 16, 32, 60, 60));
  EXPECT_THAT(delays_s(OtherGraces(), 0), testing::ElementsAre(3, 9, 10));
  EXPECT_THAT(delays_s(OtherGraces(), 3), testing::ElementsAre(3, 9)) << "a step's own policy goes first";
}

TEST(Graces, OfAFlowThatHasSomeOnlyAreElseThoseOf01) {
  v1::Flow flow;
  flow.mutable_graces()->set_cancel_answer_grace_ms(20'000);
  const FlowGraces graces = GracesOf(flow);
  EXPECT_EQ(graces.cancel_answer, absl::Seconds(20));
  EXPECT_EQ(graces.attempt_report, absl::Seconds(30));
  EXPECT_EQ(graces.agent_deaths_forgiven, 5);
  EXPECT_EQ(graces.retry_initial_delay, absl::Seconds(1));
  EXPECT_EQ(graces.retry_delay_factor, 2);
  EXPECT_EQ(graces.retry_delay_cap, absl::Seconds(60));
  EXPECT_EQ(graces.retry_attempts, 1);
}

TEST(Graces, OfNewFlowsAreAllWrittenDown) {
  const v1::Graces graces = DefaultGraces();
  std::vector<const google::protobuf::FieldDescriptor*> written;
  graces.GetReflection()->ListFields(graces, &written);
  EXPECT_EQ(static_cast<int>(written.size()), v1::Graces::descriptor()->field_count());
  EXPECT_TRUE(CheckGraces(graces).ok()) << CheckGraces(graces);
  EXPECT_TRUE(CheckGraces({}).ok()) << "those of 0.1";
  EXPECT_TRUE(CheckGraces(OtherGraces()).ok());
}

TEST(Graces, ThatMakeNoSenseAreAllNamed) {
  v1::Graces graces;
  graces.set_attempt_report_grace_ms(0);
  graces.set_cancel_answer_grace_ms(-60'000);
  graces.set_agent_deaths_forgiven(-1);
  graces.set_retry_initial_delay_ms(5'000);
  graces.set_retry_delay_factor(std::numeric_limits<double>::quiet_NaN());
  graces.set_retry_delay_cap_ms(4'000);
  graces.set_retry_attempts(0);
  EXPECT_EQ(MessageOf(CheckGraces(graces)),
            "graces.attempt_report_grace_ms is 0, and not from 1000 to 86400000; "
            "graces.cancel_answer_grace_ms is -60000, and not from 1000 to 86400000; "
            "graces.agent_deaths_forgiven is -1, and not from 0 to 100; "
            "graces.retry_delay_factor is nan, and not from 1 to 100; "
            "graces.retry_delay_cap_ms is 4000, less than the retry_initial_delay_ms of 5000; "
            "graces.retry_attempts is 0, and not from 1 to 1000");
  v1::Graces one;
  one.set_retry_delay_cap_ms(500);
  EXPECT_THAT(MessageOf(CheckGraces(one)),
              AllOf(HasSubstr("less than the retry_initial_delay_ms of 1000"), Not(HasSubstr(";"))))
      << "what is not said counts too";
}

// ---- A restart knows what the run knew: what it waits for has one deadline, whoever asks.

TEST(Outstanding, KnowsOfAReleaseThatWasGrantedDuringACancel) {
  OneRun run(AFlow(std::nullopt, true));
  run.Granted("open");
  run.Reported("open");
  run.Granted("work");
  run.Cancelled();
  run.Passes(absl::Seconds(40));
  run.Reported("work", v1::Error::REASON_CANCELLED);
  run.Granted("close");
  EXPECT_EQ(Due(run, Outstanding(run.State()), v1::TimerFired::KIND_CANCEL_GRACE), absl::Seconds(60))
      << "its agent may be dead, and nothing else would end the run";
}

TEST(Outstanding, GivesWhatWasToldToStopItsTimeAlthoughAReleaseWaitsForLonger) {
  v1::Flow flow = AFlow(std::nullopt, true);
  flow.add_steps()->set_id("other");
  OneRun run(flow);
  run.Granted("open");
  run.Reported("open");
  run.Granted("work");
  run.Granted("other");
  run.Reported("work");
  EXPECT_EQ(run.At("close").phase, v1::STEP_PHASE_READY);
  run.Passes(absl::Minutes(10));
  run.Cancelled();
  for (const Effect& effect : Outstanding(run.State())) {
    if (const auto* timer = std::get_if<StartTimer>(&effect)) {
      EXPECT_EQ(timer->at - run.Now(), absl::Seconds(60)) << "else 'other' would be given up at once";
    }
  }
}

}  // namespace
}  // namespace salvor::flows
