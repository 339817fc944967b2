#include "agent/puller/puller.h"

#include <grpcpp/create_channel.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "agent/puller/message_part.h"
#include "base/io/grpc/keepalive.h"
#include "base/io/grpc/limits.h"
#include "base/io/grpc/status.h"
#include "base/io/log.h"
#include "proto/time.h"
#include "salvor/v1/agent_service.grpc.pb.h"

namespace salvor::agent {
namespace {

constexpr absl::Duration kFirstBackoff = absl::Milliseconds(100);
constexpr absl::Duration kLastBackoff = absl::Seconds(10);
// Kept while there is no connection; later ones are dropped, and that is said.
constexpr int kMostLogLines = 20'000;
constexpr int64_t kMostLogBytes = kMostMessageBytes / 2;
// Reports and log lines in one message take so much at most, which leaves room for the rest of it.
constexpr size_t kMostBytesAtOnce = size_t{kMostMessageBytes} / 8 * 7;
// So often the control plane itself ends the stream over one report before that report is put aside.
constexpr int kMostRefusals = 3;

using Stream = grpc::ClientReaderWriter<v1::AgentMessage, v1::ControlMessage>;

class GrpcPuller final : public Puller, public ReportSink {
 public:
  GrpcPuller(const AgentConfig& config, Executor& executor, PullerOptions options)
      : config_(config), executor_(executor), options_(std::move(options)) {
    executor_.SetSink(this);
  }

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

  bool Connected() override {
    MutexLock lock(mutex_);
    return connected_;
  }

  // ReportSink. Results that can't be sent now are offered again by the executor after the next hello.
  void Report(const v1::Report& report) override {
    MutexLock lock(mutex_);
    if (!connected_) return;
    *next_.add_reports() = report;
    next_.set_credits(next_.credits() + 1);  // of a control plane that does not know task_limit
    waiting_ = true;
    changed_.NotifyAll();
  }
  void Progress(const v1::ProgressReport& progress) override {
    MutexLock lock(mutex_);
    if (!connected_) return;
    *next_.add_progress() = progress;
    waiting_ = true;
    changed_.NotifyAll();
  }
  void Log(const v1::LeaseKey& lease, const v1::LogLine& line) override {
    MutexLock lock(mutex_);
    if (log_lines_ >= kMostLogLines || log_bytes_ >= kMostLogBytes) return;
    ++log_lines_;
    log_bytes_ += static_cast<int64_t>(line.ByteSizeLong());
    const int last = next_.logs_size() - 1;
    const bool same = last >= 0 && next_.logs(last).run() == lease.run() &&
                      next_.logs(last).step() == lease.step() &&
                      next_.logs(last).attempt() == lease.attempt();
    v1::LogLines* lines = same ? next_.mutable_logs(last) : next_.add_logs();
    lines->set_run(lease.run());
    lines->set_step(lease.step());
    lines->set_attempt(lease.attempt());
    *lines->add_lines() = line;
    if (log_lines_ == kMostLogLines || log_bytes_ >= kMostLogBytes)
      lines->mutable_lines(lines->lines_size() - 1)->set_text("… more lines were dropped: no connection");
    waiting_ = true;
    changed_.NotifyAll();
  }
  void HoldingsChanged() override {
    MutexLock lock(mutex_);
    say_hello_ = true;
    changed_.NotifyAll();
  }
  void RoomChanged() override {
    MutexLock lock(mutex_);
    next_.set_credits(next_.credits() + 1);
    waiting_ = true;
    changed_.NotifyAll();
  }
  void ReleasedEarly(const v1::EarlyRelease& release) override {
    MutexLock lock(mutex_);
    if (!connected_) return;
    *next_.add_early_releases() = release;
    say_hello_ = true;  // it is not held any more
    changed_.NotifyAll();
  }

 private:
  // What is logged meanwhile does not cut it short.
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

  v1::AgentHello Hello() {
    v1::AgentHello hello;
    hello.set_agent(config_.name);
    hello.set_environment(config_.environment);
    hello.set_runtime(v1::RUNTIME_HOST);
    hello.set_version(options_.version);
    hello.set_protocol(1);
    hello.set_host(options_.host);
    hello.set_instance(options_.instance);
    for (std::string& kind : executor_.Capabilities()) hello.add_capabilities(std::move(kind));
    for (const v1::LeaseKey& lease : executor_.Held()) *hello.add_held() = lease;
    for (const v1::HeldObligation& held : executor_.Obligations()) *hello.add_obligations() = held;
    return hello;
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
    NoteRefusal(closed);
    if (!closed.ok()) return closed;
    return status.ok() ? Unavailable("the control plane ended the stream") : status;
  }

  Status Converse(Stream& stream, absl::Duration& backoff) {
    v1::AgentMessage first;
    {
      // From here on reports go out on this stream; those of before are collected below.
      MutexLock lock(mutex_);
      v1::AgentMessage logs;
      logs.mutable_logs()->Swap(next_.mutable_logs());
      next_ = std::move(logs);
      connected_ = true;
      received_ = 0;
      alone_in_flight_.reset();
    }
    *first.mutable_hello() = Hello();
    for (v1::EarlyRelease& release : executor_.EarlyReleases())
      *first.add_early_releases() = std::move(release);
    const std::vector<v1::Report> unacknowledged = executor_.Unacknowledged();
    {
      MutexLock lock(mutex_);
      alone_ = {unacknowledged.begin(), unacknowledged.end()};
    }
    const int room = std::max(0, config_.max_parallel - executor_.Running());
    first.set_credits(room);
    first.set_task_limit(room);
    Status status = OkStatus();
    v1::ControlMessage welcome;
    if (!stream.Write(first) || !stream.Read(&welcome)) {
      Disconnected();
      return OkStatus();  // the control plane has ended the stream, and Finish says why
    }
    if (!welcome.has_welcome()) {
      status = Unavailable("no welcome");
    } else {
      LogInfo("connected to control plane {}", welcome.welcome().control_plane_version());
      backoff = kFirstBackoff;
      const absl::Duration heartbeat = FromProto(welcome.welcome().heartbeat_interval());
      std::thread writer([&] { Write(stream, heartbeat); });
      Take(std::move(welcome));
      v1::ControlMessage message;
      while (stream.Read(&message)) {
        Take(std::move(message));
        message.Clear();
      }
      Disconnected();
      writer.join();
    }
    Disconnected();
    return status;
  }

  // The stream has ended. When the control plane ended it while one report of an earlier stream travelled alone, that
  // report is to blame, and not the network: a parser refuses it, or it is too large.
  void NoteRefusal(const Status& closed) {
    std::optional<v1::LeaseKey> refused;
    int times = 0;
    {
      MutexLock lock(mutex_);
      if (BlamesTheMessage(closed)) refused = alone_in_flight_;
      alone_in_flight_.reset();
      if (!refused) return;
      times = ++refusals_[refused->SerializeAsString()];
      if (times >= kMostRefusals) refusals_.erase(refused->SerializeAsString());
    }
    if (times < kMostRefusals) return;
    executor_.ReplaceUnreportable(
        *refused, fmt::format("the control plane could not take the result of this attempt ({})",
                              closed.ok() ? "it ended the stream" : MessageOf(closed)));
  }

  void Disconnected() {
    MutexLock lock(mutex_);
    connected_ = false;
    changed_.NotifyAll();
  }

  bool HasSomethingToSay() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !alone_in_flight_ && (waiting_ || say_hello_ || !alone_.empty());
  }

  // What is to be sent now. A report of an earlier stream goes alone, and the next one only when it has its answer: should
  // the control plane be unable to take one, it is known which.
  v1::AgentMessage NextMessage() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    v1::AgentMessage message;
    if (alone_in_flight_) return message;  // a heartbeat
    if (!alone_.empty()) {
      alone_in_flight_ = alone_.front().lease();
      *message.add_reports() = std::move(alone_.front());
      alone_.pop_front();
      return message;
    }
    message = TakePart(next_, kMostBytesAtOnce);
    waiting_ = next_.reports_size() > 0;
    log_lines_ = 0;
    log_bytes_ = 0;
    return message;
  }

  void Write(Stream& stream, absl::Duration heartbeat) {
    while (true) {
      v1::AgentMessage message;
      bool hello = false;
      int64_t received = 0;
      {
        MutexLock lock(mutex_);
        if (connected_ && !HasSomethingToSay())
          changed_.WaitFor(mutex_, absl::ToChronoMilliseconds(heartbeat));
        if (!connected_) return;
        message = NextMessage();
        hello = !alone_in_flight_ && std::exchange(say_hello_, false);
        received = received_;
      }
      if (hello) *message.mutable_hello() = Hello();
      message.set_heartbeat(true);
      message.set_task_limit(received + std::max(0, config_.max_parallel - executor_.Running()));
      if (!stream.Write(message)) return;
    }
  }

  // Cancels come last: one may travel with the task that it is for.
  void Take(v1::ControlMessage message) {
    {
      MutexLock lock(mutex_);
      for (const auto* settled : {&message.acks(), &message.superseded()}) {
        for (const v1::LeaseKey& lease : *settled) SettleAlone(lease);
      }
      for (const v1::RejectedReport& rejected : message.rejected()) SettleAlone(rejected.lease());
    }
    for (const v1::LeaseKey& lease : message.acks()) executor_.Acknowledge(lease);
    for (const v1::LeaseKey& lease : message.superseded()) executor_.Supersede(lease);
    for (const v1::RejectedReport& rejected : message.rejected())
      executor_.Reject(rejected.lease(), rejected.why());
    for (const v1::EarlyRelease& release : message.early_release_acks())
      executor_.AcknowledgeEarlyRelease(release);
    for (const v1::HeldObligation& held : message.release()) executor_.Release(held);
    for (v1::Task& task : *message.mutable_tasks()) {
      executor_.Submit(std::move(task));
      // Only now: until it runs it takes no room, and the limit would be too high by it.
      MutexLock lock(mutex_);
      ++received_;
    }
    for (const v1::LeaseKey& lease : message.cancels()) executor_.Cancel(lease);
  }

  void SettleAlone(const v1::LeaseKey& lease) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!alone_in_flight_ || alone_in_flight_->SerializeAsString() != lease.SerializeAsString()) return;
    refusals_.erase(lease.SerializeAsString());
    alone_in_flight_.reset();
    changed_.NotifyAll();
  }

  const AgentConfig& config_;
  Executor& executor_;
  const PullerOptions options_;

  Mutex mutex_;
  CondVar changed_;
  bool had_token_ = false;  // only the thread of Run uses it
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool connected_ ABSL_GUARDED_BY(mutex_) = false;
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;
  bool say_hello_ ABSL_GUARDED_BY(mutex_) = false;
  int log_lines_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t log_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  v1::AgentMessage next_ ABSL_GUARDED_BY(mutex_);
  std::deque<v1::Report> alone_ ABSL_GUARDED_BY(mutex_);  // of before this stream, not sent on it yet
  std::optional<v1::LeaseKey> alone_in_flight_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> refusals_ ABSL_GUARDED_BY(mutex_);  // by lease
  int64_t received_ ABSL_GUARDED_BY(mutex_) = 0;                 // tasks of this stream
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace

std::unique_ptr<Puller> MakePuller(const AgentConfig& config, Executor& executor, PullerOptions options) {
  return std::make_unique<GrpcPuller>(config, executor, std::move(options));
}

}  // namespace salvor::agent
