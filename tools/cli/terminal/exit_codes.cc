#include "tools/cli/terminal/exit_codes.h"

#include <fmt/core.h>

namespace salvor::cli {
namespace {

struct Meaning {
  ExitCode code;
  const char* text;
};

constexpr Meaning kMeanings[] = {
    {ExitCode::kOk, "done; after --wait: complete, proven, restored"},
    {ExitCode::kFailed, "failed, or a check of a drill or restore failed"},
    {ExitCode::kUsage, "the command line cannot be understood"},
    {ExitCode::kPartial, "incomplete: something is missing, or not all could be checked"},
    {ExitCode::kNotAuthenticated, "not authenticated: no token, or not a valid one"},
    {ExitCode::kForbidden, "forbidden"},
    {ExitCode::kNotFound, "not found"},
    {ExitCode::kConflict, "conflict: exists, is in use, or a guardrail says no"},
    {ExitCode::kInvalid, "validation failed"},
    {ExitCode::kCancelled, "the run was cancelled"},
    {ExitCode::kUnreachable, "no control plane: it cannot be reached, or gave no answer in time"},
    {ExitCode::kTimedOut, "--timeout ran out while waiting; the run goes on"},
    {ExitCode::kInterrupted, "interrupted while waiting; the run goes on"},
};

}  // namespace

ExitCode ExitCodeOf(const Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitCode::kOk;
    case absl::StatusCode::kUnauthenticated:
      return ExitCode::kNotAuthenticated;
    case absl::StatusCode::kPermissionDenied:
      return ExitCode::kForbidden;
    case absl::StatusCode::kNotFound:
      return ExitCode::kNotFound;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kFailedPrecondition:
      return ExitCode::kConflict;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return ExitCode::kInvalid;
    case absl::StatusCode::kCancelled:
      return ExitCode::kCancelled;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return ExitCode::kUnreachable;
    default:
      return ExitCode::kFailed;
  }
}

std::string RenderExitCodes() {
  std::string text = "Exit codes\n\n";
  for (const Meaning& meaning : kMeanings) {
    text += fmt::format("  {:>3}  {}\n", static_cast<int>(meaning.code), meaning.text);
  }
  return text + "\nTreat any other code as a failure.\n";
}

}  // namespace salvor::cli
