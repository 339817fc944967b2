// One running server of a scratch place. It is started and waited for on a thread of its own, as the kernel's
// parent-death signal belongs to the thread that forked, not to the process.
#pragma once

#include <absl/time/time.h>

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "agent/process/tool_runner.h"
#include "base/io/mutex.h"
#include "base/status.h"

namespace salvor::agent {

// Thread-safe.
class KeptServer {
 public:
  // `is_fatal` says whether a line of the output tells why the server ends; it is called on this object's thread.
  KeptServer(ToolRunner& tools, ProcessSpec spec, std::function<bool(std::string_view line)> is_fatal);
  ~KeptServer();  // stops the server, and returns when it has ended
  KeptServer(const KeptServer&) = delete;
  KeptServer& operator=(const KeptServer&) = delete;

  // Blocks until the process was started, or not.
  Status Started();

  // True when it ended while we waited.
  bool AwaitEnd(absl::Duration at_most);

  // The last line that was fatal; without one, the first line or how the process ended.
  std::string LastWords();

 private:
  void Run(ToolRunner& tools, ProcessSpec spec);
  void AnnounceStart(const Status& status);
  void AnnounceEnd(const std::string& how);
  void Keep(std::string_view line);

  const std::function<bool(std::string_view line)> is_fatal_;
  std::stop_source stop_;
  Mutex mutex_;
  CondVar changed_;
  bool tried_ ABSL_GUARDED_BY(mutex_) = false;
  Status start_status_ ABSL_GUARDED_BY(mutex_);
  std::string last_words_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace salvor::agent
