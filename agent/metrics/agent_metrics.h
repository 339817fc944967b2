// The agent's metrics: what its executor tells, in Prometheus' words. Thread-safe.
#pragma once

#include <string>

#include "agent/executor/executor.h"
#include "base/io/metrics/registry.h"

namespace salvor::agent {

class AgentMetrics final : public ExecutorObserver {
 public:
  AgentMetrics(MetricRegistry& registry, const std::string& version);  // `registry` must outlive it

  void OnTask(const std::string& kind, bool succeeded, absl::Duration took) override;
  void OnProgress(const std::string& kind, int64_t bytes) override;
  void OnRunning(int running) override;

  // Sets the figures that are computed at each scrape.
  void Refresh(bool is_connected, size_t open_obligations);

 private:
  MetricRegistry& registry_;
};

}  // namespace salvor::agent
