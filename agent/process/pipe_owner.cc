#include "agent/process/pipe_owner.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <future>
#include <optional>
#include <utility>

#include "agent/process/pump.h"
#include "base/io/mutex.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

// A consumer that died is an error to report, not a signal to die of. Only this thread writes.
class SigpipeBlocked {
 public:
  SigpipeBlocked() {
    ::sigemptyset(&sigpipe_);
    ::sigaddset(&sigpipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
  }
  ~SigpipeBlocked() {
    if (::sigismember(&before_, SIGPIPE) == 1) return;
    const timespec now{};
    while (::sigtimedwait(&sigpipe_, nullptr, &now) < 0 && errno == EINTR) continue;
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SigpipeBlocked(const SigpipeBlocked&) = delete;
  SigpipeBlocked& operator=(const SigpipeBlocked&) = delete;

 private:
  sigset_t sigpipe_{}, before_{};
};

// A consumer that failed closes its input first, then clears up (restic removes its lock), and says why at its end:
// stopped at once, it would name the signal instead of the full disk. So it has this long to end by itself.
constexpr absl::Duration kLastWords = absl::Minutes(1);

// Waits for a process beside the pump, which keeps its stderr drained.
class Waiter {
 public:
  Waiter(RunningTool& tool, std::stop_token stop, SteadyTime deadline)
      : result_(std::async(std::launch::async,
                           [&tool, stop = std::move(stop), deadline] { return tool.Wait(stop, deadline); })) {
  }

  bool EndsWithin(absl::Duration time) {
    return result_.wait_for(absl::ToChronoNanoseconds(time)) == std::future_status::ready;
  }

  const StatusOr<ExitStatus>& Join() { return result_.get(); }

 private:
  std::shared_future<StatusOr<ExitStatus>> result_;  // its end waits for the process
};

struct Ends {
  UniqueFd read, write;
};

StatusOr<Ends> MakeLargePipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus(errno, "make a pipe");
  (void)::fcntl(fds[0], F_SETPIPE_SZ,
                1 << 20);  // refused to the unprivileged beyond a limit: only slower then
  return Ends{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// Owns both processes and the pipes between them and us, and knows what became of each.
class OwnedPipe {
 public:
  Status Start(ToolRunner& tools, ProcessSpec producer, ProcessSpec consumer, const PipeOptions& options) {
    consumer_program_ = consumer.argv.front();
    ASSIGN_OR_RETURN(Ends from, MakeLargePipe());
    ASSIGN_OR_RETURN(Ends to, MakeLargePipe());
    consumer.spare_input = UniqueFd(::fcntl(to.write.Get(), F_DUPFD_CLOEXEC, 3));
    if (!consumer.spare_input.Valid()) return ErrnoStatus(errno, "duplicate a pipe");
    if (!consumer.on_idle) {
      consumer.on_idle = [limit = options.consumer_stall](absl::Duration idle) {
        return JudgeStall(idle, limit, "took nothing of what was there to read");
      };
    }
    consumer.on_idle = While([this] { return HasInput(); }, std::move(consumer.on_idle));
    if (!producer.on_idle) {
      producer.on_idle = [limit = options.producer_stall](absl::Duration idle) {
        return JudgeStall(idle, limit, "gave nothing");
      };
    }
    producer.on_idle = While([this] { return IsAwaited(); }, std::move(producer.on_idle));
    consumer.input = std::move(to.read);
    producer.output = std::move(from.write);
    from_ = std::move(from.read);
    to_ = std::move(to.write);
    ASSIGN_OR_RETURN(consumer_, tools.Start(std::move(consumer)));
    ASSIGN_OR_RETURN(producer_, tools.Start(std::move(producer)));
    return OkStatus();
  }

  // Whether there is something for the consumer to read, be it the end.
  bool HasInput() {
    MutexLock lock(closing_);
    if (!to_.Valid()) return true;
    int unread_bytes = 0;
    return ::ioctl(to_.Get(), FIONREAD, &unread_bytes) == 0 && unread_bytes > 0;
  }

  StatusOr<PipeOutcome> Run(const PipeOptions& options, const std::stop_token& stop, SteadyTime deadline) {
    SigpipeBlocked blocked;
    Pump pump(from_.Get(), to_.Get(), options);
    Waiter producer(*producer_, stop, deadline), consumer(*consumer_, stop, deadline);
    Status verdict = pump.Run();
    if (!verdict.ok() || pump.ConsumerGone()) producer_->Stop();
    const StatusOr<ExitStatus>& produced = producer.Join();
    if (verdict.ok() && !pump.ConsumerGone()) verdict = JudgeProducer(produced, pump, options);
    if (verdict.ok() && !pump.ConsumerGone()) verdict = pump.Finish();
    const bool whole = verdict.ok() && !pump.ConsumerGone();
    if (whole) {
      consumer_->ReleaseInput();
      MutexLock lock(closing_);
      to_.Reset();
    } else if (!verdict.ok() || !consumer.EndsWithin(kLastWords)) {
      consumer_->Stop();
    }
    const StatusOr<ExitStatus>& consumed = consumer.Join();
    RETURN_IF_ERROR(verdict);
    RETURN_IF_ERROR(consumed.status());
    const bool accepted =
        consumed->Ok() || (whole && options.accept_consumer && options.accept_consumer(*consumed));
    if (!accepted) return consumer_->ErrorOf(*consumed);
    if (!whole)
      return Internal("{}: ended before it had read everything ({})", consumer_program_,
                      consumed->Describe());
    return PipeOutcome{pump.Bytes(), pump.Digest(), *produced, *consumed, absl::ZeroDuration()};
  }

 private:
  // Whether everything that the producer gave has been taken. One that waits for the consumer is not idle.
  bool IsAwaited() {
    int untaken_bytes = 0;
    return ::ioctl(from_.Get(), FIONREAD, &untaken_bytes) == 0 && untaken_bytes == 0;
  }

  // A process that waits for the other is not idle: only the time for which `is_its_turn` counts.
  static std::function<Status(absl::Duration)> While(std::function<bool()> is_its_turn,
                                                     std::function<Status(absl::Duration)> on_idle) {
    return [is_its_turn = std::move(is_its_turn), on_idle = std::move(on_idle),
            since = std::optional<SteadyTime>()](absl::Duration idle) mutable {
      const SteadyTime now = SteadyNow();
      if (!is_its_turn()) {
        since.reset();
      } else if (!since.has_value()) {
        since = now;
      }
      return on_idle(since.has_value() ? std::min(idle, now - *since) : absl::ZeroDuration());
    };
  }

  // Whether the stream is whole, so that its end may be shown.
  Status JudgeProducer(const StatusOr<ExitStatus>& produced, Pump& pump, const PipeOptions& options) {
    RETURN_IF_ERROR(produced.status());
    if (!produced->Ok()) return producer_->ErrorOf(*produced);
    RETURN_IF_ERROR(pump.CheckExpectations());
    return options.observer != nullptr ? options.observer->OnEnd() : OkStatus();
  }

  std::string consumer_program_;
  // The pipes are declared before the processes, so that they are closed after a consumer that had to be stopped is
  // dead.
  UniqueFd from_, to_;
  Mutex closing_;  // of to_, which the thread that waits for the consumer looks at
  std::unique_ptr<RunningTool> consumer_, producer_;
};

}  // namespace

Status JudgeStall(absl::Duration idle, absl::Duration limit, std::string_view what) {
  if (idle < limit) return OkStatus();
  return WithHint(
      Unavailable("stopped, because it {} and stood still for {}", what, HumanDuration(idle)),
      "Look at what it talks to: a server or a storage that no longer answers, or a lock of another session.");
}

StatusOr<PipeOutcome> RunPipe(ToolRunner& tools, ProcessSpec producer, ProcessSpec consumer,
                              const PipeOptions& options, const std::stop_token& stop, SteadyTime deadline) {
  const SteadyTime begin = SteadyNow();
  OwnedPipe pipe;
  RETURN_IF_ERROR(pipe.Start(tools, std::move(producer), std::move(consumer), options));
  ASSIGN_OR_RETURN(PipeOutcome outcome, pipe.Run(options, stop, deadline));
  outcome.took = SteadyNow() - begin;
  return outcome;
}

}  // namespace salvor::agent
