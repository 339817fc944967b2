#include "agent/engines/postgres/actions/dump_counter.h"

#include "base/io/steady_clock.h"

namespace salvor::agent {

RowCounter::RowCounter(v1::PostgresConnection where, std::string database, std::string snapshot,
                       std::vector<DumpedTable> tables, const CatalogState& then, absl::Duration budget) {
  for (const auto& object : then) {
    const CatalogObject& table = object.second;
    if (table.kind == kTableContent) files_[{table.schema, table.name}] = table.mark;
  }
  thread_ = std::thread([this, where = std::move(where), database = std::move(database),
                         snapshot = std::move(snapshot), tables = std::move(tables), budget] {
    outcome_ = Count(where, database, snapshot, tables, SteadyNow() + budget);
  });
}

RowCounter::~RowCounter() {
  stop_.request_stop();
  if (thread_.joinable()) thread_.join();
}

Status RowCounter::Count(const v1::PostgresConnection& where, const std::string& database,
                         const std::string& snapshot, const std::vector<DumpedTable>& tables,
                         SteadyTime until) {
  SessionOptions options;
  options.database = database;
  options.stop = stop_.get_token();
  options.deadline = until;
  ASSIGN_OR_RETURN(const std::unique_ptr<Connection> session, Connection::Open(where, std::move(options)));
  RETURN_IF_ERROR(session->Execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  RETURN_IF_ERROR(session->Execute("SET TRANSACTION SNAPSHOT " + session->Literal(snapshot)));
  // Somebody who waits for the dump is not waited for in turn.
  RETURN_IF_ERROR(session->Execute("SET LOCAL lock_timeout TO '1s'"));
  for (const DumpedTable& table : tables) {
    RETURN_IF_ERROR(session->Execute("SAVEPOINT before_table"));
    const Status counted = CountTable(*session, table);
    const bool not_locked = session->LastSqlState() == "55P03";
    const bool gone = session->LastSqlState() == "42P01" || session->LastSqlState() == "3F000";
    if (!counted.ok() && !not_locked && !gone) return counted;
    RETURN_IF_ERROR(session->Execute("ROLLBACK TO SAVEPOINT before_table"));  // gives the lock back
    RETURN_IF_ERROR(session->Execute("RELEASE SAVEPOINT before_table"));
  }
  return OkStatus();
}

Status RowCounter::CountTable(Connection& session, const DumpedTable& table) {
  const std::string name = session.Table(table.schema, table.name);
  // ONLY: COPY reads no children either.
  ASSIGN_OR_RETURN(const int64_t rows,
                   session.Number(fmt::format("SELECT count(*) FROM ONLY {} {}", name, table.condition)));
  ASSIGN_OR_RETURN(const std::string file,
                   session.Value("SELECT pg_relation_filenode($1::regclass)", {name}));
  const auto then = files_.find({table.schema, table.name});
  if (then == files_.end() || then->second == file) counts_[{table.schema, table.name}] = rows;
  return OkStatus();
}

const RowCounter::Counts& RowCounter::Finish(std::string* problem) {
  if (thread_.joinable()) thread_.join();
  if (!outcome_.ok() && outcome_.code() != absl::StatusCode::kDeadlineExceeded)
    *problem = MessageOf(outcome_);
  return counts_;
}

}  // namespace salvor::agent
