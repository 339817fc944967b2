#include "agent/journal/journal.h"

#include <cstdlib>
#include <initializer_list>

#include "base/io/files.h"
#include "base/io/sqlite/migrations.h"
#include "base/io/sqlite/row_checksum.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

// IF NOT EXISTS, since 0.1 did not number its schema.
constexpr char kFirstSchema[] = R"sql(
CREATE TABLE IF NOT EXISTS attempt(lease BLOB PRIMARY KEY, task BLOB NOT NULL, result BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS obligation(run BLOB, name BLOB, body BLOB NOT NULL, PRIMARY KEY(run, name)) WITHOUT ROWID;
)sql";

// A row of 0.1 has no checksum, and is taken as it is.
constexpr char kChecksums[] = R"sql(
ALTER TABLE attempt ADD COLUMN task_checksum INTEGER;
ALTER TABLE attempt ADD COLUMN result_checksum INTEGER;
ALTER TABLE obligation ADD COLUMN checksum INTEGER;
ALTER TABLE obligation ADD COLUMN released_early BLOB;
CREATE TABLE put_aside(number INTEGER PRIMARY KEY, lease BLOB NOT NULL, result BLOB NOT NULL, why BLOB NOT NULL);
)sql";

constexpr char kNoMessage[] = "its bytes can't be parsed";

std::string KeyOf(const v1::LeaseKey& lease) {
  return fmt::format("{}\n{}\n{}\n{}", lease.run(), lease.step(), lease.attempt(), lease.epoch());
}

v1::LeaseKey LeaseOf(const std::string& key) {
  v1::LeaseKey lease;
  const std::vector<std::string> parts = Split(key, '\n');
  if (parts.size() != 4) return lease;
  lease.set_run(parts[0]);
  lease.set_step(parts[1]);
  lease.set_attempt(std::atoi(parts[2].c_str()));
  lease.set_epoch(std::atoll(parts[3].c_str()));
  return lease;
}

// Why the bytes are not the message that was written, or nothing and `message` is it.
template <typename Message>
std::string Read(const SqliteStatement& row, int body_column, int checksum_column,
                 std::initializer_list<std::string_view> key, Message* message) {
  const std::string body = row.Bytes(body_column);
  std::string joined;
  for (const std::string_view part : key) joined.append(part).push_back('\n');
  if (std::string damage = RowDamage(row, checksum_column, {joined, body}); !damage.empty()) return damage;
  return message->ParseFromString(body) ? "" : kNoMessage;
}

int64_t ChecksumOf(std::initializer_list<std::string_view> key, const std::string& body) {
  std::string joined;
  for (const std::string_view part : key) joined.append(part).push_back('\n');
  return RowChecksum({joined, body});
}

}  // namespace

StatusOr<std::unique_ptr<Journal>> Journal::Open(const std::string& directory) {
  RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  ASSIGN_OR_RETURN(UniqueFd lock, LockStateDirectory(directory, "agent.lock", "agent"));
  ASSIGN_OR_RETURN(auto database,
                   SqliteDatabase::Open(directory + "/agent.db", SqliteDatabase::Mode::kDurable));
  RETURN_IF_ERROR(Migrate(*database, {{1, kFirstSchema}, {2, kChecksums}}));
  RETURN_IF_ERROR(database->Execute("PRAGMA wal_autocheckpoint=1000"));
  return std::unique_ptr<Journal>(new Journal(std::move(lock), std::move(database)));
}

Status Journal::Write(const std::string& sql, const std::vector<std::string>& values,
                      const std::vector<int64_t>& numbers) {
  ASSIGN_OR_RETURN(SqliteStatement statement, database_->Prepare(sql));
  int parameter = 0;
  for (const std::string& value : values) statement.Bind(parameter++, value);
  for (const int64_t number : numbers) statement.Bind(parameter++, number);
  return WithContext(statement.Run(), "agent journal");
}

Status Journal::Together(const std::function<Status()>& write) {
  RETURN_IF_ERROR_IN(database_->Execute("BEGIN IMMEDIATE"), "agent journal");
  Status status = write();
  if (status.ok()) status = WithContext(database_->Execute("COMMIT"), "agent journal");
  if (!status.ok()) (void)database_->Execute("ROLLBACK");
  return status;
}

Status Journal::Begin(const v1::Task& task, const std::optional<v1::HeldObligation>& obligation) {
  MutexLock lock(mutex_);
  return Together([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const std::string key = KeyOf(task.lease()), body = task.SerializeAsString();
    RETURN_IF_ERROR(Write("INSERT OR REPLACE INTO attempt(lease, task, task_checksum) VALUES(?, ?, ?)",
                          {key, body}, {ChecksumOf({key}, body)}));
    if (!obligation) return OkStatus();
    has_no_obligation_ = false;
    const std::string held = obligation->SerializeAsString();
    return Write("INSERT OR REPLACE INTO obligation(run, name, body, checksum) VALUES(?, ?, ?, ?)",
                 {obligation->run(), obligation->name(), held},
                 {ChecksumOf({obligation->run(), obligation->name()}, held)});
  });
}

Status Journal::Finish(const v1::LeaseKey& lease, const v1::ActionResult& result) {
  MutexLock lock(mutex_);
  return WriteResult(KeyOf(lease), result);
}

Status Journal::WriteResult(const std::string& key, const v1::ActionResult& result) {
  const std::string body = result.SerializeAsString();
  return Write("UPDATE attempt SET result = ?1, result_checksum = ?3 WHERE lease = ?2", {body, key},
               {ChecksumOf({key}, body)});
}

Status Journal::Forget(const v1::LeaseKey& lease) {
  MutexLock lock(mutex_);
  return Write("DELETE FROM attempt WHERE lease = ?", {KeyOf(lease)}, {});
}

Status Journal::PutAside(const v1::LeaseKey& lease, const v1::ActionResult& result, const std::string& why,
                         const std::optional<v1::ActionResult>& instead) {
  MutexLock lock(mutex_);
  return Together([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const std::string key = KeyOf(lease);
    RETURN_IF_ERROR(Write("INSERT INTO put_aside(lease, result, why) VALUES(?, ?, ?)",
                          {key, result.SerializeAsString(), why}, {}));
    return instead ? WriteResult(key, *instead) : Write("DELETE FROM attempt WHERE lease = ?", {key}, {});
  });
}

StatusOr<std::vector<JournalEntry>> Journal::Entries() {
  MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(
      SqliteStatement row,
      database_->Prepare(
          "SELECT lease, task, task_checksum, result, result_checksum, result IS NULL FROM attempt"));
  std::vector<JournalEntry> entries;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return entries;
    JournalEntry& entry = entries.emplace_back();
    const std::string key = row.Bytes(0);
    entry.damage = Read(row, 1, 2, {key}, &entry.task);
    if (!entry.damage.empty()) {
      entry.task.Clear();
      *entry.task.mutable_lease() = LeaseOf(key);
      continue;
    }
    if (row.Int(5) != 0) continue;
    entry.damage = Read(row, 3, 4, {key}, &entry.result.emplace());
    if (!entry.damage.empty()) entry.result.reset();
  }
}

Status Journal::CloseObligation(const std::string& run, const std::string& name) {
  MutexLock lock(mutex_);
  return Write("DELETE FROM obligation WHERE run = ? AND name = ?", {run, name}, {});
}

Status Journal::CloseReleasedEarly(const std::string& run, const std::string& name) {
  MutexLock lock(mutex_);
  return Write("DELETE FROM obligation WHERE run = ? AND name = ? AND released_early IS NOT NULL",
               {run, name}, {});
}

Status Journal::MarkReleasedEarly(const std::string& run, const std::string& name,
                                  const std::string& reason) {
  MutexLock lock(mutex_);
  return Write("UPDATE obligation SET released_early = ?3 WHERE run = ?1 AND name = ?2", {run, name, reason},
               {});
}

StatusOr<std::vector<JournalObligation>> Journal::Obligations() {
  MutexLock lock(mutex_);
  if (has_no_obligation_) return std::vector<JournalObligation>();
  ASSIGN_OR_RETURN(SqliteStatement row,
                   database_->Prepare("SELECT run, name, body, checksum, released_early FROM obligation"));
  std::vector<JournalObligation> obligations;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) {
      has_no_obligation_ = obligations.empty();
      return obligations;
    }
    JournalObligation& obligation = obligations.emplace_back();
    const std::string run = row.Bytes(0), name = row.Bytes(1);
    obligation.damage = Read(row, 2, 3, {run, name}, &obligation.held);
    if (!obligation.damage.empty()) {
      obligation.held.Clear();
      obligation.held.set_run(run);
      obligation.held.set_name(name);
    }
    obligation.released_early = row.Bytes(4);
  }
}

}  // namespace salvor::agent
