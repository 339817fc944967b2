// A stream of messages from the control plane that can be waited on for a while, so that somebody who waits
// can look at the clock and at Ctrl-C in between.
#pragma once

#include <absl/time/time.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <utility>

#include "base/status.h"

namespace salvor::cli {

// How a call ended, as our error with its hint, in words for people.
Status EndOfCall(const grpc::Status& status, const grpc::ClientContext& context);

// One thread. Destroying it cancels the call.
template <typename Message>
class ClientStream {
 public:
  enum class Got { kMessage, kNothingYet, kEnd };

  // `prepare` opens the call on the given context and queue, without starting it.
  template <typename Prepare>
  ClientStream(std::unique_ptr<grpc::ClientContext> context, Prepare prepare) : context_(std::move(context)) {
    reader_ = prepare(context_.get(), &queue_);
    reader_->StartCall(this);
    pending_ = Pending::kStart;
  }
  ~ClientStream() {
    context_->TryCancel();
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }
  ClientStream(const ClientStream&) = delete;
  ClientStream& operator=(const ClientStream&) = delete;

  // Waits at most this long. After kEnd, status() says how it ended.
  Got Next(absl::Duration wait, Message* message) {
    const gpr_timespec deadline = gpr_time_add(
        gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_micros(absl::ToInt64Microseconds(wait), GPR_TIMESPAN));
    while (pending_ != Pending::kEnded) {
      if (pending_ == Pending::kNone) {
        reader_->Read(&buffer_, this);
        pending_ = Pending::kRead;
      }
      void* tag = nullptr;
      bool ok = false;
      if (queue_.AsyncNext(&tag, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT) return Got::kNothingYet;
      if (pending_ == Pending::kFinish) {
        status_ = EndOfCall(grpc_status_, *context_);
        pending_ = Pending::kEnded;
      } else if (!ok) {
        reader_->Finish(&grpc_status_, this);
        pending_ = Pending::kFinish;
      } else if (std::exchange(pending_, Pending::kNone) == Pending::kRead) {
        *message = std::move(buffer_);
        return Got::kMessage;
      }
    }
    return Got::kEnd;
  }

  const Status& status() const { return status_; }

 private:
  enum class Pending { kNone, kStart, kRead, kFinish, kEnded };

  std::unique_ptr<grpc::ClientContext> context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::ClientAsyncReader<Message>> reader_;
  Pending pending_ = Pending::kNone;
  Message buffer_;
  grpc::Status grpc_status_;
  Status status_;
};

}  // namespace salvor::cli
