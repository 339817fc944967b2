// Stories: a flow, what happens to it, and what the reducer answers. The files under testdata/ are the test
// and the manual; their lines "->" and "state" are what the reducer said. To accept a change of behaviour,
// run with SALVOR_UPDATE_GOLDEN=1 and read the difference.
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/text.h"
#include "flows/run/invariants.h"
#include "flows/run/reducer.h"
#include "proto/time.h"

namespace salvor::flows {
namespace {

using google::protobuf::TextFormat;

std::vector<std::string> Words(const std::string& line) {
  std::istringstream in(line);
  return {std::istream_iterator<std::string>(in), {}};
}

google::protobuf::Duration DurationOf(const std::string& text) { return ToProto(*ParseDuration(text)); }

// "after a, b:finished attempts 3 timeout 10s movable" … onto a step.
void ParseStep(const std::vector<std::string>& words, v1::Flow& flow) {
  v1::Step* step = flow.add_steps();
  step->set_id(words[0]);
  step->mutable_action()->mutable_noop();
  std::string mode;
  for (size_t i = 1; i < words.size(); ++i) {
    std::string word = words[i];
    if (word == "movable") {
      step->set_movable(true);
    } else if (word == "pauses") {
      step->mutable_retry()->set_on_exhausted(v1::RetryPolicy::ON_EXHAUSTED_PAUSE);
    } else if (word == "after" || word == "attempts" || word == "timeout" || word == "queue-timeout" ||
               word == "obliges" || word == "guarding" || word == "at") {
      mode = word;
      if (word == "obliges") flow.add_obligations()->set_opened_by(words[0]);
    } else {
      if (word.back() == ',') word.pop_back();
      if (mode == "after") {
        const auto parts = Split(word, ':');
        v1::Edge* edge = step->add_after();
        edge->set_step(parts[0]);
        if (parts.size() > 1) edge->set_condition(v1::Edge::CONDITION_FINISHED);
      } else if (mode == "attempts") {
        step->mutable_retry()->set_attempts(std::stoi(word));
      } else if (mode == "timeout") {
        *step->mutable_attempt_timeout() = DurationOf(word);
      } else if (mode == "queue-timeout") {
        *step->mutable_queue_timeout() = DurationOf(word);
      } else if (mode == "obliges") {
        flow.mutable_obligations(flow.obligations_size() - 1)->set_name(word);
        flow.mutable_obligations(flow.obligations_size() - 1)->set_released_by(word);
      } else if (mode == "at") {
        step->set_place(word);
      } else if (mode == "guarding") {
        flow.mutable_obligations(flow.obligations_size() - 1)->add_guards(word);
      }
    }
  }
}

// "place pod movable" and "place web of agent web-1".
void ParsePlace(const std::vector<std::string>& words, v1::Flow& flow) {
  v1::Place* place = flow.add_places();
  place->set_name(words[1]);
  place->set_movable(words.back() == "movable");
  if (words.size() > 4) place->set_agent(words[4]);
}

// "… binding db, web" at the end of a grant, "… binding node=node-7" at the end of a report.
template <typename Message>
void ParseBindings(const std::vector<std::string>& words, const std::string& agent, Message& message) {
  const auto binding = std::find(words.begin(), words.end(), "binding");
  if (binding == words.end()) return;
  for (auto word = binding + 1; word != words.end(); ++word) {
    const auto parts = Split(word->back() == ',' ? word->substr(0, word->size() - 1) : *word, '=');
    v1::Binding* one = message.add_bindings();
    one->set_place(parts[0]);
    one->set_agent(parts.size() > 1 ? parts[1] : agent);
  }
}

absl::Time TimeOf(const std::string& clock) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%Y-%m-%d %H:%M:%S", "2026-11-21 " + clock, absl::UTCTimeZone(), &time, &error))
      << clock;
  return time;
}

std::string ClockOf(absl::Time time) { return absl::FormatTime("%H:%M:%S", time, absl::UTCTimeZone()); }

// "dump#1 failed, retryable: connection refused" and the other event lines.
v1::Event ParseEvent(const std::string& line, const RunState& state) {
  const auto words = Words(line);
  v1::Event event;
  *event.mutable_at() = ToProto(TimeOf(words[0]));
  const std::string what = words[1];
  const std::string rest = line.substr(line.find(what));
  const auto hash = what.find('#');
  if (rest == "run requested") {
    event.mutable_run_requested();
  } else if (what == "cancel") {
    event.mutable_cancel_requested()->set_by(words[3]);
  } else if (what == "time" || what == "grace") {
    event.mutable_timer_fired()->set_kind(what == "time" ? v1::TimerFired::KIND_RUN_TIMEOUT
                                                         : v1::TimerFired::KIND_CANCEL_GRACE);
  } else if (what == "start") {
    event.mutable_timer_fired()->set_kind(v1::TimerFired::KIND_START_DEADLINE);
    event.mutable_timer_fired()->set_reason(line.substr(line.find(": ") + 2));
  } else if (what == "early") {
    event.mutable_released_early()->set_obligation(words[4].substr(0, words[4].size() - 1));
    event.mutable_released_early()->set_reason(line.substr(line.find(": ") + 2));
  } else {
    const std::string step = what.substr(0, hash);
    const int attempt = std::stoi(what.substr(hash + 1));
    const int64_t epoch = 10 * attempt;  // any number that grows will do
    const int index = state.graph->Find(step);
    EXPECT_GE(index, 0) << line;
    if (words[2] == "granted") {
      auto* granted = event.mutable_step_granted();
      granted->set_step(step);
      granted->set_attempt(attempt);
      granted->set_epoch(epoch);
      granted->set_agent(words[4]);
      ParseBindings(words, words[4], *granted);
    } else if (words[2] == "lease") {
      event.mutable_lease_expired()->set_step(step);
      event.mutable_lease_expired()->set_epoch(epoch);
    } else if (words[2] == "backoff" || words[2] == "attempt-timeout" || words[2] == "queue-timeout") {
      auto* timer = event.mutable_timer_fired();
      timer->set_step(step);
      timer->set_attempt(attempt);
      timer->set_kind(words[2] == "backoff"           ? v1::TimerFired::KIND_BACKOFF
                      : words[2] == "attempt-timeout" ? v1::TimerFired::KIND_ATTEMPT_TIMEOUT
                                                      : v1::TimerFired::KIND_QUEUE_TIMEOUT);
    } else {
      auto* reported = event.mutable_step_reported();
      reported->set_step(step);
      reported->set_attempt(attempt);
      reported->set_epoch(epoch);
      ParseBindings(words, "", *reported->mutable_result());
      if (words[2] != "succeeded") {
        auto* error = reported->mutable_result()->mutable_error();
        error->set_retryable(line.find("retryable") != std::string::npos);
        error->set_message(line.substr(line.find(": ") + 2));
      }
    }
  }
  return event;
}

std::string Lower(std::string name, const std::string& prefix) {
  name = name.substr(prefix.size());
  for (char& c : name) c = static_cast<char>(c == '_' ? '-' : std::tolower(c));
  return name;
}

std::string Render(const Effect& effect, const RunState& state) {
  const auto named = [&](int step) {
    return fmt::format("{}#{}", state.graph->Step(step).id(), state.steps[static_cast<size_t>(step)].attempt);
  };
  if (const auto* ready = std::get_if<StepReady>(&effect))
    return state.graph->Step(ready->step).id() + " is ready";
  if (const auto* cancel = std::get_if<CancelStep>(&effect)) return "stop " + named(cancel->step);
  if (const auto* timer = std::get_if<StartTimer>(&effect)) {
    const std::string kind = Lower(v1::TimerFired::Kind_Name(timer->kind), "KIND_");
    return fmt::format("at {}: {}{}", ClockOf(timer->at), timer->step < 0 ? "" : named(timer->step) + " ",
                       kind);
  }
  std::string text = "run " + Lower(v1::RunPhase_Name(state.phase), "RUN_PHASE_");
  return state.reason.empty() ? text : text + ": " + state.reason;
}

std::string RenderState(const RunState& state) {
  std::vector<std::string> parts;
  for (int i = 0; i < state.graph->StepCount(); ++i) {
    const StepState& at = state.steps[static_cast<size_t>(i)];
    std::string part = state.graph->Step(i).id() + " " + Lower(v1::StepPhase_Name(at.phase), "STEP_PHASE_");
    if (!at.reason.empty()) part += " (" + at.reason + ")";
    parts.push_back(part);
  }
  for (size_t i = 0; i < state.obligations.size(); ++i) {
    parts.push_back("obligation " + state.graph->ObligationAt(static_cast<int>(i)).name() + " " +
                    Lower(v1::ObligationStatus::Phase_Name(state.obligations[i].phase), "PHASE_"));
  }
  for (size_t i = 0; i < state.bound.size() && !state.graph->Flow().places().empty(); ++i) {
    parts.push_back(fmt::format("place {} {}", state.graph->Places()[i].name(),
                                state.bound[i].empty() ? "not bound" : "of " + state.bound[i]));
  }
  return "state     " + Join(parts, "\n          ");
}

// The script with every answer written anew.
std::string Play(const std::string& script) {
  std::istringstream in(script);
  std::string line, out;
  v1::Flow flow;
  RunState state;
  bool begun = false, in_state = false;
  while (std::getline(in, line)) {
    if (in_state && !line.empty() && line[0] == ' ') continue;  // an answer of last time
    in_state = false;
    if (line.rfind("          -> ", 0) == 0) continue;
    if (line.rfind("state", 0) == 0) {
      out += RenderState(state) + "\n";
      in_state = true;
      continue;
    }
    out += line + "\n";
    if (line.empty() || line[0] == '#') continue;
    if (line.rfind("graces ", 0) == 0) {
      EXPECT_TRUE(TextFormat::MergeFromString(line.substr(7), flow.mutable_graces())) << line;
      continue;
    }
    if (line.rfind("start within ", 0) == 0) {
      *flow.mutable_start_within() = DurationOf(Words(line)[2]);
      continue;
    }
    if (line.rfind("place ", 0) == 0) {
      ParsePlace(Words(line), flow);
      continue;
    }
    if (line.rfind("flow", 0) == 0 || line.rfind("    ", 0) == 0) {
      ParseStep(Words(line.rfind("flow", 0) == 0 ? line.substr(4) : line), flow);
      continue;
    }
    if (!begun) {
      auto graph = Graph::Make(flow);
      EXPECT_TRUE(graph.ok()) << graph.status();
      state = NewRun(std::make_shared<const Graph>(*std::move(graph)));
      begun = true;
    }
    const RunState before = state;
    Effects effects;
    const Status status = Reduce(state, ParseEvent(line, state), effects);
    if (!status.ok()) out += "          -> refused: " + MessageOf(status) + "\n";
    for (const Effect& effect : effects) out += "          -> " + Render(effect, state) + "\n";
    EXPECT_THAT(BrokenInvariants(state), testing::IsEmpty()) << line;
    EXPECT_THAT(BrokenBetween(before, state), testing::IsEmpty()) << line;
  }
  return out;
}

class Golden : public testing::TestWithParam<std::string> {};

TEST_P(Golden, Story) {
  std::stringstream script;
  script << std::ifstream(GetParam()).rdbuf();
  const std::string played = Play(script.str());
  if (std::getenv("SALVOR_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(GetParam()) << played;
    return;
  }
  EXPECT_EQ(played, script.str());
}

std::vector<std::string> Stories() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator("testdata")) {
    if (entry.path().extension() == ".golden") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

INSTANTIATE_TEST_SUITE_P(Stories, Golden, testing::ValuesIn(Stories()), [](const auto& story) {
  std::string name = std::filesystem::path(story.param).stem().string();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace salvor::flows
