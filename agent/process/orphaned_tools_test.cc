// An agent that starts while its killed predecessor's tools are still being stopped.
#include "agent/process/orphaned_tools.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/process/process_testing.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr absl::Duration kLong = absl::Minutes(2);

// A tool that does not end when it is interrupted, until it may.
constexpr char kStubborn[] =
    "trap 'touch interrupted' INT; ls -l /proc/$$/fd > descriptors; echo $$ > pid.new; mv pid.new pid\n"
    "until [ -e go ]; do sleep 0.01; done; touch done";

class OrphanedToolsTest : public testing::Test {
 protected:
  ~OrphanedToolsTest() override {
    EXPECT_TRUE(WriteFileAtomically(directory_ / "go", "").ok());
    EXPECT_TRUE(Eventually([this] { return tool_ == 0 || Gone(tool_); }));
  }

  // A copy of this test as the agent, killed with a tool that is still at work.
  void AgentDies(const std::string& script) {
    const pid_t agent = ::fork();
    ASSERT_GE(agent, 0);
    if (agent == 0) {
      auto lock = AwaitOrphanedTools(directory_.Path(), kLong);
      if (!lock.ok()) ::_exit(1);
      SupervisedTools tools(Supervisor(), *std::move(lock));
      ProcessSpec spec = Shell(script);
      spec.working_directory = directory_.Path();
      spec.stop_signal = SIGINT;
      spec.stop_grace = kLong;
      (void)tools.Run(std::move(spec), {}, SteadyTime::InfiniteFuture());
      ::_exit(2);
    }
    ASSERT_TRUE(Eventually([this] { return Exists(directory_ / "pid"); }));
    tool_ = std::stoi(*ReadFile(directory_ / "pid"));
    ::kill(agent, SIGKILL);
    ::waitpid(agent, nullptr, 0);
    ASSERT_TRUE(Eventually([this] { return Exists(directory_ / "interrupted"); }));
  }

  TemporaryDirectory directory_;
  int tool_ = 0;
};

TEST_F(OrphanedToolsTest, AreWaitedForUntilTheLastIsGone) {
  ASSERT_NO_FATAL_FAILURE(AgentDies(kStubborn));
  // The wait is bounded, and the tool is still there after it.
  const SteadyTime begin = SteadyNow();
  const auto late = AwaitOrphanedTools(directory_.Path(), absl::Milliseconds(200));
  ASSERT_TRUE(late.ok()) << late.status();
  EXPECT_GE(SteadyNow() - begin, absl::Milliseconds(200));
  EXPECT_FALSE(Gone(tool_));
  ASSERT_TRUE(WriteFileAtomically(directory_ / "go", "").ok());
}

TEST_F(OrphanedToolsTest, HaveDoneTheirLastWhenTheNextAgentBegins) {
  ASSERT_NO_FATAL_FAILURE(AgentDies(kStubborn));
  ASSERT_TRUE(WriteFileAtomically(directory_ / "go", "").ok());
  const auto lock = AwaitOrphanedTools(directory_.Path(), kLong);
  ASSERT_TRUE(lock.ok()) << lock.status();
  EXPECT_TRUE(Exists(directory_ / "done"));
  EXPECT_TRUE(Gone(tool_));
}

TEST_F(OrphanedToolsTest, DoNotHaveTheLockThemselvesSoThatTheirOwnOrphansHoldNobodyUp) {
  ASSERT_NO_FATAL_FAILURE(AgentDies(kStubborn));
  EXPECT_THAT(*ReadFile(directory_ / "descriptors"), Not(HasSubstr("tools.lock")));
}

TEST_F(OrphanedToolsTest, OfAnotherStateDirectoryAreNotWaitedFor) {
  ASSERT_NO_FATAL_FAILURE(AgentDies(kStubborn));
  TemporaryDirectory other;
  const SteadyTime begin = SteadyNow();
  const auto lock = AwaitOrphanedTools(other.Path(), kLong);
  ASSERT_TRUE(lock.ok()) << lock.status();
  EXPECT_LT(SteadyNow() - begin, kLong);
  EXPECT_FALSE(Gone(tool_));
}

TEST_F(OrphanedToolsTest, WhoseSupervisorsWereKilledTooAreNotWaitedFor) {
  ASSERT_NO_FATAL_FAILURE(AgentDies(kStubborn));
  const std::string stat = *ReadFile("/proc/" + std::to_string(tool_) + "/stat");
  ASSERT_EQ(::kill(std::atoi(stat.c_str() + stat.rfind(')') + 4), SIGKILL), 0);
  const SteadyTime begin = SteadyNow();
  ASSERT_TRUE(AwaitOrphanedTools(directory_.Path(), kLong).ok());
  EXPECT_LT(SteadyNow() - begin, kLong);
}

TEST_F(OrphanedToolsTest, WithoutAStateDirectoryThereIsAnError) {
  EXPECT_THAT(MessageOf(AwaitOrphanedTools(directory_ / "nowhere", kLong).status()),
              HasSubstr("nowhere/tools.lock"));
}

}  // namespace
}  // namespace salvor::agent
