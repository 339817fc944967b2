// The engine's inside: state, and the calls by which an event goes through it. engine.cc has people's calls
// and the way of an event; engine_agents.cc has agents' calls, leases and time. Nobody else includes this.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock_jump.h"
#include "base/io/mutex.h"
#include "controlplane/runs/active_run.h"
#include "controlplane/runs/agent_sessions.h"
#include "controlplane/runs/backup_index.h"
#include "controlplane/runs/engine.h"
#include "controlplane/runs/ready_queue.h"
#include "controlplane/runs/release_schedule.h"
#include "controlplane/runs/step_holders.h"

namespace salvor::controlplane {

// Everything one call to the engine leads to: stored first, then sent.
struct Turn {
  Batch batch;
  std::vector<RunPointer> touched;
  std::vector<RunPointer> finished;
  std::map<SessionPointer, v1::ControlMessage> messages;
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

class Engine::Impl {
 public:
  Impl(Store& store, const Clock& clock, EngineOptions options, EngineObserver* observer)
      : store_(store),
        clock_(clock),
        options_(std::move(options)),
        observer_(observer),
        started_at_(clock.Monotonic()),
        started_wall_(clock.Now()),
        releases_(options_.lease_duration),
        clock_jump_(clock) {}

  ~Impl();

  Status Recover();

  Status StartRun(v1::RunHeader header, v1::Flow flow, const std::string& backup_location);

  Status CancelRun(const std::string& name, const std::string& by, const std::string& reason);

  StatusOr<v1::Run> GetRun(const std::string& name);

  StatusOr<v1::Run> WaitForChange(const std::string& name, int64_t seen, absl::Duration timeout);

  bool WaitUntilFinished(const std::string& name, absl::Duration timeout);

  StatusOr<std::vector<v1::Run>> ListRuns(const std::string& application, int limit, bool active_only);

  std::vector<WaitingRun> FindWaiting(v1::RunKind kind, const std::string& application);

  std::vector<v1::Backup> ListBackups(const std::string& application);

  StatusOr<v1::Backup> FindBackup(const std::string& reference);

  StatusOr<v1::Backup> AcceptBackup(const std::string& reference, const std::string& by,
                                    const std::string& reason);

  std::vector<v1::AgentStatus> ListAgents();

  StatusOr<int64_t> Connect(const v1::AgentHello& hello, std::shared_ptr<AgentLink> link);

  void Receive(int64_t id, v1::AgentMessage message);

  void Disconnect(int64_t id);

  absl::Duration Tick();

  void SetWakeUp(std::function<void()> wake_up);

  absl::Duration OldestReadyAge();

  int ActiveRunCount();
  int OpenObligationCount();

 private:
  RunPointer FindActive(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Status RecoverRun(Turn& turn, const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // A run whose records can't be read is kept as it is and named; the others go on.
  Status Quarantine(const std::string& name, const Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // A person's word that the quarantined run is over: it failed, and what it would have kept is not kept.
  void GiveUpQuarantined(const std::string& name, const std::string& by, const std::string& reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- one event -----------------------------------------------------------------------------------------

  // False, and nothing has changed, when the run can't take this event.
  bool Happen(Turn& turn, const RunPointer& run, v1::Event event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void Touch(Turn& turn, const RunPointer& run);

  void Act(Turn& turn, const RunPointer& run, const flows::Effect& effect)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void FinishRun(Turn& turn, const RunPointer& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void RecordBackup(Turn& turn, v1::Backup backup) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // The end of every call: grants what can be granted, stores, and sends once that is durable.
  void Conclude(Turn& turn) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void Forget(const std::vector<RunPointer>& finished);

  // ---- granting ------------------------------------------------------------------------------------------

  void Dispatch(Turn& turn, const std::string& environment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void Grant(Turn& turn, const SessionPointer& session, const ReadyStep& ready)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- agents --------------------------------------------------------------------------------------------

  int RunningOn(const AgentKey& agent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // AlreadyExists when another process of that name is there.
  Status CloseOlder(const v1::AgentHello& hello) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // What the agent holds goes on; what it does not know any more is lost and may be tried again; what it
  // holds and we do not is superseded.
  void ResumeLeases(Turn& turn, const SessionPointer& session, const v1::AgentHello& hello)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void ReportLost(Turn& turn, const RunPointer& run, int step) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Obligations that the agent still holds although their run is over (or unknown) are to be released now;
  // those that were unconfirmed and that it does not hold any more are released.
  void SettleObligations(Turn& turn, const SessionPointer& session, bool is_connecting)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void KeepObligation(Turn& turn, const RunPointer& run, size_t i) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // The active run of a lease that this agent holds; null for any other.
  RunPointer FindHeld(const SessionPointer& session, const std::string& run, const std::string& step)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void OnReport(Turn& turn, const SessionPointer& session, v1::Report report)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Whether the agent holds or held this step, be the run over or not.
  bool MayLog(const SessionPointer& session, const v1::LogLines& lines) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const FinishedHolders::Kept* FinishedRun(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void OnProgress(const SessionPointer& session, v1::ProgressReport report)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void OnEarlyRelease(Turn& turn, const SessionPointer& session, const v1::EarlyRelease& release)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- time ----------------------------------------------------------------------------------------------

  // What the runs of this environment wait for may be another thing now: watchers look again.
  void TouchRunsOf(Turn& turn, const std::string& environment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void FireTimer(Turn& turn, const Timer& timer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Leases are held by sessions, in memory: an agent that is not heard from for a lease's time loses those of
  // its steps that another agent may take. The others wait for it.
  void ExpireLeases(Turn& turn, absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Asks again for what a run that is over left and nobody has undone, or confirmed.
  void RepeatReleases(Turn& turn, absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void NoticeClockJump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- views ---------------------------------------------------------------------------------------------

  v1::Run ViewOf(ActiveRun& run, bool steps) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Says in the step's status what it waits for, if it waits.
  void ExplainWaiting(const ActiveRun& run, int step, v1::StepStatus& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Store& store_;
  const Clock& clock_;
  const EngineOptions options_;
  EngineObserver* const observer_;
  const absl::Duration started_at_;
  const absl::Time started_wall_;  // before it, agents were connected that nobody here knows of

  Mutex mutex_;
  std::function<void()> wake_up_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::Run> quarantined_ ABSL_GUARDED_BY(mutex_);  // views, without steps
  ActiveRuns runs_ ABSL_GUARDED_BY(mutex_);
  ReadyQueue ready_ ABSL_GUARDED_BY(mutex_);
  AgentSessions sessions_ ABSL_GUARDED_BY(mutex_);
  BackupIndex backups_ ABSL_GUARDED_BY(mutex_);
  struct Unconfirmed {
    AgentKey agent;
    v1::HeldObligation obligation;
  };
  std::map<std::pair<std::string, std::string>, Unconfirmed> unconfirmed_ ABSL_GUARDED_BY(mutex_);
  std::priority_queue<Timer> timers_ ABSL_GUARDED_BY(mutex_);
  ReleaseSchedule releases_ ABSL_GUARDED_BY(mutex_);
  FinishedHolders finished_holders_ ABSL_GUARDED_BY(mutex_);
  ClockJump clock_jump_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace salvor::controlplane
