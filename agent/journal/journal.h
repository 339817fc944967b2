// The journal holds what this agent has begun and must not forget: attempts without an acknowledged result, and what it
// left behind that must be undone. On SQLite, fsynced before each call returns. Thread-safe.
//
// Rows carry a checksum. One that is not as it was written is never read as another: a task that can't be read is a lost
// attempt, a result that can't be read is none, and an obligation that can't be read is still open.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/io/files.h"
#include "base/io/mutex.h"
#include "base/io/sqlite/database.h"
#include "base/status.h"
#include "salvor/v1/agent_service.pb.h"

namespace salvor::agent {

struct JournalEntry {
  v1::Task task;                           // only its lease when `damage` says that the task can't be read
  std::optional<v1::ActionResult> result;  // absent: it was begun, and the agent died before its end
  std::string damage;                      // why a part of it can't be read; empty when all could
};

struct JournalObligation {
  v1::HeldObligation held;
  std::string released_early;  // why it was undone before it was asked for; empty while it stands
  std::string damage;          // why no more than its run and name can be read; empty when all could
};

class Journal {
 public:
  // `directory`/agent.db, made when missing. FailedPrecondition when another agent has it.
  static StatusOr<std::unique_ptr<Journal>> Open(const std::string& directory);

  // Called before the action acts. The obligation that the task opens, if any, is part of the same write.
  Status Begin(const v1::Task& task, const std::optional<v1::HeldObligation>& obligation);
  Status Finish(const v1::LeaseKey& lease, const v1::ActionResult& result);
  // Acknowledged or superseded: nothing of it is needed any more.
  Status Forget(const v1::LeaseKey& lease);
  StatusOr<std::vector<JournalEntry>> Entries();

  // The control plane can't take this result: it is put aside, where a person can find it. The attempt has `instead` as
  // its result from now on, or is forgotten.
  Status PutAside(const v1::LeaseKey& lease, const v1::ActionResult& result, const std::string& why,
                  const std::optional<v1::ActionResult>& instead);

  Status CloseObligation(const std::string& run, const std::string& name);
  // Unless it was opened anew since.
  Status CloseReleasedEarly(const std::string& run, const std::string& name);
  // It is undone already; the row stays until the control plane knows (CloseObligation).
  Status MarkReleasedEarly(const std::string& run, const std::string& name, const std::string& reason);
  StatusOr<std::vector<JournalObligation>> Obligations();

 private:
  Journal(UniqueFd lock, std::unique_ptr<SqliteDatabase> database)
      : lock_(std::move(lock)), database_(std::move(database)) {}
  // Binds the values, then the numbers.
  Status Write(const std::string& sql, const std::vector<std::string>& values,
               const std::vector<int64_t>& numbers) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Status WriteResult(const std::string& key, const v1::ActionResult& result)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // One transaction.
  Status Together(const std::function<Status()>& write) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  UniqueFd lock_;
  Mutex mutex_;
  std::unique_ptr<SqliteDatabase> database_ ABSL_GUARDED_BY(mutex_);
  // Known since the last look: it is asked after every task, and mostly there is none.
  bool has_no_obligation_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace salvor::agent
