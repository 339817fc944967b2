// A turn is what one call to the engine leads to, and what is due later. Plain values.
#pragma once

#include <absl/time/time.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "controlplane/runs/active_run.h"
#include "controlplane/runs/agent_sessions.h"
#include "controlplane/store/contract/store.h"
#include "salvor/v1/agent_service.pb.h"

namespace salvor::controlplane {

// The same order in every process, whatever the addresses are.
struct ById {
  bool operator()(const SessionPointer& a, const SessionPointer& b) const { return a->id < b->id; }
};

// Everything one call to the engine leads to: stored first, then sent.
struct Turn {
  Batch batch;
  std::vector<RunPointer> touched;
  std::vector<RunPointer> finished;
  std::vector<std::string> given_up;  // of those that are quarantined
  std::map<SessionPointer, v1::ControlMessage, ById> messages;
  std::set<std::string> dispatch;  // environments to look at before the end of the call
};

// The earliest on top.
struct Timer {
  absl::Duration at;  // by the clock that nobody sets
  std::string run;
  int step;
  int attempt;
  v1::TimerFired::Kind kind;
  bool operator<(const Timer& other) const { return at > other.at; }
};

}  // namespace salvor::controlplane
