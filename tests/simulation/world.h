// Time, what is due, and what was seen: the ground that everything simulated stands on. One thread.
#pragma once

#include <absl/time/time.h>
#include <fmt/format.h>

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "tests/simulation/fate.h"

namespace salvor::simulation {

class World {
 public:
  explicit World(uint64_t seed, bool traces) : fate(seed), traces_(traces) {}

  Fate fate;
  bool calm = false;  // no more faults
  int faults = 0;
  int events = 0;

  // Since the world began: the time that nobody sets.
  absl::Duration Now() const { return now_; }
  void After(absl::Duration delay, std::function<void()> happens) {
    due_.emplace(std::pair{now_ + delay, ++last_}, std::move(happens));
  }
  // The next event. False when there is none.
  bool Step() {
    if (due_.empty()) return false;
    auto next = due_.extract(due_.begin());
    now_ = next.key().first;
    ++events;
    next.mapped()();
    return true;
  }
  bool FaultOneIn(int n) {
    if (calm || !fate.OneIn(n)) return false;
    ++faults;
    return true;
  }

  template <typename... Args>
  void Trace(fmt::format_string<Args...> format, Args&&... args) {
    if (traces_) lines_.push_back(Stamp() + fmt::format(format, std::forward<Args>(args)...));
  }
  bool Traces() const { return traces_; }
  // Something that must never be: the run of this world ends with it.
  template <typename... Args>
  void Broken(fmt::format_string<Args...> format, Args&&... args) {
    broken_.push_back(Stamp() + fmt::format(format, std::forward<Args>(args)...));
    Trace("BROKEN: {}", broken_.back());
  }
  const std::vector<std::string>& WhatBroke() const { return broken_; }
  const std::vector<std::string>& Lines() const { return lines_; }

 private:
  std::string Stamp() const { return fmt::format("{:>11.3f} s  ", absl::ToDoubleSeconds(now_)); }

  absl::Duration now_;
  int64_t last_ = 0;
  std::map<std::pair<absl::Duration, int64_t>, std::function<void()>> due_;
  const bool traces_;
  std::vector<std::string> lines_, broken_;
};

// The clock of one machine.
class WorldClock final : public Clock {
 public:
  explicit WorldClock(const World& world) : world_(world) {}
  absl::Time Now() const override { return absl::FromUnixSeconds(1795256100) + world_.Now() + wrong_by_; }
  absl::Duration Monotonic() const override { return absl::Hours(1) + world_.Now(); }
  void Jump(absl::Duration by) { wrong_by_ += by; }

 private:
  const World& world_;
  absl::Duration wrong_by_;
};

}  // namespace salvor::simulation
