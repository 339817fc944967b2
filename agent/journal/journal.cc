#include "agent/journal/journal.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

namespace salvor::agent {
namespace {

constexpr char kSchema[] = R"sql(
CREATE TABLE IF NOT EXISTS attempt(lease BLOB PRIMARY KEY, task BLOB NOT NULL, result BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS obligation(run BLOB, name BLOB, body BLOB NOT NULL, PRIMARY KEY(run, name)) WITHOUT ROWID;
PRAGMA wal_autocheckpoint=1000;
)sql";

std::string KeyOf(const v1::LeaseKey& lease) {
  return fmt::format("{}\n{}\n{}\n{}", lease.run(), lease.step(), lease.attempt(), lease.epoch());
}

}  // namespace

StatusOr<std::unique_ptr<Journal>> Journal::Open(const std::string& directory) {
  RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  const std::string lock_path = directory + "/agent.lock";
  UniqueFd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.Valid()) return ErrnoStatus(errno, "open " + lock_path);
  if (::flock(lock.Get(), LOCK_EX | LOCK_NB) != 0) {
    return WithHint(FailedPrecondition("state directory {} is used by another agent", directory),
                    "Stop the other one, or give this one a --state-directory of its own.");
  }
  ASSIGN_OR_RETURN(auto database,
                   SqliteDatabase::Open(directory + "/agent.db", SqliteDatabase::Mode::kDurable));
  RETURN_IF_ERROR(database->Execute(kSchema));
  return std::unique_ptr<Journal>(new Journal(std::move(lock), std::move(database)));
}

Status Journal::Write(const std::string& sql, const std::vector<std::string>& values) {
  ASSIGN_OR_RETURN(SqliteStatement statement, database_->Prepare(sql));
  for (size_t i = 0; i < values.size(); ++i) statement.Bind(static_cast<int>(i), values[i]);
  return WithContext(statement.Run(), "agent journal");
}

Status Journal::Begin(const v1::Task& task, const std::optional<v1::HeldObligation>& obligation) {
  MutexLock lock(mutex_);
  RETURN_IF_ERROR(database_->Execute("BEGIN IMMEDIATE"));
  Status status = Write("INSERT OR REPLACE INTO attempt(lease, task) VALUES(?, ?)",
                        {KeyOf(task.lease()), task.SerializeAsString()});
  if (status.ok() && obligation) {
    status = Write("INSERT OR REPLACE INTO obligation VALUES(?, ?, ?)",
                   {obligation->run(), obligation->name(), obligation->SerializeAsString()});
  }
  if (status.ok()) status = database_->Execute("COMMIT");
  if (!status.ok()) (void)database_->Execute("ROLLBACK");
  return status;
}

Status Journal::Finish(const v1::LeaseKey& lease, const v1::ActionResult& result) {
  MutexLock lock(mutex_);
  return Write("UPDATE attempt SET result = ? WHERE lease = ?", {result.SerializeAsString(), KeyOf(lease)});
}

Status Journal::Forget(const v1::LeaseKey& lease) {
  MutexLock lock(mutex_);
  return Write("DELETE FROM attempt WHERE lease = ?", {KeyOf(lease)});
}

StatusOr<std::vector<JournalEntry>> Journal::Entries() {
  MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(SqliteStatement statement,
                   database_->Prepare("SELECT task, result, result IS NULL FROM attempt"));
  std::vector<JournalEntry> entries;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, statement.Step());
    if (!row) return entries;
    JournalEntry& entry = entries.emplace_back();
    if (!entry.task.ParseFromString(statement.Bytes(0)))
      return DataLoss("agent journal: an entry can't be read");
    if (statement.Int(2) == 0) entry.result.emplace().ParseFromString(statement.Bytes(1));
  }
}

Status Journal::CloseObligation(const std::string& run, const std::string& name) {
  MutexLock lock(mutex_);
  return Write("DELETE FROM obligation WHERE run = ? AND name = ?", {run, name});
}

StatusOr<std::vector<v1::HeldObligation>> Journal::Obligations() {
  MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(SqliteStatement statement, database_->Prepare("SELECT body FROM obligation"));
  std::vector<v1::HeldObligation> obligations;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, statement.Step());
    if (!row) return obligations;
    if (!obligations.emplace_back().ParseFromString(statement.Bytes(0)))
      return DataLoss("agent journal: an obligation can't be read");
  }
}

}  // namespace salvor::agent
