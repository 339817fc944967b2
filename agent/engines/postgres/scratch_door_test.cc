// Restored code may get in the way by which the agent reaches its server, and a server that starts again is held to
// what the first one was.
#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <thread>

#include "agent/engines/postgres/test_server.h"
#include "agent/scratch/scratch_state.h"
#include "agent/scratch/socket_door.h"
#include "base/io/files.h"
#include "base/io/steady_clock.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;

constexpr char kSocket[] = ".s.PGSQL.5432";

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

UniqueFd Listen(const std::string& path) {
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un address = AddressOf(path);
  EXPECT_EQ(::bind(listener.Get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0) << path;
  EXPECT_EQ(::listen(listener.Get(), 16), 0);
  return listener;
}

class ScratchDoorTest : public testing::Test {
 protected:
  ScratchDoorTest() {
    char pattern[] = "/tmp/salvor-door-test-XXXXXX";
    directory_ = ::mkdtemp(pattern);
    ::chmod(directory_.c_str(), 0755);
  }
  ~ScratchDoorTest() override { EXPECT_TRUE(RemoveTree(directory_).ok()); }

  std::unique_ptr<ScratchPlaces> Agent(absl::Duration bound = absl::Seconds(15),
                                       const std::string& sandbox = "bwrap") const {
    const std::string user = ::geteuid() == 0 && sandbox != "bwrap" ? "postgres" : "";
    return std::make_unique<ScratchPlaces>(ScratchOptions{
        directory_ + "/state", TestTools(), TestSupervisor(), TestEngines(bound), user, sandbox});
  }
  static ScratchRequest Named(const std::string& name, bool require_isolation = false) {
    ScratchRequest request;
    request.name = name;
    request.engine = "postgres";
    request.require_isolation = require_isolation;
    return request;
  }
  static std::string ValueOf(const StatusOr<ScratchState>& state, const std::string& sql) {
    if (!state.ok()) return MessageOf(state.status());
    auto session = Connection::Open(ConnectionTo(*state), {});
    if (!session.ok()) return MessageOf(session.status());
    const auto value = (*session)->Value(sql);
    return value.ok() ? *value : MessageOf(value.status());
  }
  static void Kill(const ScratchState& state) {
    ASSERT_EQ(::kill(FindServerProcess(state.directory + "/data"), SIGKILL), 0);
  }

  std::string directory_;
};

TEST_F(ScratchDoorTest, ASymlinkInPlaceOfTheSocketIsNotFollowed) {
  auto agent = Agent();
  const ScratchState other = agent->Start(Named("other")).value();
  const ScratchState state = agent->Start(Named("drill-1")).value();
  ValueOf(other, "CREATE TABLE public.of_other (x int)");
  const std::string socket = state.directory + "/socket/" + kSocket;
  ASSERT_EQ(::unlink(socket.c_str()), 0);
  ASSERT_EQ(::symlink((other.directory + "/socket/" + kSocket).c_str(), socket.c_str()), 0);
  EXPECT_EQ(ValueOf(state, "SELECT to_regclass('public.of_other') IS NULL"), "t");
  EXPECT_EQ(ValueOf(agent->EnsureRunning("drill-1"), "SELECT to_regclass('public.of_other') IS NULL"), "t");
  for (const char* name : {"drill-1", "other"}) EXPECT_TRUE(agent->Remove(name).ok());
}

TEST_F(ScratchDoorTest, WhoListensIsToldApart) {
  auto agent = Agent();
  const ScratchState other = agent->Start(Named("other")).value();
  const ScratchState state = agent->Start(Named("drill-1")).value();
  const auto session = Connection::Open(ConnectionTo(state), {});
  ASSERT_TRUE(session.ok()) << MessageOf(session.status());
  const uid_t user = ::geteuid() == 0 ? static_cast<uid_t>(state.uid) : ::getuid();
  const std::vector<int> own = FindServerProcesses(state.directory + "/data");
  EXPECT_EQ(CheckListener((*session)->Socket(), user, own), OkStatus());
  EXPECT_EQ(CheckListener((*session)->Socket(), user + 1, own).code(), absl::StatusCode::kPermissionDenied);
  const Status foreign =
      CheckListener((*session)->Socket(), user, FindServerProcesses(other.directory + "/data"));
  EXPECT_EQ(foreign.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_NE(HintOf(foreign), "");
  for (const char* name : {"drill-1", "other"}) EXPECT_TRUE(agent->Remove(name).ok());
}

// Stands in the server's place: takes every session, says `greeting`, and then nothing, for ever.
class SilentServer {
 public:
  SilentServer(const std::string& path, std::string greeting)
      : listener_(Listen(path)), greeting_(std::move(greeting)), thread_([this] { Serve(); }) {}
  ~SilentServer() {
    ::shutdown(listener_.Get(), SHUT_RDWR);
    thread_.join();
  }
  SilentServer(const SilentServer&) = delete;
  SilentServer& operator=(const SilentServer&) = delete;

 private:
  void Serve() {
    while (true) {
      UniqueFd session(::accept4(listener_.Get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!session.Valid()) return;
      (void)::send(session.Get(), greeting_.data(), greeting_.size(), MSG_NOSIGNAL);
      sessions_.push_back(std::move(session));
    }
  }

  UniqueFd listener_;
  const std::string greeting_;
  std::vector<UniqueFd> sessions_;  // kept open
  std::thread thread_;
};

// A session to it has no other bound than the one of the agent's own: after the greeting nothing times out, and a
// server that is asked to cancel need not answer that either. Without the bound this never ends.
TEST_F(ScratchDoorTest, AServerThatSaysNothingHoldsNobodyUp) {
  const std::string authenticated("R\0\0\0\x08\0\0\0\0", 9), ready("Z\0\0\0\x05I", 6);
  for (const std::string& greeting : {std::string(), authenticated, authenticated + ready}) {
    auto agent = Agent(absl::Seconds(1));
    const ScratchState state = agent->Start(Named("drill-1")).value();
    const std::string door = state.directory + "/door/" + kSocket;
    ASSERT_EQ(::unlink(door.c_str()), 0);
    {
      const SilentServer silent(door, greeting);
      SessionOptions options;
      options.deadline = SteadyNow() + absl::Seconds(1);
      options.cancels_on_server = false;
      const auto session = Connection::Open(ConnectionTo(state), options);
      EXPECT_EQ(session.status().code(), absl::StatusCode::kDeadlineExceeded) << session.status();
      // The server's processes are there: too busy to answer, for all that can be seen.
      EXPECT_TRUE(agent->EnsureRunning("drill-1").ok());
    }
    EXPECT_TRUE(agent->Remove("drill-1").ok());
  }
}

TEST_F(ScratchDoorTest, WhatWasDemandedHoldsForEveryStart) {
  auto agent = Agent();
  const ScratchState state = agent->Start(Named("drill-1", true)).value();
  EXPECT_TRUE(ReadScratchState(state.directory)->require_isolation);
  Kill(state);
  const auto again = agent->EnsureRunning("drill-1");
  EXPECT_EQ(ValueOf(again, "SELECT 1"), "1");
  agent = Agent();  // and for the next agent, whatever it is asked for
  ASSERT_TRUE(agent->Start(Named("drill-1")).ok());
  EXPECT_TRUE(ReadScratchState(state.directory)->require_isolation);

  ScratchState reached = *ReadScratchState(state.directory);
  NameLack(reached, "reaches socket /run/other");
  ASSERT_TRUE(WriteScratchState(reached).ok());
  Kill(state);
  const auto refused = agent->EnsureRunning("drill-1");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition) << refused.status();
  EXPECT_THAT(MessageOf(refused.status()), HasSubstr("reaches socket /run/other"));
  EXPECT_EQ(FindServerProcess(state.directory + "/data"), 0);
  EXPECT_TRUE(agent->Remove("drill-1").ok());
}

TEST_F(ScratchDoorTest, AServerThatMustBeIsolatedIsNotStartedAgainWithout) {
  auto agent = Agent(absl::Seconds(15), "/nonexistent/bwrap");
  ScratchState state = agent->Start(Named("drill-1")).value();
  EXPECT_EQ(ValueOf(state, "SELECT 1"), "1");
  agent.reset();
  state = *ReadScratchState(state.directory);
  state.require_isolation = true;
  ASSERT_TRUE(WriteScratchState(state).ok());
  agent = Agent(absl::Seconds(15), "/nonexistent/bwrap");
  EXPECT_EQ(agent->EnsureRunning("drill-1").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(FindServerProcess(state.directory + "/data"), 0);
  EXPECT_TRUE(agent->Remove("drill-1").ok());
}

TEST_F(ScratchDoorTest, WhatWasOnceNotIsolatedStaysNamed) {
  auto agent = Agent();
  ScratchState state = agent->Start(Named("drill-1")).value();
  NameLack(state, "reaches socket /run/other");
  ASSERT_TRUE(WriteScratchState(state).ok());
  Kill(state);
  EXPECT_EQ(agent->EnsureRunning("drill-1")->not_isolated, "reaches socket /run/other");
  EXPECT_EQ(ReadScratchState(state.directory)->not_isolated, "reaches socket /run/other");
  EXPECT_TRUE(agent->Remove("drill-1").ok());
}

}  // namespace
}  // namespace salvor::agent
