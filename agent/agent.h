// The composition root of salvor-agent: builds everything in the order of need and binds it together.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/work/action.h"
#include "base/io/grpc/endpoint.h"
#include "base/io/metrics/registry.h"
#include "base/status.h"

namespace salvor::agent {

struct AgentOptions {
  AgentConfig config;
  std::string supervisor;  // path of salvor-supervise
  std::string server;      // see ParseEndpoint
  TlsFiles tls;
  std::string token_file;
  std::string metrics_listen;  // empty: no metrics
  bool metrics_open = false;   // see MetricsAddress
  std::shared_ptr<MetricRegistry>
      metrics;                            // where other parts keep figures, too; null: one of the agent's own
  std::function<void()> refresh_metrics;  // at each scrape, for those parts; may be null
  std::string version;
  ActionRegistry actions;  // what it can do: HostActions() and what is built beside them
};

class Agent {
 public:
  // Opens the journal and ends what a predecessor left: interrupted attempts, scratch servers past their
  // time.
  static StatusOr<std::unique_ptr<Agent>> Start(AgentOptions options);
  virtual ~Agent() = default;

  // Serves the control plane until Stop; then stops what runs. The journal tells the next start.
  virtual Status Run() = 0;
  virtual void Stop() = 0;  // from any thread
};

}  // namespace salvor::agent
