#include "agent/cluster_actions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/process/process.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;

TEST(ClusterActions, AreThoseOfTheKind) {
  const ActionRegistry executor = ExecutorActions({});
  for (const char* kind :
       {"noop", "location_open", "manifest_write", "velero_preflight", "velero_backup", "velero_restore",
        "velero_restore_check", "velero_delete", "location_forget", "scratch_namespace_start",
        "scratch_namespace_stop", "velero_slot", "velero_snapshot", "velero_release", "discover"})
    EXPECT_EQ(executor.count(kind), 1u) << kind;
  for (const auto& [kind, entry] : MoverActions()) {
    ASSERT_EQ(executor.count(kind), 1u) << kind;
    EXPECT_TRUE(executor.at(kind).resumable) << kind << ": a mover outlives its executor";
    EXPECT_FALSE(entry.resumable) << kind << ": in a mover it is done in place";
  }
  EXPECT_EQ(MoverActions().count("postgres_dump"), 1u);
  EXPECT_EQ(executor.count("disk_backup"), 0u) << "a pod has no host's files";
  EXPECT_EQ(NodeActions().count("velero_backup"), 0u) << "a node's agent writes nothing to the API";
}

TEST(ClusterActions, GoWithARuntimeAndAKind) {
  struct Case {
    v1::Runtime runtime;
    v1::AgentKind kind;
    bool ok;
  };
  for (const Case& one : {Case{v1::RUNTIME_HOST, v1::AGENT_KIND_HOST, true},
                          Case{v1::RUNTIME_HOST, v1::AGENT_KIND_EXECUTOR, false},
                          Case{v1::RUNTIME_HOST, v1::AGENT_KIND_NODE, false},
                          Case{v1::RUNTIME_KUBERNETES, v1::AGENT_KIND_HOST, false},
                          Case{v1::RUNTIME_KUBERNETES, v1::AGENT_KIND_NODE, true},
                          Case{v1::RUNTIME_KUBERNETES, v1::AGENT_KIND_EXECUTOR, true}}) {
    EXPECT_EQ(ActionsFor(one.runtime, one.kind, {}).ok(), one.ok) << one.runtime << " " << one.kind;
  }
  EXPECT_FALSE(ActionsFor(v1::RUNTIME_HOST, v1::AGENT_KIND_HOST, {"/k", nullptr}).ok());
  EXPECT_EQ(ActionsFor(v1::RUNTIME_KUBERNETES, v1::AGENT_KIND_NODE, {"/k", nullptr}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(ActionsFor(v1::RUNTIME_KUBERNETES, v1::AGENT_KIND_EXECUTOR, {"/k", nullptr}).ok());
}

TEST(ClusterActions, ReadNoKubeconfigButTheirOwn) {
  const ActionRegistry executor = ExecutorActions({"/etc/salvor/kubeconfig", nullptr});
  v1::Action action;
  action.mutable_velero_backup()->mutable_cluster()->set_kubeconfig("/root/.kube/config");
  const AgentConfig config;
  SupervisedTools tools("none");
  const v1::Task task;
  ActionContext context{config, tools, task, {}, SteadyTime::InfiniteFuture(), nullptr, nullptr};
  const auto result = executor.at("velero_backup").run(action, context);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("may not use the kubeconfig /root/.kube/config"));
}

}  // namespace
}  // namespace salvor::agent
