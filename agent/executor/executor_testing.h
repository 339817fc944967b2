// An executor over a real journal, with actions that the tests steer, and a sink that collects what it says.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <thread>

#include "agent/executor/executor.h"
#include "agent/process/process.h"
#include "agent/work/noop_action.h"
#include "agent/work/registry.h"
#include "base/io/files.h"
#include "base/io/sqlite/database.h"
#include "base/io/steady_clock.h"

namespace salvor::agent {

// Collects what would be sent.
class Collected final : public ReportSink {
 public:
  void Report(const v1::Report& report) override {
    MutexLock lock(mutex_);
    reports_.push_back(report);
    changed_.NotifyAll();
  }
  void Progress(const v1::ProgressReport& report) override {
    MutexLock lock(mutex_);
    bytes_done_.push_back(report.progress().bytes_done());
  }
  std::vector<int64_t> BytesDone() {
    MutexLock lock(mutex_);
    return bytes_done_;
  }
  void Log(const v1::LeaseKey&, const v1::LogLine& line) override {
    MutexLock lock(mutex_);
    lines_.push_back(line);
  }
  std::vector<v1::LogLine> Lines() {
    MutexLock lock(mutex_);
    return lines_;
  }
  void HoldingsChanged() override {
    MutexLock lock(mutex_);
    ++holdings_changed_;
    changed_.NotifyAll();
  }
  void RoomChanged() override {
    MutexLock lock(mutex_);
    ++room_changed_;
    changed_.NotifyAll();
  }
  void ReleasedEarly(const v1::EarlyRelease& release) override {
    MutexLock lock(mutex_);
    early_.push_back(release);
    changed_.NotifyAll();
  }
  v1::EarlyRelease NextEarlyRelease() {
    MutexLock lock(mutex_);
    while (early_.empty()) changed_.Wait(mutex_);
    v1::EarlyRelease release = early_.front();
    early_.erase(early_.begin());
    return release;
  }
  void WaitForRoom() {
    MutexLock lock(mutex_);
    while (room_changed_ == 0) changed_.Wait(mutex_);
  }
  v1::Report Next() {
    MutexLock lock(mutex_);
    while (reports_.empty()) changed_.Wait(mutex_);
    v1::Report report = reports_.front();
    reports_.erase(reports_.begin());
    return report;
  }
  void WaitForHoldings() {
    MutexLock lock(mutex_);
    while (holdings_changed_ == 0) changed_.Wait(mutex_);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::vector<int64_t> bytes_done_ ABSL_GUARDED_BY(mutex_);  // of each progress, in order
  std::vector<v1::LogLine> lines_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::Report> reports_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::EarlyRelease> early_ ABSL_GUARDED_BY(mutex_);
  int holdings_changed_ ABSL_GUARDED_BY(mutex_) = 0;
  int room_changed_ ABSL_GUARDED_BY(mutex_) = 0;
};

// How long the last task took, as the metrics have it.
class Took final : public ExecutorObserver {
 public:
  void OnTask(const std::string&, bool, absl::Duration took) override {
    MutexLock lock(mutex_);
    took_ = took;
  }
  void OnProgress(const std::string&, int64_t) override {}
  void OnRunning(int) override {}
  absl::Duration Last() {
    MutexLock lock(mutex_);
    return took_;
  }

 private:
  Mutex mutex_;
  absl::Duration took_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();
};

class ExecutorTest : public testing::Test {
 protected:
  ExecutorTest() : directory_(testing::TempDir() + "executorXXXXXX") {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    Start();
  }
  ~ExecutorTest() override {
    executor_.reset();
    journal_.reset();
    EXPECT_TRUE(RemoveTree(directory_).ok());
  }

  void Start() {
    executor_.reset();
    journal_.reset();
    journal_ = *Journal::Open(directory_);
    ExecutorOptions options;
    options.config = &config_;
    options.clock = &clock_;
    options.journal = journal_.get();
    options.tools = &tools_;
    Register(options.actions, RunNoop, true);
    options.actions["location_open"] = {
        [this](const v1::Action&, ActionContext& context) -> StatusOr<v1::ActionResult> {
          ++opened_;
          if (while_open_) while_open_(context);
          if (!open_.ok()) return open_;
          return v1::ActionResult();
        }};
    options.actions["scratch_start"] = {[](const v1::Action&, ActionContext&) { return v1::ActionResult(); }};
    options.actions["scratch_stop"] = {
        [this](const v1::Action& action, ActionContext& context) -> StatusOr<v1::ActionResult> {
          if (context.task.lease().step().empty()) released_.push_back(action.scratch_stop().name());
          if (action.scratch_stop().name() == stays_) return Unavailable("it does not stop");
          return v1::ActionResult();
        }};
    // A tool that says what it likes: bytes that are no UTF-8, in every place.
    options.actions["disk_backup"] = {
        [](const v1::Action&, ActionContext& context) -> StatusOr<v1::ActionResult> {
          context.log("tool",
                      "gr\xf6\xdf"
                      "e");
          v1::Progress progress;
          progress.set_message("\xe9");
          context.progress(progress);
          return Unavailable(
              "relation \"gr\xf6\xdf"
              "e\" is gone");
        }};
    // Its work outlives the agent: the first life of it is stopped with the agent, the next one finds it done.
    options.actions["velero_backup"] = {
        [this](const v1::Action&, ActionContext& context) -> StatusOr<v1::ActionResult> {
          if (resumed_) {
            context.log("mover", "found it");
            return v1::ActionResult();
          }
          if (!elsewhere_.ok()) return elsewhere_;
          started_.fetch_add(1);
          while (!context.stop.stop_requested()) std::this_thread::yield();
          return Cancelled("stopped");
        }};
    options.actions["velero_backup"].resumable = true;
    // Ends only when it was stopped and told that it may.
    options.actions["postgres_dump"] = {
        [this](const v1::Action&, ActionContext& context) -> StatusOr<v1::ActionResult> {
          started_.fetch_add(1);
          running_now_.fetch_add(1);
          most_at_once_ = std::max(most_at_once_.load(), running_now_.load());
          while (!context.stop.stop_requested() || !may_end_) std::this_thread::yield();
          running_now_.fetch_sub(1);
          return Cancelled("stopped");
        }};
    options.observer = &took_;
    options.clean_up = [this](const v1::Task& task, absl::Duration) {
      cleaned_.push_back(task.lease().step());
    };
    options.undo_of_0_1 = [](const v1::HeldObligation& held) {
      v1::Action undo;
      undo.mutable_scratch_stop()->set_name(held.run());
      return undo;
    };
    options.leftovers = [this] {
      MutexLock lock(leftovers_mutex_);
      return leftovers_;
    };
    executor_ = std::make_unique<Executor>(std::move(options));
    executor_->SetSink(&sink_);
    ASSERT_TRUE(executor_->Recover().ok());
  }

  // Their rows are no longer what was written.
  void StartWithDamagedObligations() {
    executor_.reset();
    journal_.reset();
    {
      auto database = SqliteDatabase::Open(directory_ + "/agent.db", SqliteDatabase::Mode::kDurable);
      ASSERT_TRUE(database.ok()) << database.status();
      ASSERT_TRUE((*database)->Execute("UPDATE obligation SET body = x'0a'").ok());
    }
    Start();
  }

  // Opens an obligation of run r1, which the scratch_stop of this place undoes, or of the obligation's name.
  void Open(const std::string& name, int deadline_s = 0, const std::string& place = "") {
    v1::Task start = Task("start " + name);
    start.mutable_action()->mutable_scratch_start();
    start.set_obligation(name);
    if (deadline_s > 0) start.mutable_obligation_deadline()->set_seconds(deadline_s);
    start.mutable_undo()->mutable_scratch_stop()->set_name(place.empty() ? name : place);
    executor_->Submit(start);
    sink_.Next();
  }

  static v1::Task Task(const std::string& step) {
    v1::Task task;
    task.mutable_lease()->set_run("r1");
    task.mutable_lease()->set_step(step);
    task.mutable_lease()->set_attempt(1);
    task.mutable_lease()->set_epoch(1);
    task.mutable_action()->mutable_noop();
    return task;
  }
  static v1::Task Waiting(const std::string& step) {
    v1::Task task = Task(step);
    task.mutable_action()->mutable_noop()->set_wait_for_cancel(true);
    return task;
  }

  std::string directory_;
  AgentConfig config_;
  SupervisedTools tools_{"none"};  // nothing is started here
  FakeClock clock_{absl::FromUnixSeconds(1795256100)};
  Collected sink_;
  Took took_;
  std::function<void(ActionContext&)> while_open_;  // set before a task is submitted
  Status elsewhere_ = OkStatus();  // that work which outlives the agent ends with; set before, too
  Status open_ = OkStatus();       // that opening a Location ends with; set before, too
  std::atomic<int> started_ = 0, running_now_ = 0, most_at_once_ = 0;
  std::atomic<bool> may_end_ = false, resumed_ = false;
  std::vector<std::string> cleaned_, released_;
  std::string stays_;  // the one that can't be stopped
  std::atomic<int> opened_ = 0;
  Mutex leftovers_mutex_;
  std::vector<v1::HeldObligation> leftovers_ ABSL_GUARDED_BY(leftovers_mutex_);
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Executor> executor_;
};

}  // namespace salvor::agent
