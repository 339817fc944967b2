#include "controlplane/store/sqlite/sqlite_store.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>
#include <set>
#include <thread>
#include <tuple>
#include <utility>

#include "base/io/files.h"
#include "base/io/log.h"
#include "base/io/mutex.h"
#include "base/io/sqlite/database.h"
#include "base/io/sqlite/migrations.h"
#include "base/io/sqlite/row_checksum.h"
#include "controlplane/store/contract/page_token.h"
#include "controlplane/store/sqlite/sqlite_schema.h"
#include "controlplane/store/sqlite/sqlite_writer.h"

namespace salvor::controlplane {
namespace {

// How much WAL may wait for a checkpoint; past the second the writer makes room itself.
constexpr int64_t kCheckpointBytes = 4 << 20;
constexpr int64_t kRestartBytes = 64 << 20;

// How many rows one page looks at, at most: a filter that few pass does not hold up the other readers.
constexpr int kMostLooked = 500;

class SqliteStore final : public Store {
 public:
  SqliteStore(UniqueFd lock, std::unique_ptr<SqliteWriter> writer, std::unique_ptr<SqliteDatabase> reader,
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

  void Commit(Batch batch, CommitCallback done) override {
    MutexLock lock(queue_mutex_);
    queue_.push_back({std::move(batch), std::move(done)});
    queue_changed_.NotifyOne();
  }

  StatusOr<std::vector<std::string>> ActiveRuns() override {
    return Read<std::string>("SELECT name FROM run WHERE active = 1 ORDER BY number", {},
                             [](SqliteStatement& row) { return row.Bytes(0); });
  }

  StatusOr<StoredRun> LoadRun(const std::string& name) override {
    struct Row {
      int64_t number;
      std::string damage;
      StoredRun run;
    };
    const auto read_run = [&name](SqliteStatement& row) {
      Row read{row.Int(0), "", {}};
      const std::string header = row.Bytes(1), flow = row.Bytes(2);
      read.damage = RowDamage(row, 3, {name, header, flow});
      if (read.damage.empty() &&
          !(read.run.header.ParseFromString(header) && read.run.flow.ParseFromString(flow)))
        read.damage = kNoMessage;
      return read;
    };
    ASSIGN_OR_RETURN(
        std::vector<Row> rows,
        Read<Row>("SELECT number, header, flow, checksum FROM run WHERE name = ?", {name}, read_run));
    if (rows.empty()) return NotFound("run {} does not exist", name);
    if (!rows[0].damage.empty()) return DataLoss("the record of run {}: {}", name, rows[0].damage);
    StoredRun run = std::move(rows[0].run);
    RETURN_IF_ERROR(LoadEvents(rows[0].number, run));
    return run;
  }

  StatusOr<v1::Run> LoadRunSummary(const std::string& name) override {
    MutexLock lock(reader_mutex_);
    if (!find_summary_.has_value()) {
      ASSIGN_OR_RETURN(find_summary_,
                       reader_->Prepare(fmt::format("SELECT {} FROM run WHERE name = ?", kSummaryColumns)));
    }
    std::optional<v1::Run> run;
    RETURN_IF_ERROR(ReadRows(*find_summary_, {name}, [&](SqliteStatement& row) {
      run = SummaryOf(row);
      return true;  // to the end, where the statement is reset
    }));
    if (!run.has_value()) return NotFound("run {} does not exist", name);
    return *std::move(run);
  }

  StatusOr<v1::Run> LoadRunView(const std::string& name) override {
    const auto read_view = [&name](SqliteStatement& row) -> StatusOr<v1::Run> {
      const std::string view = row.Bytes(0);
      v1::Run run;
      std::string damage = RowDamage(row, 1, {name, view});
      if (damage.empty() && view.empty()) return NotFound("run {} has no view", name);
      if (damage.empty() && !run.ParseFromString(view)) damage = kNoMessage;
      if (damage.empty()) return run;
      return DataLoss("the view of run {}: {}", name, damage);
    };
    ASSIGN_OR_RETURN(
        std::vector<StatusOr<v1::Run>> views,
        Read<StatusOr<v1::Run>>("SELECT view, view_checksum FROM run WHERE name = ?", {name}, read_view));
    if (views.empty()) return NotFound("run {} does not exist", name);
    if (views[0].status().code() == absl::StatusCode::kDataLoss)
      NoteDamage({"run", name, MessageOf(views[0].status())});
    return std::move(views[0]);
  }

  StatusOr<Page<v1::Run>> ListRuns(const RunFilter& filter, const PageRequest& page) override {
    const std::string list = NameOfList(filter);
    ASSIGN_OR_RETURN(const std::optional<int64_t> before, ReadNumberToken(list, page.token));
    std::string sql = fmt::format("SELECT {}, number FROM run WHERE number < {}", kSummaryColumns,
                                  before.value_or(std::numeric_limits<int64_t>::max()));
    if (!filter.application.empty()) sql += " AND application = ?";
    if (filter.active_only) sql += " AND active = 1";
    if (filter.kind == v1::RUN_KIND_INSPECT)
      sql += fmt::format(" AND kind = {}", static_cast<int>(filter.kind));
    sql += " ORDER BY number DESC";
    std::vector<std::string> parameters;
    if (!filter.application.empty()) parameters.push_back(filter.application);
    const auto read = [&](SqliteStatement& row) -> std::optional<v1::Run> {
      v1::Run run = SummaryOf(row);
      if (!filter.Matches(run)) return std::nullopt;
      return run;
    };
    return ReadPage<v1::Run>(list, sql, parameters, 8, page.size, read);
  }

  StatusOr<Page<v1::Backup>> ListBackups(const PageRequest& page) override {
    ASSIGN_OR_RETURN(const std::optional<int64_t> after, ReadNumberToken("backups", page.token));
    const auto read = [this](SqliteStatement& row) { return Parse<v1::Backup>("backup", row, 1); };
    return ReadPage<v1::Backup>("backups",
                                "SELECT name, body, checksum, number FROM backup WHERE number > " +
                                    std::to_string(after.value_or(std::numeric_limits<int64_t>::min())) +
                                    " ORDER BY number",
                                {}, 3, page.size, read);
  }
  StatusOr<std::vector<v1::Verification>> ListVerifications(const std::string& backup) override {
    std::vector<v1::Verification> verifications;
    const auto read = [&](SqliteStatement& row) {
      const std::string run = row.Bytes(0), body = row.Bytes(1);
      std::string damage = RowDamage(row, 2, {backup, run, body});
      v1::Verification verification;
      if (damage.empty() && !verification.ParseFromString(body)) damage = kNoMessage;
      if (damage.empty()) {
        verifications.push_back(std::move(verification));
      } else {
        NoteDamage({"verification", backup + " by " + run, damage});
      }
      return true;
    };
    RETURN_IF_ERROR(
        Read<bool>("SELECT run, body, checksum FROM verification WHERE backup = ? ORDER BY number", {backup},
                   read)
            .status());
    return verifications;
  }
  StatusOr<std::vector<v1::Object>> ListObjects() override {
    return ReadRecords<v1::Object>("object",
                                   "SELECT kind, name, body, checksum FROM object ORDER BY kind, name", 2);
  }
  StatusOr<std::vector<v1::AgentStatus>> ListAgents() override {
    auto agents = ReadRecords<v1::AgentStatus>("agent", "SELECT name, body, checksum FROM agent");
    if (agents.ok()) {
      std::sort(agents->begin(), agents->end(), [](const v1::AgentStatus& one, const v1::AgentStatus& other) {
        return std::tie(one.environment(), one.name()) < std::tie(other.environment(), other.name());
      });
    }
    return agents;
  }
  StatusOr<std::vector<StoredObligation>> ListObligations() override {
    // One that can't be read is still open: its key says whose it is.
    return Read<StoredObligation>(
        "SELECT run, name, agent, body, checksum FROM obligation ORDER BY run, name", {},
        [this](SqliteStatement& row) {
          StoredObligation stored{row.Bytes(2), {}};
          const std::string run = row.Bytes(0), name = row.Bytes(1), body = row.Bytes(3);
          std::string damage = RowDamage(row, 4, {run, name, stored.agent, body});
          if (damage.empty() && !stored.obligation.ParseFromString(body)) damage = kNoMessage;
          if (damage.empty()) return stored;
          stored.obligation.Clear();
          stored.obligation.set_run(run);
          stored.obligation.set_name(name);
          NoteDamage({"obligation", run + "/" + name, damage});
          return stored;
        });
  }
  StatusOr<std::vector<v1::TokenRecord>> ListTokens() override {
    return ReadRecords<v1::TokenRecord>("token", "SELECT name, body, checksum FROM token ORDER BY name");
  }
  StatusOr<std::vector<v1::LogLines>> ReadLog(const std::string& run, int64_t after, int64_t& next) override {
    next = after;
    return Read<v1::LogLines>("SELECT number, body, checksum FROM log WHERE run = ? AND number > " +
                                  std::to_string(after) + " ORDER BY number",
                              {run}, [&next, &run, this](SqliteStatement& row) {
                                next = row.Int(0);
                                v1::LogLines lines;
                                const std::string body = row.Bytes(1);
                                std::string damage = RowDamage(row, 2, {run, body});
                                if (damage.empty() && !lines.ParseFromString(body)) damage = kNoMessage;
                                if (damage.empty()) {
                                  lines.set_next(next);
                                  return lines;
                                }
                                lines.Clear();
                                lines.set_run(run);
                                lines.set_next(next);
                                v1::LogLine* line = lines.add_lines();
                                line->set_source("salvor");
                                line->set_text("some lines of this log can't be read: " + damage);
                                NoteDamage({"log", fmt::format("{} of run {}", next, run), damage});
                                return lines;
                              });
  }

  std::vector<DamagedRecord> DamagedRecords() override {
    MutexLock lock(damaged_mutex_);
    return {damaged_.begin(), damaged_.end()};
  }

  StoreStatistics Statistics() override {
    MutexLock lock(queue_mutex_);
    return statistics_;
  }

 private:
  struct Entry {
    Batch batch;
    CommitCallback done;
  };

  static constexpr char kNoMessage[] = "its bytes can't be parsed";

  void NoteDamage(DamagedRecord record) {
    MutexLock lock(damaged_mutex_);
    if (damaged_.insert(record).second) LogError("store: {} {}: {}", record.kind, record.name, record.why);
  }

  // A row of name columns (one or two), body and checksum; nothing, and noted, when it is damaged.
  template <typename Message>
  std::optional<Message> Parse(const std::string& kind, SqliteStatement& row, int names) {
    const std::string first = row.Bytes(0), second = names == 2 ? row.Bytes(1) : "", body = row.Bytes(names);
    std::string damage = names == 2 ? RowDamage(row, names + 1, {first, second, body})
                                    : RowDamage(row, names + 1, {first, body});
    Message message;
    if (damage.empty() && !message.ParseFromString(body)) damage = kNoMessage;
    if (damage.empty()) return message;
    NoteDamage({kind, names == 2 ? first + " " + second : first, damage});
    return std::nullopt;
  }

  template <typename Message>
  StatusOr<std::vector<Message>> ReadRecords(const std::string& kind, const std::string& sql, int names = 1) {
    std::vector<Message> records;
    const auto read = [&](SqliteStatement& row) {
      if (std::optional<Message> message = Parse<Message>(kind, row, names))
        records.push_back(*std::move(message));
      return true;
    };
    RETURN_IF_ERROR(Read<bool>(sql, {}, read).status());
    return records;
  }

  // Items from the rows of `sql`, until the page is full or enough was looked at: `read` gives one or nothing.
  template <typename Item, typename Function>
  StatusOr<Page<Item>> ReadPage(const std::string& list, const std::string& sql,
                                const std::vector<std::string>& parameters, int number_column, int size,
                                const Function& read) {
    Page<Item> page;
    int64_t last = 0;
    int looked = 0;
    const auto read_on = [&](SqliteStatement& row) {
      const bool is_full = static_cast<int>(page.items.size()) >= std::max(size, 1);
      if (is_full || looked >= kMostLooked) {
        page.next_token = MakePageToken(list, std::to_string(last));
        return false;
      }
      last = row.Int(number_column);
      ++looked;
      if (std::optional<Item> item = read(row)) page.items.push_back(*std::move(item));
      return true;
    };
    RETURN_IF_ERROR(ReadWhile(sql, parameters, read_on));
    return page;
  }

  // The flow of a run may be large, and is read only where the header has no checksum of its own.
  static constexpr char kSummaryColumns[] =
      "name, application, header, header_checksum, CASE WHEN header_checksum IS NULL THEN flow END, checksum, "
      "summary, summary_checksum";

  v1::Run SummaryOf(SqliteStatement& row) {
    const std::string name = row.Bytes(0), header = row.Bytes(2), summary = row.Bytes(6);
    v1::Run run;
    std::string damage =
        row.IsNull(3) ? RowDamage(row, 5, {name, header, row.Bytes(4)}) : RowDamage(row, 3, {name, header});
    if (damage.empty()) damage = RowDamage(row, 7, {name, summary});
    v1::RunHeader parsed;
    if (damage.empty() && !(run.ParseFromString(summary) && parsed.ParseFromString(header)))
      damage = kNoMessage;
    if (damage.empty()) {
      *run.mutable_header() = std::move(parsed);
      return run;
    }
    NoteDamage({"run", name, damage});
    // A run that was given up has its outcome, header included, although its own record is lost.
    const bool given_up =
        !row.IsNull(6) && RowDamage(row, 7, {name, summary}).empty() && run.ParseFromString(summary);
    if (given_up && run.has_header()) return run;
    run.Clear();
    run.mutable_header()->set_name(name);
    run.mutable_header()->set_application(row.Bytes(1));
    run.set_phase(v1::RUN_PHASE_QUARANTINED);
    run.set_reason("its record can't be read: " + damage);
    return run;
  }

  Status LoadEvents(int64_t number, StoredRun& run) {
    const std::string& name = run.header.name();
    std::string damage;
    const auto read_batch = [&](SqliteStatement& row) {
      const std::string first = std::to_string(row.Int(0)), events = row.Bytes(1);
      v1::EventBatch batch;
      std::string found = RowDamage(row, 2, {name, first, events});
      if (found.empty() && !batch.ParseFromString(events)) found = kNoMessage;
      if (found.empty() && row.Int(0) != static_cast<int64_t>(run.events.size()))
        found = "events before it are missing";
      if (!found.empty() && damage.empty())
        damage = fmt::format("event {} of run {}: {}", first, name, found);
      for (v1::Event& event : *batch.mutable_events()) run.events.push_back(std::move(event));
      return true;
    };
    RETURN_IF_ERROR(Read<bool>("SELECT first, events, checksum FROM journal WHERE run = " +
                                   std::to_string(number) + " ORDER BY first",
                               {}, read_batch)
                        .status());
    return damage.empty() ? OkStatus() : DataLoss("{}", damage);
  }

  template <typename Row, typename Function>
  StatusOr<std::vector<Row>> Read(const std::string& sql, const std::vector<std::string>& parameters,
                                  const Function& read) {
    std::vector<Row> rows;
    RETURN_IF_ERROR(ReadWhile(sql, parameters, [&](SqliteStatement& row) {
      rows.push_back(read(row));
      return true;
    }));
    return rows;
  }

  // Row after row, for as long as `read` wants more.
  template <typename Function>
  Status ReadWhile(const std::string& sql, const std::vector<std::string>& parameters, const Function& read) {
    MutexLock lock(reader_mutex_);
    ASSIGN_OR_RETURN(SqliteStatement statement, reader_->Prepare(sql));
    return ReadRows(statement, parameters, read);
  }

  template <typename Function>
  static Status ReadRows(SqliteStatement& statement, const std::vector<std::string>& parameters,
                         const Function& read) {
    for (size_t i = 0; i < parameters.size(); ++i) statement.Bind(static_cast<int>(i), parameters[i]);
    while (true) {
      ASSIGN_OR_RETURN(const bool row, statement.Step());
      if (!row || !read(statement)) return OkStatus();
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
      for (Entry& entry : entries) entry.done(CommitOutcome::Of(broken));
    }
  }

  Status Write(const std::deque<Entry>& entries, int64_t& events) {
    RETURN_IF_ERROR(writer_->Begin());
    for (const Entry& entry : entries) {
      for (const Change& change : entry.batch.changes) {
        RETURN_IF_ERROR(writer_->Apply(change));
        if (const auto* append = std::get_if<AppendEvents>(&change)) events += append->events.events_size();
      }
    }
    RETURN_IF_ERROR(writer_->Commit());
    const int64_t bytes = writer_->TakeBytesWritten();
    bytes_since_restart_ += bytes;
    NoteBytes(bytes);
    if (bytes_since_restart_ > kRestartBytes) {
      MutexLock lock(checkpoint_mutex_);  // SQLite does not wait for another checkpoint, and gives up
      ASSIGN_OR_RETURN(const bool restarted, writer_->Database().Checkpoint(true));
      // A checkpoint with a long reader in the way is tried again after as much once more, and not at every commit.
      bytes_since_restart_ = restarted ? 0 : kRestartBytes / 2;
    }
    return OkStatus();
  }

  void Count(int64_t events) {
    MutexLock lock(queue_mutex_);
    ++statistics_.commits;
    statistics_.events += events;
  }

  void NoteBytes(int64_t bytes) {
    MutexLock lock(queue_mutex_);
    bytes_since_checkpoint_ += bytes;
    if (bytes_since_checkpoint_ > kCheckpointBytes) checkpoint_due_.NotifyOne();
  }

  void CheckpointLoop() {
    while (true) {
      {
        MutexLock lock(queue_mutex_);
        while (!stopping_ && bytes_since_checkpoint_ <= kCheckpointBytes) checkpoint_due_.Wait(queue_mutex_);
        if (stopping_) return;
        bytes_since_checkpoint_ = 0;
      }
      MutexLock lock(checkpoint_mutex_);
      if (const auto done = checkpointer_->Checkpoint(false); !done.ok())
        LogWarning("store: {}", MessageOf(done.status()));
    }
  }

  UniqueFd lock_;
  Mutex queue_mutex_;
  CondVar queue_changed_, checkpoint_due_;
  std::deque<Entry> queue_ ABSL_GUARDED_BY(queue_mutex_);
  StoreStatistics statistics_ ABSL_GUARDED_BY(queue_mutex_);
  int64_t bytes_since_checkpoint_ ABSL_GUARDED_BY(queue_mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(queue_mutex_) = false;

  std::unique_ptr<SqliteWriter> writer_;  // the writer thread's
  int64_t bytes_since_restart_ = 0;       // the writer thread's
  Mutex reader_mutex_;
  std::unique_ptr<SqliteDatabase> reader_ ABSL_GUARDED_BY(reader_mutex_);
  // Prepared once, for each run that begins is looked for.
  std::optional<SqliteStatement> find_summary_ ABSL_GUARDED_BY(reader_mutex_);
  Mutex checkpoint_mutex_;  // held during one, and not together with another lock
  Mutex damaged_mutex_;
  std::set<DamagedRecord> damaged_ ABSL_GUARDED_BY(damaged_mutex_);
  std::unique_ptr<SqliteDatabase> checkpointer_;  // the checkpoint thread's
  std::thread writer_thread_, checkpoint_thread_;
};

}  // namespace

StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& directory) {
  RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  ASSIGN_OR_RETURN(UniqueFd lock, LockStateDirectory(directory, "lock", "salvord"));
  const std::string path = directory + "/salvor.db";
  ASSIGN_OR_RETURN(auto database, SqliteDatabase::Open(path, SqliteDatabase::Mode::kDurable));
  ASSIGN_OR_RETURN(const std::string check, database->ReadPragma("quick_check"));
  if (check != "ok") return DataLoss("{} is damaged: {}", path, check);
  RETURN_IF_ERROR(Migrate(*database, StoreMigrations()));
  RETURN_IF_ERROR(database->Checkpoint(true).status());
  auto writer = std::make_unique<SqliteWriter>(std::move(database));
  RETURN_IF_ERROR(writer->Prepare());
  ASSIGN_OR_RETURN(auto reader, SqliteDatabase::Open(path, SqliteDatabase::Mode::kReadOnly));
  ASSIGN_OR_RETURN(auto checkpointer, SqliteDatabase::Open(path, SqliteDatabase::Mode::kDurable));
  return std::unique_ptr<Store>(
      new SqliteStore(std::move(lock), std::move(writer), std::move(reader), std::move(checkpointer)));
}

}  // namespace salvor::controlplane
