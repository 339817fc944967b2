#include "controlplane/store/sqlite/sqlite_writer.h"

#include <utility>

#include "base/io/sqlite/row_checksum.h"
#include "proto/kind.h"

namespace salvor::controlplane {
namespace {

constexpr int64_t kBytesOfARow = 100;  // what a row takes beside its body, about

}  // namespace

Status SqliteWriter::Prepare() {
  const std::pair<SqliteStatement*, const char*> statements[] = {
      {&begin_, "BEGIN IMMEDIATE"},
      {&commit_, "COMMIT"},
      {&put_run_,
       R"sql(INSERT INTO run(name, application, header, flow, active, checksum, header_checksum, kind)
             VALUES(?, ?, ?, ?, 1, ?, ?, ?))sql"},
      {&find_run_, "SELECT number FROM run WHERE name = ?"},
      {&last_events_, "SELECT first, events FROM journal WHERE run = ? ORDER BY first DESC LIMIT 1"},
      {&append_, "INSERT INTO journal(run, first, events, checksum) VALUES(?, ?, ?, ?)"},
      {&finish_,
       R"sql(UPDATE run SET active = 0, summary = ?, summary_checksum = ?, view = ?, view_checksum = ?
             WHERE number = ?)sql"},
      {&erase_run_, "DELETE FROM run WHERE name = ? AND active = 0 RETURNING number"},
      {&erase_events_, "DELETE FROM journal WHERE run = ?"},
      {&erase_log_, "DELETE FROM log WHERE run = ?"},
      {&put_backup_,
       R"sql(INSERT INTO backup(name, body, checksum) VALUES(?, ?, ?)
             ON CONFLICT(name) DO UPDATE SET body = excluded.body, checksum = excluded.checksum)sql"},
      {&put_verification_,
       R"sql(INSERT INTO verification(backup, run, body, checksum) VALUES(?, ?, ?, ?)
             ON CONFLICT(backup, run) DO NOTHING)sql"},
      {&put_object_, "INSERT OR REPLACE INTO object(kind, name, body, checksum) VALUES(?, ?, ?, ?)"},
      {&erase_object_, "DELETE FROM object WHERE kind = ? AND name = ?"},
      {&put_agent_, "INSERT OR REPLACE INTO agent(name, body, checksum) VALUES(?, ?, ?)"},
      {&append_log_, "INSERT INTO log(run, body, checksum) VALUES(?, ?, ?)"},
      {&put_obligation_,
       "INSERT OR REPLACE INTO obligation(run, name, agent, body, checksum) VALUES(?, ?, ?, ?, ?)"},
      {&erase_obligation_, "DELETE FROM obligation WHERE run = ? AND name = ?"},
      {&put_token_, "INSERT OR REPLACE INTO token(name, body, checksum) VALUES(?, ?, ?)"},
  };
  for (const auto& [statement, sql] : statements) {
    ASSIGN_OR_RETURN(*statement, database_->Prepare(sql));
  }
  return OkStatus();
}

Status SqliteWriter::Apply(const Change& change) {
  return std::visit([this](const auto& one) { return Write(one); }, change);
}

int64_t SqliteWriter::TakeBytesWritten() { return std::exchange(bytes_written_, 0); }

int64_t SqliteWriter::Checksum(std::initializer_list<std::string_view> parts) {
  bytes_written_ += kBytesOfARow;
  for (const std::string_view part : parts) bytes_written_ += static_cast<int64_t>(part.size());
  return RowChecksum(parts);
}

Status SqliteWriter::Write(const PutRun& put) {
  const std::string& name = put.header.name();
  const std::string header = put.header.SerializeAsString(), flow = put.flow->SerializeAsString();
  put_run_.Bind(0, name).Bind(1, put.header.application()).Bind(2, header).Bind(3, flow);
  put_run_.Bind(4, Checksum({name, header, flow}))
      .Bind(5, RowChecksum({name, header}))
      .Bind(6, put.header.kind());
  RETURN_IF_ERROR(put_run_.Run());
  known_[name] = {database_->LastInsertedRow(), 0};
  return OkStatus();
}

Status SqliteWriter::Write(const AppendEvents& append) {
  ASSIGN_OR_RETURN(KnownRun* const run, FindRun(append.run));
  if (append.first != run->next_event)
    return Internal("a gap in the events of {}: {} after {}", append.run, append.first, run->next_event);
  run->next_event += append.events.events_size();
  bytes_.clear();
  append.events.AppendToString(&bytes_);
  append_.Bind(0, run->number).Bind(1, append.first).Bind(2, bytes_);
  return append_.Bind(3, Checksum({append.run, std::to_string(append.first), bytes_})).Run();
}

Status SqliteWriter::Write(const FinishRun& finish) {
  const std::string& name = finish.summary.header().name();
  ASSIGN_OR_RETURN(const KnownRun* const run, FindRun(name));
  const int64_t number = run->number;
  known_.erase(name);
  const std::string summary = finish.summary.SerializeAsString();
  finish_.Bind(0, summary).Bind(1, Checksum({name, summary}));
  // None is empty, which no reader takes for one.
  const std::string view = finish.view == nullptr ? "" : finish.view->SerializeAsString();
  return finish_.Bind(2, view).Bind(3, Checksum({name, view})).Bind(4, number).Run();
}

Status SqliteWriter::Write(const EraseRun& erase) {
  ASSIGN_OR_RETURN(const bool row, erase_run_.Bind(0, erase.run).Step());
  const int64_t number = row ? erase_run_.Int(0) : 0;
  erase_run_.Reset();
  if (!row) return OkStatus();
  RETURN_IF_ERROR(erase_events_.Bind(0, number).Run());
  return erase_log_.Bind(0, erase.run).Run();
}

Status SqliteWriter::Write(const PutBackup& put) {
  const std::string body = put.backup.SerializeAsString();
  return put_backup_.Bind(0, put.backup.name())
      .Bind(1, body)
      .Bind(2, Checksum({put.backup.name(), body}))
      .Run();
}

Status SqliteWriter::Write(const PutVerification& put) {
  const std::string body = put.verification.SerializeAsString();
  const std::string& backup = put.verification.backup();
  const std::string& run = put.verification.run();
  put_verification_.Bind(0, backup).Bind(1, run).Bind(2, body);
  return put_verification_.Bind(3, Checksum({backup, run, body})).Run();
}

Status SqliteWriter::Write(const PutObject& put) {
  const std::string kind = KindOf(put.object), body = put.object.SerializeAsString();
  const std::string& name = put.object.metadata().name();
  return put_object_.Bind(0, kind).Bind(1, name).Bind(2, body).Bind(3, Checksum({kind, name, body})).Run();
}

Status SqliteWriter::Write(const EraseObject& erase) {
  return erase_object_.Bind(0, erase.kind).Bind(1, erase.name).Run();
}

Status SqliteWriter::Write(const PutAgent& put) {
  const std::string body = put.agent.SerializeAsString();
  const std::string key = put.agent.environment() + "/" + put.agent.name();
  return put_agent_.Bind(0, key).Bind(1, body).Bind(2, Checksum({key, body})).Run();
}

Status SqliteWriter::Write(const AppendLog& append) {
  const std::string body = append.lines.SerializeAsString();
  return append_log_.Bind(0, append.lines.run())
      .Bind(1, body)
      .Bind(2, Checksum({append.lines.run(), body}))
      .Run();
}

Status SqliteWriter::Write(const PutObligation& put) {
  const std::string& run = put.obligation.run();
  const std::string& name = put.obligation.name();
  const std::string body = put.obligation.SerializeAsString();
  put_obligation_.Bind(0, run).Bind(1, name).Bind(2, put.agent).Bind(3, body);
  return put_obligation_.Bind(4, Checksum({run, name, put.agent, body})).Run();
}

Status SqliteWriter::Write(const EraseObligation& erase) {
  return erase_obligation_.Bind(0, erase.run).Bind(1, erase.name).Run();
}

Status SqliteWriter::Write(const PutToken& put) {
  const std::string body = put.record.SerializeAsString();
  const std::string& name = put.record.token().name();
  return put_token_.Bind(0, name).Bind(1, body).Bind(2, Checksum({name, body})).Run();
}

StatusOr<SqliteWriter::KnownRun*> SqliteWriter::FindRun(const std::string& name) {
  const auto known = known_.find(name);
  if (known != known_.end()) return &known->second;
  ASSIGN_OR_RETURN(const bool row, find_run_.Bind(0, name).Step());
  if (!row) return NotFound("run {} does not exist", name);
  KnownRun run = {find_run_.Int(0), 0};
  find_run_.Reset();
  ASSIGN_OR_RETURN(run.next_event, CountEvents(run.number));
  return &(known_[name] = run);
}

StatusOr<int64_t> SqliteWriter::CountEvents(int64_t number) {
  ASSIGN_OR_RETURN(const bool row, last_events_.Bind(0, number).Step());
  if (!row) return 0;
  v1::EventBatch last;
  const int64_t first = last_events_.Int(0);
  const bool is_readable = last.ParseFromString(last_events_.Bytes(1));
  last_events_.Reset();
  // A run whose last events can't be read is quarantined, and nothing is appended to it.
  return is_readable ? first + last.events_size() : -1;
}

}  // namespace salvor::controlplane
