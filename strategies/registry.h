// The kinds of components that this version of Salvor knows: one line each.
#pragma once

#include "strategies/interface/strategy.h"

namespace salvor::strategies {

// Lives as long as the program.
const StrategyRegistry& BuiltInStrategies();

}  // namespace salvor::strategies
