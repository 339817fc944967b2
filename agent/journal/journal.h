// What this agent has begun and must not forget: attempts without an acknowledged result, and what it left
// behind that must be undone. On SQLite, fsynced before each call returns. Thread-safe.
#pragma once

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
  v1::Task task;
  std::optional<v1::ActionResult> result;  // absent: it was begun, and the agent died before its end
};

class Journal {
 public:
  // `directory`/agent.db, made when missing. FailedPrecondition when another agent has it.
  static StatusOr<std::unique_ptr<Journal>> Open(const std::string& directory);

  // Before the action acts. The obligation that the task opens, if any, is part of the same write.
  Status Begin(const v1::Task& task, const std::optional<v1::HeldObligation>& obligation);
  Status Finish(const v1::LeaseKey& lease, const v1::ActionResult& result);
  // Acknowledged or superseded: nothing of it is needed any more.
  Status Forget(const v1::LeaseKey& lease);
  StatusOr<std::vector<JournalEntry>> Entries();

  Status CloseObligation(const std::string& run, const std::string& name);
  StatusOr<std::vector<v1::HeldObligation>> Obligations();

 private:
  Journal(UniqueFd lock, std::unique_ptr<SqliteDatabase> database)
      : lock_(std::move(lock)), database_(std::move(database)) {}
  Status Write(const std::string& sql, const std::vector<std::string>& values)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  UniqueFd lock_;
  Mutex mutex_;
  std::unique_ptr<SqliteDatabase> database_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace salvor::agent
