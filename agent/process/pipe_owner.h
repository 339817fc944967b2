// The owner of a stream between a producer and a consumer process (pg_dump | restic, restic | pg_restore).
//
// Bytes pass through the agent, which hashes and counts them and shows them to an observer. The consumer sees
// end of file only after the producer has exited 0 and the observer agreed that the stream is whole; on
// anything else the consumer is stopped while its input is still open, so that it keeps nothing: end of file after
// a failed dump makes restic 0.14 commit a truncated snapshot (measured). A consumer that closes its input by itself is
// given a minute to end and to say why. What holds when the agent itself is killed
// stands in docs/adr/0002-supervisor-owns-child-processes.md.
#pragma once

#include <absl/time/time.h>

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

#include "agent/process/tool_runner.h"
#include "base/status.h"
#include "base/steady_time.h"

namespace salvor::agent {

// Sees every byte, in order, on the pumping thread. An error from either call fails the stream.
class StreamObserver {
 public:
  virtual ~StreamObserver() = default;
  virtual Status OnBytes(std::string_view bytes) = 0;
  virtual Status OnEnd() = 0;  // the producer has exited 0: is what was seen whole?
};

struct PipeOutcome {
  int64_t bytes = 0;
  std::string sha256;  // 32 bytes
  ExitStatus producer;
  ExitStatus consumer;
  absl::Duration took;  // from the start of the processes to the end of both
};

// How long either side may stand still: use no processor time, read nothing, and not do what the other waits
// for. Silence alone is no stall. What is legitimate and must not be killed is longer than it seems:
//  - pg_dump is silent and idle while the server reads for it: a table of dead rows gives no byte for as long
//    as it takes to read it (an hour is 700 GB at 200 MB/s). Who lets it wait for locks adds that wait.
//  - restic that gives or takes nothing retries requests for 45 s each, minutes in all.
//  - pg_restore reads nothing while the server builds an index or waits for a lock of another session.
// So these are bounds for what would otherwise hang for ever (a half-open connection, a dead NFS mount, a
// stopped process), not measures of slowness. A spec with an on_idle of its own is judged by that alone.
constexpr absl::Duration kProducerStall = absl::Hours(1);
constexpr absl::Duration kConsumerStall = absl::Hours(6);

// Pure. Unavailable once it has been idle for `limit`: "stopped, because it gave nothing and stood still for
// 1h00m"; `what` is what it failed to do.
Status JudgeStall(absl::Duration idle, absl::Duration limit, std::string_view what);

struct PipeOptions {
  StreamObserver* observer = nullptr;              // borrowed; may be null
  std::function<void(int64_t bytes)> on_progress;  // at most some times a second; may be null
  int64_t expect_bytes = -1;                       // when known (a restore): anything else is DataLoss …
  std::string expect_sha256;                       // … found before the consumer sees end of file
  // Whether an unsuccessful end of the consumer is one to go on from, as pg_restore's that counts what it left out.
  // Asked only when the whole stream was given to it; null: never.
  std::function<bool(const ExitStatus&)> accept_consumer;
  absl::Duration producer_stall = kProducerStall;
  absl::Duration consumer_stall = kConsumerStall;
};

// Runs both by `tools`; spec.input/output of the joined ends are set here. The error names the side that failed first,
// with its root cause: "pg_dump: server closed the connection unexpectedly (exit code 1)". A side that stands
// still for longer than the options allow is stopped, named, and Unavailable.
StatusOr<PipeOutcome> RunPipe(ToolRunner& tools, ProcessSpec producer, ProcessSpec consumer,
                              const PipeOptions& options, const std::stop_token& stop, SteadyTime deadline);

}  // namespace salvor::agent
