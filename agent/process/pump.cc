#include "agent/process/pump.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/io/sha256.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

// A producer of 100 MiB/s has filled a fifth of its pipe by then, and one that waits for us has filled it
// all.
constexpr int kGatherMs = 2, kGatheredBytes = 256 << 10;

}  // namespace

HashingRing::HashingRing() : memory_(kChunks * kChunkBytes), thread_([this] { Hash(); }) {}

HashingRing::~HashingRing() {
  {
    MutexLock lock(mutex_);
    closed_ = true;
    submitted_ = hashed_;
  }
  changed_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

void HashingRing::Submit(int64_t number, size_t size) {
  sizes_[Slot(number)] = size;
  {
    MutexLock lock(mutex_);
    submitted_ = number + 1;
  }
  changed_.NotifyAll();
}

void HashingRing::Await(int64_t number) {
  MutexLock lock(mutex_);
  while (hashed_ <= number) changed_.Wait(mutex_);
}

std::string HashingRing::Finish() {
  {
    MutexLock lock(mutex_);
    closed_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
  return digest_;
}

void HashingRing::Hash() {
  Sha256 sha256;
  for (int64_t number = 0;; ++number) {
    {
      MutexLock lock(mutex_);
      hashed_ = number;
      changed_.NotifyAll();
      while (submitted_ <= number && !closed_) changed_.Wait(mutex_);
      if (submitted_ <= number) break;
    }
    sha256.Update(Bytes(number));
  }
  digest_ = sha256.Finish();
}

// A pipe may be smaller than was asked for, and would never hold that many.
Pump::Pump(int from, int to, const PipeOptions& options)
    : from_(from),
      to_(to),
      options_(options),
      gathered_bytes_(std::min(kGatheredBytes, ::fcntl(from, F_GETPIPE_SZ) / 2)) {}

Status Pump::Run() {
  while (true) {
    if (chunks_ >= static_cast<int64_t>(HashingRing::kChunks)) {
      ring_.Await(chunks_ - static_cast<int64_t>(HashingRing::kChunks));
    }
    ASSIGN_OR_RETURN(const size_t size, Read(ring_.Chunk(chunks_)));
    if (consumer_gone_) return OkStatus();
    if (size == 0) break;
    RETURN_IF_ERROR(TakeChunk(size));
    while (written_ < chunks_ - 1) RETURN_IF_ERROR(Write(ring_.Bytes(written_++)));
    if (consumer_gone_) return OkStatus();
    Tell();
  }
  digest_ = ring_.Finish();
  return OkStatus();
}

Status Pump::TakeChunk(size_t size) {
  ring_.Submit(chunks_, size);
  const std::string_view bytes = ring_.Bytes(chunks_++);
  bytes_ += static_cast<int64_t>(size);
  if (options_.expect_bytes >= 0 && bytes_ > options_.expect_bytes) {
    return DataLoss("the stream is longer than the {} bytes it should have", options_.expect_bytes);
  }
  return options_.observer != nullptr ? options_.observer->OnBytes(bytes) : OkStatus();
}

// Waits for the producer's next bytes, and for the consumer's death meanwhile: a dumper may be silent for
// hours.
StatusOr<size_t> Pump::Read(char* buffer) {
  while (true) {
    pollfd polled[] = {{from_, POLLIN, 0}, {to_, 0, 0}};
    if (::poll(polled, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, "wait for the stream");
    }
    if ((polled[1].revents & (POLLERR | POLLNVAL)) != 0) {
      consumer_gone_ = true;
      return 0;
    }
    if (polled[0].revents == 0) continue;
    if ((polled[0].revents & POLLHUP) == 0) LetGather();
    const ssize_t length = ::read(from_, buffer, HashingRing::kChunkBytes);
    if (length >= 0) return static_cast<size_t>(length);
    if (errno != EINTR) return ErrnoStatus(errno, "read the stream");
  }
}

// pg_dump writes 4 KiB at a time. Taken one by one, each wakes two threads and costs more than hashing it.
void Pump::LetGather() const {
  int waiting_bytes = 0;
  if (::ioctl(from_, FIONREAD, &waiting_bytes) != 0 || waiting_bytes >= gathered_bytes_) return;
  pollfd consumer{to_, 0, 0};
  (void)::poll(&consumer, 1, kGatherMs);
}

Status Pump::Write(std::string_view bytes) {
  while (!bytes.empty() && !consumer_gone_) {
    const ssize_t length = ::write(to_, bytes.data(), bytes.size());
    if (length >= 0) {
      bytes.remove_prefix(static_cast<size_t>(length));
    } else if (errno == EPIPE) {
      consumer_gone_ = true;
    } else if (errno != EINTR) {
      return ErrnoStatus(errno, "write the stream");
    }
  }
  return OkStatus();
}

Status Pump::CheckExpectations() {
  if (options_.expect_bytes >= 0 && bytes_ != options_.expect_bytes) {
    return DataLoss("the stream ended after {} bytes and should have {}", bytes_, options_.expect_bytes);
  }
  if (!options_.expect_sha256.empty() && digest_ != options_.expect_sha256) {
    return DataLoss("the stream's SHA-256 is {} and should be {}", ToHex(digest_),
                    ToHex(options_.expect_sha256));
  }
  return OkStatus();
}

Status Pump::Finish() {
  while (written_ < chunks_) RETURN_IF_ERROR(Write(ring_.Bytes(written_++)));
  told_at_ = SteadyTime::InfinitePast();
  Tell();
  return OkStatus();
}

void Pump::Tell() {
  if (!options_.on_progress) return;
  const SteadyTime now = SteadyNow();
  if (now - told_at_ < absl::Milliseconds(250)) return;
  told_at_ = now;
  options_.on_progress(bytes_);
}

}  // namespace salvor::agent
