// The control plane's metrics: what the engine tells, in Prometheus' words. Thread-safe.
//
// What people alert on is computed from the records of backups as they stand, not from the order in which they
// were told: a drill of an older backup or a restart turns nothing back.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/io/metrics/registry.h"
#include "base/io/mutex.h"
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

  // The applications that are declared now. Each has its series about backups from then on, 0 for "never", so
  // that an alert on age fires for what never succeeded; they go with the declaration.
  void SetApplications(const std::set<std::string>& declared);

  // Sets the figures that are computed at each scrape.
  void Refresh(Engine& engine, Store& store);

 private:
  // The part of one backup's record that the series need; times are 0 for "never".
  struct Standing {
    double succeeded_at_s = 0, proven_at_s = 0, bytes = 0;
  };
  using Standings = std::map<std::string, Standing>;  // by the backup's name

  void Put(const v1::Backup& backup, const Standing& standing);
  void Publish(const std::string& application) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  MetricRegistry& registry_;
  Mutex mutex_;
  std::map<std::string, Standings> backups_ ABSL_GUARDED_BY(mutex_);  // by application, deleted ones too
  std::set<std::string> declared_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace salvor::controlplane
