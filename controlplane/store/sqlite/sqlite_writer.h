// The prepared statements by which changes become rows of salvor.db. The store's writer thread owns it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/io/sqlite/database.h"
#include "controlplane/store/contract/store.h"

namespace salvor::controlplane {

class SqliteWriter {
 public:
  explicit SqliteWriter(std::unique_ptr<SqliteDatabase> database) : database_(std::move(database)) {}

  Status Prepare();  // once, before all others
  Status Begin() { return begin_.Run(); }
  Status Commit() { return commit_.Run(); }
  Status Apply(const Change& change);
  SqliteDatabase& Database() { return *database_; }

  // Bytes of rows since the last call.
  int64_t TakeBytesWritten();

 private:
  int64_t Checksum(std::initializer_list<std::string_view> parts);
  Status Write(const PutRun& put);
  Status Write(const AppendEvents& append);
  Status Write(const FinishRun& finish);
  Status Write(const EraseRun& erase);
  Status Write(const PutBackup& put);
  Status Write(const PutVerification& put);
  Status Write(const PutObject& put);
  Status Write(const EraseObject& erase);
  Status Write(const PutAgent& put);
  Status Write(const AppendLog& append);
  Status Write(const PutObligation& put);
  Status Write(const EraseObligation& erase);
  Status Write(const PutToken& put);
  struct KnownRun {
    int64_t number = 0;
    int64_t next_event = 0;
  };
  StatusOr<KnownRun*> FindRun(const std::string& name);  // valid until the next call
  StatusOr<int64_t> CountEvents(int64_t number);

  std::unique_ptr<SqliteDatabase> database_;
  std::unordered_map<std::string, KnownRun> known_;  // active runs
  std::string bytes_;
  int64_t bytes_written_ = 0;
  SqliteStatement begin_, commit_, put_run_, find_run_, last_events_, append_, finish_, erase_run_,
      erase_events_, erase_log_, put_backup_, put_verification_, put_object_, erase_object_, put_agent_,
      append_log_, put_obligation_, erase_obligation_, put_token_;
};

}  // namespace salvor::controlplane
