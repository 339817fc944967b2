// The kinds of components that this version of Salvor knows: one line each.
#pragma once

#include <memory>
#include <vector>

#include "strategies/interface/strategy.h"

namespace salvor::strategies {

// One of each, for who adds kinds of their own to them.
std::vector<std::unique_ptr<const Strategy>> NewStrategies();

// The same as a registry, which lives as long as the program.
const StrategyRegistry& BuiltInStrategies();

}  // namespace salvor::strategies
