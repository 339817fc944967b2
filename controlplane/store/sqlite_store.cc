#include "controlplane/store/sqlite_store.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <deque>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/io/files.h"
#include "base/io/log.h"
#include "base/io/mutex.h"
#include "base/io/sqlite/database.h"
#include "proto/kind.h"

namespace salvor::controlplane {
namespace {

constexpr int kSchemaVersion = 1;
constexpr char kSchema[] = R"sql(
CREATE TABLE IF NOT EXISTS run(
  number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, application TEXT NOT NULL, header BLOB NOT NULL,
  flow BLOB NOT NULL, summary BLOB, active INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS run_active ON run(number) WHERE active = 1;
CREATE TABLE IF NOT EXISTS journal(
  run INTEGER NOT NULL, first INTEGER NOT NULL, events BLOB NOT NULL, PRIMARY KEY(run, first)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS backup(number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS object(
  kind TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY(kind, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agent(name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log(number INTEGER PRIMARY KEY, run TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS log_run ON log(run, number);
CREATE TABLE IF NOT EXISTS obligation(
  run TEXT NOT NULL, name TEXT NOT NULL, agent TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY(run, name)) WITHOUT ROWID;
)sql";

// How much WAL may wait for a checkpoint; past the second the writer makes room itself.
constexpr int64_t kCheckpointEvents = 20'000;
constexpr int64_t kRestartEvents = 400'000;

// The writer's prepared statements. One thread.
class Writer {
 public:
  explicit Writer(std::unique_ptr<SqliteDatabase> database) : database_(std::move(database)) {}

  Status Prepare() {
    const std::pair<SqliteStatement*, const char*> statements[] = {
        {&begin_, "BEGIN IMMEDIATE"},
        {&commit_, "COMMIT"},
        {&put_run_,
         "INSERT INTO run(name, application, header, flow, active) VALUES(?, ?, ?, ?, 1) RETURNING number"},
        {&find_run_, "SELECT number FROM run WHERE name = ?"},
        {&append_, "INSERT INTO journal VALUES(?, ?, ?)"},
        {&finish_, "UPDATE run SET active = 0, summary = ? WHERE number = ?"},
        {&put_backup_,
         "INSERT INTO backup(name, body) VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET body = excluded.body"},
        {&put_object_, "INSERT OR REPLACE INTO object VALUES(?, ?, ?)"},
        {&erase_object_, "DELETE FROM object WHERE kind = ? AND name = ?"},
        {&put_agent_, "INSERT OR REPLACE INTO agent VALUES(?, ?)"},
        {&append_log_, "INSERT INTO log(run, body) VALUES(?, ?)"},
        {&put_obligation_, "INSERT OR REPLACE INTO obligation VALUES(?, ?, ?, ?)"},
        {&erase_obligation_, "DELETE FROM obligation WHERE run = ? AND name = ?"},
    };
    for (const auto& [statement, sql] : statements) {
      ASSIGN_OR_RETURN(*statement, database_->Prepare(sql));
    }
    return OkStatus();
  }

  Status Begin() { return begin_.Run(); }
  Status Commit() { return commit_.Run(); }
  SqliteDatabase& Database() { return *database_; }

  Status Apply(const Change& change) {
    return std::visit([this](const auto& one) { return Write(one); }, change);
  }

 private:
  Status Write(const PutRun& put) {
    const std::string header = put.header.SerializeAsString(), flow = put.flow.SerializeAsString();
    put_run_.Bind(0, put.header.name()).Bind(1, put.header.application()).Bind(2, header).Bind(3, flow);
    ASSIGN_OR_RETURN(const bool row, put_run_.Step());
    if (row) numbers_[put.header.name()] = put_run_.Int(0);
    put_run_.Reset();
    return OkStatus();
  }
  Status Write(const AppendEvents& append) {
    ASSIGN_OR_RETURN(const int64_t number, NumberOf(append.run));
    bytes_.clear();
    append.events.AppendToString(&bytes_);
    return append_.Bind(0, number).Bind(1, append.first).Bind(2, bytes_).Run();
  }
  Status Write(const FinishRun& finish) {
    ASSIGN_OR_RETURN(const int64_t number, NumberOf(finish.summary.header().name()));
    numbers_.erase(finish.summary.header().name());
    return finish_.Bind(0, finish.summary.SerializeAsString()).Bind(1, number).Run();
  }
  Status Write(const PutBackup& put) {
    const std::string body = put.backup.SerializeAsString();
    return put_backup_.Bind(0, put.backup.name()).Bind(1, body).Run();
  }
  Status Write(const PutObject& put) {
    const std::string kind = KindOf(put.object), body = put.object.SerializeAsString();
    return put_object_.Bind(0, kind).Bind(1, put.object.metadata().name()).Bind(2, body).Run();
  }
  Status Write(const EraseObject& erase) {
    return erase_object_.Bind(0, erase.kind).Bind(1, erase.name).Run();
  }
  Status Write(const PutAgent& put) {
    const std::string body = put.agent.SerializeAsString();
    return put_agent_.Bind(0, put.agent.name()).Bind(1, body).Run();
  }
  Status Write(const AppendLog& append) {
    const std::string body = append.lines.SerializeAsString();
    return append_log_.Bind(0, append.lines.run()).Bind(1, body).Run();
  }
  Status Write(const PutObligation& put) {
    const std::string body = put.obligation.SerializeAsString();
    return put_obligation_.Bind(0, put.obligation.run())
        .Bind(1, put.obligation.name())
        .Bind(2, put.agent)
        .Bind(3, body)
        .Run();
  }
  Status Write(const EraseObligation& erase) {
    return erase_obligation_.Bind(0, erase.run).Bind(1, erase.name).Run();
  }

  StatusOr<int64_t> NumberOf(const std::string& run) {
    const auto known = numbers_.find(run);
    if (known != numbers_.end()) return known->second;
    ASSIGN_OR_RETURN(const bool row, find_run_.Bind(0, run).Step());
    if (!row) return NotFound("run {} does not exist", run);
    const int64_t number = find_run_.Int(0);
    find_run_.Reset();
    numbers_[run] = number;
    return number;
  }

  std::unique_ptr<SqliteDatabase> database_;
  std::unordered_map<std::string, int64_t> numbers_;  // of active runs
  std::string bytes_;
  SqliteStatement begin_, commit_, put_run_, find_run_, append_, finish_, put_backup_, put_object_,
      erase_object_, put_agent_, append_log_, put_obligation_, erase_obligation_;
};

class SqliteStore final : public Store {
 public:
  SqliteStore(UniqueFd lock, std::unique_ptr<Writer> writer, std::unique_ptr<SqliteDatabase> reader,
              std::unique_ptr<SqliteDatabase> checkpointer)
      : lock_(std::move(lock)),
        writer_(std::move(writer)),
        reader_(std::move(reader)),
        checkpointer_(std::move(checkpointer)),
        writer_thread_([this] { WriteLoop(); }),
        checkpoint_thread_([this] { CheckpointLoop(); }) {}

  ~SqliteStore() override {
    {
      MutexLock lock(queue_mutex_);
      stopping_ = true;
      queue_changed_.NotifyAll();
      checkpoint_due_.NotifyAll();
    }
    writer_thread_.join();
    checkpoint_thread_.join();
  }

  void Commit(Batch batch, std::function<void(const Status&)> durable) override {
    MutexLock lock(queue_mutex_);
    queue_.push_back({std::move(batch), std::move(durable)});
    queue_changed_.NotifyOne();
  }

  StatusOr<std::vector<std::string>> ActiveRuns() override {
    return Read<std::string>("SELECT name FROM run WHERE active = 1 ORDER BY number", {},
                             [](SqliteStatement& row) { return row.Bytes(0); });
  }

  StatusOr<StoredRun> LoadRun(const std::string& name) override {
    struct Row {
      int64_t number;
      StoredRun run;
    };
    ASSIGN_OR_RETURN(
        std::vector<Row> rows,
        Read<Row>("SELECT number, header, flow FROM run WHERE name = ?", {name}, [](SqliteStatement& row) {
          return Row{row.Int(0), {Parsed<v1::RunHeader>(row.Bytes(1)), Parsed<v1::Flow>(row.Bytes(2)), {}}};
        }));
    if (rows.empty()) return NotFound("run {} does not exist", name);
    StoredRun run = std::move(rows[0].run);
    ASSIGN_OR_RETURN(
        const std::vector<v1::EventBatch> batches,
        Read<v1::EventBatch>(
            "SELECT events FROM journal WHERE run = " + std::to_string(rows[0].number) + " ORDER BY first",
            {}, [](SqliteStatement& row) { return Parsed<v1::EventBatch>(row.Bytes(0)); }));
    for (const v1::EventBatch& batch : batches) {
      for (const v1::Event& event : batch.events()) run.events.push_back(event);
    }
    return run;
  }

  StatusOr<std::vector<v1::Run>> ListRuns(const std::string& application, int limit) override {
    return Read<v1::Run>(
        "SELECT header, summary FROM run WHERE ?1 = x'' OR application = ?1 ORDER BY number DESC LIMIT " +
            std::to_string(limit),
        {application}, [](SqliteStatement& row) {
          v1::Run run = Parsed<v1::Run>(row.Bytes(1));
          *run.mutable_header() = Parsed<v1::RunHeader>(row.Bytes(0));
          return run;
        });
  }

  StatusOr<std::vector<v1::Backup>> ListBackups() override {
    return Read<v1::Backup>("SELECT body FROM backup ORDER BY number", {},
                            [](SqliteStatement& row) { return Parsed<v1::Backup>(row.Bytes(0)); });
  }
  StatusOr<std::vector<v1::Object>> ListObjects() override {
    return Read<v1::Object>("SELECT body FROM object ORDER BY kind, name", {},
                            [](SqliteStatement& row) { return Parsed<v1::Object>(row.Bytes(0)); });
  }
  StatusOr<std::vector<v1::AgentStatus>> ListAgents() override {
    return Read<v1::AgentStatus>("SELECT body FROM agent ORDER BY name", {},
                                 [](SqliteStatement& row) { return Parsed<v1::AgentStatus>(row.Bytes(0)); });
  }
  StatusOr<std::vector<StoredObligation>> ListObligations() override {
    return Read<StoredObligation>(
        "SELECT agent, body FROM obligation ORDER BY run, name", {}, [](SqliteStatement& row) {
          return StoredObligation{row.Bytes(0), Parsed<v1::HeldObligation>(row.Bytes(1))};
        });
  }
  StatusOr<std::vector<v1::LogLines>> ReadLog(const std::string& run, int64_t after, int64_t& next) override {
    next = after;
    return Read<v1::LogLines>("SELECT number, body FROM log WHERE run = ? AND number > " +
                                  std::to_string(after) + " ORDER BY number",
                              {run}, [&next](SqliteStatement& row) {
                                next = row.Int(0);
                                return Parsed<v1::LogLines>(row.Bytes(1));
                              });
  }

  StoreStatistics Statistics() override {
    MutexLock lock(queue_mutex_);
    return statistics_;
  }

 private:
  struct Entry {
    Batch batch;
    std::function<void(const Status&)> durable;
  };

  template <typename Message>
  static Message Parsed(const std::string& bytes) {
    Message message;
    message.ParseFromString(bytes);
    return message;
  }

  template <typename Row, typename Function>
  StatusOr<std::vector<Row>> Read(const std::string& sql, const std::vector<std::string>& parameters,
                                  Function read) {
    MutexLock lock(reader_mutex_);
    ASSIGN_OR_RETURN(SqliteStatement statement, reader_->Prepare(sql));
    for (size_t i = 0; i < parameters.size(); ++i) statement.Bind(static_cast<int>(i), parameters[i]);
    std::vector<Row> rows;
    while (true) {
      ASSIGN_OR_RETURN(const bool row, statement.Step());
      if (!row) return rows;
      rows.push_back(read(statement));
    }
  }

  // All that waits becomes one transaction; what arrives during its fsync, the next.
  void WriteLoop() {
    Status broken;
    while (true) {
      std::deque<Entry> entries;
      {
        MutexLock lock(queue_mutex_);
        while (queue_.empty() && !stopping_) queue_changed_.Wait(queue_mutex_);
        if (queue_.empty()) return;
        entries.swap(queue_);
      }
      int64_t events = 0;
      if (broken.ok()) broken = Write(entries, events);
      if (!broken.ok()) LogError("store: {}", MessageOf(broken));
      Count(events);
      for (Entry& entry : entries) entry.durable(broken);
    }
  }

  Status Write(const std::deque<Entry>& entries, int64_t& events) {
    RETURN_IF_ERROR(writer_->Begin());
    for (const Entry& entry : entries) {
      for (const Change& change : entry.batch) {
        RETURN_IF_ERROR(writer_->Apply(change));
        if (const auto* append = std::get_if<AppendEvents>(&change)) events += append->events.events_size();
      }
    }
    RETURN_IF_ERROR(writer_->Commit());
    since_restart_ += events;
    if (since_restart_ > kRestartEvents) {
      since_restart_ = 0;
      RETURN_IF_ERROR(writer_->Database().Checkpoint(true));
    }
    return OkStatus();
  }

  void Count(int64_t events) {
    MutexLock lock(queue_mutex_);
    ++statistics_.commits;
    statistics_.events += events;
    since_checkpoint_ += events;
    if (since_checkpoint_ > kCheckpointEvents) checkpoint_due_.NotifyOne();
  }

  void CheckpointLoop() {
    while (true) {
      {
        MutexLock lock(queue_mutex_);
        while (!stopping_ && since_checkpoint_ <= kCheckpointEvents) checkpoint_due_.Wait(queue_mutex_);
        if (stopping_) return;
        since_checkpoint_ = 0;
      }
      if (Status status = checkpointer_->Checkpoint(false); !status.ok())
        LogWarning("store: {}", MessageOf(status));
    }
  }

  UniqueFd lock_;
  Mutex queue_mutex_;
  CondVar queue_changed_, checkpoint_due_;
  std::deque<Entry> queue_ ABSL_GUARDED_BY(queue_mutex_);
  StoreStatistics statistics_ ABSL_GUARDED_BY(queue_mutex_);
  int64_t since_checkpoint_ ABSL_GUARDED_BY(queue_mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(queue_mutex_) = false;

  std::unique_ptr<Writer> writer_;  // the writer thread's
  int64_t since_restart_ = 0;       // the writer thread's
  Mutex reader_mutex_;
  std::unique_ptr<SqliteDatabase> reader_ ABSL_GUARDED_BY(reader_mutex_);
  std::unique_ptr<SqliteDatabase> checkpointer_;  // the checkpoint thread's
  std::thread writer_thread_, checkpoint_thread_;
};

StatusOr<UniqueFd> LockDirectory(const std::string& directory) {
  const std::string path = directory + "/lock";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.Valid()) return ErrnoStatus(errno, "open " + path);
  if (::flock(fd.Get(), LOCK_EX | LOCK_NB) == 0) return fd;
  return WithHint(FailedPrecondition("state directory {} is used by another process", directory),
                  "Stop the other salvord, or give this one a --state-directory of its own.");
}

}  // namespace

StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& directory) {
  RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  ASSIGN_OR_RETURN(UniqueFd lock, LockDirectory(directory));
  const std::string path = directory + "/salvor.db";
  ASSIGN_OR_RETURN(auto database, SqliteDatabase::Open(path, SqliteDatabase::Mode::kDurable));
  ASSIGN_OR_RETURN(const std::string check, database->ReadPragma("quick_check"));
  if (check != "ok") return DataLoss("{} is damaged: {}", path, check);
  ASSIGN_OR_RETURN(const std::string version, database->ReadPragma("user_version"));
  if (std::atoi(version.c_str()) > kSchemaVersion) {
    return WithHint(FailedPrecondition("{} was written by a newer version (schema {})", path, version),
                    "Run the version that wrote it, or a newer one.");
  }
  RETURN_IF_ERROR(database->Execute(std::string("BEGIN IMMEDIATE;") + kSchema +
                                    "PRAGMA user_version = " + std::to_string(kSchemaVersion) + "; COMMIT"));
  RETURN_IF_ERROR(database->Checkpoint(true));
  auto writer = std::make_unique<Writer>(std::move(database));
  RETURN_IF_ERROR(writer->Prepare());
  ASSIGN_OR_RETURN(auto reader, SqliteDatabase::Open(path, SqliteDatabase::Mode::kReadOnly));
  ASSIGN_OR_RETURN(auto checkpointer, SqliteDatabase::Open(path, SqliteDatabase::Mode::kDurable));
  return std::unique_ptr<Store>(
      new SqliteStore(std::move(lock), std::move(writer), std::move(reader), std::move(checkpointer)));
}

}  // namespace salvor::controlplane
