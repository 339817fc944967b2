// The control plane's metrics: what the engine tells, in Prometheus' words.
#pragma once

#include <set>
#include <string>

#include "base/io/metrics/registry.h"
#include "controlplane/runs/engine.h"

namespace salvor::controlplane {

class RunMetrics final : public EngineObserver {
 public:
  // `registry` must outlive it.
  RunMetrics(MetricRegistry& registry, const std::string& version);

  void OnStep(const v1::RunHeader& run, const v1::Step& step, v1::StepPhase phase,
              absl::Duration took) override;
  void OnRetry(const v1::RunHeader& run) override;
  void OnRun(const v1::Run& finished) override;
  void OnBackup(const v1::Backup& backup) override;

  // Gauges that are computed at each scrape.
  void Refresh(Engine& engine, Store& store);

 private:
  MetricRegistry& registry_;
};

}  // namespace salvor::controlplane
