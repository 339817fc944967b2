// A flow asks for a server of any kind that the agent has, by its name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <memory>

#include "agent/process/process_testing.h"
#include "agent/scratch/actions/scratch_actions.h"
#include "agent/scratch/scratch_places.h"
#include "agent/scratch/scratch_testing.h"
#include "proto/scratch_engine.h"

namespace salvor::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ScratchKindsTest : public testing::Test {
 protected:
  ScratchKindsTest() {
    char pattern[] = "/tmp/salvor-kinds-test-XXXXXX";
    config_.state_directory = std::string(::mkdtemp(pattern));
    ::chmod(config_.state_directory.c_str(), 0755);
  }
  ~ScratchKindsTest() override {
    places_.reset();
    EXPECT_TRUE(RemoveTree(config_.state_directory).ok());
  }

  void AgentHas(const std::vector<std::string>& kinds) {
    ScratchEngines engines;
    for (const std::string& kind : kinds) engines.push_back(std::make_shared<ToyEngine>(kind));
    places_ = std::make_unique<ScratchPlaces>(
        ScratchOptions{config_.state_directory, Tools(), Supervisor(), engines, "", "bwrap"});
  }
  Status Start(const v1::ScratchStart& start) {
    const v1::Task task;
    ActionContext context{config_, Tools(), task,         {}, SteadyTime::InfiniteFuture(),
                          nullptr, nullptr, places_.get()};
    return RunScratchStart(start, context).status();
  }
  // "moon", or why there is no server.
  std::string KindAt(const std::string& place) {
    const auto state = places_->EnsureRunning(place);
    if (!state.ok()) return MessageOf(state.status());
    if (state->engine.empty()) return "folder";
    const auto said = HearToy(state->socket_directory);
    return said.ok() ? *said : MessageOf(said.status());
  }

  AgentConfig config_;
  std::unique_ptr<ScratchPlaces> places_;
};

v1::ScratchStart Asking(const std::string& place, const std::string& engine) {
  v1::ScratchStart start;
  start.set_name(place);
  start.set_engine(engine);
  return start;
}

TEST_F(ScratchKindsTest, EachKindThatTheAgentHasIsStartedByItsName) {
  AgentHas({"sun", "moon"});
  EXPECT_EQ(Start(Asking("drill-1", "sun")), OkStatus());
  EXPECT_EQ(Start(Asking("drill-1-moon", "moon")), OkStatus());
  EXPECT_EQ(Start(Asking("drill-1-files", "")), OkStatus());
  EXPECT_EQ(KindAt("drill-1"), "sun");
  EXPECT_EQ(KindAt("drill-1-moon"), "moon");
  EXPECT_EQ(KindAt("drill-1-files"), "folder");
  for (const char* place : {"drill-1", "drill-1-moon", "drill-1-files"})
    EXPECT_TRUE(places_->Remove(place).ok());
}

TEST_F(ScratchKindsTest, AKindThatTheAgentLacksIsRefusedAndNothingIsMade) {
  AgentHas({"sun"});
  const Status refused = Start(Asking("drill-1", "moon"));
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  EXPECT_THAT(MessageOf(refused), HasSubstr("'moon'"));
  EXPECT_NE(HintOf(refused), "");
  EXPECT_TRUE(places_->List()->empty());
}

// A flow of version 0.1 names no engine, and one of today raises the flag for agents that read nothing else.
TEST_F(ScratchKindsTest, TheFlagOfVersion01MeansTheEngineThatItKnew) {
  AgentHas({"sun", kOnlyEngineOf0_1});
  v1::ScratchStart of_0_1 = Asking("drill-1", "");
  of_0_1.set_postgres(true);
  EXPECT_EQ(Start(of_0_1), OkStatus());
  EXPECT_EQ(KindAt("drill-1"), kOnlyEngineOf0_1);

  v1::ScratchStart contradicts_itself = Asking("drill-2", "sun");
  contradicts_itself.set_postgres(true);
  EXPECT_EQ(Start(contradicts_itself), OkStatus());
  EXPECT_EQ(KindAt("drill-2"), "sun") << "a name says more than the flag";
  for (const char* place : {"drill-1", "drill-2"}) EXPECT_TRUE(places_->Remove(place).ok());

  v1::ScratchStart asked;
  AskForEngine(kOnlyEngineOf0_1, &asked);
  EXPECT_TRUE(asked.postgres());
  AskForEngine("sun", &asked);
  EXPECT_FALSE(asked.postgres()) << "that agent would start another server";
}

}  // namespace
}  // namespace salvor::agent
