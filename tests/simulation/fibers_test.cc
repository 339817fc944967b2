#include "tests/simulation/fibers.h"

#include <gmock/gmock.h>

#include <string>

namespace salvor::simulation {
namespace {

using testing::ElementsAre;

TEST(Fibers, GoOnWhereTheyStoppedOnceTheyAreWoken) {
  Fibers fibers;
  std::vector<std::string> said;
  Fiber* sleeper = nullptr;
  fibers.Launch([&] {
    said.emplace_back("begins");
    sleeper = Fibers::Current();
    Fibers::Sleep();
    said.emplace_back("goes on");
  });
  fibers.Launch([&] { said.emplace_back("another"); });
  fibers.Run();
  EXPECT_THAT(said, ElementsAre("begins", "another"));
  fibers.Run();
  EXPECT_EQ(said.size(), 2u) << "nobody has woken it";
  Fibers::Wake(*sleeper);
  fibers.Run();
  EXPECT_EQ(said.back(), "goes on");
}

TEST(Fibers, WaitForWhatOthersChange) {
  Fibers fibers;
  Mutex mutex;
  bool changed = false;
  std::vector<std::string> said;
  fibers.Launch([&] {
    MutexLock lock(mutex);
    while (!changed) fibers.Wait(mutex);
    said.emplace_back("saw it");
  });
  fibers.Run();
  EXPECT_TRUE(said.empty());
  fibers.Launch([&] {
    MutexLock lock(mutex);
    changed = true;
    said.emplace_back("changed it");
  });
  fibers.Run();
  EXPECT_THAT(said, ElementsAre("changed it", "saw it"));
}

TEST(Fibers, AreWaitedForFromOutside) {
  Fibers fibers;
  Mutex mutex;
  int ended = 0;
  for (int i = 0; i < 3; ++i) {
    fibers.Launch([&] {
      MutexLock lock(mutex);
      ++ended;
    });
  }
  MutexLock lock(mutex);
  while (ended < 3) fibers.Wait(mutex);
  EXPECT_EQ(ended, 3);
}

}  // namespace
}  // namespace salvor::simulation
