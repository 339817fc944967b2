// Time as something that is handed in. Code that decides takes an absl::Time; only the edge owns a Clock.
#pragma once

#include <absl/time/time.h>

namespace salvor {

// Thread-safe in every implementation.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

// Stands still until it is told. Not thread-safe: for tests with one thread.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(absl::Time start) : now_(start) {}
  absl::Time Now() const override { return now_; }
  void Advance(absl::Duration by) { now_ += by; }

 private:
  absl::Time now_;
};

}  // namespace salvor
