#include <absl/time/clock.h>

#include <algorithm>

#include "agent/engines/postgres/actions/actions.h"
#include "agent/engines/postgres/actions/common.h"
#include "agent/engines/postgres/actions/dump_counter.h"
#include "agent/engines/postgres/actions/dump_expectations.h"
#include "agent/engines/postgres/actions/dump_file.h"
#include "agent/engines/postgres/actions/lock_watch.h"
#include "agent/engines/postgres/archive_stream.h"
#include "agent/engines/postgres/catalog_state.h"
#include "agent/engines/postgres/details_json.h"
#include "agent/engines/postgres/inventory.h"
#include "agent/process/pipe_owner.h"
#include "base/io/files.h"
#include "base/io/steady_clock.h"
#include "base/names.h"
#include "base/text.h"
#include "proto/artifact.h"
#include "proto/time.h"

namespace salvor::agent {
namespace {

using Level = v1::PostgresExpectations;

constexpr int kMostTries = 3;  // against a catalogue that moves while a dump begins

// Reads the archive as it flows by. Is asked at its first byte, which pg_dump writes when it has locked all
// tables and read all definitions, and before the uploader may see its end: that is the last moment at which
// nothing has been kept yet.
class DumpObserver final : public StreamObserver {
 public:
  DumpObserver(std::unique_ptr<ArchiveStream> archive, std::function<Status()> on_begin,
               std::function<Status()> judge)
      : archive_(std::move(archive)), on_begin_(std::move(on_begin)), judge_(std::move(judge)) {}

  Status OnBytes(std::string_view bytes) override {
    if (on_begin_) {
      RETURN_IF_ERROR(on_begin_());
      on_begin_ = nullptr;
    }
    return archive_ ? archive_->Feed(bytes) : OkStatus();
  }
  Status OnEnd() override {
    if (archive_) RETURN_IF_ERROR(archive_->Finish());
    return judge_();
  }
  ArchiveStream* Archive() { return archive_.get(); }

 private:
  std::unique_ptr<ArchiveStream> archive_;
  std::function<Status()> on_begin_, judge_;
};

// One try.
//
// A session of ours holds the snapshot, and no lock on anything while pg_dump asks for its own: somebody who
// wants a table for himself alone would wait for us, pg_dump behind him, and we for pg_dump. Nobody but us could
// see that circle.
class Dump {
 public:
  // The `last_try` keeps what can be kept of a database in which tables are emptied all the time.
  Dump(const v1::PostgresDump& action, ActionContext& context, bool last_try)
      : action_(action),
        component_(action.component()),
        context_(context),
        last_try_(last_try),
        repository_(context.Repository(action.target().location())) {}

  StatusOr<v1::ActionResult> Run() {
    RETURN_IF_ERROR(CheckDatabaseName(action_.database()));
    RETURN_IF_ERROR(ReadSettings());
    RETURN_IF_ERROR(ForgetEarlierAttempts(context_, {action_.target()}));
    const LockWatch watch(context_, component_.connection(), action_.database());
    if (const Status taken = TakeSnapshot(); !taken.ok()) return WhyItDidNotBegin(taken);
    std::unique_ptr<ArchiveStream> archive;
    if (level_ != Level::LEVEL_NONE) {
      archive = std::make_unique<ArchiveStream>(level_ == Level::LEVEL_COUNT ? RowDigest::Mode::kCount
                                                                             : RowDigest::Mode::kHash);
    }
    DumpObserver observer(
        std::move(archive), [this] { return Begin(); },
        [this, &observer] { return Judge(observer.Archive()); });
    auto artifact = component_.capture() == v1::CAPTURE_VOLUME ? ToVolume(observer) : ToLocation(observer);
    if (!artifact.ok()) return begun_ ? artifact.status() : WhyItDidNotBegin(artifact.status());
    holder_.reset();
    return Describe(*std::move(artifact));
  }

  // The objects that kept the dump of a failed Run from being whole, and will hardly do so once more.
  const std::vector<CatalogObject>& MovedObjects() const { return moved_; }

 private:
  Status ReadSettings();
  Status TakeSnapshot();
  Status TakeStock();
  Status LeaveOutUnlogged();
  Status CompareCatalog();
  Status Begin();
  Status WhyItDidNotBegin(const Status& failure);
  StatusOr<std::string> LockHolders();
  Status Judge(ArchiveStream* archive);
  StatusOr<ProcessSpec> Dumper();
  PipeOptions Options(DumpObserver& observer);
  StatusOr<v1::Artifact> ToLocation(DumpObserver& observer);
  StatusOr<v1::Artifact> ToVolume(DumpObserver& observer);
  v1::Artifact ArtifactOf(const PipeOutcome& outcome) const;
  StatusOr<v1::ActionResult> Describe(v1::Artifact artifact);

  const v1::PostgresDump& action_;
  const v1::PostgresComponent& component_;
  ActionContext& context_;
  const bool last_try_;
  Restic repository_;
  Level::Level level_ = Level::LEVEL_EXACT;
  absl::Duration count_budget_ = absl::Seconds(60);
  absl::Duration lock_wait_ = absl::Seconds(120);
  std::unique_ptr<Connection> holder_;  // its transaction keeps the snapshot alive until pg_dump has exited
  std::string snapshot_;
  absl::Time consistent_at_;
  Inventory inventory_;
  CatalogState catalog_;              // as the snapshot has it
  std::vector<CatalogObject> moved_;  // what was not the same any more when pg_dump held its locks
  TableNames unsure_;                 // tables whose rows may be missing, since they were emptied meanwhile
  TableNames left_out_;               // tables whose rows a dump of this server cannot have
  bool begun_ = false;                // pg_dump holds its locks
  std::unique_ptr<RowCounter> counter_;
  std::vector<std::string> warnings_;
};

Status Dump::ReadSettings() {
  const v1::PostgresExpectations& expectations = component_.expectations();
  if (expectations.level() != Level::LEVEL_UNSPECIFIED) level_ = expectations.level();
  const auto read = [](const std::string& text, const char* what, absl::Duration& into) {
    if (text.empty()) return OkStatus();
    const auto duration = ParseDuration(text);
    if (!duration)
      return InvalidArgument("{} '{}' is not a duration; write 90s or 1h30m", what, Elide(text, 40));
    into = *duration;
    return OkStatus();
  };
  RETURN_IF_ERROR(read(expectations.count_budget(), "count_budget", count_budget_));
  return read(component_.lock_wait_timeout(), "lock_wait_timeout", lock_wait_);
}

Status Dump::TakeSnapshot() {
  ASSIGN_OR_RETURN(holder_, OpenSession(component_.connection(), action_.database(), context_));
  RETURN_IF_ERROR(holder_->Execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  RETURN_IF_ERROR(
      holder_->Execute(fmt::format("SET LOCAL lock_timeout TO {}", absl::ToInt64Milliseconds(lock_wait_))));
  consistent_at_ = absl::Now();
  ASSIGN_OR_RETURN(Rows exported, holder_->Query(
                                      R"(
SELECT pg_export_snapshot(),
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)"));
  snapshot_ = exported.Text(0, 0);
  // Going back to a savepoint gives back the locks that were taken since: those on tables of views, on
  // sequences, on the tables of migrations.
  RETURN_IF_ERROR(holder_->Execute("SAVEPOINT without_locks"));
  RETURN_IF_ERROR_IN(TakeStock(), "reading the catalogue");
  RETURN_IF_ERROR(holder_->Execute("ROLLBACK TO SAVEPOINT without_locks"));
  RETURN_IF_ERROR(holder_->Execute("RELEASE SAVEPOINT without_locks"));
  inventory_.details.set_snapshot_id(snapshot_);
  inventory_.details.set_lsn(exported.Text(0, 1));
  warnings_ = inventory_.warnings;
  return OkStatus();
}

Status Dump::TakeStock() {
  ASSIGN_OR_RETURN(catalog_, CaptureCatalogState(*holder_));
  ASSIGN_OR_RETURN(inventory_, CaptureInventory(*holder_));
  inventory_.details.set_database(AsUtf8(action_.database()));
  return LeaveOutUnlogged();
}

// A standby has nothing of unlogged tables but their definition, and pg_dump leaves out their data there.
Status Dump::LeaveOutUnlogged() {
  ASSIGN_OR_RETURN(Rows rows, holder_->Query(R"sql(
      SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relpersistence = 'u' AND c.relkind = 'r' AND pg_is_in_recovery()
       ORDER BY 1, 2)sql"));
  std::vector<std::string> names;
  for (int i = 0; i < rows.Count(); ++i) {
    left_out_.insert({rows.Text(i, 0), rows.Text(i, 1)});
    names.push_back(AsUtf8(rows.Text(i, 0) + "." + rows.Text(i, 1)));
  }
  if (names.empty()) return OkStatus();
  inventory_.warnings.push_back("rows of unlogged tables are not on a standby, and not in the dump: " +
                                Names(names, 20));
  std::vector<DumpedTable>& tables = inventory_.tables;
  tables.erase(std::remove_if(tables.begin(), tables.end(),
                              [this](const DumpedTable& table) {
                                return left_out_.count({table.schema, table.name}) > 0;
                              }),
               tables.end());
  return OkStatus();
}

// Aborted when the database is not the one of the snapshot any more. A session of its own, whose snapshot is of now,
// looks at it. It waits no longer than a dump does: pg_dump stands still meanwhile, and somebody who rewrites a system
// catalogue waits for it.
Status Dump::CompareCatalog() {
  ASSIGN_OR_RETURN(const std::unique_ptr<Connection> session,
                   OpenSession(component_.connection(), action_.database(), context_));
  RETURN_IF_ERROR(
      session->Execute(fmt::format("SET lock_timeout TO {}", absl::ToInt64Milliseconds(lock_wait_))));
  ASSIGN_OR_RETURN(const CatalogState now, CaptureCatalogState(*session));
  moved_ = Moved(catalog_, now);
  if (moved_.empty()) return OkStatus();
  const bool only_emptied = std::all_of(
      moved_.begin(), moved_.end(), [](const CatalogObject& object) { return object.kind == kTableContent; });
  if (last_try_ && only_emptied) {
    for (const CatalogObject& table : moved_) unsure_.insert({table.schema, table.name});
    return OkStatus();
  }
  std::vector<std::string> names;
  for (const CatalogObject& object : moved_) names.push_back(salvor::agent::Describe(object));
  return WithHint(Aborted("the database was changed while the dump began: {}", Names(names)),
                  "Migrate, truncate and rewrite tables at another time than that of the backup.");
}

// pg_dump has locked its tables and read all definitions.
Status Dump::Begin() {
  begun_ = true;
  RETURN_IF_ERROR(CompareCatalog());
  if (level_ == Level::LEVEL_NONE) return OkStatus();
  counter_ = std::make_unique<RowCounter>(component_.connection(), action_.database(), snapshot_,
                                          inventory_.tables, catalog_, count_budget_);
  return OkStatus();
}

// pg_dump's own words may be in any language, so the server is asked: did something that it looked for vanish,
// does somebody hold what it wanted?
Status Dump::WhyItDidNotBegin(const Status& failure) {
  if (context_.stop.stop_requested() || failure.code() == absl::StatusCode::kDeadlineExceeded) return failure;
  if (!holder_) return failure;  // there is no server to ask
  if (const Status moved = CompareCatalog(); !moved_.empty() && !moved.ok()) {
    return WithContext(moved, MessageOf(failure));
  }
  const auto holders = LockHolders();
  if (!holders.ok() || holders->empty()) return failure;
  const absl::StatusCode code =
      failure.code() == absl::StatusCode::kInternal ? absl::StatusCode::kUnavailable : failure.code();
  const Status named = MakeStatus(code, fmt::format("{}; locked now: {}", MessageOf(failure), *holders));
  return WithHint(WithHint(named, HintOf(failure)),
                  "The component's lockWaitTimeout is how long a dump waits for a lock.");
}

// "table public.orders by process 4711 (psql of user app)"; "" when nobody holds what a dump needs.
StatusOr<std::string> Dump::LockHolders() {
  ASSIGN_OR_RETURN(const std::unique_ptr<Connection> session,
                   OpenSession(component_.connection(), action_.database(), context_));
  ASSIGN_OR_RETURN(Rows rows, session->Query(R"sql(
      SELECT format('table %s by process %s (%s of user %s)', l.relation::regclass, l.pid,
                    COALESCE(NULLIF(a.application_name, ''), 'a session'), COALESCE(a.usename::text, 'unknown'))
        FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
       WHERE l.locktype = 'relation' AND l.granted AND l.mode = 'AccessExclusiveLock'
         AND l.relation >= 16384 AND l.pid <> pg_backend_pid()
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
         AND EXISTS (SELECT FROM pg_class c WHERE c.oid = l.relation AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't')
       ORDER BY 1)sql"));
  return Names(Column(rows));
}

// The dumper has exited 0. Is the dump what the snapshot held?
Status Dump::Judge(ArchiveStream* archive) {
  const auto alive = holder_->Query("SELECT 1");
  if (!alive.ok()) {
    return WithContext(Aborted("{}", MessageOf(alive.status())),
                       "the session that held the snapshot was lost");
  }
  RowCounter::Counts counts;
  std::string problem;
  if (counter_) counts = counter_->Finish(&problem);
  if (!problem.empty()) warnings_.push_back("rows were not counted by SQL: " + problem);
  for (const auto& table : unsure_) {
    warnings_.push_back(fmt::format(
        "table {}.{} was emptied or rewritten while each of {} dumps began: rows that were committed "
        "before may be missing",
        AsUtf8(table.first), AsUtf8(table.second), kMostTries));
  }
  for (const auto& table : left_out_) {
    v1::TableExpectation* expected = inventory_.details.add_tables();
    expected->set_schema(AsUtf8(table.first));
    expected->set_name(AsUtf8(table.second));
    expected->set_level(v1::COVERAGE_LEVEL_NONE);
    expected->set_counted_rows(-1);
  }
  if (archive != nullptr && !archive->Readable()) {
    warnings_.push_back("rows and content are not covered: " + archive->Why());
  }
  if (archive == nullptr || !archive->Readable()) {
    return FillExpectations(nullptr, inventory_, counts, unsure_, warnings_);
  }
  ASSIGN_OR_RETURN_IN(const ArchiveSummary summary, InTextEncoding(*holder_, archive->Summary()),
                      "reading the names in the dump");
  return FillExpectations(&summary, inventory_, counts, unsure_, warnings_);
}

StatusOr<ProcessSpec> Dump::Dumper() {
  return PostgresTool(context_, "pg_dump",
                      {"--format=custom", "--compress=0", "--no-password", "--snapshot=" + snapshot_,
                       // The database's own, in which nothing has to be converted and nothing can fail to be.
                       "--encoding=" + holder_->ServerEncoding(),
                       fmt::format("--lock-wait-timeout={}", absl::ToInt64Milliseconds(lock_wait_))},
                      component_.connection(), action_.database(), *holder_);
}

PipeOptions Dump::Options(DumpObserver& observer) {
  PipeOptions options;
  options.observer = &observer;
  options.on_progress = [this, &observer, started = SteadyNow()](int64_t bytes) {
    if (!context_.progress) return;
    v1::Progress progress;
    progress.set_bytes_done(bytes);
    progress.set_bytes_total(std::max(bytes, inventory_.table_bytes));
    const double seconds = absl::ToDoubleSeconds(SteadyNow() - started);
    if (seconds > 0) progress.set_bytes_per_second(static_cast<double>(bytes) / seconds);
    if (observer.Archive() != nullptr) {
      progress.set_message(
          fmt::format("{} of {} tables dumped", observer.Archive()->TablesDone(), inventory_.tables.size()));
    }
    context_.progress(progress);
  };
  options.producer_stall = kProducerStall + lock_wait_;  // for which it may wait in silence
  return options;
}

v1::Artifact Dump::ArtifactOf(const PipeOutcome& outcome) const {
  v1::Artifact artifact;
  artifact.set_component(action_.target().component());
  artifact.set_name(action_.target().artifact());
  artifact.set_kind(v1::Artifact::KIND_POSTGRES_DUMP);
  *artifact.mutable_contents() = MakeContents("dump", v1::Artifact::ROLE_DATA);
  artifact.set_database(action_.database());
  artifact.set_bytes(outcome.bytes);
  artifact.set_sha256(outcome.sha256);
  *artifact.mutable_consistent_at() = ToProto(consistent_at_);
  artifact.mutable_postgres()->set_server_version_num(inventory_.details.server_version_num());
  return artifact;
}

StatusOr<v1::Artifact> Dump::ToLocation(DumpObserver& observer) {
  ASSIGN_OR_RETURN(ProcessSpec dumper, Dumper());
  const std::map<std::string, std::string> tags = context_.Tags(action_.target());
  const std::string file = action_.target().artifact() + ".dump";
  ASSIGN_OR_RETURN(const PipeOutcome outcome,
                   RunPipe(context_.tools, std::move(dumper), repository_.StdinBackup(file, tags),
                           Options(observer), context_.stop, context_.deadline));
  ASSIGN_OR_RETURN(const std::string snapshot, Restic::SavedId(outcome.consumer));
  context_.LogTransfer("pg_dump | restic", outcome.bytes, outcome.took);
  RETURN_IF_ERROR(CheckUploadedBytes(outcome.consumer.output, outcome.bytes));
  v1::Artifact artifact = ArtifactOf(outcome);
  artifact.set_snapshot(snapshot);
  artifact.set_path(Restic::StdinPath(file));
  return artifact;
}

// The dump goes into a file first, which is then snapshotted: for who wants it on a volume.
StatusOr<v1::Artifact> Dump::ToVolume(DumpObserver& observer) {
  RETURN_IF_ERROR(CheckAbsolutePath(component_.dump_directory()));
  RETURN_IF_ERROR(CheckObjectName(context_.task.lease().run()));
  DumpFile file(component_.dump_directory(), context_.task.lease().run(), DumpFile::NameOf(action_.target()));
  ASSIGN_OR_RETURN(ProcessSpec dumper, Dumper());
  ProcessSpec writer;
  writer.argv = {"cat"};
  ASSIGN_OR_RETURN(writer.output, file.Create());
  ASSIGN_OR_RETURN(const PipeOutcome outcome, RunPipe(context_.tools, std::move(dumper), std::move(writer),
                                                      Options(observer), context_.stop, context_.deadline));
  RETURN_IF_ERROR(file.Sync());
  context_.LogTransfer("pg_dump > file", outcome.bytes, outcome.took);
  const std::map<std::string, std::string> tags = context_.Tags(action_.target());
  ASSIGN_OR_RETURN(const ResticBackupSummary summary,
                   repository_.BackupPaths({file.Path()}, {}, tags, nullptr));
  if (const Status moved = file.CheckPath(); !moved.ok()) {
    RETURN_IF_ERROR(repository_.Forget({summary.snapshot}));
    return moved;
  }
  if (summary.incomplete || summary.bytes_processed != outcome.bytes) {
    RETURN_IF_ERROR(repository_.Forget({summary.snapshot}));
    return DataLoss("{} bytes were dumped, restic kept {}", outcome.bytes, summary.bytes_processed);
  }
  v1::Artifact artifact = ArtifactOf(outcome);
  artifact.set_snapshot(summary.snapshot);
  artifact.set_path(file.Path());
  return artifact;
}

StatusOr<v1::ActionResult> Dump::Describe(v1::Artifact artifact) {
  v1::ArtifactTarget target = action_.target();
  target.set_artifact(target.artifact() + ".details");
  ASSIGN_OR_RETURN(const std::string json, ToJson(inventory_.details));
  ASSIGN_OR_RETURN_IN(v1::Artifact details, StoreTextArtifact(context_, target, json),
                      "storing the dump's details");
  details.set_kind(v1::Artifact::KIND_POSTGRES_DETAILS);
  details.set_database(action_.database());
  *details.mutable_consistent_at() = ToProto(consistent_at_);
  *details.mutable_contents() = MakeContents("dump details", v1::Artifact::ROLE_DETAILS);
  *details.mutable_postgres() = artifact.postgres();
  SummariseCoverage(inventory_.details, artifact);
  RepeatForOlderReaders(&artifact);
  RepeatForOlderReaders(&details);
  v1::ActionResult result;
  *result.add_artifacts() = std::move(artifact);
  *result.add_artifacts() = std::move(details);
  for (const std::string& warning : warnings_) {
    result.add_warnings(fmt::format("database {}: {}", AsUtf8(action_.database()), warning));
  }
  return result;
}

}  // namespace

StatusOr<v1::ActionResult> RunPostgresDump(const v1::PostgresDump& action, ActionContext& context) {
  for (int tries = 1;; ++tries) {
    Dump dump(action, context, tries == kMostTries);
    auto result = dump.Run();
    if (result.ok() || dump.MovedObjects().empty() || tries == kMostTries || context.stop.stop_requested()) {
      return result;
    }
    if (context.log) context.log("salvor-agent", MessageOf(result.status()) + "; dumping again");
  }
}

}  // namespace salvor::agent
