// Follows what the tools of a run say, as it is said.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "tools/cli/commands/command.h"

namespace salvor::cli {

struct LogOptions {
  std::string run, step, output;
  bool follow = false;
};

// Lines that were shown, where a control plane of 0.1 sends logs without a cursor: a stream that broke is opened anew
// and begins at the start, and what was shown already is left out. A line that was said twice is shown twice.
class SeenLines {
 public:
  // Whether the line is news; notes that it was seen.
  bool Take(const v1::LogLines& lines, const v1::LogLine& line);

  // Another stream begins.
  void StartOver() { in_this_stream_.clear(); }

 private:
  std::unordered_map<uint64_t, int> seen_, in_this_stream_;  // hash of a line -> how often
};

ExitCode FollowLogs(Context& context, const LogOptions& options);

}  // namespace salvor::cli
