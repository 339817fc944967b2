// Moves a producer's bytes to a consumer, hashing them beside (on a second thread) and showing them to an
// observer on the way. The last chunk is held back until Finish: until then the consumer has neither seen all
// bytes nor end of file. Part of pipe_owner.h; not for others.
#pragma once

#include <absl/time/time.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "agent/process/pipe_owner.h"
#include "base/io/mutex.h"
#include "base/status.h"
#include "base/steady_time.h"

namespace salvor::agent {

// SHA-256 of chunks in a ring, on a thread of its own. Chunk number i may be overwritten once Await(i) came
// back.
class HashingRing {
 public:
  // 8 chunks of 512 KiB: large enough to fill and drain 1 MiB pipes in one call, small enough for the cache.
  static constexpr size_t kChunks = 8, kChunkBytes = 512 << 10;

  HashingRing();
  ~HashingRing();  // ends the thread; what is not hashed by then is not

  char* Chunk(int64_t number) { return memory_.data() + Slot(number) * kChunkBytes; }
  std::string_view Bytes(int64_t number) { return {Chunk(number), sizes_[Slot(number)]}; }
  void Submit(int64_t number, size_t size);  // in order
  void Await(int64_t number);
  std::string Finish();  // waits for all that was submitted

 private:
  static size_t Slot(int64_t number) { return static_cast<size_t>(number) % kChunks; }
  void Hash();

  std::vector<char> memory_;
  size_t sizes_[kChunks] = {};
  Mutex mutex_;
  CondVar changed_;
  int64_t submitted_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t hashed_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::string digest_;
  std::thread thread_;
};

// One use: Run, then, when all is well, Finish. Both on one thread, which must have SIGPIPE blocked or
// ignored.
class Pump {
 public:
  // The descriptors and the options are borrowed.
  Pump(int from, int to, const PipeOptions& options);

  // Runs to the end of the producer's output, or until the consumer reads no more (ConsumerGone), or an error.
  Status Run();
  // Writes what was held back.
  Status Finish();
  // Whether bytes and digest are what was expected. After Run.
  Status CheckExpectations();

  bool ConsumerGone() const { return consumer_gone_; }
  int64_t Bytes() const { return bytes_; }
  const std::string& Digest() const { return digest_; }

 private:
  StatusOr<size_t> Read(char* buffer);
  void LetGather() const;
  Status Write(std::string_view bytes);
  Status TakeChunk(size_t size);
  void Tell();

  int from_, to_;
  const PipeOptions& options_;
  int gathered_bytes_;  // so many are worth a read
  HashingRing ring_;
  int64_t chunks_ = 0;   // read
  int64_t written_ = 0;  // chunks the consumer has got
  int64_t bytes_ = 0;
  bool consumer_gone_ = false;
  std::string digest_;
  SteadyTime told_at_ = SteadyTime::InfinitePast();
};

}  // namespace salvor::agent
