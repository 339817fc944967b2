// An executor's metrics of Velero: what its steps see of it, in Prometheus' words. Thread-safe.
//
// Steps look while a run needs it, and nobody looks in between. A figure of how something is now goes an hour after the
// look that it is of, for nobody knows whether it is still so; the time of the look stays.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/kubernetes/velero/observer.h"
#include "base/clock.h"
#include "base/io/metrics/registry.h"
#include "base/io/mutex.h"

namespace salvor::agent {

class VeleroMetrics final : public velero::VeleroObserver {
 public:
  VeleroMetrics(MetricRegistry& registry, const Clock& clock);  // both must outlive it

  void OnServer(const std::string& velero_namespace, const std::string& version) override;
  void OnLocations(const std::string& velero_namespace,
                   const std::vector<velero::StorageLocation>& locations) override;
  void OnQueue(const std::string& velero_namespace, const velero::Queue& queue) override;
  void OnStall(const std::string& velero_namespace, const std::string& backup, bool is_stalled) override;
  void OnVolumes(const std::string& application, const velero::VolumeCount& count) override;

  // Takes away what was not looked at for long. To be called at each scrape.
  void Refresh();

 private:
  using Series = std::pair<std::string, MetricLabels>;  // a gauge, and which of it
  using Subject = std::pair<std::string, std::string>;  // Velero's namespace, and what of it was looked at

  struct Look {
    absl::Duration at;  // by the clock that nobody sets
    std::set<Series> shown;
  };

  // All that a look at this subject found: it takes the place of the look before.
  void Show(const std::string& velero_namespace, const std::string& subject,
            const std::map<Series, double>& found);

  MetricRegistry& registry_;
  const Clock& clock_;
  Mutex mutex_;
  std::map<Subject, Look> looks_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::set<std::string>> stalled_
      ABSL_GUARDED_BY(mutex_);  // backups by Velero's namespace
};

}  // namespace salvor::agent
