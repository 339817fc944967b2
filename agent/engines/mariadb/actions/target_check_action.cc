#include <algorithm>
#include <set>

#include "agent/engines/mariadb/actions/actions.h"
#include "agent/engines/mariadb/actions/common.h"
#include "agent/engines/mariadb/actions/restore_marker.h"
#include "agent/engines/mariadb/grants.h"
#include "agent/engines/mariadb/scratch_engine.h"
#include "agent/work/check_list.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

class TargetCheck {
 public:
  TargetCheck(const v1::MariadbTargetCheck& action, ActionContext& context)
      : action_(action), context_(context) {}

  StatusOr<v1::ActionResult> Run() {
    ASSIGN_OR_RETURN(details_, LoadMariadbDetails(context_, action_.location(), action_.details()));
    ASSIGN_OR_RETURN(target_, ResolveMariadbTarget(action_.target(), context_));
    ASSIGN_OR_RETURN(session_, OpenMariadb(target_.connection, context_));
    CheckVersion();
    RETURN_IF_ERROR(CheckNames());
    RETURN_IF_ERROR(CheckServer());
    RETURN_IF_ERROR(CheckRights());
    RETURN_IF_ERROR(CheckAccounts());
    RETURN_IF_ERROR(problems_.AsRefusal());
    return std::move(result_);
  }

 private:
  void CheckVersion();
  Status CheckNames();
  Status CheckServer();
  Status CheckRights();
  Status CheckAccounts();

  const v1::MariadbTargetCheck& action_;
  ActionContext& context_;
  v1::MariadbDetails details_;
  ResolvedMariadbTarget target_;
  std::unique_ptr<MariadbSession> session_;
  MariadbProblems problems_;
  v1::ActionResult result_;
};

void TargetCheck::CheckVersion() {
  const int source = details_.server_version_num(), target = session_->ServerVersion();
  if (target / 100 < source / 100) {
    problems_.Add(fmt::format("the backup is of MariaDB {}, the target is {}", MariadbVersionText(source),
                              MariadbVersionText(target)),
                  "Restore to a server of the same or a newer version.");
  } else if (target / 100 > source / 100) {
    result_.add_warnings(fmt::format("the databases move from MariaDB {} to {}", MariadbVersionText(source),
                                     MariadbVersionText(target)));
  }
}

Status TargetCheck::CheckNames() {
  const std::string marker = MariadbRestoreMarker(context_.task.lease().run());
  for (const v1::MariadbDatabase& database : details_.databases()) {
    ASSIGN_OR_RETURN(
        const MariadbRows rows,
        session_->Query("SELECT SCHEMA_COMMENT FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = " +
                        session_->Literal(database.name())));
    if (rows.empty() || TextOf(rows[0][0]) == marker) continue;
    problems_.Add(
        fmt::format("database {} exists on the target", database.name()),
        "MariaDB's databases are restored under their own names, since views and routines name them: restore "
        "to another server, or drop the existing database yourself.");
  }
  return OkStatus();
}

// What decides whether names and values mean the same there.
Status TargetCheck::CheckServer() {
  ASSIGN_OR_RETURN(const MariadbRows rows, session_->Query("SELECT @@lower_case_table_names, @@read_only,"
                                                           " @@system_time_zone, @@event_scheduler"));
  if (rows.empty()) return Internal("the target does not tell its settings");
  if (TextOf(rows[0][1]) == "1") problems_.Add("the target is read-only", "Restore to the primary server.");
  if (TextOf(rows[0][3]) == "DISABLED" && details_.events_size() > 0) {
    problems_.Add("the target's event scheduler is disabled, which refuses to make events at all",
                  "Start the target with event_scheduler=OFF or ON.");
  }
  if (TextOf(rows[0][0]) != "0")
    result_.add_warnings(
        "the target does not tell upper case from lower case in names of tables (lower_case_table_names)");
  const bool in_system_zone =
      std::any_of(details_.events().begin(), details_.events().end(),
                  [](const v1::MariadbEvent& event) { return event.time_zone() == "SYSTEM"; });
  if (in_system_zone && !details_.system_time_zone().empty() &&
      TextOf(rows[0][2]) != details_.system_time_zone() && !target_.scratch)
    result_.add_warnings(
        fmt::format("events of the server's own time zone were in {}, and are in {} on the target",
                    details_.system_time_zone(), TextOf(rows[0][2])));
  ASSIGN_OR_RETURN(const MariadbRows known,
                   session_->Query("SELECT COLLATION_NAME FROM information_schema.COLLATIONS"));
  std::set<std::string> collations;
  for (const MariadbRow& row : known) collations.insert(TextOf(row[0]));
  for (const v1::MariadbDatabase& database : details_.databases()) {
    if (collations.count(database.collation()) == 0)
      problems_.Add(fmt::format("the target does not know collation {} of database {}", database.collation(),
                                database.name()));
  }
  return OkStatus();
}

Status TargetCheck::CheckRights() {
  if (target_.scratch) return OkStatus();
  ASSIGN_OR_RETURN(const MariadbRows rows, session_->Query("SHOW GRANTS"));
  std::vector<std::string> grants;
  for (const MariadbRow& row : rows) grants.push_back(TextOf(row[0]));
  std::vector<std::string> lacks;
  for (const char* privilege :
       {"CREATE", "DROP", "INSERT", "SELECT", "ALTER", "LOCK TABLES", "CREATE VIEW", "CREATE ROUTINE",
        "ALTER ROUTINE", "TRIGGER", "EVENT", "CREATE USER", "SET USER"}) {
    if (!HasPrivilege(grants, privilege, "")) lacks.emplace_back(privilege);
  }
  if (details_.history() && !HasPrivilege(grants, "BINLOG REPLAY", "")) lacks.emplace_back("BINLOG REPLAY");
  const bool may_grant = std::any_of(grants.begin(), grants.end(), [](const std::string& grant) {
    return grant.find(" ON *.* TO ") != std::string::npos &&
           grant.find(" WITH GRANT OPTION") != std::string::npos;
  });
  if (!may_grant) lacks.emplace_back("GRANT OPTION");
  if (lacks.empty() || (may_grant && HasPrivilege(grants, "SUPER", ""))) return OkStatus();
  problems_.Add("the target's account lacks " + Join(lacks, ", "),
                "Restore as an account with ALL PRIVILEGES ON *.* WITH GRANT OPTION.");
  return OkStatus();
}

Status TargetCheck::CheckAccounts() {
  ASSIGN_OR_RETURN(const MariadbRows rows, session_->Query("SELECT User, Host FROM mysql.global_priv"));
  std::set<std::pair<std::string, std::string>> there;
  for (const MariadbRow& row : rows) there.insert({TextOf(row[0]), TextOf(row[1])});
  std::vector<std::string> staying;
  int to_create = 0;
  for (const v1::MariadbAccount& account : details_.accounts()) {
    if (there.count({account.user(), account.host()}) == 0) {
      ++to_create;
    } else {
      staying.push_back(account.user() + (account.is_role() ? "" : "@" + account.host()));
    }
  }
  if (!staying.empty() && !target_.scratch)
    result_.add_warnings("accounts that exist on the target stay as they are: " + Names(staying, 20));
  result_.set_note(to_create == 0 ? "no accounts have to be created"
                                  : fmt::format("{} accounts will be created", to_create));
  return OkStatus();
}

}  // namespace

StatusOr<v1::ActionResult> RunMariadbTargetCheck(const v1::MariadbTargetCheck& action,
                                                 ActionContext& context) {
  return TargetCheck(action, context).Run();
}

}  // namespace salvor::agent
