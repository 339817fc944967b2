#include "agent/process/pipe_owner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <thread>

#include "agent/process/process_testing.h"
#include "base/io/sha256.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;

const SteadyTime kNever = SteadyTime::InfiniteFuture();

// Keeps what it reads only once it has seen end of file, as restic does; notes an interrupt. (On a thread
// that waits for it: Python runs a handler only between two calls, and a read may block for ever just
// before.)
constexpr char kKeeper[] =
    "import os,signal,threading\n"
    "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})\n"
    "def stop():\n"
    "  signal.sigwait({signal.SIGINT}); open('interrupted','w'); os._exit(130)\n"
    "threading.Thread(target=stop, daemon=True).start()\n"
    "open('ready','w')\n"
    "total = 0\n"
    "while True:\n"
    "  data = os.read(0, 1 << 20)\n"
    "  if not data: break\n"
    "  total += len(data)\n"
    "open('kept','w').write(str(total))\n";

class RecordingObserver : public StreamObserver {
 public:
  Status OnBytes(std::string_view bytes) override {
    sha256_.Update(bytes);
    bytes_ += static_cast<int64_t>(bytes.size());
    return bytes_ > refuse_after_ ? DataLoss("this is no dump") : OkStatus();
  }
  Status OnEnd() override { return end_; }

  int64_t refuse_after_ = INT64_MAX;
  int64_t bytes_ = 0;
  Status end_;
  Sha256 sha256_;
};

class PipeTest : public testing::Test {
 protected:
  ProcessSpec Keeper() {
    ProcessSpec spec;
    spec.argv = {"python3", "-c", kKeeper};
    spec.working_directory = directory_.Path();
    spec.stop_signal = SIGINT;
    return spec;
  }
  StatusOr<PipeOutcome> Execute(ProcessSpec producer, ProcessSpec consumer, const PipeOptions& options = {},
                                const std::stop_token& stop = {}, SteadyTime deadline = kNever) {
    return RunPipe(Tools(), std::move(producer), std::move(consumer), options, stop, deadline);
  }
  void ExpectNothingKept() {
    EXPECT_FALSE(Exists(directory_ / "kept"));
    EXPECT_TRUE(Exists(directory_ / "interrupted"));
  }

  // The keeper must be ready to note its interrupt before anything fails.
  std::string WhenReady(const std::string& script) {
    return "while [ ! -e " + directory_ / "ready" + " ]; do sleep 0.01; done; " + script;
  }

  TemporaryDirectory directory_;
};

TEST_F(PipeTest, EveryByteArrivesHashedCountedAndObserved) {
  RecordingObserver observer;
  PipeOptions options;
  options.observer = &observer;
  int64_t told = 0;
  options.on_progress = [&](int64_t bytes) { told = bytes; };
  const auto outcome = Execute(Shell("seq 1 3000000"), Shell("sha256sum"), options);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->bytes, 22888896);
  EXPECT_EQ(outcome->consumer.output, ToHex(outcome->sha256) + "  -\n");
  EXPECT_EQ(observer.sha256_.Finish(), outcome->sha256);
  EXPECT_EQ(told, outcome->bytes);
}

TEST_F(PipeTest, AnEmptyStreamIsAStream) {
  const auto outcome = Execute(Shell("true"), Keeper());
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->bytes, 0);
  EXPECT_EQ(outcome->sha256, Sha256::Of(""));
  EXPECT_EQ(*ReadFile(directory_ / "kept"), "0");
}

TEST_F(PipeTest, AProducerThatFailsAfter100kLeavesNothingWithTheConsumer) {
  const auto outcome =
      Execute(Shell(WhenReady("head -c 100000 /dev/zero; echo 'server closed the connection' >&2; exit 3")),
              Keeper());
  EXPECT_EQ(MessageOf(outcome.status()), "sh: server closed the connection (exit code 3)");
  ExpectNothingKept();
}

TEST_F(PipeTest, AProducerThatEndsItsOutputButThenFailsIsFoundOut) {
  const auto outcome =
      Execute(Shell(WhenReady("head -c 100000 /dev/zero; exec >&-; sleep 0.2; exit 9")), Keeper());
  EXPECT_THAT(MessageOf(outcome.status()), HasSubstr("exit code 9"));
  ExpectNothingKept();
}

TEST_F(PipeTest, AConsumerThatDiesIsTheRootCause) {
  const auto outcome = Execute(Shell("exec cat /dev/zero"),
                               Shell("head -c 1000 >/dev/null; echo 'no space left' >&2; exit 7"));
  EXPECT_EQ(MessageOf(outcome.status()), "sh: no space left (exit code 7)");
}

// restic closes its input, removes its lock and only then says what went wrong. This consumer takes so long that the
// producer has been stopped meanwhile, and is asked to stop before it has said anything if anybody asks at all.
TEST_F(PipeTest, AConsumerThatClosesItsInputMaySayWhyBeforeItEnds) {
  const std::string pid = directory_ / "producer";
  const auto outcome =
      Execute(Shell("echo $$ >" + pid + "; exec cat /dev/zero"),
              Shell("head -c 1000 >/dev/null; exec <&-; while kill -0 $(cat " + pid +
                    "); do sleep 0.01; done 2>/dev/null; sleep 0.3; echo 'no space left' >&2; exit 7"));
  EXPECT_EQ(MessageOf(outcome.status()), "sh: no space left (exit code 7)");
}

TEST_F(PipeTest, AConsumerThatClosesItsInputAtItsEndMaySayWhyBeforeItEnds) {
  const auto outcome =
      Execute(Shell("head -c 3000000 /dev/zero"),
              Shell("head -c 1000 >/dev/null; exec <&-; sleep 0.3; echo 'no space left' >&2; exit 7"));
  EXPECT_EQ(MessageOf(outcome.status()), "sh: no space left (exit code 7)");
}

TEST_F(PipeTest, AConsumerThatClosedItsInputIsStillStoppedOnRequest) {
  std::stop_source stop;
  std::jthread request([&] {
    EXPECT_TRUE(Eventually([&] { return Exists(directory_ / "closed"); }));
    stop.request_stop();
  });
  const auto outcome =
      Execute(Shell("exec cat /dev/zero"),
              Shell("exec <&-; touch " + directory_ / "closed" + "; exec sleep 1000"), {}, stop.get_token());
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kCancelled) << outcome.status();
}

TEST_F(PipeTest, AConsumerThatDiesWhileTheProducerIsSilentIsNoticedAtOnce) {
  const SteadyTime start = SteadyNow();
  const auto outcome = Execute(Shell("exec sleep 1000"), Shell("echo 'wrong password' >&2; exit 1"));
  EXPECT_EQ(MessageOf(outcome.status()), "sh: wrong password (exit code 1)");
  EXPECT_LT(SteadyNow() - start, absl::Seconds(20));
}

TEST_F(PipeTest, AConsumerThatStopsReadingEarlyIsAFailureEvenWhenItExitsZero) {
  const auto outcome = Execute(Shell("exec cat /dev/zero"), Shell("head -c 1000 >/dev/null"));
  EXPECT_EQ(MessageOf(outcome.status()), "sh: ended before it had read everything (exit code 0)");
}

TEST_F(PipeTest, AnObserverThatRefusesStopsBoth) {
  RecordingObserver observer;
  observer.refuse_after_ = 1 << 20;
  PipeOptions options;
  options.observer = &observer;
  const auto outcome = Execute(Shell(WhenReady("exec cat /dev/zero")), Keeper(), options);
  EXPECT_EQ(MessageOf(outcome.status()), "this is no dump");
  ExpectNothingKept();
}

TEST_F(PipeTest, AnObserverMayRefuseTheEnd) {
  RecordingObserver observer;
  observer.end_ = DataLoss("the dump has no end marker");
  PipeOptions options;
  options.observer = &observer;
  const auto outcome = Execute(Shell(WhenReady("head -c 5000000 /dev/zero")), Keeper(), options);
  EXPECT_EQ(MessageOf(outcome.status()), "the dump has no end marker");
  ExpectNothingKept();
}

TEST_F(PipeTest, OneByteTooFewOrTooManyNeverReachesTheEnd) {
  for (const int64_t expected : {4'999'999, 5'000'001}) {
    PipeOptions options;
    options.expect_bytes = expected;
    const auto outcome = Execute(Shell(WhenReady("head -c 5000000 /dev/zero")), Keeper(), options);
    EXPECT_EQ(outcome.status().code(), absl::StatusCode::kDataLoss) << outcome.status();
    ExpectNothingKept();
    ASSERT_EQ(::unlink((directory_ / "interrupted").c_str()), 0);
    ASSERT_EQ(::unlink((directory_ / "ready").c_str()), 0);
  }
}

TEST_F(PipeTest, AnotherDigestNeverReachesTheEnd) {
  PipeOptions options;
  options.expect_bytes = 5'000'000;
  options.expect_sha256 = Sha256::Of("something else");
  const auto outcome = Execute(Shell(WhenReady("head -c 5000000 /dev/zero")), Keeper(), options);
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(MessageOf(outcome.status()), HasSubstr("SHA-256"));
  ExpectNothingKept();
}

TEST_F(PipeTest, TheExpectedStreamPasses) {
  PipeOptions options;
  options.expect_bytes = 5;
  options.expect_sha256 = Sha256::Of("hello");
  const auto outcome = Execute(Shell("printf hello"), Keeper(), options);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(*ReadFile(directory_ / "kept"), "5");
}

TEST_F(PipeTest, AStopRequestInMidStreamKeepsNothing) {
  std::stop_source stop;
  std::thread canceller([&] {
    EXPECT_TRUE(Eventually([&] { return Exists(directory_ / "ready"); }));
    stop.request_stop();
  });
  const auto outcome = Execute(Shell("exec cat /dev/zero"), Keeper(), {}, stop.get_token());
  canceller.join();
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kCancelled) << outcome.status();
  ExpectNothingKept();
}

TEST_F(PipeTest, TheDeadlineKeepsNothing) {
  const auto outcome =
      Execute(Shell(WhenReady("exec cat /dev/zero")), Keeper(), {}, {}, SteadyNow() + absl::Seconds(2));
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kDeadlineExceeded) << outcome.status();
  ExpectNothingKept();
}

TEST_F(PipeTest, MuchTalkOnStderrDoesNotHoldUpTheStream) {
  const auto outcome =
      Execute(Shell("for i in 1 2 3; do head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero; done"),
              Shell("head -c 5000000 /dev/zero >&2; wc -c; head -c 5000000 /dev/zero >&2"));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->consumer.output, "9000000\n");
}

TEST_F(PipeTest, AProducerThatCannotStartStopsTheConsumer) {
  ProcessSpec missing;
  missing.argv = {"salvor-no-such-program"};
  const auto outcome = Execute(std::move(missing), Keeper());
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(Exists(directory_ / "kept"));
}

TEST_F(PipeTest, AnAgentKilledInMidStreamLeavesNothingWithTheConsumer) {
  const pid_t agent = ::fork();
  ASSERT_GE(agent, 0);
  if (agent == 0) {
    (void)Execute(Shell("exec cat /dev/zero"), Keeper());
    ::_exit(0);
  }
  ASSERT_TRUE(Eventually([&] { return Exists(directory_ / "ready"); }));
  ::kill(agent, SIGKILL);
  ::waitpid(agent, nullptr, 0);
  EXPECT_TRUE(Eventually([&] { return Exists(directory_ / "interrupted"); }));
  EXPECT_FALSE(Exists(directory_ / "kept"));
}

Status UntilIdle(absl::Duration idle) {
  return idle >= absl::Seconds(1) ? ResourceExhausted("stood still") : OkStatus();
}

TEST_F(PipeTest, AConsumerThatStandsStillAfterTheEndOfItsInputIsStopped) {
  ProcessSpec consumer = Shell("cat >/dev/null; exec sleep 1000");
  consumer.on_idle = UntilIdle;
  const auto outcome = Execute(Shell("echo all"), std::move(consumer));
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kResourceExhausted) << outcome.status();
}

TEST_F(PipeTest, AConsumerThatLeavesItsInputUnreadIsStopped) {
  ProcessSpec consumer = Shell("exec sleep 1000");
  consumer.on_idle = UntilIdle;
  const auto outcome = Execute(Shell("exec cat /dev/zero"), std::move(consumer));
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kResourceExhausted) << outcome.status();
}

TEST_F(PipeTest, AConsumerThatWaitsForASilentProducerIsNotIdle) {
  std::atomic<int> asked = 0;
  ProcessSpec consumer = Shell("exec cat");
  consumer.on_idle = [&](absl::Duration idle) {
    ++asked;
    if (asked == 3) {
      EXPECT_TRUE(WriteFileAtomically(directory_ / "go", "", 0600).ok());
    }
    return UntilIdle(idle);
  };
  const auto outcome =
      Execute(Shell("while [ ! -e " + directory_ / "go" + " ]; do sleep 0.01; done"), std::move(consumer));
  EXPECT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_GE(asked, 3);
}

TEST_F(PipeTest, AProducerThatHangsIsStoppedNamedAndWorthAnotherTry) {
  PipeOptions options;
  options.producer_stall = absl::Seconds(1);
  const auto outcome = Execute(Shell(WhenReady("echo begun; exec sleep 1000")), Keeper(), options);
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kUnavailable) << outcome.status();
  EXPECT_THAT(MessageOf(outcome.status()), HasSubstr("sh: stopped, because it gave nothing and stood still"));
  EXPECT_NE(HintOf(outcome.status()), "");
  ExpectNothingKept();
}

TEST_F(PipeTest, AConsumerThatHangsIsStoppedNamedAndWorthAnotherTry) {
  PipeOptions options;
  options.consumer_stall = absl::Seconds(1);
  const auto outcome = Execute(Shell("exec cat /dev/zero"), Shell("exec sleep 1000"), options);
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kUnavailable) << outcome.status();
  EXPECT_THAT(MessageOf(outcome.status()), HasSubstr("sh: stopped, because it took nothing"));
}

// The producer sits before a full pipe, idle for longer than it may be.
TEST_F(PipeTest, AProducerThatWaitsForASlowConsumerIsNotHung) {
  std::atomic<int> asked = 0;
  ProcessSpec consumer =
      Shell("while [ ! -e " + directory_ / "go" + " ]; do sleep 0.01; done; exec cat >/dev/null");
  consumer.on_idle = [&](absl::Duration) {
    if (++asked == 4) {
      EXPECT_TRUE(WriteFileAtomically(directory_ / "go", "", 0600).ok());
    }
    return OkStatus();
  };
  PipeOptions options;
  options.producer_stall = absl::Seconds(1);
  const auto outcome = Execute(Shell("exec head -c 20000000 /dev/zero"), std::move(consumer), options);
  EXPECT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_GE(asked, 4);
}

// That says nothing about what was kept or is restored.
TEST_F(PipeTest, ASupervisorThatIsKilledOnEitherSideIsAnInterruption) {
  const std::string kill_supervisor =
      "until kill -9 $(cut -d' ' -f4 /proc/$$/stat); do :; done; exec sleep 1000";
  auto outcome = Execute(Shell(kill_supervisor), Keeper());
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kAborted) << outcome.status();
  EXPECT_FALSE(Exists(directory_ / "kept"));
  outcome = Execute(Shell("exec cat /dev/zero"), Shell(kill_supervisor));
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kAborted) << outcome.status();
  EXPECT_THAT(HintOf(outcome.status()), HasSubstr("salvor-supervise"));
}

TEST(JudgeStall, NamesWhatStoodStillAndForHowLong) {
  EXPECT_TRUE(JudgeStall(absl::Minutes(59), absl::Hours(1), "gave nothing").ok());
  const Status status = JudgeStall(absl::Hours(1), absl::Hours(1), "gave nothing");
  EXPECT_EQ(MessageOf(status), "stopped, because it gave nothing and stood still for 1h00m");
}

}  // namespace
}  // namespace salvor::agent
