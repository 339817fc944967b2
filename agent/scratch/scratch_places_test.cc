// Scratch places with small servers of kinds that no agent has, and with none. What PostgreSQL does in one is tested
// beside its engine.
#include "agent/scratch/scratch_places.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/process/process_testing.h"
#include "agent/scratch/scratch_state.h"
#include "agent/scratch/scratch_testing.h"
#include "base/io/files.h"
#include "proto/scratch_engine.h"

namespace salvor::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class ScratchPlacesTest : public testing::Test {
 protected:
  ScratchPlacesTest() {
    char pattern[] = "/tmp/salvor-places-test-XXXXXX";
    directory_ = ::mkdtemp(pattern);
    ::chmod(directory_.c_str(), 0755);
  }
  ~ScratchPlacesTest() override { EXPECT_TRUE(RemoveTree(directory_).ok()); }

  std::unique_ptr<ScratchPlaces> Agent(const std::vector<std::string>& kinds = {}) const {
    ScratchEngines engines;
    for (const std::string& kind : kinds) engines.push_back(std::make_shared<ToyEngine>(kind));
    return std::make_unique<ScratchPlaces>(
        ScratchOptions{directory_ + "/state", Tools(), Supervisor(), engines, "", "bwrap"});
  }
  static ScratchRequest Request(const std::string& name, const std::string& kind) {
    ScratchRequest request;
    request.name = name;
    request.engine = kind;
    return request;
  }
  static std::string SaidBy(const StatusOr<ScratchState>& state) {
    if (!state.ok()) return MessageOf(state.status());
    const auto said = HearToy(state->socket_directory);
    return said.ok() ? *said : MessageOf(said.status());
  }
  std::string Place(const std::string& name) const { return directory_ + "/state/scratch/" + name; }

  std::string directory_;
};

TEST_F(ScratchPlacesTest, ServersOfTwoKindsRunAtOnceAndAreFoundAgainByTheNextAgent) {
  auto agent = Agent({"sun", "moon"});
  EXPECT_EQ(SaidBy(agent->Start(Request("drill-sun", "sun"))), "sun");
  EXPECT_EQ(SaidBy(agent->Start(Request("drill-moon", "moon"))), "moon");
  ASSERT_TRUE(agent->Start(Request("drill-files", "")).ok());
  agent = Agent({"moon", "sun"});
  std::vector<std::string> kinds;
  const std::vector<ScratchState> present = *agent->List();
  for (const ScratchState& state : present) kinds.push_back(state.engine);
  EXPECT_THAT(kinds, UnorderedElementsAre("sun", "moon", ""));
  EXPECT_EQ(SaidBy(agent->EnsureRunning("drill-sun")), "sun");
  EXPECT_EQ(SaidBy(agent->EnsureRunning("drill-moon")), "moon");
  EXPECT_EQ(SaidBy(agent->Start(Request("drill-moon", "moon"))), "moon") << "it is adopted";
  for (const char* name : {"drill-sun", "drill-moon", "drill-files"}) {
    const ScratchState state = *ReadScratchState(Place(name));
    EXPECT_EQ(state.not_isolated, "");
    EXPECT_TRUE(agent->Remove(name).ok());
    EXPECT_THAT(FindServerProcesses(state.directory + "/data"), ElementsAre());
  }
  EXPECT_TRUE(agent->List()->empty());
}

// Its own leavings would keep it from listening again.
TEST_F(ScratchPlacesTest, AServerThatWasKilledIsStartedAgain) {
  auto agent = Agent({"sun"});
  const auto state = agent->Start(Request("drill", "sun"));
  ASSERT_EQ(SaidBy(state), "sun");
  ASSERT_EQ(::kill(FindServerProcess(state->directory + "/data"), SIGKILL), 0);
  const auto again = agent->EnsureRunning("drill");
  EXPECT_EQ(SaidBy(again), "sun");
  EXPECT_NE(again->start, state->start);
  EXPECT_TRUE(agent->Remove("drill").ok());
}

TEST_F(ScratchPlacesTest, AKindThatTheAgentLacksIsRefusedAndItsPlaceCanBeRemoved) {
  ASSERT_TRUE(Agent({"moon"})->Start(Request("drill", "moon")).ok());
  auto agent = Agent({"sun"});
  const Status refused = agent->EnsureRunning("drill").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  EXPECT_THAT(MessageOf(refused), HasSubstr("'moon'"));
  EXPECT_NE(HintOf(refused), "");
  EXPECT_EQ(agent->Start(Request("other", "moon")).status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(agent->List()->size(), 1U) << "of what is refused nothing is made";
  EXPECT_TRUE(agent->Remove("drill").ok());
  EXPECT_TRUE(agent->List()->empty());
}

TEST_F(ScratchPlacesTest, AServerOfAnotherKindUnderTheSameNameIsMadeAnew) {
  auto agent = Agent({"sun", "moon"});
  EXPECT_EQ(SaidBy(agent->Start(Request("drill", "sun"))), "sun");
  ASSERT_TRUE(agent->MarkLoaded("drill", "shop").ok());
  ASSERT_TRUE(agent->MarkLeftEmpty("drill", "shop", {{"public.a", "why"}}).ok());
  EXPECT_EQ(SaidBy(agent->Start(Request("drill", "moon"))), "moon");
  EXPECT_TRUE(agent->LeftEmpty("drill")->empty()) << "that was the server before";
  EXPECT_EQ(SaidBy(agent->EnsureRunning("drill")), "moon");
  EXPECT_TRUE(agent->Remove("drill").ok());
}

TEST_F(ScratchPlacesTest, AnEngineThatIsNotInstalledTakesTheIsolationFromNobodyElse) {
  const ScratchEngines engines = {std::make_shared<ToyEngine>("gone", "/nonexistent/programs"),
                                  std::make_shared<ToyEngine>("sun")};
  ScratchPlaces agent({directory_ + "/state", Tools(), Supervisor(), engines, "", "bwrap"});
  for (const char* kind : {"", "sun"}) {
    const auto place = agent.Start(Request("drill", kind));
    ASSERT_TRUE(place.ok()) << place.status();
    EXPECT_EQ(place->not_isolated, "") << kind;
    EXPECT_TRUE(agent.Remove("drill").ok());
  }
}

TEST_F(ScratchPlacesTest, ASourceThatIsNewerThanTheEngineIsRefusedBeforeAnythingIsMade) {
  auto agent = Agent({"sun"});
  ScratchRequest newer = Request("drill", "sun");
  newer.source_version = 8;
  EXPECT_EQ(agent->Start(newer).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(agent->List()->empty());
}

TEST_F(ScratchPlacesTest, AServerThatIsAnotherIsStoppedAndNamed) {
  auto agent = Agent({"sun"});
  const auto state = agent->Start(Request("drill", "sun"));
  ASSERT_EQ(SaidBy(state), "sun");
  ASSERT_TRUE(WriteFileAtomically(state->directory + "/data/kind", "comet", 0644).ok());
  const auto again = agent->EnsureRunning("drill");
  EXPECT_EQ(again.status().code(), absl::StatusCode::kPermissionDenied) << again.status();
  EXPECT_EQ(FindServerProcess(state->directory + "/data"), 0);
  EXPECT_TRUE(agent->Remove("drill").ok());
}

// state.json of version 0.1, whose socket stood below /tmp.
TEST_F(ScratchPlacesTest, APlaceOfVersion01IsTakenOverAndItsSocketFolderRemoved) {
  char outside[] = "/tmp/salvor-XXXXXX";
  ASSERT_NE(::mkdtemp(outside), nullptr);
  const std::string place = Place("old");
  ASSERT_TRUE(MakeDirectories(place + "/files", 0700).ok());
  ASSERT_TRUE(WriteFileAtomically(place + "/state.json",
                                  fmt::format(R"({{"name": "old", "postgres": false, "socket_directory": "{}",
    "not_isolated": "", "created_at_ms": 1000, "deadline_ms": 0}})",
                                              outside))
                  .ok());
  auto agent = Agent();
  ASSERT_EQ(agent->List().value().size(), 1u);
  EXPECT_TRUE(agent->Remove("old").ok());
  struct stat facts {};
  EXPECT_NE(::stat(outside, &facts), 0);
  EXPECT_NE(::stat(place.c_str(), &facts), 0);
}

TEST_F(ScratchPlacesTest, AStateFileIsReadByThisVersionAndByTheOneBefore) {
  const std::string place = Place("drill");
  ASSERT_TRUE(MakeDirectories(place, 0700).ok());
  const std::string before =
      R"({"created_at_ms": 1000, "deadline_ms": 2000, "name": "drill", "not_isolated": "",
    "postgres": true, "require_isolation": false, "sandboxed": true, "shares_network": false,
    "socket_directory": "", "start": "07", "uid": 65530})";
  ASSERT_TRUE(WriteFileAtomically(place + "/state.json", before).ok());
  ScratchState state = *ReadScratchState(place);
  EXPECT_EQ(state.engine, kOnlyEngineOf0_1);
  EXPECT_EQ(state.uid, 65530);
  EXPECT_EQ(state.deadline, absl::FromUnixMillis(2000));

  ASSERT_TRUE(WriteScratchState(state).ok());
  EXPECT_THAT(*ReadFile(place + "/state.json"), HasSubstr(R"("postgres": true)"));
  EXPECT_EQ(ReadScratchState(place)->engine, kOnlyEngineOf0_1);
  for (const char* kind : {"moon", ""}) {
    state.engine = kind;
    ASSERT_TRUE(WriteScratchState(state).ok());
    EXPECT_THAT(*ReadFile(place + "/state.json"), HasSubstr(R"("postgres": false)"));
    EXPECT_EQ(ReadScratchState(place)->engine, kind);
  }
}

TEST_F(ScratchPlacesTest, PartsThatARestoreLeftEmptyAreRememberedByDatabase) {
  auto agent = Agent();
  ASSERT_TRUE(agent->Start(Request("drill-1", "")).ok());
  EXPECT_TRUE(agent->LeftEmpty("drill-1")->empty());
  ASSERT_TRUE(agent->MarkLeftEmpty("drill-1", "shop", {{"public.\"größe\"", "why"}}).ok());
  ASSERT_TRUE(agent->MarkLeftEmpty("drill-1", "\xe9", {{"public.a", "why"}, {"public.b", "why"}}).ok());
  agent = Agent();
  EXPECT_EQ(agent->LeftEmpty("drill-1")->at("shop").count("public.\"größe\""), 1U);
  EXPECT_EQ(agent->LeftEmpty("drill-1")->at("\xe9").size(), 2U);
  ASSERT_TRUE(agent->MarkLeftEmpty("drill-1", "shop", {}).ok());
  EXPECT_EQ(agent->LeftEmpty("drill-1")->count("shop"), 0U);
  ASSERT_TRUE(WriteFileAtomically(directory_ + "/state/scratch/drill-1/left.json", "{\"73\": 7}").ok());
  EXPECT_FALSE(agent->LeftEmpty("drill-1").ok());
  EXPECT_TRUE(agent->Remove("drill-1").ok());
}

TEST(NameLackTest, EachIsNamedOnce) {
  ScratchState state;
  NameLack(state, "its user postgres also runs ", "psql (1)");
  NameLack(state, kSharesNetwork);
  NameLack(state, "its user postgres also runs ", "psql (2)");
  NameLack(state, kSharesNetwork, ": refused");
  EXPECT_EQ(state.not_isolated, fmt::format("its user postgres also runs psql (1); {}", kSharesNetwork));
}

std::string LastWordsOf(const std::string& script) {
  KeptServer server(Tools(), Shell(script), [](std::string_view line) { return line.rfind("doom", 0) == 0; });
  EXPECT_TRUE(server.Started().ok());
  while (!server.AwaitEnd(absl::Seconds(60))) {
  }
  return server.LastWords();
}

TEST(KeptServerTest, ItsLastWordsAreWhyItEnds) {
  EXPECT_EQ(LastWordsOf("echo begin; echo doom one; echo doom two; echo end"), "doom two");
  EXPECT_EQ(LastWordsOf("echo begin; echo end"), "begin");
  EXPECT_THAT(LastWordsOf("exit 3"), HasSubstr("3"));
}

}  // namespace
}  // namespace salvor::agent
