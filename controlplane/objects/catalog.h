// The declared objects: checked as a whole, stored, and put together for a run. Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/io/mutex.h"
#include "base/status.h"
#include "controlplane/store/contract/store.h"
#include "strategies/interface/strategy.h"

namespace salvor::controlplane {

// An application with everything it names.
struct ResolvedApplication {
  std::string name;
  std::string environment;
  std::string location;  // its name
  v1::LocationSpec location_spec;
  std::vector<v1::Component> components;         // the driver's with the application's laid over them
  std::optional<v1::KubernetesCluster> cluster;  // that its environment is; nothing: it is a set of hosts
};

class Catalog {
 public:
  // The store and the strategies must outlive the catalog.
  static StatusOr<std::unique_ptr<Catalog>> Load(Store& store,
                                                 const strategies::StrategyRegistry& strategies);

  // All or none: with problems nothing is changed. One outcome per object.
  struct Applied {
    std::vector<v1::ApplyResponse::Outcome> outcomes;
    std::vector<v1::Problem> problems;
  };
  StatusOr<Applied> Apply(std::vector<v1::Object> objects, bool dry_run);

  // Those of this kind and name, either of which may be empty, in the order of kinds and names.
  std::vector<v1::Object> List(const std::string& kind, const std::string& name);

  // FailedPrecondition names who still refers to it.
  Status Delete(const std::string& kind, const std::string& name);

  StatusOr<ResolvedApplication> Resolve(const std::string& application);
  StatusOr<v1::LocationSpec> Location(const std::string& name);
  // Whether the environment demands it; one that is no longer declared demands nothing.
  bool RequiresIsolation(const std::string& environment);
  // The cluster that the environment is; nothing for a set of hosts, and for one that is no longer declared.
  std::optional<v1::KubernetesCluster> ClusterOf(const std::string& environment);

 private:
  Catalog(Store& store, const strategies::StrategyRegistry& strategies)
      : store_(store), strategies_(strategies) {}
  using Objects = std::map<std::string, v1::Object>;  // "Kind/name"
  StatusOr<v1::Object> Find(const std::string& kind, const std::string& name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Store& store_;
  const strategies::StrategyRegistry& strategies_;
  Mutex mutex_;
  Objects objects_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace salvor::controlplane
