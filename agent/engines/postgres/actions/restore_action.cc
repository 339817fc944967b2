#include <algorithm>
#include <functional>
#include <optional>

#include "agent/engines/postgres/actions/actions.h"
#include "agent/engines/postgres/actions/beyond_dump.h"
#include "agent/engines/postgres/actions/common.h"
#include "agent/engines/postgres/actions/load_watch.h"
#include "agent/engines/postgres/actions/lock_watch.h"
#include "agent/engines/postgres/actions/not_built.h"
#include "agent/engines/postgres/actions/refresh.h"
#include "agent/engines/postgres/actions/restore_marker.h"
#include "agent/engines/postgres/inventory.h"
#include "agent/engines/postgres/server_errors.h"
#include "agent/process/pipe_owner.h"
#include "agent/scratch/scratch_places.h"
#include "agent/work/restore_record.h"
#include "base/io/sha256.h"
#include "base/io/steady_clock.h"
#include "base/names.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr absl::Duration kCleanUpPatience = absl::Seconds(30);
constexpr int kMostNotBuilt = 1000;  // in a result; the log has all
constexpr char kUniqueViolation[] = "23505", kDuplicateDatabase[] = "42P04";
constexpr char kCloseToPublic[] = "REVOKE ALL ON DATABASE %DB% FROM PUBLIC";

class DatabaseRestore {
 public:
  DatabaseRestore(const v1::PostgresRestore& action, ActionContext& context)
      : action_(action),
        context_(context),
        name_(action.database().name()),
        marker_(RestoreMarker(action.run())) {}

  StatusOr<v1::ActionResult> Run() {
    RETURN_IF_ERROR(CheckDatabaseName(name_));
    RETURN_IF_ERROR(CheckObjectName(action_.run()));
    if (action_.keep_going() && !action_.target().scratch().empty())
      return InvalidArgument("a drill leaves nothing out");
    ASSIGN_OR_RETURN(details_, LoadDetails(context_, action_.location(), action_.database().details()));
    ASSIGN_OR_RETURN(target_, ResolveTarget(action_.target(), context_));
    ASSIGN_OR_RETURN(session_, OpenSession(target_.connection, "", context_));
    ASSIGN_OR_RETURN(record_, RestoreRecord::For(context_.config, action_.run(), TemporaryName()));
    std::unique_ptr<LockWatch> watch = WatchLocks("");
    ASSIGN_OR_RETURN(const bool finished, DropOwnLeftovers());
    watch.reset();
    if (!finished) {
      const Status made = Make();
      if (!made.ok()) DropHalf();
      RETURN_IF_ERROR(made);
    }
    return std::move(result_);
  }

  // Drops what an attempt left that did not come to its end, and nothing else.
  Status CleanUp() {
    RETURN_IF_ERROR(CheckDatabaseName(name_));
    RETURN_IF_ERROR(CheckObjectName(action_.run()));
    ASSIGN_OR_RETURN(target_, ResolveTarget(action_.target(), context_));
    ASSIGN_OR_RETURN(session_, OpenSession(target_.connection, "", context_));
    ASSIGN_OR_RETURN(record_, RestoreRecord::For(context_.config, action_.run(), TemporaryName()));
    const Status dropped = DropOwnLeftovers().status();
    return dropped.code() == absl::StatusCode::kFailedPrecondition ? OkStatus() : dropped;  // somebody else's
  }

 private:
  Status Drop(const std::string& name);
  Status EndCreation();
  StatusOr<bool> DropOwnLeftovers();
  Status Make();
  void DropHalf();
  Status CreateMarked();
  StatusOr<bool> FitsOneTransaction();
  Status Load();
  Status LoadInDrill();
  Status Pipe(RefreshesLeftOut* left_out, const std::string& list);
  StatusOr<std::vector<std::string>> LoaderArguments();
  std::function<void(int64_t)> ShowsBytes();
  std::function<Status(const ExitStatus&)> Explained(std::function<Status(const ExitStatus&)> explain,
                                                     Connection& inside);
  void LeaveOut(v1::NotBuilt one);
  Status Finish();
  void FillResult();
  Status ApplyProperties(Connection& inside);
  Status Apply(Connection& inside, const std::string& statement, const std::string& kept);
  std::unique_ptr<LockWatch> WatchLocks(const std::string& database);

  // The name belongs to this run and this database alone: it shows what a crash left before the marker could be set.
  std::string TemporaryName() const {
    return "salvor-" + ToHex(Sha256::Of(action_.run() + "\n" + name_).substr(0, 12));
  }

  const v1::PostgresRestore& action_;
  ActionContext& context_;
  const std::string name_, marker_;
  v1::DatabaseDetails details_;
  ResolvedTarget target_;
  std::unique_ptr<Connection> session_;
  std::optional<RestoreRecord> record_;
  std::vector<std::string> without_statistics_, warnings_;
  ViewsLeftEmpty left_empty_;
  BeyondDump beyond_dump_{details_};
  std::optional<LoadWatch> watch_;  // of the pg_restore that runs, or ran last
  v1::ActionResult result_;
};

// Two that look at one stream.
class BothObserve final : public StreamObserver {
 public:
  BothObserve(StreamObserver& first, StreamObserver* second) : first_(first), second_(second) {}
  Status OnBytes(std::string_view bytes) override {
    RETURN_IF_ERROR(first_.OnBytes(bytes));
    return second_ == nullptr ? OkStatus() : second_->OnBytes(bytes);
  }
  Status OnEnd() override {
    RETURN_IF_ERROR(first_.OnEnd());
    return second_ == nullptr ? OkStatus() : second_->OnEnd();
  }

 private:
  StreamObserver& first_;
  StreamObserver* const second_;
};

// Nothing but the dump can be to blame on a server of our own for states that speak of data and definitions.
std::function<Status(const ExitStatus&)> JudgedByState(std::function<Status(const ExitStatus&)> explain) {
  return [explain = std::move(explain)](const ExitStatus& status) {
    Status error = explain(status);
    const std::string_view state = SqlStateOfBadDump(status.error_tail);
    if (state.empty()) return error;
    return WithHint(DataLoss("{}: SQLSTATE {}", MessageOf(error), state),
                    "The dump is whole, but a server does not take it: what is named has to be mended in the "
                    "original.");
  };
}

std::string FinishedText(std::string_view oid) { return fmt::format("finished database {}\n", oid); }

constexpr char kGoOn[] =
    "Mend what is named in the original and back it up again; or restore with --keep-going, which leaves out what "
    "cannot be built (rows of a table all or none), names it, and ends partial.";

Status DatabaseRestore::Drop(const std::string& name) {
  ASSIGN_OR_RETURN(const Rows rows,
                   session_->Query("SELECT datistemplate FROM pg_database WHERE datname = $1", {name}));
  if (rows.Count() == 0) return OkStatus();
  if (rows.Bool(0, 0)) {  // which would not be dropped
    RETURN_IF_ERROR(
        session_->Execute(fmt::format("ALTER DATABASE {} IS_TEMPLATE false", session_->Identifier(name))));
  }
  // FORCE: a pg_restore of the attempt before may still be dying.
  const char* force = session_->ServerVersion() >= 130000 ? " WITH (FORCE)" : "";
  return session_->Execute(fmt::format("DROP DATABASE IF EXISTS {}{}", session_->Identifier(name), force));
}

// The session of an agent that was killed goes on with its CREATE DATABASE, and what it makes is not there to be dropped
// before it is done. The name is of this run and database alone. (Older servers end a session without waiting for it;
// the next attempt then meets what was made.)
Status DatabaseRestore::EndCreation() {
  const char* patience = session_->ServerVersion() >= 140000 ? ", 5000" : "";
  return session_
      ->Query(fmt::format(R"(
SELECT pg_terminate_backend(pid{})
  FROM pg_stat_activity
 WHERE pid <> pg_backend_pid() AND starts_with(query, $1))",
                          patience),
              {"CREATE DATABASE " + session_->Identifier(TemporaryName()) + " "})
      .status();
}

// True when an earlier attempt has finished the database, and its agent died before it could say so. With the agent
// goes a drill's server, and what that emptied when it started again is no longer what was finished.
StatusOr<bool> DatabaseRestore::DropOwnLeftovers() {
  RETURN_IF_ERROR(EndCreation());
  RETURN_IF_ERROR(Drop(TemporaryName()));
  ASSIGN_OR_RETURN(Rows rows, session_->Query(R"(
SELECT COALESCE(shobj_description(oid, 'pg_database'), ''), oid
  FROM pg_database
 WHERE datname = $1)",
                                              {name_}));
  if (rows.Count() == 0) return false;
  if (rows.View(0, 0) == marker_) {
    RETURN_IF_ERROR(Drop(name_));
    return false;
  }
  ASSIGN_OR_RETURN(const std::string before, record_->Read());
  const std::string finished = FinishedText(rows.View(0, 1));
  if (before.starts_with(finished)) {
    ASSIGN_OR_RETURN(const bool emptied, WasEmptiedByRestart(action_.target(), name_, context_));
    if (emptied) {
      RETURN_IF_ERROR(Drop(name_));
      return false;
    }
    // The warnings of an earlier attempt go on being true. A record of an earlier version ends here.
    if (!result_.ParseFromString(before.substr(finished.size())))
      return Internal("the record of the finished restore of database {} is damaged", AsUtf8(name_));
    if (result_.note().empty()) FillResult();
    return true;
  }
  return WithHint(FailedPrecondition("database {} exists on the target", AsUtf8(name_)),
                  "Restore under another name, or rename or drop the existing database yourself.");
}

// None on a scratch server, on which nobody but us works.
std::unique_ptr<LockWatch> DatabaseRestore::WatchLocks(const std::string& database) {
  if (target_.scratch) return nullptr;
  return std::make_unique<LockWatch>(context_, target_.connection, database);
}

Status DatabaseRestore::Make() {
  std::unique_ptr<LockWatch> watch = WatchLocks("");
  RETURN_IF_ERROR_IN(CreateMarked(), fmt::format("creating database {}", AsUtf8(name_)));
  watch.reset();  // before the next one, which takes its place
  watch = WatchLocks(name_);
  if (target_.scratch) {
    RETURN_IF_ERROR(context_.scratch->MarkLoaded(action_.target().scratch(), name_));
    RETURN_IF_ERROR(context_.scratch->MarkLeftEmpty(action_.target().scratch(), name_, {}));
  }
  RETURN_IF_ERROR(Load());
  return Finish();
}

// Drops what a failed or cancelled attempt made: it is of no use to anybody, and would hinder the next restore. It has
// a session of its own, which no stop request ends. What cannot be dropped now carries the marker, and goes with the
// next attempt of this run.
void DatabaseRestore::DropHalf() {
  SessionOptions options;
  options.deadline = SteadyNow() + kCleanUpPatience;
  options.cancels_on_server = !target_.scratch;
  auto opened = Connection::Open(target_.connection, options);
  Status dropped = opened.status();
  if (opened.ok()) {
    session_ = *std::move(opened);
    dropped = DropOwnLeftovers().status();
  }
  if (!dropped.ok() && context_.log) {
    context_.log("salvor-agent", fmt::format("the unfinished database {} is still there: {}", AsUtf8(name_),
                                             MessageOf(dropped)));
  }
}

// The database has a name of ours until it carries the marker, so that one of the real name is always marked.
Status DatabaseRestore::CreateMarked() {
  const v1::DatabaseProperties& properties = details_.properties();
  const auto literal = [this](const std::string& text) { return session_->Literal(text); };
  const std::string temporary = session_->Identifier(TemporaryName());
  std::string sql =
      fmt::format("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {} OWNER {}",
                  temporary, literal(properties.encoding()), literal(properties.collate()),
                  literal(properties.ctype()), session_->Identifier(properties.owner()));
  if (properties.locale_provider() == "i")
    sql += " LOCALE_PROVIDER icu ICU_LOCALE " + literal(properties.icu_locale());
  if (properties.locale_provider() == "b") {
    sql += " LOCALE_PROVIDER builtin BUILTIN_LOCALE " + literal(properties.icu_locale());
  }
  if (Status created = session_->Execute(sql); !created.ok()) {
    // The name is ours alone: a session of an agent that was killed goes on with its CREATE DATABASE to the end.
    const std::string_view state = session_->LastSqlState();
    if (state != kUniqueViolation && state != kDuplicateDatabase) return created;
    return Unavailable("an attempt whose agent was killed is still creating it: {}", MessageOf(created));
  }
  RETURN_IF_ERROR(
      session_->Execute(fmt::format("COMMENT ON DATABASE {} IS {}", temporary, literal(marker_))));
  // The copy is never open to everybody where the original is not.
  const auto& statements = properties.statements();
  if (std::find(statements.begin(), statements.end(), kCloseToPublic) != statements.end()) {
    RETURN_IF_ERROR(session_->Execute(ForDatabase(kCloseToPublic, temporary)));
  }
  return session_->Execute(
      fmt::format("ALTER DATABASE {} RENAME TO {}", temporary, session_->Identifier(name_)));
}

// A transaction keeps a lock on every object that it makes until its end, and the server has room for a fixed
// number of them.
StatusOr<bool> DatabaseRestore::FitsOneTransaction() {
  int64_t locks = details_.large_objects().count() + 4 * int64_t{details_.tables_size()};  // with TOAST
  for (const v1::CatalogSection& section : details_.catalog()) locks += section.lines_size();
  ASSIGN_OR_RETURN(const int64_t room, session_->Number(kLockTableSize));
  return locks < room / 2;
}

std::function<void(int64_t)> DatabaseRestore::ShowsBytes() {
  return [this, started = SteadyNow()](int64_t bytes) {
    if (!context_.progress) return;
    v1::Progress progress;
    progress.set_bytes_done(bytes);
    progress.set_bytes_total(action_.database().dump().bytes());
    const double seconds = absl::ToDoubleSeconds(SteadyNow() - started);
    if (seconds > 0) progress.set_bytes_per_second(static_cast<double>(bytes) / seconds);
    context_.progress(progress);
  };
}

// The failure with the name of what could not be built, which the server's words often lack, and with the way on.
std::function<Status(const ExitStatus&)> DatabaseRestore::Explained(
    std::function<Status(const ExitStatus&)> explain, Connection& inside) {
  return [this, &inside, explain = std::move(explain)](const ExitStatus& status) {
    if (action_.keep_going() && watch_->Failed()) {
      // The lines about what was left out stand in front of the reason, and are not why it ended.
      ExitStatus judged = status;
      judged.error_tail = "pg_restore: error: " + watch_->WhyItEnded();
      return explain(judged);
    }
    Status error = explain(status);
    if (!watch_->Failed() || !watch_->FirstIsOfEntry()) return error;
    const Status named = WithContext(error, watch_->All(inside, name_).front().title());
    const bool refused_by_server = !target_.scratch && watch_->FirstOfServer().empty();
    return refused_by_server ? WithHint(named, kGoOn) : named;
  };
}

Status DatabaseRestore::Load() {
  {
    ASSIGN_OR_RETURN(const std::unique_ptr<Connection> inside,
                     OpenSession(target_.connection, name_, context_));
    RETURN_IF_ERROR(beyond_dump_.BeforeLoad(*inside));
  }
  return target_.scratch ? LoadInDrill() : Pipe(nullptr, "");
}

// All but the materialized views, and then those that can be filled without a look at anything outside.
Status DatabaseRestore::LoadInDrill() {
  const std::string& drill = action_.target().scratch();
  const std::string list =
      ScratchPlaces::PlaceOf(context_.config.state_directory, drill) + "/list-" + TemporaryName();
  RefreshesLeftOut left_out(list);
  const Status loaded = Pipe(&left_out, list);
  // The archive is of another PostgreSQL than is known here: pg_restore fills what it can.
  if (left_out.Unreadable()) return Pipe(nullptr, "");
  RETURN_IF_ERROR(loaded);
  ASSIGN_OR_RETURN(const std::unique_ptr<Connection> inside,
                   OpenSession(target_.connection, name_, context_));
  ASSIGN_OR_RETURN(left_empty_, FillViewsInDrill(*inside, left_out.Refreshes()));
  return context_.scratch->MarkLeftEmpty(drill, name_, left_empty_);
}

// The empty --dbname makes it connect at all; where to, the environment says. It is --verbose that makes it name the
// entry that failed.
StatusOr<std::vector<std::string>> DatabaseRestore::LoaderArguments() {
  std::vector<std::string> arguments = {"--verbose", "--no-password", "--no-tablespaces", "--dbname="};
  if (action_.keep_going()) return arguments;
  arguments.emplace_back("--exit-on-error");
  // All or nothing either way: what was not finished is dropped.
  ASSIGN_OR_RETURN(const bool at_once, FitsOneTransaction());
  if (at_once) arguments.emplace_back("--single-transaction");
  return arguments;
}

Status DatabaseRestore::Pipe(RefreshesLeftOut* left_out, const std::string& list) {
  const v1::Artifact& dump = action_.database().dump();
  ASSIGN_OR_RETURN(std::vector<std::string> arguments, LoaderArguments());
  if (left_out != nullptr) arguments.push_back("--use-list=" + list);
  ASSIGN_OR_RETURN(const std::unique_ptr<Connection> inside,
                   OpenSession(target_.connection, name_, context_));
  ASSIGN_OR_RETURN(ProcessSpec loader, PostgresTool(context_, "pg_restore", std::move(arguments),
                                                    target_.connection, name_, *inside));
  watch_.emplace();
  if (target_.scratch && inside->SpeaksEnglish()) loader.explain = JudgedByState(std::move(loader.explain));
  loader.explain = Explained(std::move(loader.explain), *inside);
  loader.on_error_line = [this, log = std::move(loader.on_error_line)](std::string_view line) {
    watch_->OnErrorLine(line);
    if (!IsVerboseLine(line)) log(line);
  };
  BothObserve both(*watch_, left_out);
  PipeOptions options;
  options.observer = &both;
  options.expect_bytes = dump.bytes();
  options.expect_sha256 = dump.sha256();
  options.on_progress = ShowsBytes();
  if (action_.keep_going()) {
    options.accept_consumer = [this](const ExitStatus& status) {
      return watch_->WentOnToItsEnd(status) && watch_->FirstOfServer().empty();
    };
  }
  ProcessSpec producer = context_.Repository(action_.location()).Dump(dump.snapshot(), dump.path());
  ASSIGN_OR_RETURN_IN(const PipeOutcome outcome,
                      RunPipe(context_.tools, std::move(producer), std::move(loader), options, context_.stop,
                              context_.deadline),
                      fmt::format("restoring database {}", AsUtf8(name_)));
  context_.LogTransfer("restic | pg_restore", outcome.bytes, outcome.took);
  for (v1::NotBuilt& one : watch_->All(*inside, name_)) LeaveOut(std::move(one));
  return OkStatus();
}

void DatabaseRestore::LeaveOut(v1::NotBuilt one) {
  if (result_.not_built_size() < kMostNotBuilt) {
    *result_.add_not_built() = std::move(one);
  } else {
    result_.set_not_built_left_out(result_.not_built_left_out() + 1);
  }
}

void DatabaseRestore::FillResult() {
  const int64_t left_out = result_.not_built_size() + result_.not_built_left_out();
  result_.set_note(
      fmt::format("database {} restored{}, {}", AsUtf8(name_),
                  left_out == 0 ? "" : fmt::format(" without what could not be built ({})", left_out),
                  HumanBytes(action_.database().dump().bytes())));
  for (const std::string& warning : warnings_) {
    result_.add_warnings(fmt::format("database {}: {}", AsUtf8(name_), warning));
  }
  if (!without_statistics_.empty()) {
    result_.add_warnings(
        fmt::format("no statistics of {}: collecting them failed, or would connect to foreign servers",
                    AsUtf8(Names(without_statistics_))));
  }
  if (!left_empty_.empty()) {
    result_.add_warnings("materialized views left empty, whose queries a restore runs: " +
                         DescribeLeftEmpty(left_empty_));
  }
}

// Does what the dump left to be done: statistics, then settings and grants of the database itself, and last of all the
// real comment for the marker.
Status DatabaseRestore::Finish() {
  // Opened before the settings: they could hinder a new session.
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> inside, OpenSession(target_.connection, name_, context_));
  ASSIGN_OR_RETURN_IN(warnings_, beyond_dump_.AfterLoad(*inside), "restoring what the dump does not say");
  ASSIGN_OR_RETURN_IN(without_statistics_, AnalyzeWhatIsHere(*inside), "collecting statistics");
  RETURN_IF_ERROR_IN(ApplyProperties(*inside), "settings and grants of the database");
  ASSIGN_OR_RETURN(const Rows rows,
                   session_->Query("SELECT oid FROM pg_database WHERE datname = $1", {name_}));
  if (rows.Count() == 0) return Aborted("database {} was dropped while it was restored", AsUtf8(name_));
  FillResult();
  RETURN_IF_ERROR(record_->Write(FinishedText(rows.View(0, 0)) + result_.SerializeAsString()));
  const std::string& comment = details_.properties().comment();
  ASSIGN_OR_RETURN(const std::string name, inside->Value("SELECT current_database()"));
  return inside->Execute(fmt::format(
      "COMMENT ON DATABASE {} IS {}", inside->Identifier(name),
      comment.empty() ? "NULL"
                      : inside->Literal(inside->TextEncoding() == "UTF8" ? comment : BytesOf(comment))));
}

// Properties are set from inside the database, for the server keeps such texts as the bytes of the session's database:
// 'é' said in a UTF-8 database is another text in one that is LATIN1.
Status DatabaseRestore::ApplyProperties(Connection& inside) {
  const v1::DatabaseProperties& properties = details_.properties();
  ASSIGN_OR_RETURN(const std::string name, inside.Value("SELECT current_database()"));
  const std::string quoted = inside.Identifier(name);
  for (const std::string& kept : properties.statements()) {
    const std::string statement = inside.TextEncoding() == "UTF8" ? kept : BytesOf(kept);
    RETURN_IF_ERROR(Apply(inside, ForDatabase(statement, quoted), kept));
  }
  if (properties.connection_limit() == -1) return OkStatus();
  return inside.Execute(
      fmt::format("ALTER DATABASE {} CONNECTION LIMIT {}", quoted, properties.connection_limit()));
}

Status DatabaseRestore::Apply(Connection& inside, const std::string& statement, const std::string& kept) {
  Status applied = inside.Execute(statement);
  const bool refused = !inside.LastSqlState().empty() && inside.Alive() && !IsOfSurroundings(applied) &&
                       applied.code() != absl::StatusCode::kCancelled &&
                       applied.code() != absl::StatusCode::kDeadlineExceeded;
  if (applied.ok() || !action_.keep_going() || !refused) return applied;
  v1::NotBuilt one;
  one.set_database(AsUtf8(name_));
  one.set_kind(kDatabaseSetting);
  one.set_name(kept);
  one.set_title("setting of the database: " + ForDatabase(kept, AsUtf8(name_)));
  one.set_cause(MessageOf(applied));
  one.set_sqlstate(inside.LastSqlState());
  LeaveOut(std::move(one));
  return OkStatus();
}

}  // namespace

Status CleanUpPostgresRestore(const v1::PostgresRestore& action, ActionContext& context) {
  if (!action.target().has_connection()) return OkStatus();
  return DatabaseRestore(action, context).CleanUp();
}

StatusOr<v1::ActionResult> RunPostgresRestore(const v1::PostgresRestore& action, ActionContext& context) {
  return DatabaseRestore(action, context).Run();
}

}  // namespace salvor::agent
