// Durable runs: loads, reduces, stores the event, then acts on the effects.
//
// All active runs live in memory, rebuilt from the journal by Create. One whose records can't be read, or do not replay,
// is quarantined: named and left as it is until a person cancels it. Every change goes the same way: under
// one lock the event is reduced and everything that follows from it is gathered (events, records, messages to
// agents); the batch goes to the store; when it is durable the messages are sent. A completed step, the next
// one's lease and its task are one batch, so a chained step costs one fsync at most.
//
// No call waits for the store, but for those that say until when; who may wait for it finds how in waiting_calls.h.
//
// Thread-safe. A store that can't write is fatal: memory is ahead of the disk then, so `on_fatal` must end
// the process, and the next one begins from what is durable.
//
// engine.cc has people's calls and the way of an event; engine_agents.cc has agents' calls, leases and time;
// engine_backups.cc has calls about backups, and what a run may do with one that another run has to do with.
#pragma once

#include <absl/time/time.h>

#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/clock_jump.h"
#include "base/io/mutex.h"
#include "base/status.h"
#include "controlplane/runs/active_run.h"
#include "controlplane/runs/agent_link.h"
#include "controlplane/runs/agent_sessions.h"
#include "controlplane/runs/answers.h"
#include "controlplane/runs/backup_index.h"
#include "controlplane/runs/finished_runs.h"
#include "controlplane/runs/ready_queue.h"
#include "controlplane/runs/release_schedule.h"
#include "controlplane/runs/step_holders.h"
#include "controlplane/runs/turn.h"
#include "controlplane/store/contract/store.h"
#include "salvor/v1/agent_service.pb.h"
#include "salvor/v1/control_service.pb.h"
#include "salvor/v1/run.pb.h"
#include "strategies/verdicts/deletion.h"
#include "strategies/verdicts/records.h"

namespace salvor::controlplane {

struct EngineOptions {
  absl::Duration lease_duration = absl::Seconds(30);
  absl::Duration heartbeat_interval = absl::Seconds(5);
  absl::Duration answers_kept_for = absl::Hours(7 * 24);  // of runs that only look, from their end
  std::string version;
  std::function<double()> random;               // 0..1, for jitter; thread-safe
  std::function<void(const Status&)> on_fatal;  // must not return in production
};

// The engine tells the metrics of these events, under its lock: an observer must be quick.
class EngineObserver {
 public:
  virtual ~EngineObserver() = default;
  virtual void OnStep(const v1::RunHeader& run, const v1::Step& step, v1::StepPhase phase,
                      absl::Duration took) = 0;
  virtual void OnRetry(const v1::RunHeader& run) = 0;
  virtual void OnRun(const v1::Run& finished) = 0;
  virtual void OnBackup(const v1::Backup& backup) = 0;
};

struct WaitingRun {
  v1::RunHeader header;
  v1::Flow flow;
};

class Engine {
 public:
  // Rebuilds all active runs. `store`, `clock` and `observer` (may be null) must outlive the engine.
  static StatusOr<std::unique_ptr<Engine>> Create(Store& store, const Clock& clock, EngineOptions options,
                                                  EngineObserver* observer);
  ~Engine();

  // Runs on the store's thread once what was asked for is durable, or with the store's error.
  using Durable = std::function<void(const Status&)>;

  // AlreadyExists (it may not be durable yet), InvalidArgument (the flow can't be), FailedPrecondition (its backup is deleted
  // or is going to be; for a run that deletes it: what ObjectionsToDeletion says): then `durable` does not run. Else the
  // run has begun, and `durable` says when it is on record. Who may block uses StartRunAndWait. The backup of a run that
  // deletes it is marked in the same commit, so that of such a run and one that reads the backup one alone can begin.
  Status StartRun(v1::RunHeader header, v1::Flow flow, const std::string& backup_location, Durable durable,
                  const verdicts::DeletionTerms& terms = {});
  // Everything that speaks against deleting the backup as things stand. NotFound.
  StatusOr<std::vector<verdicts::Objection>> ObjectionsToDeletion(const std::string& backup,
                                                                  const verdicts::DeletionTerms& terms);
  // FailedPrecondition when it is over already: then `durable` does not run. Who may block uses CancelRunAndWait.
  Status CancelRun(const std::string& name, const std::string& by, const std::string& reason,
                   Durable durable);

  // Says when all is on record that this engine has begun to write, as what FindWaiting found. Who may block uses
  // WaitUntilDurable.
  void CallWhenDurable(Durable durable);

  StatusOr<v1::Run> GetRun(const std::string& name);
  // The run as soon as its revision is another than `seen` (or it is over), at the latest after `timeout`.
  StatusOr<v1::Run> WaitForChange(const std::string& name, int64_t seen, absl::Duration timeout);
  // Waits until the run is over, at the latest for `timeout`; true when it is over.
  bool WaitUntilFinished(const std::string& name, absl::Duration timeout);
  // The newest first, as they are now: without steps. The filter applies before the size of the page. InvalidArgument for a
  // page token that is not of this list.
  StatusOr<Page<v1::Run>> ListRuns(const RunFilter& filter, const PageRequest& page);
  // The runs of this kind of which no step was ever granted. They may not be durable yet.
  std::vector<WaitingRun> FindWaiting(v1::RunKind kind, const std::string& application);

  std::vector<v1::Backup> ListBackups(const std::string& application);  // all, the newest first
  // A page of them, in the same order. InvalidArgument as above.
  StatusOr<Page<v1::Backup>> ListBackups(const BackupFilter& filter, const PageRequest& page);
  // How many kept something, or may yet, at this Location.
  int CountBackupsAt(const std::string& location);
  // A name, "latest:APPLICATION" (the newest that kept something and is not disproven) or "proven:APPLICATION". NotFound.
  StatusOr<v1::Backup> FindBackup(const std::string& reference);
  // A person's word that what it is doubted for is as it should be. FailedPrecondition when nothing is doubted: then
  // `durable` does not run. Who may block uses AcceptBackupAndWait.
  StatusOr<v1::Backup> AcceptBackup(const std::string& reference, const std::string& by,
                                    const std::string& reason, Durable durable);
  std::vector<v1::AgentStatus> ListAgents();

  // An agent's stream: Connect with its hello, Receive what follows, Disconnect when it ends. A newer connection of the
  // same process closes the older one; another process of that name is refused (AlreadyExists) until the first has been
  // silent for a lease's time. Reports, progress and logs are taken from the agent that holds the lease, and from no
  // other.
  StatusOr<int64_t> Connect(const v1::AgentHello& hello, std::shared_ptr<AgentLink> link);
  void Receive(int64_t session, v1::AgentMessage message);
  void Disconnect(int64_t session);

  // Fires timers, expires leases and erases answers that are due. How soon to call it again, at the latest.
  absl::Duration Tick();
  // Called (from any thread) when Tick is due earlier than it last said. Set once, before use.
  void SetWakeUp(std::function<void()> wake_up);

  // Figures for the metrics: how long the oldest ready step has waited, and what is open.
  absl::Duration OldestReadyAge();
  int ActiveRunCount();
  int OpenObligationCount();

 private:
  Engine(Store& store, const Clock& clock, EngineOptions options, EngineObserver* observer);

  Status Recover();

  RunPointer FindActive(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // The record that a run which nobody can read made, or was to delete; null when there is none.
  const v1::Backup* FindConcerned(const v1::RunHeader& header) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a new run may have to do with its backup; marks that in the turn where the run is to delete it.
  Status ClaimBackup(Turn& turn, const v1::RunHeader& header, const verdicts::DeletionTerms& terms)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<verdicts::Objection> FindObjections(const v1::Backup& backup,
                                                  const verdicts::DeletionTerms& terms)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Status RecoverRun(Turn& turn, const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // A run whose records can't be read is kept as it is and named; the others go on.
  Status Quarantine(const std::string& name, const Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // A person's word that the quarantined run is over: it failed, and what it would have kept is not kept.
  void GiveUpQuarantined(const std::string& name, const std::string& by, const std::string& reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- one event -----------------------------------------------------------------------------------------

  // False, and nothing has changed, when the run can't take this event.
  bool RecordEvent(Turn& turn, const RunPointer& run, v1::Event event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void Touch(Turn& turn, const RunPointer& run);

  void PerformEffect(Turn& turn, const RunPointer& run, const flows::Effect& effect)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void FinishRun(Turn& turn, const RunPointer& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Writes the records of a finished run in the commit that ends it. Gives the run with its verdict.
  v1::Run KeepRecords(Turn& turn, verdicts::Records records) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void RecordBackup(Turn& turn, v1::Backup backup) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // The end of every call: grants what can be granted, stores, and sends once that is durable.
  void Conclude(Turn& turn) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // These are over, and that is durable.
  void Forget(const std::vector<RunPointer>& finished, const std::vector<std::string>& given_up);

  // ---- granting ------------------------------------------------------------------------------------------

  void Dispatch(Turn& turn, const std::string& environment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // False when the run can't take it: then nothing is sent.
  bool Grant(Turn& turn, const SessionPointer& session, const ReadyStep& ready)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- agents --------------------------------------------------------------------------------------------

  int RunningOn(const AgentKey& agent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // AlreadyExists when another process of that name is there.
  Status CloseOlder(const v1::AgentHello& hello) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // A step that the agent holds goes on; one that it does not know any more is lost and may be tried again; one that it
  // holds and we do not is superseded.
  void ResumeLeases(Turn& turn, const SessionPointer& session, const v1::AgentHello& hello)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void ReportLost(Turn& turn, const RunPointer& run, int step) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Obligations that the agent still holds although their run is over (or unknown) are to be released now;
  // those that were unconfirmed and that it does not hold any more are released.
  void SettleObligations(Turn& turn, const SessionPointer& session, bool is_connecting)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // The order to undo what this agent holds of a run that is over. Where it does not say how (an agent of 0.1, or one
  // whose record is damaged), the run's flow does: to an agent that was granted the step which opens it, and to no other.
  v1::HeldObligation OrderOf(const AgentKey& agent, v1::HeldObligation held)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void KeepObligation(Turn& turn, const RunPointer& run, size_t i) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // The active run of a lease that this agent holds; null for any other.
  RunPointer FindHeld(const SessionPointer& session, const std::string& run, const std::string& step)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void OnReport(Turn& turn, const SessionPointer& session, v1::Report report)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Whether the agent holds or held this step, be the run over or not.
  bool MayLog(const SessionPointer& session, const v1::LogLines& lines) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const StepHolders* FinishedRun(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void OnProgress(const SessionPointer& session, v1::ProgressReport report)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void OnEarlyRelease(Turn& turn, const SessionPointer& session, const v1::EarlyRelease& release)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- time ----------------------------------------------------------------------------------------------

  // The runs of this environment may wait for another thing now: watchers look again.
  void TouchRunsOf(Turn& turn, const std::string& environment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void FireTimer(Turn& turn, const Timer& timer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Leases are held by sessions, in memory: an agent that is not heard from for a lease's time loses those of
  // its steps that another agent may take. The others wait for it.
  void ExpireLeases(Turn& turn, absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Asks again for what a run that is over left and nobody has undone, or confirmed.
  void RepeatReleases(Turn& turn, absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void NoticeClockJump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // ---- views ---------------------------------------------------------------------------------------------

  // The stored summary as it is now: an active run's phase is known here only.
  StatusOr<v1::Run> Refresh(v1::Run summary);

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
  FinishedRuns finished_;  // takes mutex_: it is asked without
  std::function<void()> wake_up_ ABSL_GUARDED_BY(mutex_);
  struct Quarantined {
    v1::Run view;              // without steps
    bool is_given_up = false;  // and that is not durable yet: until then it is shown as it was
  };
  std::map<std::string, Quarantined> quarantined_ ABSL_GUARDED_BY(mutex_);
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
  Answers answers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace salvor::controlplane
