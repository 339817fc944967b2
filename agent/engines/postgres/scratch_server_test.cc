#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/engines/postgres/connection.h"
#include "agent/engines/postgres/test_server.h"
#include "agent/scratch/scratch_places.h"
#include "agent/scratch/scratch_state.h"
#include "base/io/files.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;

class ScratchServerTest : public testing::Test {
 protected:
  ScratchServerTest() {
    char pattern[] = "/tmp/salvor-scratch-test-XXXXXX";
    directory_ = mkdtemp(pattern);
    chmod(directory_.c_str(), 0755);
  }
  ~ScratchServerTest() override { EXPECT_TRUE(RemoveTree(directory_).ok()); }

  std::unique_ptr<ScratchPlaces> Agent() {
    return std::make_unique<ScratchPlaces>(
        ScratchOptions{directory_ + "/state", TestTools(), TestSupervisor(), TestEngines(), "", "bwrap"});
  }
  static std::string ValueOf(const ScratchState& state, const std::string& sql) {
    auto session = Connection::Open(ConnectionTo(state), {});
    if (!session.ok()) return MessageOf(session.status());
    const auto value = (*session)->Value(sql);
    if (value.ok()) return *value;
    return value.status().code() == absl::StatusCode::kNotFound
               ? "?"
               : MessageOf(value.status());  // no row, or why
  }
  static ScratchRequest Named(const std::string& name) {
    ScratchRequest request;
    request.name = name;
    request.engine = "postgres";
    return request;
  }

  std::string directory_;
};

TEST_F(ScratchServerTest, ItRunsIsolatedSurvivesTheAgentAndLeavesNothing) {
  auto agent = Agent();
  const ScratchState state = agent->Start(Named("drill-1")).value();
  EXPECT_EQ(state.not_isolated, "");
  EXPECT_TRUE(state.sandboxed);
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

TEST_F(ScratchServerTest, ItIsOfAUserThatOwnsNothingElseInAFolderThatIsClosed) {
  auto agent = Agent();
  const ScratchState state = agent->Start(Named("drill-1")).value();
  struct stat facts;
  ASSERT_EQ(stat((state.directory + "/data").c_str(), &facts), 0);
  if (geteuid() == 0) {
    EXPECT_EQ(getpwuid(facts.st_uid), nullptr);
    EXPECT_EQ(facts.st_uid, state.uid);
  }
  for (const std::string& path : {directory_ + "/state", directory_ + "/state/scratch", state.directory}) {
    ASSERT_EQ(stat(path.c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777, 0700u) << path;
  }
  EXPECT_TRUE(agent->Remove("drill-1").ok());
}

// Restored code may try another server by its socket, programs, files and folders of the host.
TEST_F(ScratchServerTest, RestoredCodeReachesNothingOfTheHost) {
  auto agent = Agent();
  const ScratchState other = agent->Start(Named("other")).value();
  const ScratchState state = agent->Start(Named("drill-1")).value();
  EXPECT_EQ(ValueOf(state, "CREATE EXTENSION dblink SCHEMA public"), "?");
  EXPECT_THAT(
      ValueOf(state,
              fmt::format("SELECT public.dblink_connect('host={} user=salvor_scratch dbname=postgres')",
                          other.socket_directory)),
      HasSubstr("could not establish connection"));
  EXPECT_THAT(ValueOf(state, "SELECT public.dblink_connect('host=127.0.0.1 user=postgres dbname=postgres')"),
              HasSubstr("could not establish connection"));
  EXPECT_THAT(ValueOf(state, fmt::format("COPY (SELECT 1) TO PROGRAM 'cat > {}/planted'", directory_)),
              HasSubstr("failed"));
  EXPECT_FALSE(ReadFile(directory_ + "/planted").ok());
  EXPECT_EQ(ValueOf(state, "SELECT count(*) FROM pg_ls_dir('/tmp')"), "0");
  EXPECT_THAT(ValueOf(state, "SELECT pg_read_file('/etc/shadow')"), HasSubstr("No such file"));
  EXPECT_THAT(ValueOf(state, "SELECT pg_ls_dir('/home')"), HasSubstr("No such file"));
  EXPECT_THAT(ValueOf(state, fmt::format("SELECT pg_ls_dir('{}')", directory_)), HasSubstr("No such file"));
  EXPECT_TRUE(agent->Remove("drill-1").ok());
  EXPECT_TRUE(agent->Remove("other").ok());
}

TEST_F(ScratchServerTest, TheProbeTriesManyWaysOutAndFindsNone) {
  auto agent = Agent();
  const ScratchState other = agent->Start(Named("other")).value();  // a socket and a folder to look for
  ScratchState state = agent->Start(Named("drill-1")).value();
  const auto report = agent->Probe(state);
  ASSERT_TRUE(report.ok()) << MessageOf(report.status());
  EXPECT_GE(report->tried, 20);
  EXPECT_THAT(report->reached, testing::IsEmpty());
  EXPECT_EQ(state.not_isolated, "");
  ScratchRequest folder = Named("folder");
  folder.engine.clear();
  ScratchState place = agent->Start(folder).value();
  EXPECT_THAT(agent->Probe(place)->reached, testing::IsEmpty());
  for (const char* name : {"drill-1", "other", "folder"}) EXPECT_TRUE(agent->Remove(name).ok());
}

// The same machine without bubblewrap: the drill works, and says what it lacks; the probe finds it too.
TEST_F(ScratchServerTest, WithoutASandboxItSaysSoAndWhoDemandsOneIsRefused) {
  const std::string user = geteuid() == 0 ? "postgres" : "";
  ScratchPlaces agent(
      {directory_ + "/state", TestTools(), TestSupervisor(), TestEngines(), user, "/nonexistent/bwrap"});
  ScratchRequest demanding = Named("demanding");
  demanding.require_isolation = true;
  const auto refused = agent.Start(demanding);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(HintOf(refused.status()), HasSubstr("bubblewrap"));
  EXPECT_TRUE(agent.List().value().empty());

  ScratchState state = agent.Start(Named("drill-1")).value();
  EXPECT_FALSE(state.sandboxed);
  EXPECT_THAT(state.not_isolated, HasSubstr("bubblewrap"));
  EXPECT_EQ(ValueOf(state, "SELECT 1"), "1");
  const ProbeReport report = agent.Probe(state).value();
  EXPECT_THAT(report.reached, testing::Contains("the host's namespace mnt"));
  EXPECT_THAT(state.not_isolated, HasSubstr("reaches "));
  EXPECT_TRUE(agent.Remove("drill-1").ok());
}

TEST_F(ScratchServerTest, WithoutASandboxAndAUserNothingIsStartedAsRoot) {
  if (geteuid() != 0) GTEST_SKIP() << "only root needs another user";
  ScratchPlaces agent(
      {directory_ + "/state", TestTools(), TestSupervisor(), TestEngines(), "", "/nonexistent/bwrap"});
  EXPECT_THAT(HintOf(agent.Start(Named("drill-1")).status()), HasSubstr("--scratch-user"));
  ScratchPlaces as_root(
      {directory_ + "/other", TestTools(), TestSupervisor(), TestEngines(), "root", "bwrap"});
  EXPECT_EQ(as_root.Start(Named("drill-1")).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(ScratchServerTest, ARestartAfterTheLoadIsNoticed) {
  auto agent = Agent();
  const ScratchState state = agent->Start(Named("drill-1")).value();
  EXPECT_EQ(ValueOf(state, "CREATE UNLOGGED TABLE public.fast AS SELECT generate_series(1, 1000) AS x"), "?");
  EXPECT_FALSE(*agent->RestartedSinceLoaded("drill-1", "postgres"));  // nothing was loaded yet
  ASSERT_TRUE(agent->MarkLoaded("drill-1", "postgres").ok());
  EXPECT_FALSE(*agent->RestartedSinceLoaded("drill-1", "postgres"));
  ASSERT_EQ(kill(FindServerProcess(state.directory + "/data"), SIGKILL), 0);
  EXPECT_EQ(ValueOf(agent->EnsureRunning("drill-1").value(), "SELECT count(*) FROM public.fast"), "0");
  EXPECT_TRUE(*agent->RestartedSinceLoaded("drill-1", "postgres"));
  EXPECT_FALSE(*agent->RestartedSinceLoaded("drill-1", "other"));
  EXPECT_TRUE(agent->Remove("drill-1").ok());
}

// A backend that is killed takes its server with it, instead of an unlogged table in silence.
TEST_F(ScratchServerTest, AKilledBackendIsARestartToo) {
  auto agent = Agent();
  const ScratchState state = agent->Start(Named("drill-1")).value();
  ASSERT_TRUE(agent->MarkLoaded("drill-1", "postgres").ok());
  // One that stays for the server's life: a session that is just ending would be missed by nobody.
  int checkpointer = 0;
  for (const int process : FindServerProcesses(state.directory + "/data")) {
    const auto title = ReadFile(fmt::format("/proc/{}/cmdline", process));
    if (title.ok() && title->find("checkpointer") != std::string::npos) checkpointer = process;
  }
  ASSERT_GT(checkpointer, 0);
  ASSERT_EQ(kill(checkpointer, SIGKILL), 0);
  // Its end closes this session, or it could not be opened any more.
  auto session = Connection::Open(ConnectionTo(state), {});
  EXPECT_FALSE(session.ok() && (*session)->Value("SELECT pg_sleep(60)").ok());
  EXPECT_EQ(ValueOf(agent->EnsureRunning("drill-1").value(), "SELECT 1"), "1");
  EXPECT_TRUE(*agent->RestartedSinceLoaded("drill-1", "postgres"));
  EXPECT_TRUE(agent->Remove("drill-1").ok());
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
  newer.source_version = 990001;
  EXPECT_EQ(Agent()->Start(newer).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(ScratchServerTest, ADeepDirectoryGetsAShortSocket) {
  ScratchPlaces agent(
      {directory_ + "/" + std::string(100, 'd'), TestTools(), TestSupervisor(), TestEngines(), "", "bwrap"});
  const ScratchState state = agent.Start(Named("deep")).value();
  EXPECT_EQ(state.socket_directory.rfind("/proc/", 0), 0u);  // and nothing below /tmp
  EXPECT_EQ(ValueOf(state, "SELECT 1"), "1");
  EXPECT_TRUE(agent.Remove("deep").ok());
  struct stat facts;
  EXPECT_NE(stat(state.socket_directory.c_str(), &facts), 0);
}

}  // namespace
}  // namespace salvor::agent
