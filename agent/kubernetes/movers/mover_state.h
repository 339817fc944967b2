// What became of a mover, by its Job and its pods as they are. Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/kubernetes/movers/mover_job.h"

namespace salvor::movers {

struct MoverState {
  enum class Stage {
    kWaiting,  // it has not begun; `reason` says what for
    kRunning,
    kEnded,  // `message` is what it left
    kLost    // it will not end any more, and left nothing; `reason` says why
  };
  Stage stage = Stage::kWaiting;
  std::string reason;           // a clause for people, lower case
  bool is_hopeless = false;     // kWaiting: no patience helps
  bool is_out_of_time = false;  // kLost: by the Job's own deadline
  std::string pod;              // its name; empty where there is none
  std::string message;          // kEnded: the termination message
  int64_t exit_code = 0;        // kEnded
};

// `pods` are those with the Job's label. Only one whose controller is this very Job counts: by its uid, for a label can be
// anybody's.
MoverState JudgeMover(const Json& job, const std::vector<Json>& pods);

}  // namespace salvor::movers
