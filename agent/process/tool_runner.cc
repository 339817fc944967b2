#include "agent/process/tool_runner.h"

#include <algorithm>

#include "base/redact.h"
#include "base/text.h"

namespace salvor::agent {

std::string ExitStatus::Describe() const {
  return signal != 0 ? fmt::format("killed by signal {}", signal) : fmt::format("exit code {}", code);
}

std::string ProgramName(const std::vector<std::string>& argv) {
  if (argv.empty()) return "process";
  const size_t slash = argv[0].rfind('/');
  return slash == std::string::npos ? argv[0] : argv[0].substr(slash + 1);
}

Status ProcessError(const std::vector<std::string>& argv, const ExitStatus& status) {
  const std::string program = ProgramName(argv);
  std::string cause = RootCause(status.error_tail);
  if (cause.rfind(program + ": ", 0) == 0) cause.erase(0, program.size() + 2);
  if (cause.rfind("error: ", 0) == 0) cause.erase(0, 7);
  const std::string said = cause.empty() ? "failed without a word" : cause;
  // Somebody, or the kernel for want of memory, ended it: that says nothing about the work itself.
  if (status.signal != 0) return Aborted("{}: {} ({})", program, said, status.Describe());
  return Internal("{}: {} ({})", program, said, status.Describe());
}

StatusOr<ExitStatus> ToolRunner::Run(ProcessSpec spec, const std::stop_token& stop, SteadyTime deadline) {
  ASSIGN_OR_RETURN(const std::unique_ptr<RunningTool> tool, Start(std::move(spec)));
  ASSIGN_OR_RETURN(ExitStatus status, tool->Wait(stop, deadline));
  if (!status.Ok()) return tool->ErrorOf(status);
  return status;
}

std::string RootCause(std::string_view error_tail) {
  constexpr size_t kLines = 3, kMostBytes = 1000;
  const std::string without_rows = WithoutRows(error_tail);  // while the fields of a message are still whole
  error_tail = without_rows;
  std::vector<std::string> last;
  while (!error_tail.empty() && last.size() < kLines) {
    const size_t start = error_tail.find_last_of("\r\n");
    const std::string_view line =
        Trim(start == std::string_view::npos ? error_tail : error_tail.substr(start + 1));
    if (!line.empty()) last.emplace_back(line);
    error_tail = start == std::string_view::npos ? std::string_view() : error_tail.substr(0, start);
  }
  std::reverse(last.begin(), last.end());
  return Elide(Join(last, "; "), kMostBytes);
}

}  // namespace salvor::agent
