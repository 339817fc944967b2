// An agent's process, made of the real executor, journal and conversation; what it does in threads happens in fibers, and
// its actions take the time and the ends that fate gives them. It dies where it stands when it is destroyed.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "agent/executor/executor.h"
#include "agent/journal/journal.h"
#include "agent/process/process.h"
#include "agent/puller/conversation.h"
#include "tests/simulation/fibers.h"
#include "tests/simulation/witness.h"
#include "tests/simulation/world.h"

namespace salvor::simulation {

// One machine: what is there when its processes have died.
struct Host {
  Host(const World& world, AgentKey key, std::string journal_directory)
      : agent(std::move(key)), directory(std::move(journal_directory)), clock(world) {}
  AgentKey agent;
  std::string directory;
  WorldClock clock;
  bool disk_is_full = false;
  int max_parallel = 2;
  struct Made {
    int by = 0;  // which process
    absl::Duration at;
  };
  std::map<std::string, Made> places;  // made, and not undone, by name
};

class SimulatedAgent {
 public:
  // `has_something_to_say` is called whenever that may be so.
  static StatusOr<std::unique_ptr<SimulatedAgent>> Start(World& world, Witness& witness, Host& host,
                                                         int instance,
                                                         std::function<void()> has_something_to_say);
  ~SimulatedAgent();
  SimulatedAgent(const SimulatedAgent&) = delete;
  SimulatedAgent& operator=(const SimulatedAgent&) = delete;

  int Instance() const { return instance_; }
  const AgentKey& Key() const { return host_.agent; }
  std::string Name() const { return fmt::format("{}#{}", Text(host_.agent), instance_); }

  v1::AgentMessage Begin();
  void End(const Status& closed);
  bool HasSomethingToSay() { return conversation_->HasSomethingToSay(); }
  v1::AgentMessage Next();
  void Take(v1::ControlMessage message);
  void Watch();  // what its watchdog does
  bool IsIdle();
  int Running() { return executor_->Running(); }

 private:
  SimulatedAgent(World& world, Witness& witness, Host& host, int instance,
                 std::function<void()> has_something_to_say);
  Status Open();
  void Do(const std::function<void()>& what);
  StatusOr<v1::ActionResult> Act(const v1::Action& action, agent::ActionContext& context);
  StatusOr<v1::ActionResult> Work(const v1::Action& action, agent::ActionContext& context);
  // Sleeps until then, or until it is stopped and has had its time to end.
  void SleepFor(absl::Duration time, const std::stop_token& stop);
  absl::Duration RandomLength();

  World& world_;
  Witness& witness_;
  Host& host_;
  const int instance_;
  const std::function<void()> has_something_to_say_;
  agent::AgentConfig config_;
  agent::SupervisedTools tools_{"none"};  // nothing is started here
  bool is_dying_ = false;
  Fibers fibers_;
  std::unique_ptr<agent::Journal> journal_;
  std::unique_ptr<agent::Conversation> conversation_;  // outlives the executor
  std::unique_ptr<agent::Executor> executor_;
};

}  // namespace salvor::simulation
