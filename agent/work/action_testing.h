// One attempt of an action, as the executor would run it. Tests only.
#pragma once

#include <string>

#include "agent/process/process_testing.h"
#include "agent/work/action.h"
#include "agent/work/registry.h"
#include "base/steady_time.h"

namespace salvor::agent {

class AttemptForTest {
 public:
  explicit AttemptForTest(const std::string& state_directory, const std::string& run = "backup-shop-1") {
    config_.name = "agent";
    config_.state_directory = state_directory;
    task.mutable_lease()->set_run(run);
    task.mutable_lease()->set_attempt(1);
  }
  template <typename Message>
  StatusOr<v1::ActionResult> Run(TypedAction<Message> function, ToolRunner& tools = Tools()) {
    ActionContext context{config_, tools, task, {}, SteadyTime::InfiniteFuture(), nullptr, nullptr};
    return function(PartOf<Message>(task.action()), context);
  }
  v1::Action& Action() { return *task.mutable_action(); }

  v1::Task task;

 private:
  AgentConfig config_;
};

}  // namespace salvor::agent
