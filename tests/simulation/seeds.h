// Seeds as tests run them.
#pragma once

#include <cstdint>
#include <string>

#include "tests/simulation/simulation.h"

namespace salvor::simulation {

// Simulates in a folder of this process, in memory where there is such a place: an agent's journal is fsynced at each
// write.
Outcome SimulateSeed(uint64_t seed, bool traces);

// Says what broke, the last `most_lines` of how it came to it, and how to repeat it. It repeats the run.
std::string DescribeBroken(uint64_t seed, const Outcome& outcome, size_t most_lines);

}  // namespace salvor::simulation
