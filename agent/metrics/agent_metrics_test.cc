#include "agent/metrics/agent_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/io/metrics/reference_testing.h"

namespace salvor::agent {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;

TEST(AgentMetrics, CountsWhatTheExecutorTells) {
  MetricRegistry registry;
  AgentMetrics metrics(registry, "1.2.3");
  metrics.OnRunning(2);
  metrics.OnTask("velero_backup", true, absl::Seconds(7));
  metrics.OnTask("velero_backup", false, absl::Seconds(1));
  metrics.OnProgress("velero_backup", 100);
  metrics.OnProgress("velero_backup", 23);
  metrics.Refresh(true, 3);
  const std::string text = registry.Text();
  for (const char* line : {"salvor_agent_build_info{version=\"1.2.3\"} 1\n", "salvor_agent_running_tasks 2\n",
                           "salvor_agent_tasks_total{action=\"velero_backup\",outcome=\"succeeded\"} 1\n",
                           "salvor_agent_tasks_total{action=\"velero_backup\",outcome=\"failed\"} 1\n",
                           "salvor_agent_task_duration_seconds_sum{action=\"velero_backup\"} 8\n",
                           "salvor_agent_data_bytes_total{action=\"velero_backup\"} 123\n",
                           "salvor_agent_control_plane_connected 1\n", "salvor_agent_open_obligations 3\n"})
    EXPECT_THAT(text, HasSubstr(line));
}

TEST(AgentMetrics, AreThoseOfTheReference) {
  MetricRegistry registry;
  const AgentMetrics metrics(registry, "1.2.3");
  EXPECT_THAT(ReferenceRowsIn("salvor-agent"), ElementsAreArray(ReferenceRowsOf(registry)));
}

}  // namespace
}  // namespace salvor::agent
