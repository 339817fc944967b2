#include "agent/puller/puller.h"

#include <grpcpp/create_channel.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>
#include <utility>

#include "agent/puller/conversation.h"
#include "base/io/grpc/keepalive.h"
#include "base/io/grpc/limits.h"
#include "base/io/grpc/status.h"
#include "base/io/log.h"
#include "proto/protocol.h"
#include "proto/time.h"
#include "salvor/v1/agent_service.grpc.pb.h"

namespace salvor::agent {
namespace {

constexpr absl::Duration kFirstBackoff = absl::Milliseconds(100);
constexpr absl::Duration kLastBackoff = absl::Seconds(10);

using Stream = grpc::ClientReaderWriter<v1::AgentMessage, v1::ControlMessage>;

class GrpcPuller final : public Puller {
 public:
  GrpcPuller(const AgentConfig& config, Executor& executor, PullerOptions options)
      : options_(std::move(options)),
        conversation_(config, executor, {options_.version, options_.host, options_.instance}) {}

  Status Run() override {
    absl::Duration backoff = kFirstBackoff;
    std::mt19937 random(std::random_device{}());
    while (!Stopping()) {
      Status status = Session(backoff);
      if (Stopping()) return OkStatus();
      if (status.code() == absl::StatusCode::kFailedPrecondition) return status;
      const std::string hint = HintOf(status);
      LogWarning("no connection to {}: {}; trying again{}{}", options_.endpoint.address, MessageOf(status),
                 hint.empty() ? "" : ". ", hint);
      const double fraction = std::uniform_real_distribution<double>(0.5, 1)(random);
      Pause(backoff * fraction);
      backoff = std::min(backoff * 2, kLastBackoff);
    }
    return OkStatus();
  }

  void Stop() override {
    MutexLock lock(mutex_);
    stopping_ = true;
    if (context_ != nullptr) context_->TryCancel();
    changed_.NotifyAll();
  }

  bool Connected() override { return conversation_.IsOpen(); }

 private:
  // A line that is logged meanwhile does not cut the pause short.
  void Pause(absl::Duration duration) {
    const auto until = std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(duration);
    MutexLock lock(mutex_);
    while (!stopping_ && std::chrono::steady_clock::now() < until)
      changed_.WaitFor(mutex_, until - std::chrono::steady_clock::now());
  }

  bool Stopping() {
    MutexLock lock(mutex_);
    return stopping_;
  }

  // One connection, from hello to its end.
  Status Session(absl::Duration& backoff) {
    auto token = Token::Load(options_.token_file, false);
    if (!token.ok()) {
      // An agent that once had a token works on until it has one again: somebody may be writing the file.
      const bool waits = had_token_ || token.status().code() == absl::StatusCode::kNotFound;
      const std::string why = MessageOf(token.status());
      return WithHint(waits ? Unavailable("{}", why) : FailedPrecondition("{}", why), HintOf(token.status()));
    }
    had_token_ = true;
    ASSIGN_OR_RETURN(auto credentials, ChannelCredentialsFor(options_.endpoint, options_.tls));
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(kMostAnswerBytes);
    KeepAlive(arguments);
    auto stub = v1::AgentService::NewStub(
        grpc::CreateCustomChannel(options_.endpoint.address, credentials, arguments));
    grpc::ClientContext context;
    token->Attach(context);
    {
      MutexLock lock(mutex_);
      if (stopping_) return OkStatus();
      context_ = &context;
    }
    std::unique_ptr<Stream> stream = stub->Connect(&context);
    const Status status = Converse(*stream, backoff);
    {
      MutexLock lock(mutex_);
      context_ = nullptr;
    }
    if (!status.ok()) context.TryCancel();  // else it has ended by itself, and Finish says how
    Status closed = FromGrpc(stream->Finish(), context);
    conversation_.NoteRefusal(closed);
    if (!closed.ok()) return closed;
    return status.ok() ? Unavailable("the control plane ended the stream") : status;
  }

  Status Converse(Stream& stream, absl::Duration& backoff) {
    const v1::AgentMessage first = conversation_.Begin();
    Status status = OkStatus();
    v1::ControlMessage welcome;
    if (!stream.Write(first) || !stream.Read(&welcome)) {
      conversation_.End();
      return OkStatus();  // the control plane has ended the stream, and Finish says why
    }
    if (!welcome.has_welcome()) {
      status = Unavailable("no welcome");
    } else {
      LogInfo("connected to control plane {}, by protocol {}", welcome.welcome().control_plane_version(),
              std::max(welcome.welcome().protocol(), 1));  // 0.1 does not say it
      backoff = kFirstBackoff;
      const absl::Duration heartbeat = FromProto(welcome.welcome().heartbeat_interval());
      std::thread writer([&] { Write(stream, heartbeat); });
      conversation_.Take(std::move(welcome));
      v1::ControlMessage message;
      while (stream.Read(&message)) {
        conversation_.Take(std::move(message));
        message.Clear();
      }
      conversation_.End();
      writer.join();
    }
    conversation_.End();
    return status;
  }

  void Write(Stream& stream, absl::Duration heartbeat) {
    while (conversation_.WaitForSomethingToSay(heartbeat)) {
      if (!stream.Write(conversation_.Next())) return;
    }
  }

  const PullerOptions options_;
  Conversation conversation_;

  Mutex mutex_;
  CondVar changed_;
  bool had_token_ = false;  // only the thread of Run uses it
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace

std::unique_ptr<Puller> MakePuller(const AgentConfig& config, Executor& executor, PullerOptions options) {
  return std::make_unique<GrpcPuller>(config, executor, std::move(options));
}

}  // namespace salvor::agent
