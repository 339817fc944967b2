// A store whose callbacks don't come: what is committed meanwhile is durable for nobody.
#pragma once

#include <atomic>
#include <future>
#include <thread>

#include "controlplane/store/contract/store.h"

namespace salvor::controlplane {

// Holds up the thread of the store, from its beginning to its end. The store must outlive it.
class HeldUpStore {
 public:
  explicit HeldUpStore(Store& store) : store_(store) {
    store_.Commit({}, [held = go_on_.get_future().share()](const CommitOutcome&) { held.wait(); });
  }
  ~HeldUpStore() { End(); }
  HeldUpStore(const HeldUpStore&) = delete;
  HeldUpStore& operator=(const HeldUpStore&) = delete;

  // Whether the call, which changes nothing by itself, asks the store when it is durable and returns no earlier. The call
  // has returned afterwards, and nothing is held up any more.
  template <typename Call>
  bool Delays(const Call& call) {
    const int64_t before = store_.Statistics().commits;
    std::atomic<bool> has_returned = false;
    std::thread caller([&] {
      call();
      has_returned = true;
    });
    while (store_.Statistics().commits == before && !has_returned) std::this_thread::yield();
    // Who asks and does not wait returns in about no time.
    for (int i = 0; i < 10'000 && !has_returned; ++i) std::this_thread::yield();
    const bool waits = !has_returned;
    End();
    caller.join();
    return waits;
  }

 private:
  void End() {
    if (!has_ended_) go_on_.set_value();
    has_ended_ = true;
  }

  Store& store_;
  std::promise<void> go_on_;
  bool has_ended_ = false;
};

}  // namespace salvor::controlplane
