// Reads the rows of tables by COPY, in pieces: a row of a gigabyte costs this program no more memory than one of
// ten bytes.
//
// libpq delivers a row whole, and its user needs two or three times its size. So that user is psql, a process of
// its own, as pg_dump is for the other side of a comparison: it writes what COPY gives to its stdout byte by byte
// as it stands. It interprets nothing of the statements it is asked to run.
#pragma once

#include <absl/time/time.h>

#include <cstddef>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "agent/engines/postgres/connection.h"
#include "agent/engines/postgres/row_digest.h"
#include "agent/process/tool_runner.h"
#include "base/status.h"
#include "base/steady_time.h"

namespace salvor::agent {

struct TableCopy {
  std::string sql;  // "COPY … TO STDOUT …", without a semicolon, in the session's TextEncoding
  RowDigest::Mode mode = RowDigest::Mode::kHash;
};

// Takes one table's rows, or the server's error about it, with the code that Connection gives it. In the order of
// the tables, on the thread that reads. An error from here ends the reading and is its answer.
using OnTable = std::function<Status(size_t table, const StatusOr<RowDigest>& digest)>;

struct TableReading {
  ToolRunner& tools;
  // A fresh spec of psql: argv[0], and the environment (ToolEnvironment) to reach what `session` is with.
  std::function<StatusOr<ProcessSpec>()> psql;
  // Pinned, in a transaction of its own (REPEATABLE READ, no savepoint): psql sees its snapshot.
  Connection& session;
  std::stop_token stop;
  SteadyTime deadline = SteadyTime::InfiniteFuture();
};

// Every table, each given its lock back when it was read. An error is one of the work (psql failed, the server
// went away, Cancelled, DeadlineExceeded), and says nothing about a table.
Status ReadTables(const TableReading& reading, const std::vector<TableCopy>& tables, const OnTable& on_table);

// Reads what psql writes for the script of ReadTables: a line "\." when it has begun, and one behind the rows of each
// table, which only a server that has given all of them would say. Pure.
class CopyAnswers {
 public:
  // Borrows `tables`, and reads those from `first` to before `end`.
  CopyAnswers(const std::vector<TableCopy>& tables, size_t first, size_t end, OnTable on_table);

  Status Feed(std::string_view bytes);
  bool Begun() const { return begun_; }
  size_t Next() const { return next_; }  // the table whose rows are not all there yet; `end` after the last

 private:
  const std::vector<TableCopy>& tables_;
  size_t next_, end_;
  OnTable on_table_;
  bool begun_ = false;
  RowDigest rows_;
};

}  // namespace salvor::agent
