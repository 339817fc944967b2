#include <absl/time/clock.h>

#include <algorithm>
#include <set>

#include "agent/engines/mariadb/actions/actions.h"
#include "agent/engines/mariadb/actions/common.h"
#include "agent/engines/mariadb/dump_stream.h"
#include "agent/engines/mariadb/grants.h"
#include "agent/engines/mariadb/row_counter.h"
#include "agent/engines/mariadb/scratch_engine.h"
#include "agent/engines/mariadb/snapshot_lock.h"
#include "agent/engines/mariadb/tools.h"
#include "agent/process/pipe_owner.h"
#include "agent/work/check_list.h"
#include "agent/work/clean_up.h"
#include "base/io/sha256.h"
#include "base/io/steady_clock.h"
#include "base/text.h"
#include "proto/artifact.h"
#include "proto/time.h"

namespace salvor::agent {
namespace {

constexpr int kMostTries = 3;      // against databases that are changed while they are dumped
constexpr int kMostLockTries = 5;  // for the lock, each after a pause in which writers go on
constexpr absl::Duration kPause = absl::Seconds(1);
constexpr int kFirstWithHistory = 101100;  // of the server, and of mariadb-dump

// Reads the dump as it flows by. It is asked at its first byte, when the dump has its snapshot, and before the uploader may
// see its end.
class DumpObserver final : public StreamObserver {
 public:
  DumpObserver(std::function<Status()> on_begin, std::function<Status()> judge)
      : on_begin_(std::move(on_begin)), judge_(std::move(judge)) {}

  Status OnBytes(std::string_view bytes) override {
    if (on_begin_) {
      RETURN_IF_ERROR(on_begin_());
      on_begin_ = nullptr;
    }
    return stream_.Feed(bytes);
  }
  Status OnEnd() override {
    RETURN_IF_ERROR(stream_.Finish());
    return judge_();
  }
  const MariadbDumpStream& Stream() const { return stream_; }

 private:
  MariadbDumpStream stream_;
  std::function<Status()> on_begin_, judge_;
};

// DataLoss when restic says that it read another number of bytes than were dumped.
Status CheckUploaded(const std::string& restic_output, int64_t bytes) {
  const std::string key = "\"total_bytes_processed\":";
  const size_t at = restic_output.rfind(key);
  if (at == std::string::npos) return OkStatus();
  const int64_t uploaded = std::strtoll(restic_output.c_str() + at + key.size(), nullptr, 10);
  return uploaded == bytes ? OkStatus() : DataLoss("{} bytes were dumped, restic read {}", bytes, uploaded);
}

// One try.
class Dump {
 public:
  Dump(const v1::MariadbDump& action, ActionContext& context, bool last_try)
      : action_(action),
        component_(action.component()),
        context_(context),
        last_try_(last_try),
        databases_(component_.databases().begin(), component_.databases().end()) {}

  StatusOr<v1::ActionResult> Run() {
    RETURN_IF_ERROR(ReadSettings());
    RETURN_IF_ERROR(ForgetEarlierAttempts(context_, WithDetails(action_.target())));
    RETURN_IF_ERROR_IN(TakeStock(), "reading the definitions");
    RETURN_IF_ERROR(TakeLock());
    DumpObserver observer([this] { return Begin(); }, [this, &observer] { return Judge(observer.Stream()); });
    auto artifact = Pipe(observer);
    if (!artifact.ok() && IsOfMovedTable(artifact.status())) moved_ = true;
    RETURN_IF_ERROR(artifact.status());
    return Describe(*std::move(artifact));
  }

  // Whether it failed because the databases, or the moment of the snapshots, did not stand still.
  bool Moved() const { return moved_; }

 private:
  Status ReadSettings();
  Status TakeStock();
  Status TakeLock();
  Status ReadPosition();
  Status Begin();
  Status Judge(const MariadbDumpStream& stream);
  Status JudgeCounts(const MariadbDumpStream& stream);
  Status JudgeDefinitions();
  StatusOr<v1::Artifact> Pipe(DumpObserver& observer);
  StatusOr<v1::ActionResult> Describe(v1::Artifact artifact);
  Status MovedStatus(const std::string& message) {
    moved_ = true;
    return WithHint(Aborted("{}", message),
                    "Migrate, truncate and rewrite tables at another time than that of the backup.");
  }
  // The server's words for a table that was changed since the snapshot (error 1412).
  static bool IsOfMovedTable(const Status& status) {
    return MessageOf(status).find("(1412)") != std::string::npos ||
           MessageOf(status).find(" 1412:") != std::string::npos;
  }

  const v1::MariadbDump& action_;
  const v1::MariadbComponent& component_;
  ActionContext& context_;
  const bool last_try_;
  const std::vector<std::string> databases_;
  absl::Duration count_budget_ = absl::Seconds(60), lock_wait_ = absl::Seconds(2),
                 lock_hold_ = absl::Milliseconds(500);
  std::unique_ptr<MariadbSession> reader_;  // whose transaction has the dump's snapshot
  std::unique_ptr<SnapshotLock> lock_;
  std::unique_ptr<MariadbRowCounter> counter_;
  MariadbInventory inventory_;
  bool tells_position_ = false;  // the server has a binary log, and the account may see where it stands
  std::string not_exact_;
  absl::Time consistent_at_;
  bool moved_ = false;
  std::vector<std::string> warnings_;
};

Status Dump::ReadSettings() {
  const auto read = [](const std::string& text, const char* what, absl::Duration& into) {
    if (text.empty()) return OkStatus();
    const auto duration = ParseDuration(text);
    if (!duration)
      return InvalidArgument("{} '{}' is not a duration; write 90s or 500ms", what, Elide(text, 40));
    into = *duration;
    return OkStatus();
  };
  for (const std::string& database : databases_) RETURN_IF_ERROR(CheckMariadbDatabase(database));
  RETURN_IF_ERROR(read(component_.expectations().count_budget(), "countBudget", count_budget_));
  RETURN_IF_ERROR(read(component_.lock_wait(), "lockWait", lock_wait_));
  return read(component_.lock_hold(), "lockHold", lock_hold_);
}

Status Dump::TakeStock() {
  ASSIGN_OR_RETURN(reader_, OpenMariadb(component_.connection(), context_));
  ASSIGN_OR_RETURN(inventory_, CaptureMariadbInventory(*reader_, databases_));
  v1::MariadbDetails& details = inventory_.details;
  if (details.databases_size() != static_cast<int>(databases_.size()))
    return FailedPrecondition("not all of its databases are there: {}", Join(databases_, ", "));
  ASSIGN_OR_RETURN(const std::vector<v1::MariadbAccount> accounts, CaptureMariadbAccounts(*reader_));
  std::set<std::string> known;
  for (const v1::MariadbAccount& account : accounts) {
    *details.add_accounts() = account;
    known.insert(account.is_role() ? account.user() : account.user() + "@" + account.host());
  }
  for (const std::string& definer : DefinersOf(details)) {
    if (known.count(definer) == 0 && definer.rfind("mariadb.sys@", 0) != 0)
      details.add_definers_missing(definer);
  }
  const std::string folder = MariadbProgramFolder(context_.config);
  ASSIGN_OR_RETURN(
      const int tool,
      MariadbToolVersion(context_.tools, folder.empty() ? "mariadb-dump" : folder + "/mariadb-dump"));
  details.set_history(tool >= kFirstWithHistory && reader_->ServerVersion() >= kFirstWithHistory);
  ASSIGN_OR_RETURN(const MariadbRows rows, reader_->Query("SHOW GRANTS"));
  std::vector<std::string> grants;
  for (const MariadbRow& row : rows) grants.push_back(TextOf(row[0]));
  ASSIGN_OR_RETURN(const int64_t binlog, reader_->Number("SELECT @@log_bin"));
  tells_position_ =
      binlog != 0 && (HasPrivilege(grants, "BINLOG MONITOR", "") ||
                      HasPrivilege(grants, "REPLICATION CLIENT", "") || HasPrivilege(grants, "SUPER", ""));
  if (!HasPrivilege(grants, "RELOAD", "") || !HasPrivilege(grants, "PROCESS", ""))
    not_exact_ =
        "the account may not take a global read lock and see when the dump has its snapshot (RELOAD, PROCESS)";
  return OkStatus();
}

// The lock that makes the counts those of the dump's own instant. Without it the dump is as good; only nobody counted
// beside it.
Status Dump::TakeLock() {
  consistent_at_ = absl::Now();
  if (!not_exact_.empty() || count_budget_ == absl::ZeroDuration()) return OkStatus();
  MariadbSessionOptions options;
  options.stop = context_.stop;
  options.deadline = context_.deadline;
  Status taken;
  for (int tries = 1; tries <= kMostLockTries; ++tries) {
    auto lock = SnapshotLock::Take(component_.connection(), options, *reader_, lock_wait_, lock_hold_);
    consistent_at_ = absl::Now();
    if (lock.ok()) {
      lock_ = *std::move(lock);
      return ReadPosition();
    }
    taken = lock.status();
    if (taken.code() != absl::StatusCode::kAborted) return taken;
    if (context_.log) context_.log("salvor-agent", MessageOf(taken));
    if (tries == kMostLockTries) break;
    for (absl::Duration waited; waited < kPause * tries; waited += absl::Milliseconds(50)) {
      if (context_.stop.stop_requested())
        return Cancelled("stopped while waiting for the moment of the snapshot");
      absl::SleepFor(absl::Milliseconds(50));
    }
  }
  not_exact_ = fmt::format("the read lock was not had within {} in {} tries", HumanDuration(lock_wait_),
                           kMostLockTries);
  return OkStatus();
}

Status Dump::ReadPosition() {
  if (!tells_position_) return OkStatus();
  ASSIGN_OR_RETURN(const MariadbRows rows, reader_->Query("SHOW STATUS LIKE 'Binlog_snapshot_%'"));
  for (const MariadbRow& row : rows) {
    if (TextOf(row[0]) == "Binlog_snapshot_file") inventory_.details.set_binlog_file(TextOf(row[1]));
    if (TextOf(row[0]) == "Binlog_snapshot_position")
      inventory_.details.set_binlog_position(std::strtoll(TextOf(row[1]).c_str(), nullptr, 10));
  }
  return OkStatus();
}

// The dump has written its first byte, and so has its snapshot.
Status Dump::Begin() {
  if (lock_ == nullptr) return OkStatus();
  lock_->DumpSpoke();
  const SnapshotLock::Outcome outcome = lock_->Await();
  if (outcome == SnapshotLock::Outcome::kSeen) {
    if (context_.log)
      context_.log("salvor-agent",
                   fmt::format("the read lock was held for {}", HumanDuration(lock_->Held())));
    counter_ = std::make_unique<MariadbRowCounter>(std::move(reader_), inventory_.tables,
                                                   inventory_.details.history(), count_budget_);
    return OkStatus();
  }
  const std::string why =
      outcome == SnapshotLock::Outcome::kTooLong
          ? fmt::format("the dump had no snapshot {} after the lock was taken", HumanDuration(lock_hold_))
          : "the session that held the read lock was lost: " + lock_->Why();
  if (!last_try_) {
    moved_ = true;
    return Aborted("{}", why);
  }
  not_exact_ = why;
  inventory_.details.clear_binlog_file();
  inventory_.details.clear_binlog_position();
  return OkStatus();
}

// mariadb-dump has exited 0, and its last line is there. Is the dump what the snapshot held?
Status Dump::Judge(const MariadbDumpStream& stream) {
  v1::MariadbDetails& details = inventory_.details;
  const bool same_place =
      stream.BinlogFile() == details.binlog_file() && stream.BinlogPosition() == details.binlog_position();
  if (counter_ != nullptr && tells_position_ && !stream.BinlogFile().empty() && !same_place)
    return MovedStatus("the dump and the session that counts have snapshots of two moments");
  RETURN_IF_ERROR(JudgeCounts(stream));
  if (details.binlog_file().empty()) {
    details.set_binlog_file(stream.BinlogFile());
    details.set_binlog_position(stream.BinlogPosition());
  }
  return JudgeDefinitions();
}

Status Dump::JudgeCounts(const MariadbDumpStream& stream) {
  std::string problem;
  MariadbRowCounter::Counts counts;
  if (counter_ != nullptr) counts = counter_->Finish(&problem);
  if (!problem.empty()) warnings_.push_back("rows were not counted by SQL: " + problem);
  auto dumped = stream.Tables();
  for (v1::MariadbTable& table : *inventory_.details.mutable_tables()) {
    const auto found = dumped.find({table.database(), table.name()});
    table.set_content_hash(found == dumped.end() ? HashOfNoRows() : found->second.content_hash);
    table.set_rows(found == dumped.end() ? 0 : found->second.rows);
    if (found != dumped.end()) dumped.erase(found);
    const auto counted = counts.find({table.database(), table.name()});
    if (counted == counts.end()) continue;
    table.set_counted_rows(counted->second);
    if (counted->second == table.rows()) continue;
    return MovedStatus(fmt::format("the dump has {} rows of table {}.{}, and the same snapshot {}",
                                   table.rows(), table.database(), table.name(), counted->second));
  }
  if (dumped.empty()) return OkStatus();
  return MovedStatus(fmt::format("table {}.{} was made while the dump began", dumped.begin()->first.first,
                                 dumped.begin()->first.second));
}

// Definitions are of no snapshot: they are the dump's when they are the same before and after it.
Status Dump::JudgeDefinitions() {
  ASSIGN_OR_RETURN(const std::unique_ptr<MariadbSession> session,
                   OpenMariadb(component_.connection(), context_));
  ASSIGN_OR_RETURN(const MariadbInventory now, CaptureMariadbInventory(*session, databases_));
  const auto differences = CompareMariadbInventories(inventory_.details, now.details);
  if (!differences.empty()) {
    std::vector<std::string> names;
    for (const MariadbDifference& one : differences) names.push_back(one.check + " " + one.subject);
    return MovedStatus("the databases were changed while they were dumped: " + Names(names));
  }
  std::map<DatabaseAndTable, std::string> updated;
  for (const MariadbDumpedTable& table : now.tables) updated[{table.database, table.name}] = table.updated;
  std::vector<std::string> written;
  for (size_t i = 0; i < inventory_.tables.size(); ++i) {
    const MariadbDumpedTable& table = inventory_.tables[i];
    if (table.transactional) continue;
    const std::string name = fmt::format("{}.{} ({})", table.database, table.name, table.engine);
    if (updated[{table.database, table.name}] == table.updated) continue;
    inventory_.details.mutable_tables(static_cast<int>(i))->set_changed_meanwhile(true);
    written.push_back(name);
  }
  if (!written.empty())
    warnings_.push_back(
        "tables that know no transactions were written to while they were dumped, and are of no one "
        "instant: " +
        Names(written, 20));
  return OkStatus();
}

StatusOr<v1::Artifact> Dump::Pipe(DumpObserver& observer) {
  const Restic repository = context_.Repository(action_.target().location());
  ASSIGN_OR_RETURN(const MariadbOptionFile options_file, MariadbOptionFile::For(component_.connection()));
  ProcessSpec dumper = MariadbTool(context_, "mariadb-dump", options_file,
                                   DumpArguments(databases_, inventory_.details.history(), tells_position_));
  PipeOptions options;
  options.observer = &observer;
  options.on_progress = [this, &observer, started = SteadyNow()](int64_t bytes) {
    if (!context_.progress) return;
    v1::Progress progress;
    progress.set_bytes_done(bytes);
    progress.set_bytes_total(std::max(bytes, inventory_.bytes));
    const double seconds = absl::ToDoubleSeconds(SteadyNow() - started);
    if (seconds > 0) progress.set_bytes_per_second(static_cast<double>(bytes) / seconds);
    progress.set_message(fmt::format("{} rows dumped", observer.Stream().Rows()));
    context_.progress(progress);
  };
  const std::string file = action_.target().artifact() + ".sql";
  ASSIGN_OR_RETURN(const PipeOutcome outcome,
                   RunPipe(context_.tools, std::move(dumper),
                           repository.StdinBackup(file, context_.Tags(action_.target())), options,
                           context_.stop, context_.deadline));
  ASSIGN_OR_RETURN(const std::string snapshot, Restic::SavedId(outcome.consumer));
  context_.LogTransfer("mariadb-dump | restic", outcome.bytes, outcome.took);
  RETURN_IF_ERROR(CheckUploaded(outcome.consumer.output, outcome.bytes));
  v1::Artifact artifact;
  artifact.set_component(action_.target().component());
  artifact.set_name(action_.target().artifact());
  artifact.set_bytes(outcome.bytes);
  artifact.set_sha256(outcome.sha256);
  artifact.set_snapshot(snapshot);
  artifact.set_path(Restic::StdinPath(file));
  return artifact;
}

StatusOr<v1::ActionResult> Dump::Describe(v1::Artifact artifact) {
  v1::MariadbDetails& stored = inventory_.details;
  stored.set_not_exact(not_exact_);
  stored.set_taken_at(absl::ToUnixSeconds(consistent_at_));
  if (!not_exact_.empty()) warnings_.push_back("rows were not counted beside the dump: " + not_exact_);
  ASSIGN_OR_RETURN(const std::string json, MariadbDetailsToJson(stored));
  v1::ArtifactTarget target = action_.target();
  target.set_artifact(target.artifact() + ".details");
  const std::string file = target.artifact() + ".json";
  ASSIGN_OR_RETURN_IN(const std::string snapshot,
                      context_.Repository(target.location()).StoreText(file, json, context_.Tags(target)),
                      "storing the dump's details");
  *artifact.mutable_consistent_at() = ToProto(consistent_at_);
  artifact.mutable_mariadb()->set_server_version_num(stored.server_version_num());
  v1::Artifact details;
  details.set_component(target.component());
  details.set_name(target.artifact());
  details.set_snapshot(snapshot);
  details.set_path(Restic::StdinPath(file));
  details.set_bytes(static_cast<int64_t>(json.size()));
  details.set_sha256(Sha256::Of(json));
  *details.mutable_consistent_at() = artifact.consistent_at();
  *details.mutable_mariadb() = artifact.mariadb();
  *details.mutable_contents() = MakeContents("dump details", v1::Artifact::ROLE_DETAILS);
  *artifact.mutable_contents() = MakeContents("dump", v1::Artifact::ROLE_DATA);
  int64_t rows = 0;
  for (const v1::MariadbTable& table : stored.tables()) rows += table.rows();
  AddCount("row", rows, artifact.mutable_contents());
  AddCount("table", stored.tables_size(), artifact.mutable_contents());
  artifact.mutable_coverage()->set_exact(stored.tables_size());
  RepeatForOlderReaders(&artifact);
  RepeatForOlderReaders(&details);
  v1::ActionResult result;
  *result.add_artifacts() = std::move(artifact);
  *result.add_artifacts() = std::move(details);
  for (const std::string& warning : warnings_) result.add_warnings(warning);
  result.set_note(fmt::format("{} tables, {} rows, {} accounts, {} events", stored.tables_size(), rows,
                              stored.accounts_size(), stored.events_size()));
  return result;
}

}  // namespace

StatusOr<v1::ActionResult> RunMariadbDump(const v1::MariadbDump& action, ActionContext& context) {
  for (int tries = 1;; ++tries) {
    Dump dump(action, context, tries == kMostTries);
    auto result = dump.Run();
    if (result.ok() || !dump.Moved() || tries == kMostTries || context.stop.stop_requested()) return result;
    if (context.log) context.log("salvor-agent", MessageOf(result.status()) + "; dumping again");
  }
}

}  // namespace salvor::agent
