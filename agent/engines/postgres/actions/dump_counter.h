// Counts rows by SQL in a dump's own snapshot, beside the dump: what pg_dump wrote has to agree. Part of the
// dump action.
#pragma once

#include <absl/time/time.h>

#include <map>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agent/engines/postgres/catalog_state.h"
#include "agent/engines/postgres/connection.h"
#include "agent/engines/postgres/inventory.h"
#include "base/status.h"
#include "base/steady_time.h"

namespace salvor::agent {

// Starts at once, smallest tables first, on a thread and a session of its own, and gives up quietly when the
// budget is spent: what was not counted is simply not known. A table is locked while it is counted and no
// longer, and only a dump that holds its own locks already may run beside this: otherwise somebody's TRUNCATE
// would wait for the counting, and the dump for the TRUNCATE.
class RowCounter {
 public:
  using Counts = std::map<std::pair<std::string, std::string>, int64_t>;  // by schema and name

  // `then` is the catalogue as the snapshot has it: where the file of a table is another one by now, its rows
  // were taken from under the snapshot, and the count is dropped.
  RowCounter(v1::PostgresConnection where, std::string database, std::string snapshot,
             std::vector<DumpedTable> tables, const CatalogState& then, absl::Duration budget);
  ~RowCounter();  // stops counting

  // Waits, at most for the budget. What kept it from counting, if it was not the budget, stands in `problem`.
  const Counts& Finish(std::string* problem);

 private:
  Status Count(const v1::PostgresConnection& where, const std::string& database, const std::string& snapshot,
               const std::vector<DumpedTable>& tables, SteadyTime until);
  Status CountTable(Connection& session, const DumpedTable& table);

  std::stop_source stop_;
  std::map<std::pair<std::string, std::string>, std::string> files_;  // of tables in the snapshot
  Counts counts_;                                                     // of the thread, until it is joined
  Status outcome_;                                                    // likewise
  std::thread thread_;
};

}  // namespace salvor::agent
