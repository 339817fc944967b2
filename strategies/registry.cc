#include "strategies/registry.h"

#include "strategies/action/action_strategy.h"
#include "strategies/disk/disk_strategy.h"
#include "strategies/dummy/dummy_strategy.h"
#include "strategies/mariadb/mariadb_strategy.h"
#include "strategies/postgres/postgres_strategy.h"

namespace salvor::strategies {

std::vector<std::unique_ptr<const Strategy>> NewStrategies() {
  std::vector<std::unique_ptr<const Strategy>> strategies;
  strategies.push_back(std::make_unique<PostgresStrategy>());
  strategies.push_back(std::make_unique<DiskStrategy>());
  strategies.push_back(std::make_unique<DummyStrategy>());
  strategies.push_back(std::make_unique<MariadbStrategy>());
  strategies.push_back(std::make_unique<ActionStrategy>());
  return strategies;
}

const StrategyRegistry& BuiltInStrategies() {
  static const auto* registry =
      new StrategyRegistry(NewStrategies());  // never destroyed: threads may outlive main
  return *registry;
}

}  // namespace salvor::strategies
