// The life of a run while the store fails at every one of its calls in turn, before and after the call took effect. Each
// time the process ends, a new one goes on from what is durable and comes to the same end, and nothing that anybody was
// told is lost: not to who asked for the run or cancelled it, and not to the agent.
#include <atomic>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "controlplane/runs/engine_testing.h"
#include "controlplane/store/contract/failing_store_testing.h"

namespace salvor::controlplane {
namespace {

using When = FailingStore::When;
constexpr char kRun[] = "r1";

// The world is what the agent has in its own journal: it outlives every control plane.
struct World {
  std::vector<v1::LeaseKey> unacknowledged;  // begun, and their results are not acknowledged yet
  std::set<std::tuple<std::string, int, int64_t>> performed;  // step, attempt, epoch
  std::set<std::pair<std::string, int>> acknowledged;         // step, attempt
  std::set<std::string> acknowledged_steps;                   // those that succeeded
  std::set<std::string> obligations;
  bool is_started = false;    // as the person was told
  bool is_cancelled = false;  // as the person was told
};

class StoreFailureTest : public EngineTest {
 protected:
  // Begins a new control plane over what is durable, with a store that fails at this call of it.
  void StartProcess(int64_t fail_at, When when) {
    engine_.reset();
    failing_ = std::make_unique<FailingStore>(*disk_, fail_at, when);
    has_ended_ = false;
    is_connected_ = false;
    auto engine = Engine::Create(*failing_, clock_,
                                 {.version = "test",
                                  .random = [] { return 0.0; },
                                  .on_fatal = [this](const Status&) { has_ended_ = true; }},
                                 nullptr);
    has_ended_ = has_ended_ || !engine.ok();
    if (engine.ok()) engine_ = *std::move(engine);
  }

  // "a" opens an obligation, "b" fails once, and "c" undoes what "a" made.
  static v1::Flow Flow() {
    v1::Flow flow = Chain(3, 6);
    flow.mutable_steps(2)->clear_after();  // it is due once "b" is over, whatever became of it
    v1::Obligation* obligation = flow.add_obligations();
    obligation->set_name("scratch");
    obligation->set_opened_by("a");
    obligation->set_released_by("c");
    obligation->add_guards("b");
    return flow;
  }

  void AskForTheRun() {
    v1::RunHeader header;
    header.set_name(kRun);
    header.set_kind(v1::RUN_KIND_BACKUP);
    header.set_application("shop");
    header.set_environment("local");
    header.set_backup("b1");
    const Status started = StartRunAndWait(*engine_, header, Flow(), "main");
    if (started.ok() || started.code() == absl::StatusCode::kAlreadyExists) world_.is_started = true;
    EXPECT_NE(started.code(), absl::StatusCode::kInvalidArgument) << started;
  }

  void ConnectAgent() {
    v1::AgentHello hello;
    hello.set_agent("agent-a");
    hello.set_environment("local");
    hello.set_protocol(1);
    hello.add_capabilities("noop");
    for (const v1::LeaseKey& lease : world_.unacknowledged) *hello.add_held() = lease;
    for (const std::string& name : world_.obligations) {
      v1::HeldObligation* held = hello.add_obligations();
      held->set_run(kRun);
      held->set_name(name);
    }
    agent_.link = std::make_shared<RecordedLink>();
    const auto session = engine_->Connect(hello, agent_.link);
    if (!session.ok()) return;
    agent_.session = *session;
    is_connected_ = true;
    v1::AgentMessage credits;
    credits.set_credits(8);
    engine_->Receive(agent_.session, credits);
  }

  void Forget(const v1::LeaseKey& lease) {
    auto& kept = world_.unacknowledged;
    kept.erase(std::remove_if(kept.begin(), kept.end(),
                              [&](const v1::LeaseKey& one) {
                                return one.step() == lease.step() && one.attempt() == lease.attempt();
                              }),
               kept.end());
  }

  static bool Succeeds(const v1::LeaseKey& lease) { return lease.step() != "b" || lease.attempt() > 1; }

  // The agent hears, acts and reports.
  void LetTheAgentWork() {
    const v1::ControlMessage heard = agent_.link->Take();
    for (const v1::LeaseKey& ack : heard.acks()) {
      world_.acknowledged.insert({ack.step(), ack.attempt()});
      if (Succeeds(ack)) world_.acknowledged_steps.insert(ack.step());
      Forget(ack);
    }
    for (const v1::LeaseKey& superseded : heard.superseded()) Forget(superseded);
    for (const v1::HeldObligation& released : heard.release()) world_.obligations.erase(released.name());
    for (const v1::Task& task : heard.tasks()) {
      const v1::LeaseKey& lease = task.lease();
      EXPECT_TRUE(world_.performed.insert({lease.step(), lease.attempt(), lease.epoch()}).second)
          << lease.step() << " is performed twice";
      EXPECT_EQ(world_.acknowledged_steps.count(lease.step()), 0u)
          << lease.step() << " was done, and is asked for again";
      if (lease.step() == "a") world_.obligations.insert("scratch");
      if (lease.step() == "c") world_.obligations.erase("scratch");
      world_.unacknowledged.push_back(lease);
    }
    if (world_.unacknowledged.empty()) {
      v1::AgentMessage heartbeat;
      heartbeat.set_heartbeat(true);
      engine_->Receive(agent_.session, heartbeat);
      return;
    }
    const v1::LeaseKey lease = world_.unacknowledged.front();
    Report(agent_, lease, Succeeds(lease) ? "" : "once", true);
  }

  // One look at everything; true when the run is over.
  bool Round(bool cancel) {
    clock_.Advance(absl::Seconds(10));
    engine_->Tick();
    if (!world_.is_started) AskForTheRun();
    if (!is_connected_) ConnectAgent();
    if (is_connected_) LetTheAgentWork();
    if (cancel && !world_.is_cancelled && world_.performed.size() >= 2)
      world_.is_cancelled = CancelRunAndWait(*engine_, kRun, "anna", "").ok();
    EXPECT_TRUE(CommitAndWait(*disk_, {}).ok());  // all callbacks before it have run
    const auto runs = engine_->ListRuns({}, {});
    if (!runs.ok() || has_ended_) return false;
    EXPECT_EQ(runs->items.size(), world_.is_started ? 1u : runs->items.size())
        << "who was told of it can see it";
    for (const v1::Run& run : runs->items) EXPECT_NE(run.phase(), v1::RUN_PHASE_QUARANTINED) << run.reason();
    const v1::RunPhase phase = runs->items.empty() ? v1::RUN_PHASE_UNSPECIFIED : runs->items[0].phase();
    const bool is_over =
        phase == v1::RUN_PHASE_SUCCEEDED || phase == v1::RUN_PHASE_FAILED || phase == v1::RUN_PHASE_CANCELLED;
    return is_over && world_.unacknowledged.empty();
  }

  // The whole life, with a store that fails at call `first` of the first process, and at call `second` of the next one.
  // How many calls the first process made.
  int64_t Live(bool cancel, int64_t first, int64_t second, When when) {
    engine_.reset();
    disk_ = std::make_unique<MemoryStore>();
    world_ = {};
    int64_t fail_at[] = {first, second, -1};
    size_t process = 0;
    StartProcess(fail_at[process], when);
    bool is_over = false;
    for (int round = 0; round < 60 && !is_over; ++round) {
      while (has_ended_) {
        if (process < 2) ++process;
        StartProcess(fail_at[process], when);
      }
      is_over = Round(cancel);
    }
    EXPECT_TRUE(is_over) << "the run did not come to its end";
    const int64_t calls = failing_->Calls();
    StartProcess(-1, when);  // everything once more, from what is durable alone
    CheckTheEnd(cancel);
    return calls;
  }

  void CheckTheEnd(bool cancel) {
    const auto run = engine_->GetRun(kRun);
    ASSERT_TRUE(run.ok()) << run.status();
    // A cancel whose answer was lost may have come too late.
    const bool may_be_either = cancel && !world_.is_cancelled;
    if (!may_be_either) {
      EXPECT_EQ(run->phase(), cancel ? v1::RUN_PHASE_CANCELLED : v1::RUN_PHASE_SUCCEEDED) << run->reason();
    }
    EXPECT_EQ(engine_->ActiveRunCount(), 0);
    EXPECT_EQ(engine_->OpenObligationCount(), 0);
    EXPECT_TRUE(world_.obligations.empty()) << "what was made is undone";
    EXPECT_TRUE(disk_->ActiveRuns()->empty());
    EXPECT_NE(engine_->FindBackup("b1")->coverage(), v1::Backup::COVERAGE_RUNNING)
        << "the record ended with the run";
    std::set<std::pair<std::string, int>> reported;
    const auto stored = disk_->LoadRun(kRun);
    for (const v1::Event& event : stored->events) {
      const v1::StepReported& report = event.step_reported();
      if (event.has_step_reported() && report.result().error().reason() != v1::Error::REASON_LOST)
        reported.insert({report.step(), report.attempt()});
    }
    for (const auto& [step, attempt] : world_.acknowledged)
      EXPECT_EQ(reported.count({step, attempt}), 1u)
          << step << "#" << attempt << " was acknowledged and is not there";
  }

  void FailAtEveryCall(bool cancel) {
    const int64_t calls = Live(cancel, -1, -1, When::kBefore);
    EXPECT_GT(calls, 15) << "a life that is worth the walk";
    for (const When when : {When::kBefore, When::kAfter}) {
      for (int64_t first = 0; first < calls; ++first) {
        // The next process lives, or does not come far.
        for (int64_t second = -1; second < 10; ++second) {
          SCOPED_TRACE(fmt::format("failed {} call {}, then at {}",
                                   when == When::kBefore ? "before" : "after", first, second));
          Live(cancel, first, second, when);
          if (HasFailure()) return;
        }
      }
    }
  }

  std::unique_ptr<MemoryStore> disk_ = std::make_unique<MemoryStore>();
  std::unique_ptr<FailingStore> failing_;
  std::atomic<bool> has_ended_ = false;
  bool is_connected_ = false;
  Agent agent_;
  World world_;

  ~StoreFailureTest() override { engine_.reset(); }  // before the stores it uses
};

TEST_F(StoreFailureTest, ARunThatSucceedsDoesSoWhereverTheStoreFails) { FailAtEveryCall(false); }

TEST_F(StoreFailureTest, ARunThatIsCancelledIsUndoneWhereverTheStoreFails) { FailAtEveryCall(true); }

}  // namespace
}  // namespace salvor::controlplane
