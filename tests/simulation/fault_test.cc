// Linked with one source file that has a fault of old planted in it (plant.py): the simulator finds it.
#include <gtest/gtest.h>

#include <iostream>

#include "tests/simulation/seeds.h"

namespace salvor::simulation {
namespace {

TEST(PlantedFault, IsFound) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const Outcome outcome = SimulateSeed(seed, false);
    if (outcome.broken.empty()) continue;
    std::cout << "seed " << seed << ": " << outcome.broken.front() << "\n";
    return;
  }
  FAIL() << "200 seeds do not find it";
}

}  // namespace
}  // namespace salvor::simulation
