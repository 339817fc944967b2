#include "agent/postgres/scratch_server.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include "agent/postgres/connection.h"
#include "agent/postgres/scratch_state.h"
#include "agent/postgres/test_server.h"
#include "base/io/files.h"

namespace salvor::agent {
namespace {

class ScratchServerTest : public testing::Test {
 protected:
  ScratchServerTest() {
    char pattern[] = "/tmp/salvor-scratch-test-XXXXXX";
    directory_ = mkdtemp(pattern);
    chmod(directory_.c_str(), 0755);
  }
  ~ScratchServerTest() override { EXPECT_TRUE(RemoveTree(directory_).ok()); }

  std::unique_ptr<ScratchServers> Agent() {
    return std::make_unique<ScratchServers>(
        ScratchOptions{directory_ + "/state", TestSupervisor(), kTestBinDirectory, "postgres"});
  }
  static std::string ValueOf(const ScratchState& state, const std::string& sql) {
    auto session = Connection::Open(ScratchServers::ConnectionTo(state), {});
    return session.ok() ? (*session)->Value(sql).value_or("?") : MessageOf(session.status());
  }
  static ScratchRequest Named(const std::string& name) {
    ScratchRequest request;
    request.name = name;
    return request;
  }

  std::string directory_;
};

TEST_F(ScratchServerTest, ItRunsIsolatedSurvivesTheAgentAndLeavesNothing) {
  auto agent = Agent();
  const ScratchState state = agent->Start(Named("drill-1")).value();
  EXPECT_EQ(state.not_isolated, "");
  EXPECT_EQ(ValueOf(state, "SHOW listen_addresses"), "");
  EXPECT_EQ(ValueOf(state, "SHOW archive_mode"), "off");
  EXPECT_EQ(ValueOf(state, "SHOW max_logical_replication_workers"), "0");
  EXPECT_EQ(ValueOf(state, "CREATE TABLE public.kept AS SELECT 7 AS x"), "?");
  const int pid = FindServerProcess(state.directory + "/data");
  ASSERT_GT(pid, 0);
  agent.reset();  // the agent ends; the directory stays
  EXPECT_EQ(FindServerProcess(state.directory + "/data"), 0);

  agent = Agent();
  EXPECT_EQ(agent->List().value().size(), 1u);
  EXPECT_EQ(ValueOf(agent->EnsureRunning("drill-1").value(), "SELECT x FROM public.kept"), "7");
  EXPECT_EQ(agent->EnsureRunning("other").status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(agent->Remove("drill-1").ok());
  EXPECT_TRUE(agent->Remove("drill-1").ok());
  EXPECT_TRUE(agent->List().value().empty());
  EXPECT_FALSE(ReadFile(state.directory + "/state.json").ok());
}

TEST_F(ScratchServerTest, AServerThatDiedIsStartedAgain) {
  auto agent = Agent();
  const ScratchState state = agent->Start(Named("drill-2")).value();
  ASSERT_EQ(kill(FindServerProcess(state.directory + "/data"), SIGKILL), 0);
  EXPECT_EQ(ValueOf(agent->EnsureRunning("drill-2").value(), "SELECT 1"), "1");
  EXPECT_TRUE(agent->Remove("drill-2").ok());
}

TEST_F(ScratchServerTest, StartingTwiceAdoptsTheFirst) {
  auto agent = Agent();
  const ScratchState first = agent->Start(Named("drill-3")).value();
  EXPECT_EQ(ValueOf(first, "CREATE TABLE public.mark AS SELECT 1 AS x"), "?");
  EXPECT_EQ(ValueOf(agent->Start(Named("drill-3")).value(), "SELECT x FROM public.mark"), "1");
  EXPECT_TRUE(agent->Remove("drill-3").ok());
}

TEST_F(ScratchServerTest, WhatIsPastItsDeadlineGoesAndNothingElse) {
  auto agent = Agent();
  ScratchRequest soon = Named("soon"), later = Named("later");
  soon.postgres = later.postgres = false;
  soon.deadline = absl::FromUnixSeconds(1000);
  later.deadline = absl::FromUnixSeconds(3000);
  ASSERT_TRUE(agent->Start(soon).ok());
  ASSERT_TRUE(agent->Start(later).ok());
  EXPECT_TRUE(agent->RemoveExpired(absl::FromUnixSeconds(2000)).ok());
  const std::vector<ScratchState> left = agent->List().value();
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].name, "later");
}

TEST_F(ScratchServerTest, ADrillThatDoesNotFitIsRefusedBeforeAnythingIsMade) {
  auto agent = Agent();
  ScratchRequest huge = Named("huge");
  huge.expected_bytes = int64_t{1} << 55;
  const auto started = agent->Start(huge);
  EXPECT_EQ(started.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(HintOf(started.status()), "");
  EXPECT_TRUE(agent->List().value().empty());
}

TEST_F(ScratchServerTest, ABackupOfANewerServerIsRefused) {
  ScratchRequest newer = Named("newer");
  newer.server_version_num = 990001;
  EXPECT_EQ(Agent()->Start(newer).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(ScratchServerTest, ADeepDirectoryGetsAShortSocket) {
  ScratchServers agent(
      {directory_ + "/" + std::string(100, 'd'), TestSupervisor(), kTestBinDirectory, "postgres"});
  const ScratchState state = agent.Start(Named("deep")).value();
  EXPECT_EQ(ValueOf(state, "SELECT 1"), "1");
  EXPECT_TRUE(agent.Remove("deep").ok());
  struct stat facts;
  EXPECT_NE(stat(state.socket_directory.c_str(), &facts), 0);
}

}  // namespace
}  // namespace salvor::agent
