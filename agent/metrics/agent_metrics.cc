#include "agent/metrics/agent_metrics.h"

namespace salvor::agent {

AgentMetrics::AgentMetrics(MetricRegistry& registry, const std::string& version) : registry_(registry) {
  registry.DeclareGauge("salvor_agent_build_info", "Version of this program, as a label.", {"version"});
  registry.DeclareCounter("salvor_agent_tasks_total", "Tasks that this agent ended, by action and outcome.",
                          {"action", "outcome"});
  registry.DeclareHistogram("salvor_agent_task_duration_seconds", "How long tasks took on this agent.",
                            {0.01, 0.1, 1, 5, 15, 60, 300, 900, 3600, 10800}, {"action"});
  registry.DeclareCounter("salvor_agent_data_bytes_total",
                          "Bytes that went through this agent, or that it saw Velero copy, by action.",
                          {"action"});
  registry.DeclareGauge("salvor_agent_running_tasks", "Tasks that run now.");
  registry.DeclareGauge("salvor_agent_control_plane_connected",
                        "Whether the control plane is connected: 1 or 0.");
  registry.DeclareGauge("salvor_agent_open_obligations",
                        "Things that steps left behind at this agent and that are not undone yet.");
  registry.Set("salvor_agent_build_info", {{"version", version}}, 1);
  registry.Set("salvor_agent_running_tasks", {}, 0);
}

void AgentMetrics::OnTask(const std::string& kind, bool succeeded, absl::Duration took) {
  registry_.Add("salvor_agent_tasks_total",
                {{"action", kind}, {"outcome", succeeded ? "succeeded" : "failed"}});
  registry_.Observe("salvor_agent_task_duration_seconds", {{"action", kind}}, absl::ToDoubleSeconds(took));
}

void AgentMetrics::OnProgress(const std::string& kind, int64_t bytes) {
  registry_.Add("salvor_agent_data_bytes_total", {{"action", kind}}, static_cast<double>(bytes));
}

void AgentMetrics::OnRunning(int running) { registry_.Set("salvor_agent_running_tasks", {}, running); }

void AgentMetrics::Refresh(bool is_connected, size_t open_obligations) {
  registry_.Set("salvor_agent_control_plane_connected", {}, is_connected ? 1 : 0);
  registry_.Set("salvor_agent_open_obligations", {}, static_cast<double>(open_obligations));
}

}  // namespace salvor::agent
