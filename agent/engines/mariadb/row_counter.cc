#include "agent/engines/mariadb/row_counter.h"

#include <fmt/core.h>

#include "base/io/steady_clock.h"

namespace salvor::agent {
namespace {

// The table was emptied or changed since the snapshot, is gone, or somebody has it for himself: it is left out.
constexpr unsigned int kLeavesOut[] = {1412, 1146, 1205, 1317};
constexpr unsigned int kTimeIsOver = 1969;

bool IsLeftOut(unsigned int number) {
  for (const unsigned int one : kLeavesOut) {
    if (one == number) return true;
  }
  return false;
}

}  // namespace

MariadbRowCounter::MariadbRowCounter(std::unique_ptr<MariadbSession> reader,
                                     std::vector<MariadbDumpedTable> tables, bool history,
                                     absl::Duration budget)
    : reader_(std::move(reader)), tables_(std::move(tables)), history_(history) {
  thread_ = std::thread([this, budget] {
    outcome_ = Count(budget);
    // Gives back what is left: a server with a binary log keeps the locks on tables' definitions to the end of the
    // transaction (measured), and a migration would wait for the dump.
    const Status over = reader_->Execute("ROLLBACK");
    if (outcome_.ok()) outcome_ = over;
  });
}

MariadbRowCounter::~MariadbRowCounter() {
  leave_ = true;
  if (thread_.joinable()) thread_.join();
}

// Going back to a savepoint gives back the lock on the table's definition, where the server lets it.
Status MariadbRowCounter::Count(absl::Duration budget) {
  const SteadyTime until = SteadyNow() + budget;
  RETURN_IF_ERROR(reader_->Execute("SET SESSION lock_wait_timeout=1"));
  for (const MariadbDumpedTable& table : tables_) {
    const double left = absl::ToDoubleSeconds(until - SteadyNow());
    if (leave_ || left <= 0) return OkStatus();
    if (!table.transactional) continue;
    RETURN_IF_ERROR(reader_->Execute("SAVEPOINT before_table"));
    const auto counted = reader_->Number(
        fmt::format("SET STATEMENT max_statement_time={:.3f} FOR SELECT COUNT(*) FROM {}.{}{}", left,
                    MariadbSession::Identifier(table.database), MariadbSession::Identifier(table.name),
                    history_ && table.versioned ? " FOR SYSTEM_TIME ALL" : ""));
    if (counted.ok()) {
      counts_[{table.database, table.name}] = *counted;
    } else if (reader_->LastError() == kTimeIsOver) {
      return OkStatus();
    } else if (!IsLeftOut(reader_->LastError())) {
      return counted.status();
    }
    RETURN_IF_ERROR(reader_->Execute("ROLLBACK TO SAVEPOINT before_table"));
  }
  return OkStatus();
}

const MariadbRowCounter::Counts& MariadbRowCounter::Finish(std::string* problem) {
  if (thread_.joinable()) thread_.join();
  if (!outcome_.ok()) *problem = MessageOf(outcome_);
  return counts_;
}

}  // namespace salvor::agent
