#include "tests/simulation/simulated_agent.h"

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <utility>

#include "base/io/log.h"
#include "proto/kind.h"
#include "proto/time.h"

namespace salvor::simulation {
namespace {

// No file grows while this lives.
class FullDisk {
 public:
  explicit FullDisk(bool is_full) : is_full_(is_full) {
    if (is_full_) LimitTo(0);
  }
  ~FullDisk() {
    if (is_full_) LimitTo(RLIM_INFINITY);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  static void LimitTo(rlim_t bytes) {
    (void)::signal(SIGXFSZ, SIG_IGN);
    rlimit limit{};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = std::min(bytes, limit.rlim_max);
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  const bool is_full_;
};

}  // namespace

StatusOr<std::unique_ptr<SimulatedAgent>> SimulatedAgent::Start(World& world, Witness& witness, Host& host,
                                                                int instance,
                                                                std::function<void()> has_something_to_say) {
  std::unique_ptr<SimulatedAgent> agent(
      new SimulatedAgent(world, witness, host, instance, std::move(has_something_to_say)));
  RETURN_IF_ERROR(agent->Open());
  return agent;
}

SimulatedAgent::SimulatedAgent(World& world, Witness& witness, Host& host, int instance,
                               std::function<void()> has_something_to_say)
    : world_(world),
      witness_(witness),
      host_(host),
      instance_(instance),
      has_something_to_say_(std::move(has_something_to_say)) {
  config_.name = host.agent.name;
  config_.environment = host.agent.environment;
  config_.max_parallel = host.max_parallel;
}

Status SimulatedAgent::Open() {
  const FullDisk disk(host_.disk_is_full);
  ASSIGN_OR_RETURN(journal_, agent::Journal::Open(host_.directory));
  agent::ExecutorOptions options;
  options.config = &config_;
  options.clock = &host_.clock;
  options.journal = journal_.get();
  options.tools = &tools_;
  const auto act = [this](const v1::Action& action, agent::ActionContext& context) {
    return Act(action, context);
  };
  for (const char* kind : {"noop", "scratch_start", "scratch_stop"}) options.actions[kind] = {act, false};
  options.undo_of_0_1 = [](const v1::HeldObligation&) { return v1::Action(); };
  options.launch = [this](std::function<void()> work) { fibers_.Launch(std::move(work)); };
  options.wait = [this](CondVar&, Mutex& mutex) { fibers_.Wait(mutex); };
  executor_ = std::make_unique<agent::Executor>(std::move(options));
  conversation_ = std::make_unique<agent::Conversation>(
      config_, *executor_, agent::Introduction{"simulated", "host", std::to_string(instance_)});
  return executor_->Recover();
}

// Nothing that it does from here on has an effect: not on its disk, not on the world.
SimulatedAgent::~SimulatedAgent() {
  is_dying_ = true;
  const FullDisk disk(true);
  fibers_.WakeAll();
  executor_.reset();
  conversation_.reset();
  journal_.reset();
  witness_.OnDies(instance_);
}

void SimulatedAgent::Do(const std::function<void()>& what) {
  {
    const FullDisk disk(host_.disk_is_full);
    what();
    fibers_.Run();
  }
  if (Fibers::Current() == nullptr) has_something_to_say_();
}

v1::AgentMessage SimulatedAgent::Begin() {
  v1::AgentMessage first;
  Do([&] { first = conversation_->Begin(); });
  return first;
}

void SimulatedAgent::End(const Status& closed) {
  Do([&] {
    conversation_->End();
    conversation_->NoteRefusal(closed);
  });
}

v1::AgentMessage SimulatedAgent::Next() {
  const FullDisk disk(host_.disk_is_full);
  return conversation_->Next();
}

void SimulatedAgent::Take(v1::ControlMessage message) {
  const google::protobuf::RepeatedPtrField<v1::LeaseKey> cancels = message.cancels();
  Do([&] { conversation_->Take(std::move(message)); });
  for (const v1::LeaseKey& lease : cancels) witness_.OnCancelArrives(instance_, lease);
}

void SimulatedAgent::Watch() {
  Do([&] { executor_->ReleaseExpired(); });
}

bool SimulatedAgent::IsIdle() {
  return executor_->Running() == 0 && executor_->Held().empty() && executor_->Obligations().empty() &&
         executor_->EarlyReleases().empty();
}

void SimulatedAgent::SleepFor(absl::Duration time, const std::stop_token& stop) {
  struct Nap {
    Fiber* fiber;
    bool is_over = false;
  };
  const auto nap = std::make_shared<Nap>(Nap{Fibers::Current()});
  world_.After(time, [this, weak = std::weak_ptr<Nap>(nap)] {
    const auto awaited = weak.lock();  // gone: it was stopped, or the process has died
    if (awaited == nullptr) return;
    awaited->is_over = true;
    Do([&] { Fibers::Wake(*awaited->fiber); });
  });
  const std::stop_callback wake(stop, [&] { Fibers::Wake(*nap->fiber); });
  while (!nap->is_over && !stop.stop_requested() && !is_dying_) Fibers::Sleep();
}

absl::Duration SimulatedAgent::RandomLength() {
  const int kind = world_.fate.Below(10);
  if (kind < 6) return world_.fate.Between(absl::Milliseconds(50), absl::Seconds(5));
  if (kind < 9) return world_.fate.Between(absl::Seconds(5), absl::Seconds(30));
  return world_.fate.Between(absl::Seconds(30), absl::Seconds(world_.calm ? 60 : 240));
}

StatusOr<v1::ActionResult> SimulatedAgent::Act(const v1::Action& action, agent::ActionContext& context) {
  const v1::LeaseKey lease = context.task.lease();
  if (is_dying_) return Cancelled("the process dies");
  world_.Trace("{} begins {} {}", Name(), KindOf(action), Text(lease));
  if (!lease.step().empty()) {
    const std::stop_token stop = context.stop;
    witness_.OnBegins({instance_, Key(), lease, [stop] { return stop.stop_requested(); }},
                      executor_->EarlyReleases());
  } else if (const auto made = host_.places.find(action.scratch_stop().name()); made != host_.places.end()) {
    // Its own clock may have been set while another process had it.
    if (made->second.by == instance_)
      witness_.OnUndoneByItself(Key(), lease.run(), made->first, world_.Now() - made->second.at);
  }
  StatusOr<v1::ActionResult> result = Work(action, context);
  if (is_dying_) return Cancelled("the process dies");
  if (result.ok() && action.has_scratch_stop()) host_.places.erase(action.scratch_stop().name());
  // Once the faults have stopped nothing more is bound to a machine that may be gone for good.
  if (result.ok() && !world_.calm && !lease.step().empty() && world_.fate.OneIn(8)) {
    if (auto binding = witness_.DrawBinding(lease.run())) *result->add_bindings() = *std::move(binding);
  }
  world_.Trace("{} ends {} {}: {}", Name(), KindOf(action), Text(lease), result.status().ToString());
  if (!lease.step().empty()) witness_.OnEnds(instance_, lease, result.ok());
  return result;
}

StatusOr<v1::ActionResult> SimulatedAgent::Work(const v1::Action& action, agent::ActionContext& context) {
  if (context.stop.stop_requested()) return Cancelled("stopped before it began");
  if (action.has_scratch_start()) host_.places[action.scratch_start().name()] = {instance_, world_.Now()};
  const absl::Duration length = RandomLength();
  const absl::Duration limit = context.task.has_timeout() ? FromProto(context.task.timeout()) : length;
  SleepFor(std::min(length, limit), context.stop);
  if (is_dying_) return Cancelled("the process dies");
  if (context.stop.stop_requested()) {
    // It takes a while to stop, and now and then it does not listen for long, or is as good as done.
    const absl::Duration most = world_.FaultOneIn(8) ? absl::Minutes(3) : absl::Seconds(6);
    SleepFor(world_.fate.Between(absl::ZeroDuration(), most), {});
    if (is_dying_ || !world_.fate.OneIn(6)) return Cancelled("stopped");
    return v1::ActionResult();
  }
  if (length > limit) {
    if (!world_.FaultOneIn(2)) return DeadlineExceeded("its time is over");
    SleepFor(world_.fate.Between(absl::Seconds(1), absl::Minutes(3)), context.stop);
    if (is_dying_ || context.stop.stop_requested()) return Cancelled("stopped");
  }
  if (world_.fate.OneIn(6)) return Unavailable("it did not work this time");
  if (!action.has_scratch_stop() && world_.fate.OneIn(25)) return Internal("it does not work");
  return v1::ActionResult();
}

}  // namespace salvor::simulation
