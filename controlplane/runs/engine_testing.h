// The engine with a store in memory, a clock that stands still, and agents made of a list of messages.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/io/mutex.h"
#include "controlplane/runs/engine.h"
#include "controlplane/runs/waiting_calls.h"
#include "controlplane/store/memory/memory_store.h"

namespace salvor::controlplane {

// The link records what was sent to one agent, in order.
class RecordedLink final : public AgentLink {
 public:
  void Send(v1::ControlMessage message) override {
    MutexLock lock(mutex_);
    all_.MergeFrom(message);
    ++messages_;
  }
  void Close(const std::string& why) override {
    MutexLock lock(mutex_);
    closed_ = why;
  }
  // Takes what came since the last call.
  v1::ControlMessage Take() {
    MutexLock lock(mutex_);
    v1::ControlMessage taken;
    taken.Swap(&all_);
    return taken;
  }
  std::string Closed() {
    MutexLock lock(mutex_);
    return closed_;
  }

 private:
  Mutex mutex_;
  v1::ControlMessage all_ ABSL_GUARDED_BY(mutex_);
  int messages_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string closed_ ABSL_GUARDED_BY(mutex_);
};

struct Agent {
  int64_t session = 0;
  std::shared_ptr<RecordedLink> link;
};

class EngineTest : public testing::Test {
 protected:
  EngineTest() { Restart(); }

  void Restart() {
    engine_.reset();
    auto engine = Engine::Create(
        store_, clock_,
        {.version = "test", .random = [] { return 0.0; }, .on_fatal = [](const Status&) { FAIL(); }},
        nullptr);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }

  // "a" then "b" after it, and so on.
  static v1::Flow Chain(int length, int attempts = 1) {
    v1::Flow flow;
    for (int i = 0; i < length; ++i) {
      v1::Step* step = flow.add_steps();
      step->set_id(std::string(1, static_cast<char>('a' + i)));
      step->mutable_action()->mutable_noop();
      step->mutable_retry()->set_attempts(attempts);
      if (i > 0) step->add_after()->set_step(flow.steps(i - 1).id());
    }
    return flow;
  }

  void Start(const std::string& name, v1::Flow flow) {
    v1::RunHeader header;
    header.set_name(name);
    header.set_environment("local");
    ASSERT_TRUE(StartRunAndWait(*engine_, header, std::move(flow), "").ok());
  }

  // "a" opens the obligation "scratch", which "b" releases.
  static v1::Flow WithObligation() {
    v1::Flow flow;
    for (const char* id : {"a", "b"}) {
      flow.add_steps()->set_id(id);
      flow.mutable_steps(flow.steps_size() - 1)->mutable_action()->mutable_noop();
    }
    v1::Obligation* obligation = flow.add_obligations();
    obligation->set_name("scratch");
    obligation->set_opened_by("a");
    obligation->set_released_by("b");
    return flow;
  }

  // Time passes for an agent that is heard from all the while.
  void KeepConnected(const Agent& agent, absl::Duration time) {
    for (absl::Duration passed; passed < time; passed += absl::Seconds(10)) {
      clock_.Advance(absl::Seconds(10));
      v1::AgentMessage heartbeat;
      heartbeat.set_heartbeat(true);
      engine_->Receive(agent.session, heartbeat);
      engine_->Tick();
    }
  }

  Agent Connect(const std::string& name = "agent-a", std::vector<v1::LeaseKey> held = {}, int credits = 8,
                const std::string& environment = "local") {
    v1::AgentHello hello;
    hello.set_agent(name);
    hello.set_environment(environment);
    hello.set_protocol(1);
    hello.add_capabilities("noop");
    for (const v1::LeaseKey& lease : held) *hello.add_held() = lease;
    Agent agent;
    agent.link = std::make_shared<RecordedLink>();
    agent.session = *engine_->Connect(hello, agent.link);
    v1::AgentMessage message;
    message.set_credits(credits);
    engine_->Receive(agent.session, message);
    return agent;
  }

  v1::ControlMessage Take(const Agent& agent) {
    EXPECT_TRUE(CommitAndWait(store_, {}).ok());  // everything before it has been sent now
    return agent.link->Take();
  }

  void Report(const Agent& agent, const v1::LeaseKey& lease, const std::string& error = "",
              bool retryable = false) {
    v1::AgentMessage message;
    v1::Report* report = message.add_reports();
    *report->mutable_lease() = lease;
    report->mutable_result();
    if (!error.empty()) {
      report->mutable_result()->mutable_error()->set_message(error);
      report->mutable_result()->mutable_error()->set_retryable(retryable);
    }
    message.set_credits(1);
    engine_->Receive(agent.session, message);
  }

  v1::RunPhase PhaseOf(const std::string& run) {
    EXPECT_TRUE(CommitAndWait(store_, {}).ok());
    return engine_->GetRun(run)->phase();
  }

  MemoryStore store_;
  FakeClock clock_{absl::FromUnixSeconds(1795256100)};
  std::unique_ptr<Engine> engine_;
};

}  // namespace salvor::controlplane
