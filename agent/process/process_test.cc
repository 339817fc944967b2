#include "agent/process/process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "agent/process/line_splitter.h"
#include "agent/process/process_testing.h"
#include "base/io/steady_clock.h"

namespace salvor::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const SteadyTime kNever = SteadyTime::InfiniteFuture();

StatusOr<ExitStatus> Execute(ProcessSpec spec, const std::stop_token& stop = {},
                             SteadyTime deadline = kNever) {
  return Tools().Run(std::move(spec), stop, deadline);
}

TEST(Process, CollectsOutputAndExitsCleanly) {
  const auto result = Execute(Shell("echo hello; echo aside >&2"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output, "hello\n");
  EXPECT_EQ(result->error_tail, "aside\n");
  EXPECT_TRUE(result->Ok());
}

TEST(Process, OutputIsShownInPiecesAsItComesAndNotKept) {
  ProcessSpec spec = Shell("head -c 50000000 /dev/zero; echo end");
  size_t bytes = 0, longest = 0;
  std::string last;
  spec.on_output = [&](std::string_view piece) {
    bytes += piece.size();
    longest = std::max(longest, piece.size());
    last = piece.substr(piece.size() - std::min<size_t>(piece.size(), 4));
    return OkStatus();
  };
  ResetPeakMemory();
  const int64_t before = PeakMemoryBytes();
  const auto result = Execute(std::move(spec));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(bytes, 50'000'004u);
  EXPECT_EQ(last, "end\n");
  EXPECT_LE(longest, size_t{64} << 10);
  EXPECT_EQ(result->output, "");
  EXPECT_LT(PeakMemoryBytes() - before, 8 << 20);
}

TEST(Process, WhoIsShownTheOutputMayEndItAndIsAskedNoMore) {
  ProcessSpec spec = Shell("echo 'the last word' >&2; while :; do echo more; done");
  int calls = 0;
  spec.on_output = [&calls](std::string_view) {
    ++calls;
    return WithHint(DataLoss("not what was meant"), "Look.");
  };
  const auto result = Execute(std::move(spec));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(MessageOf(result.status()), "sh: not what was meant (the last word)");
  EXPECT_EQ(HintOf(result.status()), "Look.");
  EXPECT_EQ(calls, 1);
}

TEST(Process, AnErrorAboutTheLastOutputOfOneThatEndedIsItsEndToo) {
  ProcessSpec spec = Shell("echo all");
  spec.on_output = [](std::string_view) { return Internal("no"); };
  EXPECT_EQ(Execute(std::move(spec)).status().code(), absl::StatusCode::kInternal);
}

TEST(Process, AFailureNamesTheProgramItsLastWordsAndItsExitCode) {
  const auto result = Execute(Shell("echo first >&2; echo 'sh: the reason' >&2; exit 3"));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(MessageOf(result.status()), "sh: first; sh: the reason (exit code 3)");
}

TEST(Process, AProgramThatIsNotThereIsNotFoundWithAHint) {
  ProcessSpec spec;
  spec.argv = {"salvor-no-such-program"};
  const auto result = Execute(std::move(spec));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("no such program"));
  EXPECT_THAT(HintOf(result.status()), HasSubstr("Install"));
}

TEST(Process, OneThatStandsStillIsStoppedByTheWordOfWhoWatchesIt) {
  ProcessSpec spec = Shell("echo 'the last word' >&2; exec sleep 1000");
  spec.on_idle = [](absl::Duration idle) {
    return idle > absl::ZeroDuration() ? WithHint(Unavailable("stood still"), "Look.") : OkStatus();
  };
  const auto result = Execute(std::move(spec));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(MessageOf(result.status()), "sh: stood still (the last word)");
  EXPECT_EQ(HintOf(result.status()), "Look.");
}

TEST(Process, WhatAProgramWritesIsKnownWhileItRuns) {
  ProcessSpec spec;
  spec.argv = {"dd", "if=/dev/zero", "of=/dev/null", "bs=1M"};
  std::stop_source stop;
  spec.on_usage = [&](const ProcessUsage& usage) {
    if (usage.bytes_written > 8 << 20) stop.request_stop();
  };
  auto process = Tools().StartProcess(std::move(spec));
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_EQ((*process)->Wait(stop.get_token(), SteadyTime::InfiniteFuture()).status().code(),
            absl::StatusCode::kCancelled);
}

TEST(Process, ASupervisorThatIsNotThereIsAnError) {
  const auto result = SupervisedTools("/nowhere/salvor-supervise").Run(Shell("true"), {}, kNever);
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("start the supervisor"));
}

TEST(Process, AWorkingDirectoryThatIsNotThereIsNamed) {
  ProcessSpec spec = Shell("true");
  spec.working_directory = "/nowhere";
  EXPECT_THAT(MessageOf(Execute(std::move(spec)).status()), HasSubstr("enter directory /nowhere"));
}

TEST(Process, DeathByASignalIsTold) {
  EXPECT_THAT(MessageOf(Execute(Shell("kill -9 $$")).status()), HasSubstr("killed by signal 9"));
}

TEST(Process, GetsAMinimalEnvironmentAndWhatIsLaidOverIt) {
  ::setenv("SALVOR_TEST_SECRET", "of the agent", 1);
  ProcessSpec spec = Shell("env; pwd");
  spec.environment = {{"PGPORT", "5433"}, {"TZ", "Europe/Vienna"}};
  const auto result = Execute(std::move(spec));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->output, HasSubstr("PGPORT=5433\n"));
  EXPECT_THAT(result->output, HasSubstr("TZ=Europe/Vienna\n"));
  EXPECT_THAT(result->output, HasSubstr("LC_ALL=C.UTF-8\n"));
  EXPECT_THAT(result->output, Not(HasSubstr("SALVOR_TEST_SECRET")));
  EXPECT_THAT(result->output, testing::EndsWith("\n/\n"));
}

TEST(Process, ArgumentsArriveAsTheyAreAndNoShellSeesThem) {
  ProcessSpec spec;
  spec.argv = {"printf", "%s|%s", "a b; $(id) '\"", "\n--"};
  const auto result = Execute(std::move(spec));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output, "a b; $(id) '\"|\n--");
}

TEST(Process, InheritsNoDescriptorButItsThreeStreams) {
  UniqueFd leaky(::open("/dev/null", O_RDONLY));  // without O_CLOEXEC, as a library might
  const auto result = Execute(Shell("ls /proc/self/fd"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output, "0\n1\n2\n3\n");  // 3 is the directory that ls reads
}

TEST(Process, MuchOutputOnBothStreamsNeverBlocksAndIsBounded) {
  ProcessSpec spec = Shell("head -c 30000000 /dev/zero >&2; head -c 30000000 /dev/zero; echo end >&2");
  const auto result = Execute(std::move(spec));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output.size(), size_t{1} << 20);
  EXPECT_TRUE(result->output_cut);
  EXPECT_EQ(result->error_tail.size(), size_t{64} << 10);
  EXPECT_THAT(result->error_tail, testing::EndsWith("end\n"));
}

TEST(Process, LinesAreGivenAsTheyCome) {
  std::vector<std::string> output, error;
  ProcessSpec spec = Shell("printf 'one\\ntwo\\rthree'; printf 'e1\\n\\ne2' >&2");
  spec.on_output_line = [&](std::string_view line) { output.emplace_back(line); };
  spec.on_error_line = [&](std::string_view line) { error.emplace_back(line); };
  const auto result = Execute(std::move(spec));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(output, ElementsAre("one", "two", "three"));
  EXPECT_THAT(error, ElementsAre("e1", "e2"));
  EXPECT_EQ(result->output, "");
}

TEST(Process, AStopRequestEndsItWithItsStopSignalAndSaysCancelled) {
  TemporaryDirectory directory;
  std::stop_source stop;
  ProcessSpec spec =
      Shell("trap 'echo INT > got; exit 1' INT; echo ready >&2; : > ready; while :; do sleep 0.01; done");
  spec.working_directory = directory.Path();
  spec.stop_signal = SIGINT;
  std::thread canceller([&] {
    EXPECT_TRUE(Eventually([&] { return Exists(directory / "ready"); }));
    stop.request_stop();
  });
  const auto result = Execute(std::move(spec), stop.get_token());
  canceller.join();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(MessageOf(result.status()), "sh: stopped on request (ready)");
  EXPECT_EQ(*ReadFile(directory / "got"), "INT\n");
}

TEST(Process, ADeadlineEndsItAndSaysSo) {
  const auto result =
      Execute(Shell("while :; do sleep 0.01; done"), {}, SteadyNow() + absl::Milliseconds(50));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(Process, WhoIgnoresTheStopSignalIsKilledAfterTheGrace) {
  ProcessSpec spec = Shell("trap '' TERM; while :; do sleep 0.01; done");
  spec.stop_grace = absl::Milliseconds(200);
  const auto result = Execute(std::move(spec), {}, SteadyNow() + absl::Milliseconds(100));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(Process, NothingItStartedStaysBehind) {
  TemporaryDirectory directory;
  // A daemon as daemons are: own session, parent gone, and it ignores SIGTERM.
  ProcessSpec spec = Shell(
      "setsid sh -c 'trap \"\" TERM; echo $$ > daemon; while :; do sleep 0.01; done' & "
      "while [ ! -s daemon ]; do sleep 0.01; done; exit 0");
  spec.working_directory = directory.Path();
  spec.stop_grace = absl::Milliseconds(200);
  const auto result = Execute(std::move(spec));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(Gone(std::stoi(*ReadFile(directory / "daemon"))));
}

TEST(Process, ADestroyedProcessIsStopped) {
  int pid = 0;
  {
    auto process = Tools().StartProcess(Shell("exec sleep 1000"));
    ASSERT_TRUE(process.ok()) << process.status();
    pid = (*process)->Pid();
    EXPECT_FALSE(Gone(pid));
  }
  EXPECT_TRUE(Gone(pid));
}

struct PipeForTest {
  PipeForTest() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
    read = UniqueFd(fds[0]);
    write = UniqueFd(fds[1]);
  }
  // All of it; it ends only when nobody holds the other end.
  std::string Drain() const {
    std::string text;
    char bytes[256];
    for (ssize_t got = 0; (got = ::read(read.Get(), bytes, sizeof bytes)) > 0;)
      text.append(bytes, static_cast<size_t>(got));
    return text;
  }
  UniqueFd read, write;
};

// They end with it and what it started: nobody else, the supervisor least of all, holds them.
TEST(Process, GetsTheDescriptorsThatArePassedUnderTheirNumbersAndNoOther) {
  PipeForTest third, ninth;
  ProcessSpec spec = Shell("sleep 3600 & echo three >&3; echo nine >&9; ls /proc/$$/fd");
  spec.passed.push_back({std::move(third.write), 3});
  spec.passed.push_back({std::move(ninth.write), 9});
  const auto result = Execute(std::move(spec));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output, "0\n1\n2\n3\n9\n");
  EXPECT_EQ(third.Drain(), "three\n");
  EXPECT_EQ(ninth.Drain(), "nine\n");
}

TEST(Process, AProgramThatIsNotThereIsNamedWithDescriptorsPassedToo) {
  PipeForTest pipe;
  ProcessSpec spec;
  spec.argv = {"/there/is/no/such/program"};
  spec.passed.push_back({std::move(pipe.write), 3});
  EXPECT_THAT(MessageOf(Execute(std::move(spec)).status()), HasSubstr("no such program"));
  EXPECT_EQ(pipe.Drain(), "");
}

TEST(Process, ADescriptorIsPassedUnderANumberFrom3To31) {
  for (const int number : {2, 32}) {
    PipeForTest pipe;
    ProcessSpec spec = Shell("true");
    spec.passed.push_back({std::move(pipe.write), number});
    EXPECT_EQ(Execute(std::move(spec)).status().code(), absl::StatusCode::kInvalidArgument) << number;
  }
}

TEST(Process, RunsInASessionThatNoTerminalReaches) {
  const auto result = Execute(Shell("ps -o sid= -p $$"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_NE(std::stoi(result->output), ::getsid(0));
}

TEST(Process, RunsAsAnotherUserWithThatUsersHome) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  ProcessSpec spec = Shell("id -un; id -G; echo $HOME; echo $USER");
  spec.user = "daemon";
  const auto result = Execute(std::move(spec));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output, "daemon\n1\n/usr/sbin\ndaemon\n");
}

TEST(Process, AUserThatIsNotThereIsNamed) {
  ProcessSpec spec = Shell("true");
  spec.user = "nobody-of-that-name";
  EXPECT_THAT(MessageOf(Execute(std::move(spec)).status()), HasSubstr("nobody-of-that-name"));
}

TEST(Process, AnOwnNetworkHasALoopbackAndNothingElse) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make network namespaces";
  ProcessSpec spec = Shell(
      "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; cat /sys/class/net/lo/flags 2>/dev/null;"
      "cat /proc/net/if_inet6 | wc -l; ip -o addr show dev lo 2>/dev/null | grep -c 127.0.0.1");
  spec.new_network = true;
  const auto result = Tools().StartProcess(std::move(spec));
  ASSERT_TRUE(result.ok()) << result.status();
  const auto status = (*result)->Wait({}, kNever);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_THAT(status->output, StartsWith("lo\n")) << status->error_tail;
}

// A copy of this test as the agent, killed without a chance to say anything.
TEST(Process, WhenTheAgentIsKilledTheChildIsInterruptedAndSeesNoEndOfFile) {
  TemporaryDirectory directory;
  const pid_t agent = ::fork();
  ASSERT_GE(agent, 0);
  if (agent == 0) {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) ::_exit(1);
    ProcessSpec spec;
    spec.argv = {"python3", "-c",
                 "import os,signal,threading\n"
                 "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
                 "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})\n"
                 "def stop():\n"
                 "  signal.sigwait({signal.SIGINT})\n"
                 "  os.write(1, b'x' * 200000); os.write(2, b'interrupted' * 20000)\n"  // must not die of it
                 "  open('seen','a').write('INT\\n'); os._exit(1)\n"
                 "threading.Thread(target=stop, daemon=True).start()\n"
                 "open('pid.new','w').write(str(os.getpid())); os.rename('pid.new','pid')\n"
                 "while os.read(0, 65536): pass\n"
                 "open('seen','a').write('EOF\\n')\n"};
    spec.working_directory = directory.Path();
    spec.stop_signal = SIGINT;
    spec.input = UniqueFd(fds[0]);
    spec.spare_input = UniqueFd(::dup(fds[1]));
    auto process = Tools().StartProcess(std::move(spec));
    if (!process.ok()) ::_exit(1);
    (void)(*process)->Wait({}, kNever);
    ::_exit(2);
  }
  ASSERT_TRUE(Eventually([&] { return Exists(directory / "pid"); }));
  ::kill(agent, SIGKILL);
  ::waitpid(agent, nullptr, 0);
  const int child = std::stoi(*ReadFile(directory / "pid"));
  EXPECT_TRUE(Eventually([&] { return Gone(child); }));
  EXPECT_EQ(*ReadFile(directory / "seen"), "INT\n");
}

TEST(Process, WhenTheSupervisorIsKilledTheChildDiesAndWaitSaysWhy) {
  auto process = Tools().StartProcess(Shell("exec sleep 1000"));
  ASSERT_TRUE(process.ok()) << process.status();
  const int child = (*process)->Pid();
  const std::string stat = *ReadFile("/proc/" + std::to_string(child) + "/stat");
  const int supervisor = std::atoi(stat.c_str() + stat.rfind(')') + 4);
  ASSERT_EQ(::kill(supervisor, SIGKILL), 0);
  const auto status = (*process)->Wait({}, kNever);
  EXPECT_EQ(status.status().code(), absl::StatusCode::kAborted);
  EXPECT_THAT(MessageOf(status.status()), HasSubstr("supervisor"));
  EXPECT_TRUE(Eventually([&] { return Gone(child); }));
}

TEST(Process, ReleasedInputEndsWhenTheAgentsOwnEndIsClosed) {
  int fds[2];
  ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  UniqueFd own(fds[1]);
  ProcessSpec spec = Shell("cat");
  spec.input = UniqueFd(fds[0]);
  spec.spare_input = UniqueFd(::fcntl(own.Get(), F_DUPFD_CLOEXEC, 3));
  auto process = Tools().StartProcess(std::move(spec));
  ASSERT_TRUE(process.ok()) << process.status();
  ASSERT_EQ(::write(own.Get(), "text", 4), 4);
  (*process)->ReleaseInput();
  own.Reset();
  const auto status = (*process)->Wait({}, kNever);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->output, "text");
}

TEST(RootCause, IsTheLastLinesThatSaySomething) {
  EXPECT_EQ(RootCause("a\nb\r\n\n c \nd\n\n"), "b; c; d");
  EXPECT_EQ(RootCause("\n\n"), "");
  EXPECT_EQ(RootCause("only"), "only");
  // A row with more lines than are kept of it.
  EXPECT_EQ(RootCause("ERROR:  new row\nDETAIL:  Failing row contains (1, a\nb\nc\nd, e).\n"),
            "ERROR:  new row; DETAIL:  Failing row contains (***).");
}

TEST(LineSplitter, CutsEndlessLinesIntoPieces) {
  size_t calls = 0;
  LineSplitter lines([&](std::string_view) { ++calls; });
  for (int i = 0; i < 4; ++i) lines.Add(std::string(40 << 10, 'x'));
  lines.End();
  EXPECT_EQ(calls, 2u);
}

}  // namespace
}  // namespace salvor::agent
