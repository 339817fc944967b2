#include "tests/simulation/fibers.h"

#include <sys/mman.h>

#include <cstdlib>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace salvor::simulation {
namespace {

constexpr size_t kStackBytes = size_t{512} * 1024;

// Stacks are used again: to map and to touch one costs more than what most fibers do.
class Stacks {
 public:
  ~Stacks() {
    for (void* stack : free_) ::munmap(stack, kStackBytes);
  }
  void* Take() {
    if (free_.empty()) {
      void* stack = ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (stack == MAP_FAILED) std::abort();
      return stack;
    }
    void* stack = free_.back();
    free_.pop_back();
    return stack;
  }
  void Give(void* stack) { free_.push_back(stack); }

 private:
  std::vector<void*> free_;
};
Stacks stacks;

Fiber* current = nullptr;

}  // namespace

class Fiber {
 public:
  enum class State { kRunnable, kAsleep, kWaiting, kEnded };

  explicit Fiber(std::function<void()> work) : work_(std::move(work)), stack_(stacks.Take()) {
    ::getcontext(&context_);
    context_.uc_stack.ss_sp = stack_;
    context_.uc_stack.ss_size = kStackBytes;
    context_.uc_link = nullptr;
    ::makecontext(&context_, &Fiber::Begin, 0);
#if defined(__SANITIZE_THREAD__)
    tsan_ = __tsan_create_fiber(0);
#endif
  }
  ~Fiber() {
    stacks.Give(stack_);
#if defined(__SANITIZE_THREAD__)
    __tsan_destroy_fiber(tsan_);
#endif
  }
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Called from outside.
  void Resume() {
    Fiber* const outer = std::exchange(current, this);
    state = State::kRunnable;
#if defined(__SANITIZE_ADDRESS__)
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, stack_, kStackBytes);
#endif
#if defined(__SANITIZE_THREAD__)
    outer_tsan_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(tsan_, 0);
#endif
    ::swapcontext(&outer_, &context_);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
    current = outer;
  }
  // Called from inside.
  void Leave(State as) {
    state = as;
#if defined(__SANITIZE_ADDRESS__)
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(as == State::kEnded ? nullptr : &fake, outer_bottom_, outer_bytes_);
#endif
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(outer_tsan_, 0);
#endif
    ::swapcontext(&context_, &outer_);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake, &outer_bottom_, &outer_bytes_);
#endif
  }

  State state = State::kRunnable;

 private:
  static void Begin() {
    Fiber* const self = current;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, &self->outer_bottom_, &self->outer_bytes_);
#endif
    self->work_();
    self->work_ = nullptr;
    self->Leave(State::kEnded);
  }

  std::function<void()> work_;
  void* stack_;
  ucontext_t context_{}, outer_{};
#if defined(__SANITIZE_ADDRESS__)
  const void* outer_bottom_ = nullptr;
  size_t outer_bytes_ = 0;
#endif
#if defined(__SANITIZE_THREAD__)
  void* tsan_ = nullptr;
  void* outer_tsan_ = nullptr;
#endif
};

Fibers::Fibers() = default;
Fibers::~Fibers() {
  if (!fibers_.empty()) std::abort();
}

void Fibers::Launch(std::function<void()> work) {
  fibers_.push_back(std::make_unique<Fiber>(std::move(work)));
}

Fiber* Fibers::Current() { return current; }
void Fibers::Sleep() { current->Leave(Fiber::State::kAsleep); }
void Fibers::Wake(Fiber& fiber) {
  if (fiber.state == Fiber::State::kAsleep) fiber.state = Fiber::State::kRunnable;
}

void Fibers::WakeAll() {
  for (const auto& fiber : fibers_) Wake(*fiber);
}

void Fibers::Wait(Mutex& mutex) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  mutex.Unlock();
  if (current != nullptr) {
    current->Leave(Fiber::State::kWaiting);
  } else {
    Run();
  }
  mutex.Lock();
}

// True when one has gone on, and not just waits again.
bool Fibers::RunOnce(bool the_waiting_too) {
  bool went_on = false;
  for (size_t i = 0; i < fibers_.size(); ++i) {  // they launch others
    Fiber& fiber = *fibers_[i];
    const bool waited = fiber.state == Fiber::State::kWaiting;
    if (fiber.state != Fiber::State::kRunnable && !(waited && the_waiting_too)) continue;
    fiber.Resume();
    went_on = went_on || !waited || fiber.state != Fiber::State::kWaiting;
  }
  std::erase_if(fibers_, [](const auto& fiber) { return fiber->state == Fiber::State::kEnded; });
  return went_on;
}

void Fibers::Run() {
  if (current != nullptr || fibers_.empty()) return;
  while (RunOnce(false) || RunOnce(true)) continue;
}

}  // namespace salvor::simulation
