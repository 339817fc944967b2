// The composition root of salvord: builds everything in the order of need and binds it together.
#pragma once

#include <memory>
#include <string>

#include "base/io/grpc/endpoint.h"
#include "base/status.h"
#include "strategies/interface/strategy.h"

namespace salvor::controlplane {

struct ControlPlaneOptions {
  std::string state_directory;
  std::string listen;  // see ParseEndpoint
  TlsFiles tls;
  std::string metrics_listen;  // empty: no metrics
  bool metrics_open = false;   // see MetricsAddress
  std::string version;
};

class ControlPlane {
 public:
  // Opens the store, recovers the active runs and listens. Tokens are made in the state directory on first
  // use: api.token for people, agent.token for agents. `strategies` are the kinds of components it knows; they must
  // outlive it.
  static StatusOr<std::unique_ptr<ControlPlane>> Start(ControlPlaneOptions options,
                                                       const strategies::StrategyRegistry& strategies);
  virtual ~ControlPlane() = default;

  // Blocks until Stop; then ends streams and closes the store.
  virtual void Run() = 0;
  // Async-signal-unsafe; from any thread.
  virtual void Stop() = 0;
};

}  // namespace salvor::controlplane
