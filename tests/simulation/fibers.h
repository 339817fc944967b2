// Functions that can stop in their middle and go on later, all on one thread: what an agent does in threads, the simulator
// does in these, in an order that a seed decides. One thread.
#pragma once

#include <ucontext.h>

#include <functional>
#include <memory>
#include <vector>

#include "base/io/mutex.h"

namespace salvor::simulation {

class Fiber;

// The fibers of one process.
class Fibers {
 public:
  Fibers();
  ~Fibers();  // all must have ended
  Fibers(const Fibers&) = delete;
  Fibers& operator=(const Fibers&) = delete;

  // It begins with the next Run.
  void Launch(std::function<void()> work);
  // Lets each go on that can, until none can.
  void Run();

  // The fiber that runs now; null outside of all.
  static Fiber* Current();
  // Stops the current fiber until somebody wakes it.
  static void Sleep();
  static void Wake(Fiber& fiber);
  void WakeAll();
  // Waits for a condition that others change: in a fiber, stops it until others have gone on; outside, lets them go on.
  void Wait(Mutex& mutex);

 private:
  bool RunOnce(bool the_waiting_too);

  std::vector<std::unique_ptr<Fiber>> fibers_;
};

}  // namespace salvor::simulation
