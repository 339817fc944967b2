#include <absl/time/clock.h>

#include <algorithm>
#include <optional>
#include <set>

#include "agent/engines/mariadb/actions/actions.h"
#include "agent/engines/mariadb/actions/common.h"
#include "agent/engines/mariadb/actions/restore_marker.h"
#include "agent/engines/mariadb/events.h"
#include "agent/engines/mariadb/grants.h"
#include "agent/engines/mariadb/tools.h"
#include "agent/process/pipe_owner.h"
#include "agent/scratch/scratch_places.h"
#include "agent/work/check_list.h"
#include "agent/work/restore_record.h"
#include "base/io/steady_clock.h"
#include "base/names.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr char kFinished[] = "finished", kWriting[] = "writing";
constexpr unsigned int kSyntaxError = 1064;

class Restore {
 public:
  Restore(const v1::MariadbRestore& action, ActionContext& context)
      : action_(action), context_(context), marker_(MariadbRestoreMarker(action.run())) {}

  StatusOr<v1::ActionResult> Run() {
    RETURN_IF_ERROR(Open());
    ASSIGN_OR_RETURN(const bool finished, DropOwnLeftovers());
    if (!finished) {
      const Status made = Make();
      if (!made.ok()) DropHalf();
      RETURN_IF_ERROR(made);
      RETURN_IF_ERROR(WriteRecord(kFinished));
    }
    RETURN_IF_ERROR(TakeMarkersAway());
    if (target_.scratch)
      RETURN_IF_ERROR(context_.scratch->MarkLoaded(action_.target().scratch(), "databases"));
    result_.set_note(fmt::format("{} restored, {}, {} accounts created, {} events disabled so far",
                                 Names(DatabaseNames(details_)), HumanBytes(action_.dump().bytes()),
                                 created_.size(), details_.events_size()));
    return std::move(result_);
  }

  // Drops what an attempt left that did not come to its end, and nothing else.
  Status CleanUp() {
    RETURN_IF_ERROR(Open());
    const Status dropped = DropOwnLeftovers().status();
    return dropped.code() == absl::StatusCode::kFailedPrecondition ? OkStatus() : dropped;  // somebody else's
  }

 private:
  Status Open();
  StatusOr<bool> DropOwnLeftovers();
  Status Make();
  Status MakeAccounts();
  Status MakeDatabases();
  Status Load();
  Status Grant();
  Status MakeEvents();
  Status TakeMarkersAway();
  void DropHalf();
  Status ReadRecord();
  Status WriteRecord(const std::string& word) const;
  // The server's words without the statement, which may hold the hash of a password.
  Status Discreet(const Status& status) const {
    if (status.ok() || session_->LastError() != kSyntaxError) return status;
    return MakeStatus(status.code(), "the server does not understand its definition");
  }
  static std::string KeyOf(const v1::MariadbAccount& account) {
    return PercentEncode(account.user() + "@" + account.host());
  }

  const v1::MariadbRestore& action_;
  ActionContext& context_;
  const std::string marker_;
  v1::MariadbDetails details_;
  ResolvedMariadbTarget target_;
  std::unique_ptr<MariadbSession> session_;
  std::optional<RestoreRecord> record_;
  bool finished_ = false;
  std::set<std::string> created_;  // accounts that this run made, in this attempt or an earlier one
  v1::ActionResult result_;
};

Status Restore::Open() {
  RETURN_IF_ERROR(CheckObjectName(action_.run()));
  ASSIGN_OR_RETURN(details_, LoadMariadbDetails(context_, action_.location(), action_.details()));
  for (const v1::MariadbDatabase& database : details_.databases())
    RETURN_IF_ERROR(CheckMariadbDatabase(database.name()));
  ASSIGN_OR_RETURN(target_, ResolveMariadbTarget(action_.target(), context_));
  ASSIGN_OR_RETURN(session_, OpenMariadb(target_.connection, context_));
  ASSIGN_OR_RETURN(
      record_, RestoreRecord::For(context_.config, action_.run(), "mariadb-" + context_.task.component()));
  return ReadRecord();
}

Status Restore::ReadRecord() {
  ASSIGN_OR_RETURN(const std::string text, record_->Read());
  const std::vector<std::string> lines = Split(text, '\n');
  finished_ = !lines.empty() && lines[0] == kFinished;
  for (size_t i = 1; i < lines.size(); ++i) {
    if (!lines[i].empty()) created_.insert(lines[i]);
  }
  return OkStatus();
}

Status Restore::WriteRecord(const std::string& word) const {
  return record_->Write(word + "\n" + Join({created_.begin(), created_.end()}, "\n"));
}

// True when an earlier attempt has finished, and only its acknowledgement was lost.
StatusOr<bool> Restore::DropOwnLeftovers() {
  size_t there = 0;
  std::vector<std::string> own;
  std::string foreign;
  for (const v1::MariadbDatabase& database : details_.databases()) {
    ASSIGN_OR_RETURN(
        const MariadbRows rows,
        session_->Query("SELECT SCHEMA_COMMENT FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = " +
                        session_->Literal(database.name())));
    if (rows.empty()) continue;
    ++there;
    if (TextOf(rows[0][0]) == marker_) {
      own.push_back(database.name());
    } else if (!finished_ && foreign.empty()) {
      foreign = database.name();
    }
  }
  if (finished_ && there == static_cast<size_t>(details_.databases_size())) return true;
  for (const std::string& name : own) {
    RETURN_IF_ERROR_IN(session_->Execute("DROP DATABASE " + MariadbSession::Identifier(name)),
                       "dropping what an earlier attempt left");
  }
  if (!foreign.empty()) {
    return WithHint(
        FailedPrecondition("database {} exists on the target, and this run did not make it", foreign),
        "Drop or move the existing database yourself, or restore to another server.");
  }
  return false;
}

// Statements run where they can be checked by their own rules: foreign keys and grants name things of later databases.
Status Restore::Make() {
  RETURN_IF_ERROR(MakeAccounts());
  RETURN_IF_ERROR(MakeDatabases());
  RETURN_IF_ERROR(Load());
  RETURN_IF_ERROR(Grant());
  return MakeEvents();
}

// An account that exists stays as it is. The record is written first, so that a retry knows which ones it made.
Status Restore::MakeAccounts() {
  ASSIGN_OR_RETURN(const MariadbRows rows, session_->Query("SELECT User, Host FROM mysql.global_priv"));
  std::set<std::pair<std::string, std::string>> there;
  for (const MariadbRow& row : rows) there.insert({TextOf(row[0]), TextOf(row[1])});
  for (const v1::MariadbAccount& account : details_.accounts()) {
    if (there.count({account.user(), account.host()}) == 0) created_.insert(KeyOf(account));
  }
  RETURN_IF_ERROR(WriteRecord(kWriting));
  for (const v1::MariadbAccount& account : details_.accounts()) {
    if (created_.count(KeyOf(account)) == 0 || account.create().empty()) continue;
    const std::string word = "CREATE ";
    std::string statement = account.create();
    if (statement.rfind(word, 0) != 0)
      return DataLoss("account {}@{} has no definition", account.user(), account.host());
    statement.insert(word.size(), "OR REPLACE ");
    RETURN_IF_ERROR_IN(Discreet(session_->Execute(statement)),
                       fmt::format("creating account {}@{}", account.user(), account.host()));
  }
  return OkStatus();
}

Status Restore::MakeDatabases() {
  for (const v1::MariadbDatabase& database : details_.databases()) {
    RETURN_IF_ERROR_IN(
        session_->Execute(fmt::format("CREATE DATABASE {} CHARACTER SET {} COLLATE {} COMMENT {}",
                                      MariadbSession::Identifier(database.name()), database.charset(),
                                      database.collation(), session_->Literal(marker_))),
        "creating database " + database.name());
  }
  return OkStatus();
}

// Nothing but the dump can be to blame on a server of our own for what the server says of it.
std::function<Status(const ExitStatus&)> JudgedOnScratch(std::function<Status(const ExitStatus&)> explain) {
  return [explain = std::move(explain)](const ExitStatus& status) {
    Status error = explain(status);
    const bool of_dump =
        ErrorNumberIn(status.error_tail) != 0 &&
        (error.code() == absl::StatusCode::kInternal || error.code() == absl::StatusCode::kNotFound);
    if (!of_dump) return error;
    return WithHint(
        DataLoss("{}", MessageOf(error)),
        "The dump is whole, but a server does not take it: what is named has to be mended in the original.");
  };
}

// The client reads statements alone: commands by which a dump could read or run something of this host are off.
Status Restore::Load() {
  ASSIGN_OR_RETURN(const MariadbOptionFile options_file, MariadbOptionFile::For(target_.connection));
  ProcessSpec loader =
      MariadbTool(context_, "mariadb", options_file,
                  {"--batch", "--binary-mode", "--sandbox", "--local-infile=0", "--max-allowed-packet=1G",
                   "--default-character-set=utf8mb4", "--unbuffered", "--loose-print-query-on-error=0"});
  if (target_.scratch) loader.explain = JudgedOnScratch(std::move(loader.explain));
  PipeOptions options;
  options.expect_bytes = action_.dump().bytes();
  options.expect_sha256 = action_.dump().sha256();
  options.on_progress = [this, started = SteadyNow()](int64_t bytes) {
    if (!context_.progress) return;
    v1::Progress progress;
    progress.set_bytes_done(bytes);
    progress.set_bytes_total(action_.dump().bytes());
    const double seconds = absl::ToDoubleSeconds(SteadyNow() - started);
    if (seconds > 0) progress.set_bytes_per_second(static_cast<double>(bytes) / seconds);
    context_.progress(progress);
  };
  ProcessSpec producer =
      context_.Repository(action_.location()).Dump(action_.dump().snapshot(), action_.dump().path());
  ASSIGN_OR_RETURN_IN(const PipeOutcome outcome,
                      RunPipe(context_.tools, std::move(producer), std::move(loader), options, context_.stop,
                              context_.deadline),
                      "restoring the databases");
  context_.LogTransfer("restic | mariadb", outcome.bytes, outcome.took);
  return OkStatus();
}

// After the load: a grant on a table or routine needs it to be there.
Status Restore::Grant() {
  const std::vector<std::string> databases = DatabaseNames(details_);
  std::vector<std::string> left;
  for (const v1::MariadbAccount& account : details_.accounts()) {
    if (created_.count(KeyOf(account)) == 0) continue;
    const std::string name = account.is_role() ? account.user() : account.user() + "@" + account.host();
    for (const std::string& grant : account.grants()) {
      const Status granted = Discreet(session_->Execute(grant));
      if (granted.ok()) continue;
      if (!IsOfOtherDatabase(grant, databases))
        return WithContext(granted, "giving account " + name + " its rights");
      left.push_back(name);
    }
  }
  left.erase(std::unique(left.begin(), left.end()), left.end());
  if (!left.empty())
    result_.add_warnings(
        "rights on tables or routines of databases that are not in the backup were not given to " +
        Names(left, 20));
  return OkStatus();
}

Status Restore::MakeEvents() {
  std::vector<std::string> left;
  const absl::Time as_of = absl::FromUnixSeconds(details_.taken_at());
  for (const v1::MariadbEvent& event : details_.events()) {
    const auto of =
        std::find_if(details_.databases().begin(), details_.databases().end(),
                     [&event](const v1::MariadbDatabase& one) { return one.name() == event.database(); });
    if (of == details_.databases().end())
      return DataLoss("event {}.{} is of no database", event.database(), event.name());
    const Status made = MakeEvent(*session_, event, "DISABLE", *of, as_of);
    if (made.ok()) continue;
    if (session_->LastError() != kUnknownTimeZone)
      return WithContext(made, fmt::format("making event {}.{}", event.database(), event.name()));
    left.push_back(fmt::format("{}.{} ({})", event.database(), event.name(), event.time_zone()));
  }
  if (!left.empty())
    result_.add_warnings("events of time zones that the server does not know were not made: " +
                         Names(left, 20));
  return OkStatus();
}

Status Restore::TakeMarkersAway() {
  for (const v1::MariadbDatabase& database : details_.databases()) {
    RETURN_IF_ERROR(session_->Execute(fmt::format("ALTER DATABASE {} COMMENT {}",
                                                  MariadbSession::Identifier(database.name()),
                                                  session_->Literal(database.comment()))));
  }
  return OkStatus();
}

// What can't be dropped now is dropped by the next attempt, or by the clean-up.
void Restore::DropHalf() {
  if (target_.scratch) return;
  MariadbSessionOptions options;
  options.deadline = SteadyNow() + absl::Seconds(30);
  auto session = MariadbSession::Open(target_.connection, options);
  if (!session.ok()) return;
  session_ = *std::move(session);
  finished_ = false;
  const Status dropped = DropOwnLeftovers().status();
  if (!dropped.ok() && context_.log) context_.log("salvor-agent", MessageOf(dropped));
}

}  // namespace

Status CleanUpMariadbRestore(const v1::MariadbRestore& action, ActionContext& context) {
  if (!action.target().has_connection()) return OkStatus();
  return Restore(action, context).CleanUp();
}

StatusOr<v1::ActionResult> RunMariadbRestore(const v1::MariadbRestore& action, ActionContext& context) {
  return Restore(action, context).Run();
}

}  // namespace salvor::agent
