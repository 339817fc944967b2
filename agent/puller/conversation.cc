#include "agent/puller/conversation.h"

#include <algorithm>
#include <utility>

#include "agent/puller/message_part.h"
#include "base/io/grpc/limits.h"
#include "proto/protocol.h"

namespace salvor::agent {
namespace {

// Kept while there is no connection; later ones are dropped, and that is said.
constexpr int kMostLogLines = 20'000;
constexpr int64_t kMostLogBytes = kMostMessageBytes / 2;
// Reports and log lines in one message take so much at most, which leaves room for the rest of it.
constexpr size_t kMostBytesAtOnce = size_t{kMostMessageBytes} / 8 * 7;
// The control plane itself ends the stream so often over one report before that report is put aside.
constexpr int kMostRefusals = 3;

}  // namespace

Conversation::Conversation(const AgentConfig& config, Executor& executor, Introduction introduction)
    : config_(config), executor_(executor), introduction_(std::move(introduction)) {
  executor_.SetSink(this);
}

v1::AgentMessage Conversation::Begin() {
  v1::AgentMessage first;
  {
    // Reports go out on this stream from here on; those of before are collected below.
    MutexLock lock(mutex_);
    v1::AgentMessage logs;
    logs.mutable_logs()->Swap(next_.mutable_logs());
    next_ = std::move(logs);
    is_open_ = true;
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
  first.set_credits(Room());
  first.set_task_limit(Room());
  return first;
}

int Conversation::Room() { return std::max(0, config_.max_parallel - executor_.Running()); }

void Conversation::End() {
  MutexLock lock(mutex_);
  is_open_ = false;
  changed_.NotifyAll();
}

bool Conversation::IsOpen() {
  MutexLock lock(mutex_);
  return is_open_;
}

v1::AgentHello Conversation::Hello() {
  v1::AgentHello hello;
  hello.set_agent(config_.name);
  hello.set_environment(config_.environment);
  hello.set_runtime(config_.runtime);
  hello.set_version(introduction_.version);
  hello.set_protocol(kOldestProtocol);  // for a control plane of 0.1, which knows no range
  hello.set_oldest_protocol(kOldestProtocol);
  hello.set_newest_protocol(kNewestProtocol);
  hello.set_kind(config_.kind);
  hello.mutable_labels()->insert(config_.labels.begin(), config_.labels.end());
  hello.set_host(introduction_.host);
  hello.set_instance(introduction_.instance);
  for (std::string& kind : executor_.Capabilities()) hello.add_capabilities(std::move(kind));
  for (const v1::LeaseKey& lease : executor_.Held()) *hello.add_held() = lease;
  for (const v1::HeldObligation& held : executor_.Obligations()) *hello.add_obligations() = held;
  return hello;
}

void Conversation::NoteRefusal(const Status& closed) {
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

bool Conversation::HasSomethingToSay() {
  MutexLock lock(mutex_);
  return HasMore();
}

bool Conversation::WaitForSomethingToSay(absl::Duration patience) {
  MutexLock lock(mutex_);
  if (is_open_ && !HasMore()) changed_.WaitFor(mutex_, absl::ToChronoMilliseconds(patience));
  return is_open_;
}

bool Conversation::HasMore() { return !alone_in_flight_ && (waiting_ || say_hello_ || !alone_.empty()); }

// Chooses what is to be sent now. A report of an earlier stream goes alone, and the next one only when it has its
// answer: should the control plane be unable to take one, it is known which.
v1::AgentMessage Conversation::NextPart() {
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

v1::AgentMessage Conversation::Next() {
  v1::AgentMessage message;
  bool hello = false;
  int64_t received = 0;
  {
    MutexLock lock(mutex_);
    message = NextPart();
    hello = !alone_in_flight_ && std::exchange(say_hello_, false);
    received = received_;
  }
  if (hello) *message.mutable_hello() = Hello();
  message.set_heartbeat(true);
  message.set_task_limit(received + Room());
  return message;
}

// Cancels come last: one may travel with the task that it is for.
void Conversation::Take(v1::ControlMessage message) {
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

void Conversation::SettleAlone(const v1::LeaseKey& lease) {
  if (!alone_in_flight_ || alone_in_flight_->SerializeAsString() != lease.SerializeAsString()) return;
  refusals_.erase(lease.SerializeAsString());
  alone_in_flight_.reset();
  changed_.NotifyAll();
}

void Conversation::Report(const v1::Report& report) {
  MutexLock lock(mutex_);
  if (!is_open_) return;
  *next_.add_reports() = report;
  next_.set_credits(next_.credits() + 1);  // of a control plane that does not know task_limit
  waiting_ = true;
  changed_.NotifyAll();
}

void Conversation::Progress(const v1::ProgressReport& progress) {
  MutexLock lock(mutex_);
  if (!is_open_) return;
  *next_.add_progress() = progress;
  waiting_ = true;
  changed_.NotifyAll();
}

void Conversation::Log(const v1::LeaseKey& lease, const v1::LogLine& line) {
  MutexLock lock(mutex_);
  if (log_lines_ >= kMostLogLines || log_bytes_ >= kMostLogBytes) return;
  ++log_lines_;
  log_bytes_ += static_cast<int64_t>(line.ByteSizeLong());
  const int last = next_.logs_size() - 1;
  const bool same = last >= 0 && next_.logs(last).run() == lease.run() &&
                    next_.logs(last).step() == lease.step() && next_.logs(last).attempt() == lease.attempt();
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

void Conversation::HoldingsChanged() {
  MutexLock lock(mutex_);
  say_hello_ = true;
  changed_.NotifyAll();
}

void Conversation::RoomChanged() {
  MutexLock lock(mutex_);
  next_.set_credits(next_.credits() + 1);
  waiting_ = true;
  changed_.NotifyAll();
}

void Conversation::ReleasedEarly(const v1::EarlyRelease& release) {
  MutexLock lock(mutex_);
  if (!is_open_) return;
  *next_.add_early_releases() = release;
  say_hello_ = true;  // it is not held any more
  changed_.NotifyAll();
}

}  // namespace salvor::agent
