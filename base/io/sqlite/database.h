// SQLite as a place where acknowledged means fsynced.
//
// A durable database is in WAL mode with synchronous=FULL; both are read back after they were set, and Open
// fails when SQLite did not take them. One connection is one thread's at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace salvor {

// A prepared statement, for many uses. Must not outlive its Database. Parameters and columns count from 0.
class SqliteStatement {
 public:
  SqliteStatement() = default;
  explicit SqliteStatement(sqlite3_stmt* statement) : statement_(statement) {}
  SqliteStatement(SqliteStatement&& other) noexcept : statement_(other.statement_) {
    other.statement_ = nullptr;
  }
  SqliteStatement& operator=(SqliteStatement&& other) noexcept;
  ~SqliteStatement();

  // Bytes must stay alive until the statement was reset: they are not copied.
  SqliteStatement& Bind(int parameter, std::string_view bytes);
  SqliteStatement& Bind(int parameter, int64_t value);

  // True: a row is there to be read. False: done; the statement is reset.
  StatusOr<bool> Step();
  // Steps to the end, for statements without rows.
  Status Run();
  void Reset();

  int64_t Int(int column) const;
  bool IsNull(int column) const;
  std::string Bytes(int column) const;

 private:
  sqlite3_stmt* statement_ = nullptr;
};

class SqliteDatabase {
 public:
  enum class Mode { kDurable, kReadOnly };

  // A durable one is made when missing; its files are their owner's alone (0600), made here or not.
  static StatusOr<std::unique_ptr<SqliteDatabase>> Open(const std::string& path, Mode mode);
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  // One or more statements without parameters or rows.
  Status Execute(const std::string& sql);
  StatusOr<SqliteStatement> Prepare(std::string_view sql);
  // The number of the row that the last INSERT of this connection made.
  int64_t LastInsertedRow() const;
  StatusOr<std::string> ReadPragma(const std::string& name);

  const std::string& Path() const { return path_; }

  // Moves what it can from the WAL into the database without disturbing others; `restart` also makes writers
  // begin at the WAL's start again, which waits for readers.
  // False when a reader or another checkpoint was in the way for longer than the busy timeout (5 s): try again later.
  StatusOr<bool> Checkpoint(bool restart);

 private:
  SqliteDatabase(sqlite3* database, std::string path) : database_(database), path_(std::move(path)) {}
  Status MakeDurable();

  sqlite3* database_;
  std::string path_;
};

}  // namespace salvor
