#include "controlplane/api/run_streams.h"

#include <utility>

#include "proto/phase.h"
#include "proto/run_change.h"

namespace salvor::controlplane {
namespace {

// A watcher sees a change at once, and then at most this often; the transport looks at its caller this often.
constexpr absl::Duration kWatchPace = absl::Milliseconds(100);
constexpr absl::Duration kWatchPatience = absl::Milliseconds(500);

}  // namespace

StatusOr<std::optional<v1::Run>> RunWatch::Next() {
  constexpr int64_t kNoRevision = -2;
  const std::string& name = request_.name();
  if (seen_) engine_->WaitUntilFinished(name, kWatchPace);
  ASSIGN_OR_RETURN(v1::Run run, engine_->WaitForChange(name, seen_.value_or(kNoRevision), kWatchPatience));
  over_ = IsAtRest(run.phase());
  if (!over_ && seen_ == run.revision()) return std::optional<v1::Run>();
  seen_ = run.revision();
  if (!request_.changes_only()) return std::optional<v1::Run>(std::move(run));
  std::optional<v1::Run> next = last_ ? ChangeBetween(*last_, run) : run;
  last_ = std::move(run);
  return next;
}

StatusOr<std::vector<v1::LogLines>> LogReading::Next() {
  if (begun_) engine_->WaitUntilFinished(request_.name(), kWatchPatience);
  begun_ = true;
  // The run is looked at first: what is in the log afterwards is all of a run that was over before.
  ASSIGN_OR_RETURN(const v1::Run run, engine_->GetRun(request_.name()));
  ASSIGN_OR_RETURN(const std::vector<v1::LogLines> lines, store_->ReadLog(request_.name(), next_, next_));
  over_ = !request_.follow() || IsAtRest(run.phase());
  std::vector<v1::LogLines> wanted;
  for (const v1::LogLines& some : lines) {
    if (request_.step().empty() || some.step() == request_.step()) wanted.push_back(some);
  }
  return wanted;
}

}  // namespace salvor::controlplane
