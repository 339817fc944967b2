// A run while it runs: a frame that is redrawn in place on a terminal, lines of what changed elsewhere. Pure
// but for what they remember of earlier states.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "salvor/v1/run.pb.h"
#include "tools/cli/render/progress.h"
#include "tools/cli/terminal/style.h"

namespace salvor::cli {

// Draws one frame after the other. No line is wider than the style's width, and there are at most `rows`.
class LiveFrame {
 public:
  // Lines without line ends. `notice` ("control plane not reachable, waiting") stands last when not empty; else what
  // the run waits for, when nothing of it goes on.
  std::vector<std::string> Draw(const v1::Run& run, int rows, const std::string& notice, const Style& style);

  // Takes note of progress, for rates that the agent does not report.
  void Observe(const v1::Run& run);

 private:
  std::string StepLine(const v1::StepStatus& step, int id_width, const Style& style) const;

  std::map<std::string, RateEstimator> rates_;
};

// Says what changed since the last state: "12:00:03 db.dump.shop running".
class ChangeLog {
 public:
  // Lines with line ends; progress of a step at most every ten seconds of style.now.
  std::string Update(const v1::Run& run, const Style& style);

 private:
  struct Seen {
    v1::StepPhase phase = v1::STEP_PHASE_UNSPECIFIED;
    int attempt = 0;
    absl::Time said_at = absl::InfinitePast();
    RateEstimator rate;
  };
  struct Waited {
    std::string text;  // what it waits for; empty: nothing
    std::string what;  // the same without its time as text, which midnight changes
    bool running = false;
    int attempt = 0;
  };
  std::string StepChange(const v1::Run& run, const v1::StepStatus& step, Seen& seen, const Style& style);
  // Says who waits for something else than before: a line for each thing that is waited for, however many steps do.
  std::string WaitingChange(const v1::Run& run, const Style& style);

  std::map<std::string, Seen> steps_;
  std::map<std::string, Waited> waits_;  // by step
  std::map<std::string, v1::ObligationStatus::Phase> obligations_;
  v1::RunPhase phase_ = v1::RUN_PHASE_UNSPECIFIED;
  int over_ = 0;  // steps said to be over
};

}  // namespace salvor::cli
