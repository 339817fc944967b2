#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "agent/engines/postgres/actions/actions.h"
#include "agent/engines/postgres/actions/beyond_dump.h"
#include "agent/engines/postgres/actions/common.h"
#include "agent/engines/postgres/actions/restore_marker.h"
#include "agent/engines/postgres/inventory.h"
#include "base/io/files.h"
#include "base/names.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

class TargetCheck {
 public:
  TargetCheck(const v1::PostgresTargetCheck& action, ActionContext& context)
      : action_(action), context_(context) {}

  StatusOr<v1::ActionResult> Run() {
    ASSIGN_OR_RETURN(target_, ResolveTarget(action_.target(), context_));
    ASSIGN_OR_RETURN(session_, OpenSession(target_.connection, "", context_));
    for (const v1::RestoreDatabase& database : action_.databases()) {
      ASSIGN_OR_RETURN(v1::DatabaseDetails details,
                       LoadDetails(context_, action_.location(), database.details()));
      RETURN_IF_ERROR(CheckVersion(details));
      RETURN_IF_ERROR(CheckName(database));
      RETURN_IF_ERROR(CheckExtensions(details));
      RETURN_IF_ERROR(CheckLocale(details));
      for (const v1::CatalogSection& section : details.catalog()) {
        if (section.kind() == kReferencedRoles)
          referenced_.insert(section.lines().begin(), section.lines().end());
      }
      bytes_ += database.dump().bytes();
    }
    RETURN_IF_ERROR(CheckRoles());
    RETURN_IF_ERROR(CheckSpace());
    RETURN_IF_ERROR(CheckConnections());
    RETURN_IF_ERROR(CheckLanguage());
    RETURN_IF_ERROR(problems_.AsRefusal());
    return std::move(result_);
  }

 private:
  Status CheckLanguage();
  Status CheckVersion(const v1::DatabaseDetails& details);
  Status CheckName(const v1::RestoreDatabase& database);
  Status CheckExtensions(const v1::DatabaseDetails& details);
  Status CheckLocale(const v1::DatabaseDetails& details);
  Status CheckRoles();
  Status CheckSpace();
  Status CheckConnections();

  const v1::PostgresTargetCheck& action_;
  ActionContext& context_;
  ResolvedTarget target_;
  std::unique_ptr<Connection> session_;
  std::set<std::string> referenced_;  // roles that owners and grants need
  int64_t bytes_ = 0;
  Problems problems_;
  v1::ActionResult result_;
};

Status TargetCheck::CheckVersion(const v1::DatabaseDetails& details) {
  const int source = details.server_version_num() / 10000, target = session_->ServerVersion() / 10000;
  if (target < source) {
    problems_.Add(
        fmt::format("database {} is of PostgreSQL {}, the target is {}", details.database(), source, target),
        "Restore to a server of the same or a newer major version.");
  } else if (target > source) {
    result_.add_warnings(
        fmt::format("database {} moves from PostgreSQL {} to {}", details.database(), source, target));
  }
  return OkStatus();
}

Status TargetCheck::CheckName(const v1::RestoreDatabase& database) {
  if (Status named = CheckDatabaseName(database.name()); !named.ok()) {
    problems_.Add(named);
    return OkStatus();
  }
  ASSIGN_OR_RETURN(Rows rows, session_->Query(
                                  R"(
SELECT CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid) ELSE 0 END,
       COALESCE(shobj_description(oid, 'pg_database'), '')
  FROM pg_database
 WHERE datname = $1)",
                                  {database.name()}));
  if (rows.Count() == 0 || rows.View(0, 1) == RestoreMarker(context_.task.lease().run())) return OkStatus();
  problems_.Add(
      fmt::format("database {} exists on the target ({})", database.name(), HumanBytes(rows.Int(0, 0))),
      "Restore under another name, or rename or drop the existing database yourself.");
  return OkStatus();
}

Status TargetCheck::CheckExtensions(const v1::DatabaseDetails& details) {
  ASSIGN_OR_RETURN(const std::vector<ExtensionThere> differ, ExtensionsThatDiffer(*session_, details));
  if (differ.empty()) return OkStatus();
  ASSIGN_OR_RETURN(const std::string super,
                   session_->Value("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"));
  for (const ExtensionThere& extension : differ) {
    const std::string will_be =
        fmt::format("extension {} of database {} was {}, and will be {} on the target", extension.name,
                    details.database(), extension.version, extension.default_version);
    if (extension.default_version.empty()) {
      const std::string missing = fmt::format("extension {} of database {} is not installed on the target",
                                              extension.name, details.database());
      if (action_.keep_going()) {
        result_.add_warnings(missing + ": it and what needs it will be left out");
      } else {
        problems_.Add(
            missing,
            "Install the extension's package on the target's host; or restore with --keep-going, which "
            "leaves out what needs it, names it, and ends partial.");
      }
    } else if (!extension.has_version) {
      result_.add_warnings(will_be + ", which cannot install the older one");
    } else if (super != "t") {
      result_.add_warnings(will_be + ", unless its user may create event triggers");
    }
  }
  return OkStatus();
}

// "en_US.UTF-8" and "en_US.utf8" are one locale.
std::string SameLocale(std::string_view locale) {
  std::string same;
  for (const char c : locale) {
    if (c != '-' && c != '_') same += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return same;
}

Status TargetCheck::CheckLocale(const v1::DatabaseDetails& details) {
  const v1::DatabaseProperties& properties = details.properties();
  ASSIGN_OR_RETURN(Rows encoding,
                   session_->Query("SELECT pg_char_to_encoding($1) >= 0", {properties.encoding()}));
  if (!encoding.Bool(0, 0))
    problems_.Add(fmt::format("the target does not know encoding {}", properties.encoding()));
  ASSIGN_OR_RETURN(Rows rows, session_->Query(R"(
SELECT collcollate FROM pg_collation WHERE collcollate IS NOT NULL
 UNION
SELECT datcollate FROM pg_database)"));
  std::set<std::string> known = {"c", "posix"};
  for (const std::string& locale : Column(rows)) known.insert(SameLocale(locale));
  for (const std::string& locale : {properties.collate(), properties.ctype()}) {
    if (known.count(SameLocale(locale)) > 0) continue;
    problems_.Add(
        fmt::format("the target does not know locale {} of database {}", locale, details.database()),
        "Install the locale on the target's host, then run SELECT pg_import_system_collations("
        "'pg_catalog') there.");
    break;
  }
  return OkStatus();
}

Status TargetCheck::CheckRoles() {
  std::set<std::string> kept;
  if (!action_.globals().snapshot().empty()) {
    ASSIGN_OR_RETURN(const v1::GlobalsDetails globals,
                     LoadGlobals(context_, action_.location(), action_.globals()));
    for (const v1::RoleStatements& role : globals.roles()) kept.insert(role.role());
  }
  ASSIGN_OR_RETURN(Rows rows, session_->Query("SELECT rolname FROM pg_roles"));
  const std::vector<std::string> names = Column(rows);
  const std::set<std::string> existing(names.begin(), names.end());
  std::vector<std::string> lost, staying, to_create;
  for (const std::string& role : referenced_) {
    if (existing.count(role) == 0 && kept.count(role) == 0) lost.push_back(role);
  }
  for (const std::string& role : kept) (existing.count(role) > 0 ? staying : to_create).push_back(role);
  if (!lost.empty()) {
    problems_.Add(
        "roles that own or may use something are neither on the target nor in the backup: " + Names(lost),
        "Create them on the target first.");
  }
  if (!staying.empty() && !target_.scratch) {
    result_.add_warnings("roles that exist on the target stay as they are: " + Names(staying, 20));
  }
  ASSIGN_OR_RETURN(
      Rows me,
      session_->Query(
          "SELECT rolsuper, rolcreatedb, rolcreaterole, rolname FROM pg_roles WHERE rolname = current_user"));
  const bool super = me.Bool(0, 0);
  if (!super && !me.Bool(0, 1)) {
    problems_.Add(fmt::format("user {} may not create databases", AsUtf8(me.View(0, 3))),
                  "Grant it CREATEDB.");
  }
  if (!super && !me.Bool(0, 2) && !to_create.empty()) {
    problems_.Add(fmt::format("user {} may not create roles, and {} are missing: {}", AsUtf8(me.View(0, 3)),
                              to_create.size(), Names(to_create)),
                  "Grant it CREATEROLE, or create the roles first.");
  }
  result_.set_note(to_create.empty() ? "no roles have to be created"
                                     : fmt::format("{} roles will be created", to_create.size()));
  return OkStatus();
}

// Only where the server is this machine and says where its data is.
Status TargetCheck::CheckSpace() {
  if (target_.connection.socket_directory().empty()) return OkStatus();
  const auto directory = session_->Query("SHOW data_directory");
  struct stat facts {};
  if (!directory.ok() || stat(directory->Text(0, 0).c_str(), &facts) != 0) return OkStatus();
  const auto free = FreeBytes(directory->Text(0, 0));
  const int64_t need = bytes_ + bytes_ / 10 * 3;  // indexes, and the WAL of the restore
  if (free.ok() && *free < need) {
    problems_.Add(fmt::format("the restore needs about {}, {} are free on the target", HumanBytes(need),
                              HumanBytes(*free)),
                  "Free some space on the target's disk.");
  }
  return OkStatus();
}

// A restore needs sessions of its own beside this one: pg_restore's, one in the database, one of a clean-up, one
// that looks who holds a lock.
// What is left out is told from a server that lacks room, or goes away, by pg_restore's words, some of which are the
// server's own.
Status TargetCheck::CheckLanguage() {
  if (!action_.keep_going() || session_->SpeaksEnglish()) return OkStatus();
  ASSIGN_OR_RETURN(const std::string language, session_->Value("SHOW lc_messages"));
  const bool is_english = language.empty() || language == "C" || language == "POSIX" ||
                          language.rfind("C.", 0) == 0 || language.rfind("en", 0) == 0;
  if (!is_english) {
    problems_.Add(
        fmt::format(
            "the target's messages are in {}, so what it refuses can't be told from what it has no room"
            " for, as --keep-going needs",
            language),
        "Restore as a superuser, or let one say: ALTER ROLE … SET lc_messages = 'C'.");
  }
  return OkStatus();
}

Status TargetCheck::CheckConnections() {
  constexpr int64_t kNeeded = 4;
  ASSIGN_OR_RETURN(const Rows rows, session_->Query(R"sql(
      SELECT current_setting('max_connections')::bigint
             - CASE WHEN (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN 0
                    ELSE current_setting('superuser_reserved_connections')::bigint END,
             (SELECT sum(numbackends) FROM pg_stat_database))sql"));
  const int64_t room = rows.Int(0, 0), used = rows.Int(0, 1);
  if (room - used < kNeeded) {
    problems_.Add(fmt::format("the restore needs {} more connections, the target allows {} and has {}",
                              kNeeded, room, used),
                  "Close sessions on the target, or raise its max_connections.");
  }
  return OkStatus();
}

}  // namespace

StatusOr<v1::ActionResult> RunPostgresTargetCheck(const v1::PostgresTargetCheck& action,
                                                  ActionContext& context) {
  return TargetCheck(action, context).Run();
}

}  // namespace salvor::agent
