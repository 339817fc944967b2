#include "agent/mover.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "agent/engines/postgres/cluster_secret.h"
#include "agent/executor/reportable.h"
#include "agent/kubernetes/movers/actions/secret.h"
#include "agent/kubernetes/movers/mover_job.h"
#include "agent/kubernetes/movers/mover_output.h"
#include "agent/kubernetes/movers/mover_result.h"
#include "agent/work/registry.h"
#include "base/io/files.h"
#include "base/io/steady_clock.h"
#include "proto/kind.h"
#include "proto/time.h"

namespace salvor::agent {
namespace {

constexpr absl::Duration kProgressPace = absl::Seconds(1);
constexpr absl::Duration kAnswerWithin = absl::Minutes(1);   // of the API server
constexpr absl::Duration kCleanUpWithin = absl::Seconds(8);  // of the time that a pod has to end

class Mover {
 public:
  explicit Mover(const MoverProgram& program) : program_(program) {}

  v1::ActionResult Run() {
    StatusOr<v1::ActionResult> outcome = Act();
    v1::ActionResult result;
    if (outcome.ok()) {
      result = *std::move(outcome);
    } else {
      *result.mutable_error() = ToError(outcome.status());
    }
    MakeReportable(result);
    return result;
  }

 private:
  StatusOr<v1::ActionResult> Act() {
    ASSIGN_OR_RETURN(v1::Task task, movers::DecodeTask(program_.task));
    if (movers::JobName(task.lease()) != program_.job)
      return InvalidArgument("the task is of another Job than {}", program_.job);
    const auto entry = program_.actions.find(KindOf(task.action()));
    if (entry == program_.actions.end()) return InvalidArgument("a mover can't do {}", KindOf(task.action()));
    RETURN_IF_ERROR(program_.config.policy.Permit(task.action()));
    RETURN_IF_ERROR(PutSecretsInPlace(
        *task.mutable_action(),
        [this](const std::string& name_space, const std::string& name) {
          return ReadSecret(name_space, name);
        },
        program_.secret_directory));
    ActionContext context{program_.config, *program_.tools, task, program_.stop, SteadyTime::InfiniteFuture(),
                          nullptr,         nullptr};
    if (task.has_timeout()) context.deadline = SteadyNow() + FromProto(task.timeout());
    context.progress = [this](const v1::Progress& progress) { Tell(progress); };
    context.log = [this](std::string_view source, std::string_view line) {
      Print(movers::LogLine(source, ReportableText(line, kLongestLogLine)));
    };
    StatusOr<v1::ActionResult> outcome = entry->second.run(task.action(), context);
    if (!outcome.ok()) CleanUp(outcome.status(), task);
    return outcome;
  }

  // Nobody else can: the executor has no way to the server.
  void CleanUp(const Status& why, const v1::Task& task) {
    const absl::StatusCode code = why.code();
    if (code != absl::StatusCode::kCancelled && code != absl::StatusCode::kDeadlineExceeded &&
        code != absl::StatusCode::kAborted)
      return;
    ActionContext context{program_.config, *program_.tools, task, {}, SteadyNow() + kCleanUpWithin,
                          nullptr,         nullptr};
    const Status cleaned = CleanUpByKind(program_.actions, task.action(), context);
    if (!cleaned.ok()) Print(movers::LogLine("salvor-agent", "clean-up: " + MessageOf(cleaned)));
  }

  StatusOr<std::map<std::string, std::string>> ReadSecret(const std::string& name_space,
                                                          const std::string& name) const {
    ASSIGN_OR_RETURN(const std::shared_ptr<kubernetes::Kubernetes> cluster, program_.cluster());
    return movers::ReadSecret(*cluster, name_space, name, program_.account,
                              {program_.stop, SteadyNow() + kAnswerWithin});
  }

  void Tell(const v1::Progress& progress) {
    {
      std::lock_guard lock(mutex_);
      const SteadyTime now = SteadyNow();
      if (now - told_ < kProgressPace) return;
      told_ = now;
    }
    Print(movers::ProgressLine(progress));
  }

  void Print(const std::string& line) {
    std::lock_guard lock(mutex_);
    program_.print(line);
  }

  const MoverProgram& program_;
  std::mutex mutex_;
  SteadyTime told_ = SteadyTime::InfinitePast();
};

// In place: the path is a file that Kubernetes mounted, and can't be replaced by another.
Status WriteInPlace(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (file == nullptr) return ErrnoStatus(errno, "write " + path);
  const bool is_whole = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const bool is_closed = std::fclose(file) == 0;
  return is_whole && is_closed ? OkStatus() : ErrnoStatus(errno, "write " + path);
}

}  // namespace

Status RunMover(const MoverProgram& program) {
  const v1::ActionResult result = Mover(program).Run();
  const movers::EncodedResult encoded = movers::EncodeResult(program.job, result);
  for (size_t i = 0; i < encoded.parts.size(); ++i)
    program.print(movers::ResultLine(static_cast<int>(i) + 1, encoded.parts[i]));
  RETURN_IF_ERROR(WriteInPlace(program.termination_message, encoded.message));
  if (!result.has_error()) return OkStatus();
  return WithHint(Internal("{}", result.error().message()), result.error().hint());
}

}  // namespace salvor::agent
