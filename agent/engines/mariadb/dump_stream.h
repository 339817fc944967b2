// Reads what mariadb-dump writes, as it flows by: which table each row is of, and whether the dump is whole.
//
// mariadb-dump writes one row a line between "INSERT INTO … VALUES" and a semicolon, and escapes newlines inside of values
// (measured with 10.11). Each row is hashed by itself (XXH3-128 of "(…)", without what separates it from the next), and the
// hashes are summed modulo 2^128: order does not matter, and duplicates do not cancel out. A second dump of the restored
// copy by the same options gives the same sums. No row is ever kept.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace salvor::agent {

struct DumpedRows {
  int64_t rows = 0;
  std::string content_hash;  // 16 bytes, big endian
};

using DatabaseAndTable = std::pair<std::string, std::string>;

// The hash of a table without rows.
std::string HashOfNoRows();

class MariadbDumpStream {
 public:
  MariadbDumpStream();
  ~MariadbDumpStream();

  // Any part of the dump, cut anywhere. DataLoss for a dump that can't be read: nothing of it would be told then.
  Status Feed(std::string_view bytes);

  // The dump is over. DataLoss unless its last line says that it was completed.
  Status Finish();

  // Tables with at least one row.
  std::map<DatabaseAndTable, DumpedRows> Tables() const;
  int64_t Rows() const;  // so far

  // The position of the binary log that the dump's snapshot is of; "" and 0 where it does not say.
  const std::string& BinlogFile() const;
  int64_t BinlogPosition() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace salvor::agent
