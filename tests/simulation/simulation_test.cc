// Whatever a seed does to them: what must never be never is, every run ends, and all that was made is undone.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "tests/simulation/seeds.h"

namespace salvor::simulation {
namespace {

uint64_t Number(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// SALVOR_SIMULATION_SEED names the seed, and shows all that happened should it break.
TEST(Simulation, OneSeedGivesOneHistory) {
  const bool is_asked_for = std::getenv("SALVOR_SIMULATION_SEED") != nullptr;
  const uint64_t seed = Number("SALVOR_SIMULATION_SEED", 1);
  const Outcome first = SimulateSeed(seed, true);
  EXPECT_TRUE(first.broken.empty()) << DescribeBroken(seed, first, is_asked_for ? SIZE_MAX : 100);
  const Outcome second = SimulateSeed(seed, true);
  ASSERT_EQ(first.trace.size(), second.trace.size());
  for (size_t i = 0; i < first.trace.size(); ++i) ASSERT_EQ(first.trace[i], second.trace[i]);
}

// SALVOR_SIMULATION_FIRST and SALVOR_SIMULATION_SEEDS name others, and more.
TEST(Simulation, NothingBreaksUnderManySeeds) {
  const uint64_t first = Number("SALVOR_SIMULATION_FIRST", 1);
  const uint64_t count = Number("SALVOR_SIMULATION_SEEDS", 200);
  int64_t events = 0, faults = 0, runs = 0, succeeded = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const Outcome outcome = SimulateSeed(seed, false);
    ASSERT_TRUE(outcome.broken.empty()) << DescribeBroken(seed, outcome, 100);
    ASSERT_GE(outcome.events_with_faults, 2000) << "seed " << seed;
    ASSERT_GE(outcome.faults, 100) << "seed " << seed;
    events += outcome.events;
    faults += outcome.faults;
    runs += outcome.runs;
    succeeded += outcome.succeeded;
  }
  std::cout << count << " seeds: " << events << " events, " << faults << " faults, " << runs << " runs, "
            << succeeded << " of them succeeded\n";
  EXPECT_GT(succeeded, runs / 10) << "where nearly nothing succeeds little is tested";
}

}  // namespace
}  // namespace salvor::simulation
