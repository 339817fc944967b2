#include "base/io/sqlite/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace salvor {
namespace {

constexpr char kFreeSpace[] = "Free space on the disk of the state directory.";

// SQLite calls it an I/O error too, or says that it cannot open a file, where there is no room: the files beside the
// database are made anew at each start.
bool IsForWantOfRoom(sqlite3* database) {
  const int error = database != nullptr ? sqlite3_system_errno(database) : 0;
  return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

Status ToStatus(int code, sqlite3* database, std::string_view what) {
  const std::string text =
      fmt::format("{}: {}", what, database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code));
  switch (code & 0xff) {
    case SQLITE_FULL:
      return WithHint(MakeStatus(absl::StatusCode::kResourceExhausted, text), kFreeSpace);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      if (IsForWantOfRoom(database)) {
        return WithHint(MakeStatus(absl::StatusCode::kResourceExhausted, text + ": the disk is full"),
                        kFreeSpace);
      }
      return WithHint(
          MakeStatus(absl::StatusCode::kInternal, text),
          "Look at the disk of the state directory: it may be full, beyond its quota, or failing.");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return WithHint(MakeStatus(absl::StatusCode::kUnavailable, text),
                      "Is another process using this state directory?");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return MakeStatus(absl::StatusCode::kDataLoss, text);
    case SQLITE_CONSTRAINT:
      return MakeStatus(absl::StatusCode::kAlreadyExists, text);
    default:
      return MakeStatus(absl::StatusCode::kInternal, text);
  }
}

// The modes are set by path: closing a descriptor of a database would drop the locks that other connections of this
// process hold on it.
Status KeepFromOthers(const std::string& path) {
  const int made = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (made >= 0) {
    ::close(made);
    return OkStatus();
  }
  if (errno != EEXIST) return ErrnoStatus(errno, "create " + path);
  for (const char* suffix : {"", "-wal", "-shm"}) {
    const std::string file = path + suffix;
    if (::chmod(file.c_str(), 0600) != 0 && errno != ENOENT) return ErrnoStatus(errno, "chmod 0600 " + file);
  }
  return OkStatus();
}

}  // namespace

SqliteStatement& SqliteStatement::operator=(SqliteStatement&& other) noexcept {
  std::swap(statement_, other.statement_);
  return *this;
}

SqliteStatement::~SqliteStatement() { sqlite3_finalize(statement_); }

SqliteStatement& SqliteStatement::Bind(int parameter, std::string_view bytes) {
  sqlite3_bind_blob64(statement_, parameter + 1, bytes.empty() ? "" : bytes.data(), bytes.size(),
                      SQLITE_STATIC);
  return *this;
}

SqliteStatement& SqliteStatement::Bind(int parameter, int64_t value) {
  sqlite3_bind_int64(statement_, parameter + 1, value);
  return *this;
}

StatusOr<bool> SqliteStatement::Step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  Status status = code == SQLITE_DONE ? OkStatus() : ToStatus(code, sqlite3_db_handle(statement_), "SQLite");
  Reset();
  if (!status.ok()) return status;
  return false;
}

Status SqliteStatement::Run() {
  while (true) {
    ASSIGN_OR_RETURN(const bool row, Step());
    if (!row) return OkStatus();
  }
}

void SqliteStatement::Reset() { sqlite3_reset(statement_); }

int64_t SqliteStatement::Int(int column) const { return sqlite3_column_int64(statement_, column); }

bool SqliteStatement::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

std::string SqliteStatement::Bytes(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const auto count = static_cast<size_t>(sqlite3_column_bytes(statement_, column));
  return bytes == nullptr ? std::string() : std::string(bytes, count);
}

StatusOr<std::unique_ptr<SqliteDatabase>> SqliteDatabase::Open(const std::string& path, Mode mode) {
  if (mode == Mode::kDurable && path != ":memory:") RETURN_IF_ERROR(KeepFromOthers(path));
  sqlite3* raw = nullptr;
  const int flags =
      mode == Mode::kReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase(raw, path));
  if (code != SQLITE_OK) return ToStatus(code, raw, "open " + path);
  sqlite3_busy_timeout(raw, 5000);
  if (mode == Mode::kDurable) RETURN_IF_ERROR(database->MakeDurable());
  return database;
}

SqliteDatabase::~SqliteDatabase() { sqlite3_close_v2(database_); }

Status SqliteDatabase::MakeDurable() {
  RETURN_IF_ERROR(
      Execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; "
              "PRAGMA cell_size_check=ON; PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-16384"));
  ASSIGN_OR_RETURN(const std::string journal_mode, ReadPragma("journal_mode"));
  ASSIGN_OR_RETURN(const std::string synchronous, ReadPragma("synchronous"));
  if (journal_mode == "wal" && synchronous == "2") return OkStatus();
  return WithHint(
      FailedPrecondition("{}: journal_mode is '{}' and synchronous '{}', wanted 'wal' and '2' (FULL)", path_,
                         journal_mode, synchronous),
      "Use a local file system: what is acknowledged must be on the disk.");
}

Status SqliteDatabase::Execute(const std::string& sql) {
  const int code = sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? OkStatus() : ToStatus(code, database_, path_);
}

StatusOr<SqliteStatement> SqliteDatabase::Prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(database_, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return ToStatus(code, database_, path_);
  return SqliteStatement(statement);
}

int64_t SqliteDatabase::LastInsertedRow() const { return sqlite3_last_insert_rowid(database_); }

StatusOr<std::string> SqliteDatabase::ReadPragma(const std::string& name) {
  ASSIGN_OR_RETURN(SqliteStatement statement, Prepare("PRAGMA " + name));
  ASSIGN_OR_RETURN(const bool row, statement.Step());
  return row ? statement.Bytes(0) : std::string();
}

StatusOr<bool> SqliteDatabase::Checkpoint(bool restart) {
  const int code = sqlite3_wal_checkpoint_v2(
      database_, nullptr, restart ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (code == SQLITE_OK || code == SQLITE_BUSY) return code == SQLITE_OK;
  return ToStatus(code, database_, "checkpoint " + path_);
}

}  // namespace salvor
