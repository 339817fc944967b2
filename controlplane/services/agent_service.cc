#include "controlplane/services/agent_service.h"

#include <thread>

#include "base/io/grpc/status.h"
#include "base/io/log.h"
#include "base/io/mutex.h"

namespace salvor::controlplane {
namespace {

using Stream = grpc::ServerReaderWriter<v1::ControlMessage, v1::AgentMessage>;

// Queues what is to be sent; its own thread writes. What gathers while a write is under way goes as one
// message.
class StreamLink final : public AgentLink {
 public:
  StreamLink(grpc::ServerContext& context, Stream& stream)
      : context_(context), stream_(stream), writer_([this] { Write(); }) {}

  void Send(v1::ControlMessage message) override {
    MutexLock lock(mutex_);
    if (waiting_) {
      next_.MergeFrom(message);
    } else {
      next_ = std::move(message);
      waiting_ = true;
    }
    changed_.NotifyAll();
  }

  void Close(const std::string& why) override {
    LogInfo("closing an agent's stream: {}", why);
    context_.TryCancel();
  }

  // Before the stream ends: no write may be under way then.
  void Stop() {
    {
      MutexLock lock(mutex_);
      stopping_ = true;
      changed_.NotifyAll();
    }
    if (writer_.joinable()) writer_.join();
  }

 private:
  void Write() {
    while (true) {
      v1::ControlMessage message;
      {
        MutexLock lock(mutex_);
        while (!waiting_ && !stopping_) changed_.Wait(mutex_);
        if (stopping_) return;
        message.Swap(&next_);
        waiting_ = false;
      }
      if (!stream_.Write(message)) return;
    }
  }

  grpc::ServerContext& context_;
  Stream& stream_;
  Mutex mutex_;
  CondVar changed_;
  v1::ControlMessage next_ ABSL_GUARDED_BY(mutex_);
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread writer_;
};

}  // namespace

grpc::Status AgentServiceImpl::Connect(grpc::ServerContext* context, Stream* stream) {
  if (Status status = token_.Check(*context); !status.ok()) return ToGrpc(status, *context);
  v1::AgentMessage message;
  if (!stream->Read(&message) || !message.has_hello()) {
    return ToGrpc(InvalidArgument("the first message must be a hello"), *context);
  }
  auto link = std::make_shared<StreamLink>(*context, *stream);
  const auto session = engine_.Connect(message.hello(), link);
  if (!session.ok()) {
    link->Stop();
    return ToGrpc(session.status(), *context);
  }
  message.clear_hello();
  engine_.Receive(*session, std::move(message));
  v1::AgentMessage next;
  while (stream->Read(&next)) {
    engine_.Receive(*session, std::move(next));
    next.Clear();
  }
  engine_.Disconnect(*session);
  link->Stop();
  return grpc::Status::OK;
}

}  // namespace salvor::controlplane
