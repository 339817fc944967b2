// What a mover writes to its output, a line each: its log for people (kubectl logs) and for the executor that follows it, how
// far it is, and what is too large for its termination message. Pure.
//
//   log pg_dump dumping contents of table "public.orders"
//   progress 4402341478 0 dumped public.orders
//   result 1 CgYIAx…
#pragma once

#include <string>
#include <string_view>

#include "salvor/v1/run.pb.h"

namespace salvor::movers {

// A line each, without its end. Sources and texts are made one line.
std::string LogLine(std::string_view source, std::string_view text);
std::string ProgressLine(const v1::Progress& progress);
std::string ResultLine(int number, std::string_view part);

struct OutputLine {
  enum class Kind { kOther, kLog, kProgress, kResult };
  Kind kind = Kind::kOther;  // text has the whole line
  std::string source;        // kLog
  std::string text;          // kLog; kResult: the part
  int number = 0;            // kResult, from 1
  v1::Progress progress;     // kProgress
};

OutputLine ReadLine(std::string_view line);

}  // namespace salvor::movers
