#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "agent/engines/mariadb/actions/actions.h"
#include "agent/engines/mariadb/actions/common.h"
#include "agent/engines/mariadb/dump_stream.h"
#include "agent/engines/mariadb/events.h"
#include "agent/engines/mariadb/tools.h"
#include "agent/scratch/scratch_places.h"
#include "agent/work/check_list.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

bool IsOfServer(const Status& status) {
  return status.code() == absl::StatusCode::kUnavailable || status.code() == absl::StatusCode::kCancelled ||
         status.code() == absl::StatusCode::kDeadlineExceeded ||
         status.code() == absl::StatusCode::kResourceExhausted || status.code() == absl::StatusCode::kAborted;
}

class Verify {
 public:
  Verify(const v1::MariadbVerify& action, ActionContext& context)
      : action_(action), context_(context), checks_(context.task.component(), result_) {}

  StatusOr<v1::ActionResult> Run() {
    ASSIGN_OR_RETURN(then_, LoadMariadbDetails(context_, action_.location(), action_.details()));
    ASSIGN_OR_RETURN(target_, ResolveMariadbTarget(action_.target(), context_));
    ASSIGN_OR_RETURN(session_, OpenMariadb(target_.connection, context_));
    RETURN_IF_ERROR(CheckStillLoaded());
    RETURN_IF_ERROR_IN(TakeStock(), "reading the definitions of the copy");
    RETURN_IF_ERROR(CompareDefinitions());
    CompareDefiners();
    CompareCounters();
    RETURN_IF_ERROR(CompareRows());
    RETURN_IF_ERROR(CheckStructure());
    RETURN_IF_ERROR(CheckStillLoaded());
    RETURN_IF_ERROR(LetEventsRun());
    return std::move(result_);
  }

 private:
  Status CheckStillLoaded();
  Status TakeStock();
  Status CompareDefinitions();
  void CompareAccounts();
  StatusOr<std::set<std::string>> EventsOfUnknownZones();
  void CompareDefiners();
  void CompareCounters();
  Status CompareRows();
  StatusOr<std::map<DatabaseAndTable, DumpedRows>> ReadRows();
  Status CheckStructure();
  Status LetEventsRun();
  Status JudgeStates(MariadbSession& maker);
  bool AllPassed() const {
    return std::none_of(result_.checks().begin(), result_.checks().end(),
                        [](const v1::Check& check) { return check.verdict() == v1::Check::VERDICT_FAILED; });
  }
  const v1::MariadbDatabase& DatabaseOf(const std::string& name) const {
    static const v1::MariadbDatabase none;
    for (const v1::MariadbDatabase& database : then_.databases()) {
      if (database.name() == name) return database;
    }
    return none;
  }

  const v1::MariadbVerify& action_;
  ActionContext& context_;
  v1::ActionResult result_;
  CheckList checks_;
  v1::MariadbDetails then_;
  MariadbInventory now_;
  ResolvedMariadbTarget target_;
  std::unique_ptr<MariadbSession> session_;
};

// Tables of engine MEMORY are empty after a server has started again, which says nothing about the backup.
Status Verify::CheckStillLoaded() {
  if (!target_.scratch) return OkStatus();
  ASSIGN_OR_RETURN(const bool restarted,
                   context_.scratch->RestartedSinceLoaded(action_.target().scratch(), "databases"));
  if (!restarted) return OkStatus();
  ASSIGN_OR_RETURN(
      const int64_t emptied,
      session_->Number("SELECT COUNT(*) FROM information_schema.TABLES WHERE ENGINE = 'MEMORY'"
                       " AND TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'mysql')"));
  if (emptied == 0) return OkStatus();
  return WithHint(
      Unavailable("the scratch server restarted after it was loaded, which empties its tables in memory"),
      "The backup is not the cause. Drill again.");
}

Status Verify::TakeStock() {
  const std::vector<std::string> databases = DatabaseNames(then_);
  ASSIGN_OR_RETURN(now_, CaptureMariadbInventory(*session_, databases));
  ASSIGN_OR_RETURN(const std::vector<v1::MariadbAccount> accounts, CaptureMariadbAccounts(*session_));
  for (const v1::MariadbAccount& account : accounts) *now_.details.add_accounts() = account;
  return OkStatus();
}

// The events that a server without their time zone can't have.
StatusOr<std::set<std::string>> Verify::EventsOfUnknownZones() {
  std::set<std::string> names;
  for (const v1::MariadbEvent& event : then_.events()) {
    const auto known =
        session_->Query(fmt::format("SELECT CONVERT_TZ('2020-01-01 00:00:00', '+00:00', {}) IS NULL",
                                    session_->Literal(event.time_zone())));
    RETURN_IF_ERROR(known.status());
    if (!known->empty() && TextOf((*known)[0][0]) == "1") names.insert(event.database() + "." + event.name());
  }
  return names;
}

Status Verify::CompareDefinitions() {
  ASSIGN_OR_RETURN(const std::set<std::string> unknown_zones, EventsOfUnknownZones());
  const bool other_version = now_.details.server_version_num() / 100 != then_.server_version_num() / 100;
  std::map<std::string, std::vector<MariadbDifference>> differences;
  for (const MariadbDifference& one : CompareMariadbInventories(then_, now_.details))
    differences[one.check].push_back(one);
  for (const char* kind : {"databases", "tables", "views", "triggers", "routines", "sequences", "events"}) {
    Tally tally(checks_, kind, "all databases");
    for (const MariadbDifference& one : differences[kind]) {
      const bool zone = one.check == "events" && unknown_zones.count(one.subject) > 0;
      const bool printed_otherwise = other_version && one.text.rfind("expected ", 0) == 0;
      if (zone || printed_otherwise) {
        tally.Leave(one.subject);
      } else {
        tally.Fail(one.subject, one.text);
      }
    }
    tally.Close("as they were", other_version ? "another version of the server prints it otherwise"
                                              : "the server does not know its time zone");
  }
  CompareAccounts();
  return OkStatus();
}

// On a server in use accounts that were there stay as they are: another grant is no fault of the restore.
void Verify::CompareAccounts() {
  Tally tally(checks_, "accounts", "server");
  for (const MariadbDifference& one : CompareMariadbAccounts(then_, now_.details)) {
    const bool stayed = !target_.scratch && one.text != "it is not there";
    if (stayed) {
      tally.Leave(one.subject);
    } else {
      tally.Fail(one.subject, one.text);
    }
  }
  tally.Close(fmt::format("{} accounts with their rights as they were", then_.accounts_size()),
              "it was there already, or has other rights than in the backup");
}

void Verify::CompareDefiners() {
  std::set<std::string> known(then_.definers_missing().begin(), then_.definers_missing().end());
  for (const v1::MariadbAccount& account : now_.details.accounts())
    known.insert(account.is_role() ? account.user() : account.user() + "@" + account.host());
  Tally tally(checks_, "definers", "all databases");
  for (const std::string& definer : DefinersOf(now_.details)) {
    if (known.count(definer) > 0 || definer.rfind("mariadb.sys@", 0) == 0 ||
        (target_.scratch && definer == "salvor_scratch@localhost")) {
      tally.Pass();
    } else {
      tally.Fail(definer, "something is defined as this account, which is not there");
    }
  }
  tally.Close("each definer that existed is there", "");
}

// The next numbers are beyond what was given out at the time of the dump.
void Verify::CompareCounters() {
  Tally tally(checks_, "sequences", "numbers");
  std::map<std::string, int64_t> next;
  for (const v1::MariadbTable& table : now_.details.tables())
    next[table.database() + "." + table.name()] = table.auto_increment_at_least();
  for (const v1::MariadbTable& table : then_.tables()) {
    if (table.auto_increment_at_least() == 0) continue;
    const std::string name = table.database() + "." + table.name();
    const int64_t found = next[name];
    if (found >= table.auto_increment_at_least()) {
      tally.Pass();
    } else {
      tally.Fail(name,
                 fmt::format("its next number is {}, and was {}", found, table.auto_increment_at_least()));
    }
  }
  std::map<std::string, int64_t> values;
  for (const v1::MariadbSequence& one : now_.details.sequences())
    values[one.database() + "." + one.name()] = one.at_least();
  for (const v1::MariadbSequence& one : then_.sequences()) {
    const std::string name = one.database() + "." + one.name();
    const auto found = values.find(name);
    if (found == values.end()) continue;  // named already
    const bool beyond = one.descends() ? found->second <= one.at_least() : found->second >= one.at_least();
    if (beyond) {
      tally.Pass();
    } else {
      tally.Fail(name, fmt::format("its next value is {}, and was {}", found->second, one.at_least()));
    }
  }
  tally.Close("each goes on where it was, or behind it", "");
}

// The same program with the same options writes the same bytes for the same rows.
StatusOr<std::map<DatabaseAndTable, DumpedRows>> Verify::ReadRows() {
  ASSIGN_OR_RETURN(const MariadbOptionFile options_file, MariadbOptionFile::For(target_.connection));
  std::vector<std::string> arguments = {"--no-create-info", "--no-create-db", "--skip-triggers"};
  for (const std::string& one : DumpArguments(DatabaseNames(now_.details), then_.history(), false)) {
    if (one != "--routines" && one != "--triggers") arguments.push_back(one);
  }
  MariadbDumpStream stream;
  ProcessSpec reader = MariadbTool(context_, "mariadb-dump", options_file, std::move(arguments));
  reader.on_output = [&stream](std::string_view bytes) { return stream.Feed(bytes); };
  RETURN_IF_ERROR(context_.tools.Run(std::move(reader), context_.stop, context_.deadline).status());
  RETURN_IF_ERROR(stream.Finish());
  return stream.Tables();
}

Status Verify::CompareRows() {
  if (now_.details.databases_size() == 0) {
    checks_.Failed("rows", "all databases", "none of them is there");
    return OkStatus();
  }
  auto read = ReadRows();
  if (!read.ok()) {
    if (IsOfServer(read.status())) return read.status();
    checks_.Failed("rows", "all databases", "the copy can't be read: " + MessageOf(read.status()));
    return OkStatus();
  }
  std::set<std::string> there;
  for (const v1::MariadbTable& table : now_.details.tables())
    there.insert(table.database() + "." + table.name());
  Tally rows(checks_, "rows", "all databases"), content(checks_, "content", "all databases");
  int64_t compared = 0;
  for (const v1::MariadbTable& table : then_.tables()) {
    const std::string name = table.database() + "." + table.name();
    const auto found = read->find({table.database(), table.name()});
    const DumpedRows now = found == read->end() ? DumpedRows{0, HashOfNoRows()} : found->second;
    if (there.count(name) == 0) {
      rows.Fail(name, fmt::format("the table is not there, and had {} rows", table.rows()));
    } else if (now.rows != table.rows()) {
      rows.Fail(name, fmt::format("{} rows, and there were {}", now.rows, table.rows()));
    } else if (now.content_hash != table.content_hash()) {
      rows.Pass();
      content.Fail(name, fmt::format("the same number of rows ({}), with other content", now.rows));
    } else {
      rows.Pass();
      content.Pass();
      compared += now.rows;
    }
  }
  rows.Close(fmt::format("{} tables have as many rows as the dump", rows.PassedCount()), "");
  content.Close(fmt::format("{} rows of {} tables equal", compared, content.PassedCount()), "");
  return OkStatus();
}

// CHECK TABLE reads each index of each table.
Status Verify::CheckStructure() {
  Tally tally(checks_, "structure", "all databases");
  for (const MariadbDumpedTable& table : now_.tables) {
    const std::string name = table.database + "." + table.name;
    const auto answer =
        session_->Query(fmt::format("CHECK TABLE {}.{}", MariadbSession::Identifier(table.database),
                                    MariadbSession::Identifier(table.name)));
    if (!answer.ok()) {
      if (IsOfServer(answer.status())) return answer.status();
      tally.Fail(name, MessageOf(answer.status()));
      continue;
    }
    std::string problem;
    for (const MariadbRow& row : *answer) {
      if (row.size() < 4) continue;
      const bool fine = TextOf(row[2]) == "status" &&
                        (TextOf(row[3]) == "OK" || TextOf(row[3]) == "Table is already up to date");
      if (!fine && TextOf(row[2]) != "note") problem = TextOf(row[3]);
    }
    if (problem.empty()) {
      tally.Pass();
    } else {
      tally.Fail(name, "CHECK TABLE: " + Elide(problem, 300));
    }
  }
  tally.Close(fmt::format("CHECK TABLE found {} tables sound", tally.PassedCount()), "");
  return OkStatus();
}

// An event may change what it finds: none runs before all was compared, and none at all in a drill.
Status Verify::LetEventsRun() {
  if (target_.scratch || then_.events_size() == 0) return OkStatus();
  if (!AllPassed()) {
    result_.add_warnings(fmt::format("all {} events stay disabled, since the copy is not what was backed up",
                                     then_.events_size()));
    return OkStatus();
  }
  // By a session of its own: what the server prints of views depends on a session's database.
  ASSIGN_OR_RETURN(const std::unique_ptr<MariadbSession> maker, OpenMariadb(target_.connection, context_));
  for (const v1::MariadbEvent& event : then_.events()) {
    if (event.state() == "DISABLE") continue;
    const Status made =
        MakeEvent(*maker, event, event.state(), DatabaseOf(event.database()), absl::FromUnixSeconds(0));
    if (!made.ok() && IsOfServer(made)) return made;
  }
  return JudgeStates(*maker);
}

// One whose only time has passed can't be enabled any more: the server drops it, so it is made again as it was restored.
Status Verify::JudgeStates(MariadbSession& maker) {
  ASSIGN_OR_RETURN(const MariadbInventory now, CaptureMariadbInventory(*session_, DatabaseNames(then_)));
  std::map<std::string, std::string> states;
  for (const v1::MariadbEvent& event : now.details.events())
    states[event.database() + "." + event.name()] = event.state();
  Tally tally(checks_, "events", "their states");
  for (const v1::MariadbEvent& event : then_.events()) {
    const std::string name = event.database() + "." + event.name();
    const auto found = states.find(name);
    if (found != states.end() && found->second == event.state()) {
      tally.Pass();
    } else if (found != states.end() && found->second == "ENABLE") {
      tally.Fail(name, "it is enabled, and was not");
    } else {
      if (found == states.end()) {
        const Status made = MakeEvent(maker, event, "DISABLE", DatabaseOf(event.database()),
                                      absl::FromUnixSeconds(then_.taken_at()));
        if (!made.ok() && IsOfServer(made)) return made;
      }
      tally.Leave(name);
    }
  }
  tally.Close("each has the state that it had",
              "its time has passed, or the server does not know its time zone: it is disabled");
  return OkStatus();
}

}  // namespace

StatusOr<v1::ActionResult> RunMariadbVerify(const v1::MariadbVerify& action, ActionContext& context) {
  return Verify(action, context).Run();
}

}  // namespace salvor::agent
