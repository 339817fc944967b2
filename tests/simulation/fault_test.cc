// Linked with source files that have a fault of old planted in them (plant.py): the simulator finds it, by the words that
// are expected of it, however else it breaks before.
#include <gtest/gtest.h>

#include <iostream>
#include <regex>
#include <string>

#include "tests/simulation/seeds.h"

namespace salvor::simulation {
namespace {

TEST(PlantedFault, IsFound) {
  const std::regex expected(SALVOR_FOUND_BY);
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    for (const std::string& broken : SimulateSeed(seed, false).broken) {
      if (!std::regex_search(broken, expected)) continue;
      std::cout << "seed " << seed << ": " << broken << "\n";
      return;
    }
  }
  FAIL() << "200 seeds do not find it by: " << SALVOR_FOUND_BY;
}

}  // namespace
}  // namespace salvor::simulation
