#include "agent/process/sandbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "agent/process/process_testing.h"
#include "base/io/files.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;
using testing::Not;

class SandboxTest : public testing::Test {
 protected:
  SandboxTest() {
    const SandboxUser user =
        ::geteuid() == 0 ? UnownedUser("sandbox-test", {}).value() : SandboxUser{::getuid(), ::getgid()};
    if (::geteuid() == 0) sandbox_.user = user;
    user_ = user;
    sandbox_.identity_directory = directory_ / "etc";
    EXPECT_TRUE(WriteIdentity(sandbox_.identity_directory, user).ok());
    sandbox_.mounts = {{directory_ / "own", "/scratch/own", true}};
    EXPECT_TRUE(MakeDirectories(directory_ / "own", 0700).ok());
    EXPECT_EQ(::chown((directory_ / "own").c_str(), user.uid, user.gid), 0);
  }

  StatusOr<ExitStatus> Inside(const std::string& script) {
    auto spec = Enclose(Shell(script), sandbox_);
    if (!spec.ok()) return spec.status();
    auto process = Tools().StartProcess(*std::move(spec));
    if (!process.ok()) return process.status();
    return (*process)->Wait({}, SteadyNow() + absl::Seconds(60));
  }
  std::string Output(const std::string& script) {
    const auto exit = Inside(script);
    EXPECT_TRUE(exit.ok()) << exit.status();
    return exit.ok() ? exit->output + exit->error_tail : "";
  }

  TemporaryDirectory directory_;
  Sandbox sandbox_;
  SandboxUser user_;
};

TEST_F(SandboxTest, ThisMachineCanMakeOne) {
  const Status tried = TrySandbox(Tools(), sandbox_);
  EXPECT_TRUE(tried.ok()) << MessageOf(tried);
  sandbox_.program = "/nonexistent/bwrap";
  EXPECT_FALSE(TrySandbox(Tools(), sandbox_).ok());
}

TEST_F(SandboxTest, NothingButSystemAndOwnFoldersIsThere) {
  EXPECT_EQ(Output("ls -A /tmp; ls -d /home /root /var /run /work /opt /srv 2>/dev/null; ls /scratch"),
            "own\n");
  EXPECT_EQ(
      Output(
          "cat /etc/shadow 2>/dev/null; ls /etc | grep -vx -e passwd -e group -e localtime -e alternatives "
          "-e ld.so.cache"),
      "");
  EXPECT_EQ(
      Output(
          "for p in / /usr /etc; do touch $p/x 2>/dev/null && echo wrote $p; done; echo ok > /scratch/own/y; "
          "cat /scratch/own/y"),
      "ok\n");
  EXPECT_EQ(*ReadFile(directory_ / "own/y"), "ok\n");
}

TEST_F(SandboxTest, ItRunsWithoutRightsAsAUserThatItCanLookUp) {
  EXPECT_EQ(Output("id -un; id -u"), fmt::format("scratch\n{}\n", user_.uid));
  EXPECT_THAT(Output("grep -e CapEff -e CapBnd -e NoNewPrivs /proc/self/status"),
              testing::AllOf(HasSubstr("CapEff:\t0000000000000000"), HasSubstr("NoNewPrivs:\t1")));
}

TEST_F(SandboxTest, ItSeesNoProcessAndNoNetworkOfOurs) {
  EXPECT_EQ(
      Output(fmt::format("kill -0 {} 2>/dev/null && echo reached; grep -c : /proc/net/dev", ::getpid())),
      "1\n");
  for (const char* kind : {"mnt", "pid", "ipc", "net"}) {
    char ours[64] = {};
    ASSERT_GT(::readlink(fmt::format("/proc/self/ns/{}", kind).c_str(), ours, sizeof ours - 1), 0);
    EXPECT_THAT(Output(fmt::format("readlink /proc/self/ns/{}", kind)), Not(HasSubstr(ours))) << kind;
  }
}

TEST_F(SandboxTest, TheEnvironmentIsWhatTheSpecNames) {
  ::setenv("SALVOR_SECRET_OF_THE_AGENT", "x", 1);
  const std::string environment = Output("env");
  ::unsetenv("SALVOR_SECRET_OF_THE_AGENT");
  EXPECT_THAT(environment, Not(HasSubstr("SALVOR_SECRET")));
  EXPECT_THAT(environment, HasSubstr("HOME=/scratch\n"));
}

TEST_F(SandboxTest, WhatItLeftRunningEndsWithIt) {
  ASSERT_TRUE(Inside("setsid sleep 98765 & true").ok());
  const auto processes = Tools().Run(Shell("ps -eo args"), {}, SteadyTime::InfiniteFuture());
  ASSERT_TRUE(processes.ok());
  EXPECT_THAT(processes->output, Not(HasSubstr("sleep 98765")));
}

TEST_F(SandboxTest, ExitCodesComeThroughAndAProgramThatIsNotThereIsTold) {
  EXPECT_EQ(Inside("exit 75")->code, 75);
  EXPECT_EQ(SandboxFailure(*Inside("echo broken >&2; exit 1")), "");
  auto spec = Enclose(Shell(""), sandbox_).value();
  spec.argv.back() = "x";
  spec.argv[spec.argv.size() - 3] = "/nonexistent/program";
  auto process = Tools().StartProcess(std::move(spec));
  ASSERT_TRUE(process.ok());
  EXPECT_THAT(SandboxFailure(*(*process)->Wait({}, SteadyTime::InfiniteFuture())),
              HasSubstr("/nonexistent/program"));
}

// The answer of a sandbox that an agent without root's rights makes; the exit code is 77 where this host allows none.
int ExitOfUnprivileged(const SandboxUser& agent, const std::string& directory, const std::string& script) {
  if (::setgid(agent.gid) != 0 || ::setuid(agent.uid) != 0) return 1;
  ::setenv("SALVOR_SUPERVISE", (directory + "/supervise").c_str(), 1);
  Sandbox sandbox;
  sandbox.identity_directory = directory + "/etc";
  sandbox.mounts = {{directory + "/own", "/scratch/own", true}};
  if (!WriteIdentity(sandbox.identity_directory, agent).ok() || !MakeDirectories(directory + "/own").ok())
    return 2;
  SupervisedTools tools{Supervisor()};
  if (!TrySandbox(tools, sandbox).ok()) return 77;
  auto spec = Enclose(Shell(script), sandbox);
  if (!spec.ok()) return 3;
  const auto exit = tools.Run(*std::move(spec), {}, SteadyNow() + absl::Seconds(60));
  if (!exit.ok()) return 4;
  return exit->output == "ok\n" ? 0 : 5;
}

TEST_F(SandboxTest, AnAgentWithoutRootsRightsMakesOneThatIsAsTight) {
  if (::geteuid() != 0) GTEST_SKIP() << "every test here is of such an agent";
  const std::string open = testing::TempDir() + "/salvor-unprivileged-" + std::to_string(::getpid());
  ASSERT_TRUE(MakeDirectories(open).ok());
  ASSERT_EQ(::chown(open.c_str(), user_.uid, user_.gid), 0);
  ASSERT_TRUE(WriteFileAtomically(open + "/supervise", *ReadFile(Supervisor()), 0755).ok());
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0)
    ::_exit(
        ExitOfUnprivileged(user_, open,
                           "for p in / /etc /usr /scratch; do touch $p/x 2>/dev/null && echo wrote $p; done; "
                           "echo ok >/scratch/own/y; cat /scratch/own/y"));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(RemoveTree(open).ok());
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "this host allows no sandbox to those who are not root";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(SandboxTest, NothingIsEverEnclosedAsRoot) {
  sandbox_.user = SandboxUser{0, 0};
  EXPECT_FALSE(Enclose(Shell("true"), sandbox_).ok());
}

TEST(UnownedUser, IsOfNobodyAndStaysTheSame) {
  const SandboxUser first = UnownedUser("drill-1", {}).value();
  EXPECT_EQ(UnownedUser("drill-1", {})->uid, first.uid);
  EXPECT_NE(UnownedUser("drill-1", {first.uid})->uid, first.uid);
  EXPECT_GE(first.uid, 61184u);
}

TEST(FirstUnreadable, NamesWhatIsClosedToOthers) {
  TemporaryDirectory directory;
  ASSERT_EQ(::chmod(directory.Path().c_str(), 0755), 0);
  ASSERT_TRUE(WriteFileAtomically(directory / "open", "x", 0644).ok());
  const SandboxUser stranger{61200, 61200};
  EXPECT_EQ(FirstUnreadable(directory.Path(), stranger), "");
  ASSERT_TRUE(WriteFileAtomically(directory / "closed", "x", 0600).ok());
  EXPECT_EQ(FirstUnreadable(directory.Path(), stranger), directory / "closed");
  EXPECT_EQ(FirstUnreadable(directory.Path(), {::getuid(), ::getgid()}), "");
}

}  // namespace
}  // namespace salvor::agent
