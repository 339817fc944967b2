#include "agent/actions/postgres_dump_counter.h"

#include <absl/time/clock.h>

namespace salvor::agent {

RowCounter::RowCounter(v1::PostgresConnection where, std::string database, std::string snapshot,
                       std::vector<DumpedTable> tables, absl::Duration budget)
    : thread_([this, where = std::move(where), database = std::move(database), snapshot = std::move(snapshot),
               tables = std::move(tables),
               budget] { outcome_ = Count(where, database, snapshot, tables, absl::Now() + budget); }) {}

RowCounter::~RowCounter() {
  stop_.request_stop();
  if (thread_.joinable()) thread_.join();
}

Status RowCounter::Count(const v1::PostgresConnection& where, const std::string& database,
                         const std::string& snapshot, const std::vector<DumpedTable>& tables,
                         absl::Time until) {
  SessionOptions options;
  options.database = database;
  options.stop = stop_.get_token();
  options.deadline = until;
  ASSIGN_OR_RETURN(const std::unique_ptr<Connection> session, Connection::Open(where, std::move(options)));
  RETURN_IF_ERROR(session->Execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  RETURN_IF_ERROR(session->Execute("SET TRANSACTION SNAPSHOT " + session->Literal(snapshot)));
  for (const DumpedTable& table : tables) {
    // ONLY: COPY reads no children either.
    ASSIGN_OR_RETURN(const int64_t rows,
                     session->Number(fmt::format("SELECT count(*) FROM ONLY {} {}",
                                                 session->Table(table.schema, table.name), table.condition)));
    counts_[{table.schema, table.name}] = rows;
  }
  return OkStatus();
}

const RowCounter::Counts& RowCounter::Finish(std::string* problem) {
  if (thread_.joinable()) thread_.join();
  if (!outcome_.ok() && outcome_.code() != absl::StatusCode::kDeadlineExceeded)
    *problem = MessageOf(outcome_);
  return counts_;
}

}  // namespace salvor::agent
