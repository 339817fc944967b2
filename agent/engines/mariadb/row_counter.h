// Counts rows by SQL in the snapshot that is dumped, beside the dump: the dump's own rows say what is in it, and these that
// nothing is missing.
#pragma once

#include <absl/time/time.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/engines/mariadb/dump_stream.h"
#include "agent/engines/mariadb/inventory.h"
#include "agent/engines/mariadb/session.h"

namespace salvor::agent {

class MariadbRowCounter {
 public:
  using Counts = std::map<DatabaseAndTable, int64_t>;

  // `reader` has the snapshot. Tables that are not transactional are left out: no snapshot has them. Begins at once.
  MariadbRowCounter(std::unique_ptr<MariadbSession> reader, std::vector<MariadbDumpedTable> tables,
                    bool history, absl::Duration budget);
  ~MariadbRowCounter();  // ends after the table that it is at

  // Waits for the end, which the budget bounds. What could not be counted is not in it; `problem` says why, unless it was
  // for want of time.
  const Counts& Finish(std::string* problem);

 private:
  Status Count(absl::Duration budget);

  const std::unique_ptr<MariadbSession> reader_;
  const std::vector<MariadbDumpedTable> tables_;
  const bool history_;
  std::atomic<bool> leave_ = false;
  Counts counts_;   // the thread's until it was joined
  Status outcome_;  // likewise
  std::thread thread_;
};

}  // namespace salvor::agent
