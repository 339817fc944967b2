#include <algorithm>
#include <set>

#include "agent/engines/mariadb/actions/actions.h"
#include "agent/engines/mariadb/actions/common.h"
#include "agent/engines/mariadb/grants.h"
#include "agent/engines/mariadb/scratch_engine.h"
#include "agent/engines/mariadb/tools.h"
#include "agent/work/check_list.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr int kOldestServer = 100500;      // comments of databases, mysql.global_priv
constexpr int kFirstWithHistory = 101100;  // --dump-history
constexpr int kFirstSafeTools =
    101108;  // their first line keeps a dump from running commands where it is read

class Preflight {
 public:
  Preflight(const v1::MariadbPreflight& action, ActionContext& context)
      : component_(action.component()), context_(context) {}

  StatusOr<v1::ActionResult> Run() {
    ASSIGN_OR_RETURN(session_, OpenMariadb(component_.connection(), context_));
    if (session_->ServerVersion() < kOldestServer)
      return FailedPrecondition("the server is MariaDB {}, older than 10.5",
                                MariadbVersionText(session_->ServerVersion()));
    CheckTools();
    RETURN_IF_ERROR(CheckDatabases());
    RETURN_IF_ERROR(problems_.AsRefusal());
    RETURN_IF_ERROR(CheckRights());
    RETURN_IF_ERROR(problems_.AsRefusal());
    RETURN_IF_ERROR(CheckSeen());
    RETURN_IF_ERROR(problems_.AsRefusal());
    RETURN_IF_ERROR(CheckContents());
    RETURN_IF_ERROR(problems_.AsRefusal());
    result_.set_note(fmt::format("{} of MariaDB {}",
                                 component_.databases_size() == 1
                                     ? "1 database"
                                     : fmt::format("{} databases", component_.databases_size()),
                                 MariadbVersionText(session_->ServerVersion())));
    return std::move(result_);
  }

 private:
  void CheckTools();
  Status CheckDatabases();
  Status CheckRights();
  Status CheckSeen();
  Status CheckContents();
  Status WarnOfColumns();
  Status WarnOfTables(const MariadbInventory& inventory);
  Status CheckViews();

  std::string Chosen() const {
    std::vector<std::string> literals;
    for (const std::string& database : component_.databases())
      literals.push_back(session_->Literal(database));
    return "(" + Join(literals, ", ") + ")";
  }
  // The first column of a query's rows.
  StatusOr<std::vector<std::string>> Column(const std::string& sql) {
    ASSIGN_OR_RETURN(const MariadbRows rows, session_->Query(sql));
    std::vector<std::string> values;
    for (const MariadbRow& row : rows) values.push_back(TextOf(row[0]));
    return values;
  }

  const v1::MariadbComponent& component_;
  ActionContext& context_;
  std::unique_ptr<MariadbSession> session_;
  int tools_ = 0;
  MariadbProblems problems_;
  v1::ActionResult result_;
};

void Preflight::CheckTools() {
  const std::string folder = MariadbProgramFolder(context_.config);
  const auto version =
      MariadbToolVersion(context_.tools, folder.empty() ? "mariadb-dump" : folder + "/mariadb-dump");
  if (!version.ok()) {
    problems_.Add(MessageOf(version.status()), "Install the package mariadb-client on the agent's host.");
    return;
  }
  tools_ = *version;
  const int server = session_->ServerVersion();
  if (tools_ / 100 < server / 100) {
    problems_.Add(fmt::format("mariadb-dump is of MariaDB {}, the server of {}", MariadbVersionText(tools_),
                              MariadbVersionText(server)),
                  "Install client programs at least as new as the server on the agent's host.");
  } else if (tools_ < server || tools_ < kFirstSafeTools) {
    result_.add_warnings(
        fmt::format("mariadb-dump is of MariaDB {}, the server of {}: update the agent's client",
                    MariadbVersionText(tools_), MariadbVersionText(server)));
  }
}

Status Preflight::CheckDatabases() {
  ASSIGN_OR_RETURN(const std::vector<std::string> there, Column("SHOW DATABASES"));
  std::set<std::string> chosen;
  for (const std::string& name : component_.databases()) {
    chosen.insert(name);
    if (const Status valid = CheckMariadbDatabase(name); !valid.ok()) {
      problems_.Add(MessageOf(valid));
    } else if (std::find(there.begin(), there.end(), name) == there.end()) {
      problems_.Add(fmt::format("database {} does not exist, or the account may not see it", name),
                    "Correct the component's list of databases.");
    }
  }
  for (const std::string& name : there) {
    if (chosen.count(name) == 0 && CheckMariadbDatabase(name).ok())
      result_.add_warnings(fmt::format("database {} is not in the plan", CleanText(name)));
  }
  return OkStatus();
}

// What an account has no right to see is left out of a dump without a word: triggers and routines most of all.
Status Preflight::CheckRights() {
  ASSIGN_OR_RETURN(const std::vector<std::string> grants, Column("SHOW GRANTS"));
  ASSIGN_OR_RETURN(const std::string account, session_->Value("SELECT CURRENT_USER()"));
  for (const std::string& database : component_.databases()) {
    std::vector<std::string> lacks;
    for (const char* privilege : {"SELECT", "SHOW VIEW", "TRIGGER", "EVENT"}) {
      if (!HasPrivilege(grants, privilege, database)) lacks.emplace_back(privilege);
    }
    if (lacks.empty()) continue;
    problems_.Add(
        fmt::format("account {} lacks {} on database {}", account, Join(lacks, ", "), database),
        "What an account may not see is missing in a dump without a word. GRANT SELECT, SHOW VIEW, TRIGGER, "
        "EVENT, PROCESS, RELOAD ON *.* to it.");
  }
  for (const char* table : {"mysql.proc", "mysql.event", "mysql.global_priv"}) {
    const auto read = session_->Query(fmt::format("SELECT 1 FROM {} LIMIT 1", table));
    if (read.ok()) continue;
    if (read.status().code() != absl::StatusCode::kPermissionDenied) return read.status();
    problems_.Add(
        fmt::format("account {} may not read {}", account, table),
        "Routines, events and accounts can be missing without a word then: GRANT SELECT ON mysql.* to it.");
  }
  if (!HasPrivilege(grants, "RELOAD", "") || !HasPrivilege(grants, "PROCESS", ""))
    result_.add_warnings(
        fmt::format("account {} lacks RELOAD or PROCESS: rows are not counted beside the dump, in its own "
                    "instant",
                    account));
  return OkStatus();
}

// The inventory that the server itself has, against the one that the account sees.
Status Preflight::CheckSeen() {
  const auto hidden = Column(
      "SELECT NAME FROM information_schema.INNODB_SYS_TABLES WHERE NAME NOT LIKE '%#%' AND SUBSTRING_INDEX(NAME, '/', 1) IN " +
      Chosen() +
      " AND NOT EXISTS (SELECT 1 FROM information_schema.TABLES t WHERE CONCAT(t.TABLE_SCHEMA, '/', t.TABLE_NAME) ="
      " NAME COLLATE utf8mb3_bin)");
  // Names with other than plain letters are written in another way there, and this says nothing about them.
  if (hidden.ok()) {
    std::vector<std::string> names;
    for (const std::string& name : *hidden) {
      if (name.find('@') == std::string::npos) names.push_back(name);
    }
    if (!names.empty())
      problems_.Add("tables that the account does not see: " + Names(names),
                    "GRANT SELECT on the whole database to it.");
  }
  ASSIGN_OR_RETURN(const int64_t routines,
                   session_->Number("SELECT COUNT(*) FROM mysql.proc WHERE db IN " + Chosen()));
  ASSIGN_OR_RETURN(
      const int64_t seen,
      session_->Number("SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA IN " +
                       Chosen()));
  if (seen < routines)
    problems_.Add(fmt::format("the account sees {} of {} routines", seen, routines),
                  "GRANT SELECT ON mysql.proc to it.");
  ASSIGN_OR_RETURN(const int64_t events,
                   session_->Number("SELECT COUNT(*) FROM mysql.event WHERE db IN " + Chosen()));
  ASSIGN_OR_RETURN(
      const int64_t shown,
      session_->Number("SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA IN " + Chosen()));
  if (shown < events)
    problems_.Add(fmt::format("the account sees {} of {} events", shown, events),
                  "GRANT EVENT on the databases to it.");
  return OkStatus();
}

// A view whose tables are gone ends a dump in its middle.
Status Preflight::CheckViews() {
  ASSIGN_OR_RETURN(const MariadbRows views,
                   session_->Query("SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.VIEWS WHERE"
                                   " TABLE_SCHEMA IN " +
                                   Chosen() + " ORDER BY 1, 2"));
  std::vector<std::string> broken;
  for (const MariadbRow& row : views) {
    const std::string name =
        MariadbSession::Identifier(TextOf(row[0])) + "." + MariadbSession::Identifier(TextOf(row[1]));
    const auto columns = session_->Query("SHOW FIELDS FROM " + name);
    if (columns.ok()) continue;
    if (session_->LastError() >= 2000) return columns.status();
    broken.push_back(TextOf(row[0]) + "." + TextOf(row[1]));
  }
  if (!broken.empty())
    problems_.Add("views that can't be used, and that mariadb-dump stops at: " + Names(broken),
                  "Mend or drop them: their tables, columns, functions or definers are gone.");
  return OkStatus();
}

Status Preflight::WarnOfColumns() {
  ASSIGN_OR_RETURN(const std::vector<std::string> floats,
                   Column("SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME, '.', COLUMN_NAME) FROM"
                          " information_schema.COLUMNS WHERE DATA_TYPE = 'float' AND TABLE_SCHEMA IN " +
                          Chosen() + " ORDER BY 1"));
  if (!floats.empty())
    result_.add_warnings("columns of type FLOAT are dumped with six digits, and lose the others: " +
                         Names(floats, 20));
  return OkStatus();
}

Status Preflight::WarnOfTables(const MariadbInventory& inventory) {
  std::vector<std::string> unsafe, elsewhere, versioned;
  for (const MariadbDumpedTable& table : inventory.tables) {
    const std::string name = fmt::format("{}.{} ({})", table.database, table.name, table.engine);
    static const std::set<std::string> kElsewhere = {"FEDERATED", "CONNECT", "SPIDER",
                                                     "S3",        "OQGRAPH", "BLACKHOLE"};
    if (kElsewhere.count(table.engine) > 0) {
      elsewhere.push_back(name);
    } else if (!table.transactional) {
      unsafe.push_back(name);
    }
    if (table.versioned) versioned.push_back(table.database + "." + table.name);
  }
  if (!unsafe.empty())
    result_.add_warnings(
        "tables that know no transactions are read as they are when their turn comes, not as of the "
        "dump's instant: " +
        Names(unsafe, 20));
  if (!elsewhere.empty())
    result_.add_warnings("tables whose rows are kept elsewhere: " + Names(elsewhere, 20));
  if (!versioned.empty() && (tools_ < kFirstWithHistory || session_->ServerVersion() < kFirstWithHistory))
    result_.add_warnings("the history of system-versioned tables is not kept, which needs MariaDB 10.11: " +
                         Names(versioned, 20));
  return OkStatus();
}

Status Preflight::CheckContents() {
  const std::vector<std::string> databases(component_.databases().begin(), component_.databases().end());
  RETURN_IF_ERROR(CheckViews());
  RETURN_IF_ERROR(problems_.AsRefusal());
  ASSIGN_OR_RETURN(MariadbInventory inventory, CaptureMariadbInventory(*session_, databases));
  ASSIGN_OR_RETURN(const std::vector<v1::MariadbAccount> accounts, CaptureMariadbAccounts(*session_));
  std::set<std::string> known;
  for (const v1::MariadbAccount& account : accounts)
    known.insert(account.is_role() ? account.user() : account.user() + "@" + account.host());
  std::vector<std::string> missing, unreadable;
  for (const std::string& definer : DefinersOf(inventory.details)) {
    if (known.count(definer) == 0 && definer.rfind("mariadb.sys@", 0) != 0) missing.push_back(definer);
  }
  if (!missing.empty())
    result_.add_warnings("things are defined as accounts that do not exist, and fail when they are used: " +
                         Names(missing, 20));
  for (const MariadbDumpedTable& table : inventory.tables) {
    const std::string name = table.database + "." + table.name;
    if (std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
      unreadable.push_back(CleanText(name));
  }
  if (!unreadable.empty())
    problems_.Add("names of tables with control characters: " + Names(unreadable), "Rename them.");
  RETURN_IF_ERROR(WarnOfTables(inventory));
  return WarnOfColumns();
}

}  // namespace

StatusOr<v1::ActionResult> RunMariadbPreflight(const v1::MariadbPreflight& action, ActionContext& context) {
  return Preflight(action, context).Run();
}

}  // namespace salvor::agent
