#include "controlplane/transport/agent_service.h"

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

  // Called before the stream ends: no write may be under way then.
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

// A stream is on the list of its token for as long as this lives.
class AgentServiceImpl::OpenStream {
 public:
  OpenStream(AgentServiceImpl& service, const AgentPrincipal& principal, AgentLink& link)
      : service_(service) {
    MutexLock lock(service_.mutex_);
    at_ = principal.token ? service_.streams_.emplace(principal.name, &link) : service_.streams_.end();
  }
  ~OpenStream() {
    MutexLock lock(service_.mutex_);
    if (at_ != service_.streams_.end()) service_.streams_.erase(at_);
  }
  OpenStream(const OpenStream&) = delete;
  OpenStream& operator=(const OpenStream&) = delete;

 private:
  AgentServiceImpl& service_;
  std::multimap<std::string, AgentLink*>::iterator at_;
};

AgentServiceImpl::AgentServiceImpl(Engine& engine, const Authenticator& authenticator, TokenRegistry& tokens)
    : engine_(engine), authenticator_(authenticator), tokens_(tokens) {
  tokens_.OnRevoked([this](const std::string& token) { CloseStreamsOf(token); });
}

void AgentServiceImpl::CloseStreamsOf(const std::string& token) {
  MutexLock lock(mutex_);
  const auto [first, last] = streams_.equal_range(token);
  for (auto stream = first; stream != last; ++stream)
    stream->second->Close("its token " + token + " was revoked");
}

grpc::Status AgentServiceImpl::Connect(grpc::ServerContext* context, Stream* stream) {
  const StatusOr<AgentPrincipal> principal = authenticator_.AdmitAgent(*context);
  if (!principal.ok()) return ToGrpc(principal.status(), *context);
  v1::AgentMessage message;
  if (!stream->Read(&message) || !message.has_hello()) {
    return ToGrpc(InvalidArgument("the first message must be a hello"), *context);
  }
  const v1::AgentHello& hello = message.hello();
  if (principal->token) {
    const Status bound = CheckBinding(*principal->token, hello.environment(), hello.agent());
    if (!bound.ok()) {
      LogWarning("an agent from host {} is refused: {}", hello.host(), MessageOf(bound));
      return ToGrpc(bound, *context);
    }
  }
  auto link = std::make_shared<StreamLink>(*context, *stream);
  const OpenStream open(*this, *principal, *link);
  // Revoked since it was admitted: whoever revoked it may have looked before the stream was on the list.
  if (principal->token && tokens_.IsRevoked(principal->name)) {
    link->Stop();
    return ToGrpc(Unauthenticated("the token {} was revoked", principal->name), *context);
  }
  const auto session = engine_.Connect(hello, link);
  if (!session.ok()) {
    link->Stop();
    return ToGrpc(session.status(), *context);
  }
  LogInfo("agent {} came with the token {}", hello.agent(), principal->name);
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
