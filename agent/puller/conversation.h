// A conversation is what the agent says on a stream, and what it does with what it hears: everything of a connection
// but the transport and the waiting. Becomes the executor's sink, so it must outlive the executor.
//
// After a reconnect each result of before travels alone, so that one which the control plane can't take is found, put
// aside and shown, and the agent stays.
//
// Thread-safe: one thread may speak, another listen, and the executor's report. Nothing here blocks but
// WaitForSomethingToSay.
#pragma once

#include <absl/time/time.h>

#include <deque>
#include <map>
#include <optional>
#include <string>

#include "agent/executor/executor.h"
#include "base/io/mutex.h"

namespace salvor::agent {

// The facts of this process that the hello says.
struct Introduction {
  std::string version;
  std::string host;
  std::string instance;  // drawn by whoever starts the process
};

class Conversation final : public ReportSink {
 public:
  Conversation(const AgentConfig& config, Executor& executor, Introduction introduction);

  // A stream begins: its first message. Reports go out on it from here on; those of before follow one by one.
  v1::AgentMessage Begin();
  // The stream has ended, or is given up.
  void End();
  bool IsOpen();
  // How it has ended. When the control plane ended it while one report of an earlier stream travelled alone, that report
  // is to blame, and not the network: a parser refuses it, or it is too large.
  void NoteRefusal(const Status& closed);

  bool HasSomethingToSay();
  // Waits until there is something to say, the stream has ended or `patience` is over. False when it has ended.
  bool WaitForSomethingToSay(absl::Duration patience);
  // The next message; with nothing to say, that the agent lives.
  v1::AgentMessage Next();
  void Take(v1::ControlMessage message);

  // Results that can't be sent now are offered again by the executor after the next hello.
  void Report(const v1::Report& report) override;
  void Progress(const v1::ProgressReport& progress) override;
  void Log(const v1::LeaseKey& lease, const v1::LogLine& line) override;
  void HoldingsChanged() override;
  void RoomChanged() override;
  void ReleasedEarly(const v1::EarlyRelease& release) override;

 private:
  v1::AgentHello Hello();
  int Room();
  bool HasMore() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::AgentMessage NextPart() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SettleAlone(const v1::LeaseKey& lease) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const AgentConfig& config_;
  Executor& executor_;
  const Introduction introduction_;

  Mutex mutex_;
  CondVar changed_;
  bool is_open_ ABSL_GUARDED_BY(mutex_) = false;
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;
  bool say_hello_ ABSL_GUARDED_BY(mutex_) = false;
  int log_lines_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t log_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  v1::AgentMessage next_ ABSL_GUARDED_BY(mutex_);
  std::deque<v1::Report> alone_ ABSL_GUARDED_BY(mutex_);  // of before this stream, not sent on it yet
  std::optional<v1::LeaseKey> alone_in_flight_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> refusals_ ABSL_GUARDED_BY(mutex_);  // by lease
  int64_t received_ ABSL_GUARDED_BY(mutex_) = 0;                 // tasks of this stream
};

}  // namespace salvor::agent
