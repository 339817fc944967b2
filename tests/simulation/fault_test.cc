// Linked with source files that have a fault of old planted in them (plant.py): the simulator finds it, by the words that
// are expected of it, and not by breaking in another way.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <regex>
#include <string>

#include "tests/simulation/seeds.h"

namespace salvor::simulation {
namespace {

TEST(PlantedFault, IsFound) {
  const std::regex expected(SALVOR_FOUND_BY);
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const Outcome outcome = SimulateSeed(seed, false);
    if (outcome.broken.empty()) continue;
    const bool is_it =
        std::any_of(outcome.broken.begin(), outcome.broken.end(),
                    [&](const std::string& broken) { return std::regex_search(broken, expected); });
    std::cout << "seed " << seed << ": " << outcome.broken.front() << "\n";
    EXPECT_TRUE(is_it) << "it ought to be found by: " << SALVOR_FOUND_BY;
    return;
  }
  FAIL() << "200 seeds do not find it";
}

}  // namespace
}  // namespace salvor::simulation
