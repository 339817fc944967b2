// Streams that go on for as long as a run does: its states, and what its tools say. Both are pulled, so that a
// transport sends at its caller's pace and ends when it likes. One thread each; engine and store must outlive them.
#pragma once

#include <absl/time/time.h>

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "controlplane/runs/engine.h"
#include "controlplane/store/contract/store.h"
#include "salvor/v1/control_service.pb.h"

namespace salvor::controlplane {

// The run as it is, and again after every change, until it is over: whole, or after the first time what has changed.
class RunWatch {
 public:
  RunWatch(Engine& engine, v1::GetRunRequest request) : engine_(&engine), request_(std::move(request)) {}

  // The next state or change; nothing when there was none for a while. NotFound.
  StatusOr<std::optional<v1::Run>> Next();
  // The state that Next gave is the last.
  bool over() const { return over_; }

 private:
  Engine* engine_;
  v1::GetRunRequest request_;
  std::optional<int64_t> seen_;  // the revision that was given last
  std::optional<v1::Run> last_;  // the state that was given last, where changes are wanted
  bool over_ = false;
};

// The lines of a run's log, or of one of its steps, in the order in which they came.
class LogReading {
 public:
  LogReading(Engine& engine, Store& store, v1::GetRunLogsRequest request)
      : engine_(&engine), store_(&store), request_(std::move(request)), next_(request_.after()) {}

  // Gives what came since; it may be nothing. Waits a little when all was given already. NotFound.
  StatusOr<std::vector<v1::LogLines>> Next();
  // All was given, and no more is asked for or will come.
  bool over() const { return over_; }

 private:
  Engine* engine_;
  Store* store_;
  v1::GetRunLogsRequest request_;
  int64_t next_;  // the place in the log up to which all was given
  bool begun_ = false, over_ = false;
};

}  // namespace salvor::controlplane
