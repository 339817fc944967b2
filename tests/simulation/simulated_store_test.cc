// The simulator stands on an engine that does not wait for its store, and on a store that may lose what it was told.
#include "tests/simulation/simulated_store.h"

#include <gmock/gmock.h>

#include <memory>
#include <optional>

#include "controlplane/runs/engine.h"
#include "tests/simulation/world.h"

namespace salvor::simulation {
namespace {

using controlplane::Engine;
using testing::ElementsAre;
using testing::IsEmpty;

class SimulatedStoreTest : public testing::Test {
 protected:
  SimulatedStoreTest() { Begin(); }
  ~SimulatedStoreTest() override { End(0); }

  void Begin() {
    store_.Revive();
    auto engine = Engine::Create(store_, clock_, {}, nullptr);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }
  void End(size_t written) {
    store_.Crash(written);
    engine_.reset();
  }
  static v1::Flow OneStep() {
    v1::Flow flow;
    flow.add_steps()->set_id("a");
    flow.mutable_steps(0)->mutable_action()->mutable_noop();
    return flow;
  }
  // The answer that is given of it, once that is known.
  std::shared_ptr<std::optional<Status>> Start(const std::string& name) {
    v1::RunHeader header;
    header.set_name(name);
    header.set_environment("local");
    auto durable = std::make_shared<std::optional<Status>>();
    EXPECT_TRUE(
        engine_->StartRun(header, OneStep(), "", [durable](const Status& status) { *durable = status; })
            .ok());
    return durable;
  }

  World world_{1, false};
  WorldClock clock_{world_};
  SimulatedStore store_{[this] { return world_.Now(); }, [] {},
                        [](const controlplane::Batch&, absl::Duration) {}};
  std::unique_ptr<Engine> engine_;
};

TEST_F(SimulatedStoreTest, ARunHasBegunBeforeItIsDurableAndIsConfirmedAfterwards) {
  const auto durable = Start("r1");
  EXPECT_FALSE(durable->has_value()) << "nothing waits for the store";
  EXPECT_TRUE(engine_->GetRun("r1").ok());
  EXPECT_THAT(*store_.ActiveRuns(), IsEmpty());
  EXPECT_EQ(
      engine_->StartRun(engine_->GetRun("r1")->header(), OneStep(), "", [](const Status&) { FAIL(); }).code(),
      absl::StatusCode::kAlreadyExists);
  store_.MakeDurable(store_.Waiting());
  EXPECT_EQ(*durable, OkStatus());
  EXPECT_THAT(*store_.ActiveRuns(), ElementsAre("r1"));
}

TEST_F(SimulatedStoreTest, ACancelIsConfirmedOnceItIsDurable) {
  Start("r1");
  store_.MakeDurable(store_.Waiting());
  std::optional<Status> durable;
  ASSERT_TRUE(engine_->CancelRun("r1", "operator", "", [&](const Status& status) { durable = status; }).ok());
  EXPECT_FALSE(durable);
  store_.MakeDurable(store_.Waiting());
  EXPECT_EQ(durable, OkStatus());
  EXPECT_EQ(engine_->CancelRun("r1", "operator", "", [](const Status&) { FAIL(); }).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(SimulatedStoreTest, WhatWasNotDurableIsLostOrThereAndNobodyWasTold) {
  const auto first = Start("r1");
  const auto second = Start("r2");
  End(1);  // the first run's batch is on the disk
  EXPECT_FALSE(first->has_value());
  EXPECT_FALSE(second->has_value());
  Begin();
  EXPECT_TRUE(engine_->GetRun("r1").ok());
  EXPECT_EQ(engine_->GetRun("r2").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(SimulatedStoreTest, AFailedDiskIsToldToEverybodyWhoWaits) {
  const auto durable = Start("r1");
  store_.Fail(true);
  ASSERT_TRUE(durable->has_value());
  EXPECT_EQ((*durable)->code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace salvor::simulation
