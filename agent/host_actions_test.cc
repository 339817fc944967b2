#include "agent/host_actions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/cluster_actions.h"
#include "agent/process/process.h"
#include "agent/work/noop_action.h"
#include "agent/work/registry.h"
#include "proto/scratch_engine.h"

namespace salvor::agent {
namespace {

TEST(HostActions, AreAllKindsOfActionThatThereAreWithThoseOfACluster) {
  const ActionRegistry registry = HostActions();
  ActionRegistry all = ExecutorActions({});
  all.insert(registry.begin(), registry.end());
  EXPECT_THAT(KindsNotIn(all), testing::IsEmpty())
      << "no agent can do these: register them, or say here who does";
  for (const auto& [kind, entry] : registry)
    EXPECT_EQ(entry.instant, kind == "noop" || kind == "manifest_part") << kind;
}

// Flows of version 0.1 name that one by a bool.
TEST(HostActions, HaveTheEngineThatFlowsOf01Want) {
  SupervisedTools tools("none");
  std::vector<std::string> kinds;
  for (const auto& engine : HostScratchEngines(AgentConfig(), tools)) kinds.push_back(engine->Kind());
  EXPECT_THAT(kinds, testing::Contains(kOnlyEngineOf0_1));
}

TEST(Registry, AFunctionIsFoundUnderTheNameOfWhatItTakesAndGetsThat) {
  ActionRegistry registry;
  Register(registry, RunNoop);
  ASSERT_EQ(registry.count("noop"), 1u);
  EXPECT_EQ(KindsNotIn(registry).size() + 1, KindsNotIn({}).size());
  v1::Action action;
  action.mutable_noop()->set_fail_with("as told");
  const AgentConfig config;
  SupervisedTools tools("none");
  v1::Task task;
  task.mutable_lease()->set_attempt(1);
  ActionContext context{config, tools, task, {}, SteadyTime::InfiniteFuture(), nullptr, nullptr};
  EXPECT_EQ(MessageOf(registry["noop"].run(action, context).status()), "as told");
}

TEST(RegistryDeathTest, TwoOfAKindEndTheProgram) {
  ActionRegistry registry;
  Register(registry, RunNoop);
  EXPECT_DEATH(Register(registry, RunNoop), "two actions are of kind noop");
}

TEST(RegistryDeathTest, WhatIsNoKindOfActionEndsTheProgram) {
  EXPECT_DEATH(KindOfMessage(*v1::ActionResult::descriptor()), "ActionResult is no kind of action");
}

}  // namespace
}  // namespace salvor::agent
