// Takes tasks, journals, runs, and keeps results until they are acknowledged.
//
// Each task has a thread of its own (instant ones run in place). An attempt whose result is not acknowledged
// is "held": it is named in every hello, and its result is offered again after a reconnect. At start,
// attempts that a dead predecessor left without a result end as interrupted, after `clean_up` removed what
// they left. So it does after one that was stopped in the middle: cancelled, past its time, or its tool
// killed. Those whose work is done
// elsewhere (ActionEntry.resumable) are taken up again at start. Attempts of one step never run beside each other: a later
// one stops the earlier and waits for its end.
//
// Obligations are undone on order, or when their deadline has passed: then the control plane is told, again and again
// until it has heard it, since whatever relied on them has failed. The action that undoes one is in the journal before
// the task that opens it begins, and is performed like any other. A task that succeeds closes the one that it says it
// undoes, and no other. One that can't be read stays open: only an order that brings the undo along closes it.
//
// While the journal has no room (a full disk) new tasks fail with an error that says so, and results wait: each is
// reported as soon as it is on the disk, and not before.
//
// Thread-safe. The destructor stops all tasks and waits for them; their results are lost on purpose then, and
// the journal says so to the next start.
#pragma once

#include <absl/time/time.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <tuple>
#include <vector>

#include "agent/executor/journal_backlog.h"
#include "agent/journal/journal.h"
#include "agent/work/action.h"
#include "base/clock.h"
#include "base/io/mutex.h"

namespace salvor::agent {

// Takes results, progress and logs. Called from any thread; must not block.
class ReportSink {
 public:
  virtual ~ReportSink() = default;
  virtual void Report(const v1::Report& report) = 0;
  virtual void Progress(const v1::ProgressReport& progress) = 0;
  virtual void Log(const v1::LeaseKey& lease, const v1::LogLine& line) = 0;
  // The agent's holdings have changed by themselves (an obligation was released on order): say hello again.
  virtual void HoldingsChanged() = 0;
  // A task ended without a report (it was superseded): there is room for another.
  virtual void RoomChanged() = 0;
  virtual void ReleasedEarly(const v1::EarlyRelease& release) = 0;
};

// The executor tells the metrics of these events. Thread-safe.
class ExecutorObserver {
 public:
  virtual ~ExecutorObserver() = default;
  virtual void OnTask(const std::string& kind, bool succeeded, absl::Duration took) = 0;
  virtual void OnProgress(const std::string& kind,
                          int64_t bytes) = 0;  // since the last call for this attempt
  virtual void OnRunning(int running) = 0;
};

struct ExecutorOptions {
  const AgentConfig* config = nullptr;
  const Clock* clock = nullptr;
  Journal* journal = nullptr;
  ToolRunner* tools = nullptr;
  ScratchPlaces* scratch = nullptr;
  ActionRegistry actions;
  ExecutorObserver* observer = nullptr;  // may be null
  // Removes what an attempt left that did not come to its end. Blocks, for about `patience` at most.
  std::function<void(const v1::Task&, absl::Duration patience)> clean_up;
  // The undo of an obligation that came without one, as journals and control planes of 0.1 have them.
  std::function<v1::Action(const v1::HeldObligation&)> undo_of_0_1;
  // Leftovers of actions that the journal's obligations do not name: they are named in the hello like those. May be
  // null.
  std::function<std::vector<v1::HeldObligation>()> leftovers;
  // How work that takes time is run and how it waits, for a simulator that has one thread. Null: by threads. `launch` is
  // called with the executor's lock held, so it only takes the work; `wait` returns with the lock it was given.
  std::function<void(std::function<void()> work)> launch;
  std::function<void(CondVar&, Mutex&)> wait;
};

class Executor {
 public:
  explicit Executor(ExecutorOptions options);  // everything pointed to must outlive it
  ~Executor();

  // Called before Submit, and before the first Recover.
  void SetSink(ReportSink* sink);
  // Ends what a predecessor left. Call once.
  Status Recover();

  void Submit(v1::Task task);
  void Cancel(const v1::LeaseKey& lease);
  void Acknowledge(const v1::LeaseKey& lease);
  // The control plane will not take a result of this attempt: stop it, and forget it.
  void Supersede(const v1::LeaseKey& lease);
  // The control plane can't take this result, and the run goes on without it: it is put aside in the journal.
  void Reject(const v1::LeaseKey& lease, const std::string& why);
  // The control plane ends the stream whenever it gets this result: it is put aside, and the error that says so is
  // reported in its place.
  void ReplaceUnreportable(const v1::LeaseKey& lease, const std::string& why);
  // Undo this obligation, in the background. One that the journal does not have is let be while an attempt of its run is
  // at work, which may be using it: the control plane asks again.
  void Release(const v1::HeldObligation& obligation);
  // Undo those whose deadline has passed, in the background, and report what the journal has room for by now. Call it
  // often.
  void ReleaseExpired();
  void AcknowledgeEarlyRelease(const v1::EarlyRelease& release);

  std::vector<v1::LeaseKey> Held();
  std::vector<v1::HeldObligation> Obligations();  // those that stand, and leftovers
  std::vector<v1::EarlyRelease> EarlyReleases();  // not acknowledged yet
  std::vector<v1::Report> Unacknowledged();
  std::vector<std::string> Capabilities() const;
  int Running();

 private:
  using Key = std::tuple<std::string, std::string, int, int64_t>;
  struct Attempt {
    v1::Task task;
    std::stop_source stop;
    std::optional<v1::ActionResult> result;
    bool superseded = false;
    bool running = false;
    absl::Duration last_progress = -absl::InfiniteDuration();
    int64_t last_bytes = 0;
    absl::Duration
        took;  // by the clock that nobody sets; written by its thread before the result is journalled, read after
  };
  using AttemptPointer = std::shared_ptr<Attempt>;

  using ObligationKey = std::pair<std::string, std::string>;  // run, name

  static Key KeyOf(const v1::LeaseKey& lease);
  Status RecoverAttempt(JournalEntry entry);
  bool IsResumable(const v1::Task& task) const;
  std::optional<v1::HeldObligation> ObligationOf(const v1::Task& task);
  // False when it was superseded meanwhile, and shall not begin.
  bool WaitForEarlierAttempts(const AttemptPointer& attempt);
  void Undo(const v1::HeldObligation& obligation, const std::string& early_reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<JournalObligation> JournalledObligations();
  bool IsAtWork(const std::string& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunTask(const AttemptPointer& attempt);
  void RunJournalled(const AttemptPointer& attempt, const ActionEntry& entry);
  void Resume(const AttemptPointer& attempt);
  v1::ActionResult Act(const AttemptPointer& attempt, const ActionEntry& entry);
  bool WasCutShort(const AttemptPointer& attempt, const v1::ActionResult& result);
  void Finish(const AttemptPointer& attempt, v1::ActionResult result, bool journaled);
  void Deliver(const AttemptPointer& attempt, v1::ActionResult result);
  void DeliverWhatWaited();
  v1::Action UndoOf(const v1::HeldObligation& obligation) const;
  Status PerformUndo(const v1::HeldObligation& obligation);
  void CloseObligationsUndoneBy(const v1::Task& task);
  Status CloseAcknowledged();
  void OnProgress(const AttemptPointer& attempt, v1::Progress progress);
  void Launch(std::function<void()> work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Wait(CondVar& changed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ExecutorOptions options_;
  JournalBacklog journal_;
  std::stop_source undo_stop_;
  Mutex mutex_;
  CondVar idle_;   // a thread has ended
  CondVar ended_;  // an attempt has ended
  ReportSink* sink_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::map<Key, AttemptPointer> attempts_ ABSL_GUARDED_BY(mutex_);
  std::vector<AttemptPointer> superseded_ ABSL_GUARDED_BY(mutex_);  // and running still
  std::set<ObligationKey> releasing_ ABSL_GUARDED_BY(mutex_);
  std::set<ObligationKey> undone_ ABSL_GUARDED_BY(mutex_);  // and the journal has no room to say so yet
  // Early releases that the control plane has heard of, and the journal has no room to say so yet.
  std::set<ObligationKey> acknowledged_ ABSL_GUARDED_BY(mutex_);
  std::map<ObligationKey, absl::Duration> deadlines_
      ABSL_GUARDED_BY(mutex_);  // by the clock that nobody sets
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  int threads_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace salvor::agent
