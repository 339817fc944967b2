#include "controlplane/runs/waiting_calls.h"

#include <optional>
#include <utility>

#include "base/io/mutex.h"

namespace salvor::controlplane {
namespace {

class Outcome {
 public:
  // Must run before this object goes: the caller waits for it.
  Engine::Durable Take() {
    return [this](const Status& status) {
      MutexLock lock(mutex_);
      outcome_ = status;
      known_.NotifyAll();
    };
  }
  Status Wait() {
    MutexLock lock(mutex_);
    while (!outcome_) known_.Wait(mutex_);
    return *outcome_;
  }

 private:
  Mutex mutex_;
  CondVar known_;
  std::optional<Status> outcome_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

Status WaitUntilDurable(Engine& engine) {
  Outcome outcome;
  engine.CallWhenDurable(outcome.Take());
  return outcome.Wait();
}

Status StartRunAndWait(Engine& engine, v1::RunHeader header, v1::Flow flow,
                       const std::string& backup_location, const verdicts::DeletionTerms& terms) {
  Outcome outcome;
  Status started =
      engine.StartRun(std::move(header), std::move(flow), backup_location, outcome.Take(), terms);
  if (started.code() == absl::StatusCode::kAlreadyExists ||
      started.code() == absl::StatusCode::kFailedPrecondition)
    RETURN_IF_ERROR(WaitUntilDurable(engine));
  RETURN_IF_ERROR(std::move(started));
  return outcome.Wait();
}

Status CancelRunAndWait(Engine& engine, const std::string& name, const std::string& by,
                        const std::string& reason) {
  Outcome outcome;
  Status begun = engine.CancelRun(name, by, reason, outcome.Take());
  // That a run is over is said once its end is durable.
  if (begun.code() == absl::StatusCode::kFailedPrecondition) RETURN_IF_ERROR(WaitUntilDurable(engine));
  RETURN_IF_ERROR(std::move(begun));
  return outcome.Wait();
}

StatusOr<v1::Backup> AcceptBackupAndWait(Engine& engine, const std::string& reference, const std::string& by,
                                         const std::string& reason) {
  Outcome outcome;
  ASSIGN_OR_RETURN(v1::Backup accepted, engine.AcceptBackup(reference, by, reason, outcome.Take()));
  RETURN_IF_ERROR(outcome.Wait());
  return accepted;
}

}  // namespace salvor::controlplane
