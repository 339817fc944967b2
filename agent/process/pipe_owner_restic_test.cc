// The rule that the whole design of the pipe serves, with restic itself: nothing but a whole stream becomes a
// snapshot, and no lock stays behind.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/process/pipe_owner.h"
#include "agent/process/process_testing.h"
#include "base/steady_time.h"

namespace salvor::agent {
namespace {

const SteadyTime kNever = SteadyTime::InfiniteFuture();

class PipeIntoRestic : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(WriteFileAtomically(directory_ / "password", "a password for a test\n", 0600).ok());
    const auto made = Tools().Run(Restic({"init"}), {}, kNever);
    ASSERT_TRUE(made.ok()) << made.status();
  }

  ProcessSpec Restic(std::vector<std::string> arguments) {
    ProcessSpec spec;
    spec.argv = {"restic"};
    spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
    spec.environment = {{"RESTIC_REPOSITORY", directory_ / "repository"},
                        {"RESTIC_PASSWORD_FILE", directory_ / "password"},
                        {"RESTIC_CACHE_DIR", directory_ / "cache"}};
    spec.stop_signal = SIGINT;
    return spec;
  }
  ProcessSpec Backup() { return Restic({"backup", "--stdin", "--stdin-filename", "dump"}); }

  int Count(const std::string& kind) {
    const auto listed = Tools().Run(Restic({"list", kind, "--no-lock"}), {}, kNever);
    EXPECT_TRUE(listed.ok()) << listed.status();
    return listed.ok() ? static_cast<int>(std::count(listed->output.begin(), listed->output.end(), '\n'))
                       : -1;
  }
  TemporaryDirectory directory_;
};

TEST_F(PipeIntoRestic, AWholeStreamIsOneSnapshot) {
  const auto outcome = RunPipe(Tools(), Shell("head -c 3000000 /dev/urandom"), Backup(), {}, {}, kNever);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(Count("snapshots"), 1);
  EXPECT_EQ(Count("locks"), 0);
}

TEST_F(PipeIntoRestic, AFailedDumperLeavesNoSnapshotAndNoLock) {
  const auto outcome =
      RunPipe(Tools(), Shell("head -c 3000000 /dev/urandom; exit 3"), Backup(), {}, {}, kNever);
  EXPECT_FALSE(outcome.ok());
  EXPECT_EQ(Count("snapshots"), 0);
  EXPECT_EQ(Count("locks"), 0);
}

TEST_F(PipeIntoRestic, AnAgentKilledInMidStreamLeavesNoSnapshotAndNoLock) {
  const pid_t agent = ::fork();
  ASSERT_GE(agent, 0);
  if (agent == 0) {
    // More than the pipes and the agent hold together: when it is through, restic is reading. (Before that,
    // in the 200 ms in which restic 0.14 looks for other locks, an interrupt leaves its own lock behind.)
    ProcessSpec dumper = Shell("head -c 8000000 /dev/urandom; : > written; exec sleep 1000");
    dumper.working_directory = directory_.Path();
    (void)RunPipe(Tools(), std::move(dumper), Backup(), {}, {}, kNever);
    ::_exit(0);
  }
  ASSERT_TRUE(Eventually([&] { return Exists(directory_ / "written"); }));
  ::kill(agent, SIGKILL);
  ::waitpid(agent, nullptr, 0);
  EXPECT_TRUE(Eventually([&] { return Count("locks") == 0; }));
  EXPECT_EQ(Count("snapshots"), 0);
  EXPECT_EQ(Count("locks"), 0);
}

}  // namespace
}  // namespace salvor::agent
