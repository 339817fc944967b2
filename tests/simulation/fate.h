// Fate is what a seed decides. Equal seeds decide equally, wherever they run: no distribution of the standard library,
// whose algorithms are not fixed.
#pragma once

#include <absl/time/time.h>

#include <cstdint>

namespace salvor::simulation {

class Fate {
 public:
  explicit Fate(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 0x1234567) {}

  uint64_t Next() {  // splitmix64
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  int Below(int n) { return static_cast<int>(Next() % static_cast<uint64_t>(n)); }
  bool OneIn(int n) { return Below(n) == 0; }
  double Fraction() { return static_cast<double>(Next() >> 11) / 9007199254740992.0; }
  absl::Duration Between(absl::Duration low, absl::Duration high) {
    const int64_t us = absl::ToInt64Microseconds(high - low);
    return low +
           absl::Microseconds(us <= 0 ? 0 : static_cast<int64_t>(Next() % static_cast<uint64_t>(us + 1)));
  }

 private:
  uint64_t state_;
};

}  // namespace salvor::simulation
