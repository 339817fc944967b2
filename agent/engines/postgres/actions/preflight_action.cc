#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include "agent/engines/postgres/actions/actions.h"
#include "agent/engines/postgres/actions/common.h"
#include "agent/engines/postgres/inventory.h"
#include "agent/engines/postgres/scratch_engine.h"
#include "base/io/files.h"
#include "base/names.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

struct ServerFacts {
  bool superuser = false;
  bool bypasses_rls = false;
  std::string user;
  int64_t chosen_bytes = 0;
  std::set<std::string> reachable;           // chosen databases that are worth a closer look
  std::map<std::string, Problems> problems;  // of one chosen database alone
};

void CheckTools(ActionContext& context, int server_version, Problems& problems, v1::ActionResult& result) {
  const auto dumper = ToolVersion(context.tools, PostgresProgram(context, "pg_dump"));
  if (!dumper.ok()) {
    problems.Add(MessageOf(dumper.status()),
                 "Install postgresql-client and set --postgres-bin-directory to it.");
  } else if (*dumper / 10000 < server_version / 10000) {
    problems.Add(
        fmt::format("pg_dump is of PostgreSQL {}, the server of {}", *dumper / 10000, server_version / 10000),
        "Install a pg_dump at least as new as the server.");
  } else if (*dumper < server_version) {
    // Security releases change what a server keeps in its catalogue, and pg_dump together with it.
    result.add_warnings(
        fmt::format("pg_dump is of PostgreSQL {}.{}, the server of {}.{}: update the agent's client",
                    *dumper / 10000, *dumper % 10000, server_version / 10000, server_version % 10000));
  }
}

// Chosen databases that are not there, and others that nobody chose.
Status CheckDatabases(Connection& session, const v1::PostgresComponent& component, ServerFacts& facts,
                      v1::ActionResult& result) {
  ASSIGN_OR_RETURN(Rows rows, session.Query(R"(
SELECT datname, datallowconn, datistemplate, has_database_privilege(oid, 'CONNECT'),
       CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid) ELSE 0 END
  FROM pg_database
 ORDER BY 1)"));
  std::map<std::string, int> found;
  int64_t empty_bytes = 0;
  for (int i = 0; i < rows.Count(); ++i) {
    found[rows.Text(i, 0)] = i;
    if (rows.View(i, 0) == "template1") empty_bytes = rows.Int(i, 4);
  }
  for (const std::string& name : component.databases()) {
    const auto at = found.find(name);
    Problems& problems = facts.problems[name];
    if (Status named = CheckDatabaseName(name); !named.ok()) {
      problems.Add(named);
    } else if (at == found.end()) {
      problems.Add(fmt::format("database {} does not exist", name),
                   "Correct the component's list of databases.");
    } else if (!rows.Bool(at->second, 1)) {
      problems.Add(fmt::format("database {} does not allow connections", name));
    } else if (!rows.Bool(at->second, 3)) {
      problems.Add(fmt::format("user {} may not connect to database {}", facts.user, name),
                   fmt::format("GRANT CONNECT ON DATABASE to {}.", facts.user));
    } else {
      facts.chosen_bytes += rows.Int(at->second, 4);
      facts.reachable.insert(name);
    }
  }
  for (const auto& database : found) {
    const int i = database.second;
    const bool chosen = facts.reachable.count(database.first) > 0;
    const bool blank = database.first == "postgres" && rows.Int(i, 4) < empty_bytes + (1 << 20);
    if (chosen || blank || rows.Bool(i, 2) || !rows.Bool(i, 1)) continue;
    result.add_warnings(fmt::format("database {} ({}) is not in the plan", AsUtf8(database.first),
                                    HumanBytes(rows.Int(i, 4))));
  }
  return OkStatus();
}

// Names a query's rows as one problem.
Status AddIfAny(Connection& session, const std::string& sql, const std::string& text, const std::string& hint,
                Problems& problems) {
  ASSIGN_OR_RETURN(Rows rows, session.Query(sql));
  if (rows.Count() > 0) problems.Add(fmt::format("{}: {}", text, Names(Column(rows))), hint);
  return OkStatus();
}

constexpr char kUnreadable[] = R"(
SELECT c.oid::regclass
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relpersistence <> 't'
   AND c.relkind IN ('r', 'p', 'S')
   AND NOT (has_schema_privilege(n.oid, 'USAGE')
            AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT')
                               ELSE has_table_privilege(c.oid, 'SELECT') END)
 ORDER BY c.oid::regclass::text COLLATE "C")";

constexpr char kHiddenByPolicies[] = R"(
SELECT c.oid::regclass
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relpersistence <> 't'
   AND c.relkind IN ('r', 'p') AND c.relrowsecurity AND row_security_active(c.oid)
 ORDER BY c.oid::regclass::text COLLATE "C")";

constexpr char kUnreadableLargeObjects[] = R"(
SELECT count(*)
  FROM pg_largeobject_metadata m
 WHERE current_setting('lo_compat_privileges') <> 'on'
   AND NOT pg_has_role(m.lomowner, 'USAGE')
   AND NOT EXISTS (SELECT FROM aclexplode(m.lomacl) a
                    WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE'))))";

// Whatever a dump would stumble over, or leave out without a word.
Status CheckReadable(Connection& session, const std::string& database, const ServerFacts& facts,
                     Problems& problems) {
  if (facts.superuser) return OkStatus();
  const std::string at = fmt::format("in database {}, ", AsUtf8(database));
  const std::string read_all =
      session.ServerVersion() >= 140000
          ? fmt::format("GRANT pg_read_all_data TO {}.", facts.user)
          : fmt::format("GRANT USAGE on the schemas and SELECT on all tables and sequences to {}.",
                        facts.user);
  RETURN_IF_ERROR(AddIfAny(session, kUnreadable, at + fmt::format("user {} may not read", facts.user),
                           read_all, problems));
  if (!facts.bypasses_rls) {
    RETURN_IF_ERROR(AddIfAny(session, kHiddenByPolicies,
                             at + fmt::format("row-level security hides rows from user {} in", facts.user),
                             fmt::format("ALTER ROLE {} BYPASSRLS.", facts.user), problems));
  }
  ASSIGN_OR_RETURN(const int64_t hidden, session.Number(kUnreadableLargeObjects));
  if (hidden > 0) {
    problems.Add(at + fmt::format("user {} may not read {} large objects", facts.user, hidden),
                 "pg_read_all_data does not cover large objects: use a superuser, or grant SELECT on them.");
  }
  return OkStatus();
}

void CheckDumpDirectory(const v1::PostgresComponent& component, const ServerFacts& facts,
                        Problems& problems) {
  if (component.capture() != v1::CAPTURE_VOLUME) return;
  const std::string& path = component.dump_directory();
  struct stat directory {};
  if (stat(path.c_str(), &directory) != 0 || !S_ISDIR(directory.st_mode)) {
    problems.Add(fmt::format("dump directory {} is not there", path), "Create it, or mount the volume.");
    return;
  }
  if (access(path.c_str(), W_OK) != 0) {
    problems.Add(fmt::format("dump directory {} is not writable for the agent", path));
    return;
  }
  const auto free = FreeBytes(path);
  if (!free.ok()) {
    problems.Add(free.status());
  } else if (*free < facts.chosen_bytes) {
    problems.Add(fmt::format("dump directory {} has {} free, the databases take {}", path, HumanBytes(*free),
                             HumanBytes(facts.chosen_bytes)),
                 "Free some space there, or use capture: stream.");
  }
}

Status LookAtServer(Connection& session, ServerFacts& facts, v1::ActionResult& result) {
  ASSIGN_OR_RETURN(
      Rows me,
      session.Query("SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"));
  if (me.Count() == 1) {
    facts.user = AsUtf8(me.View(0, 0));
    facts.superuser = me.Bool(0, 1);
    facts.bypasses_rls = me.Bool(0, 1) || me.Bool(0, 2);
  }
  ASSIGN_OR_RETURN(Rows slots, session.Query("SELECT slot_name FROM pg_replication_slots ORDER BY 1"));
  if (slots.Count() > 0) {
    result.add_warnings("replication slots are not part of a dump: " + Names(Column(slots)));
  }
  return OkStatus();
}

Status CheckDatabase(const v1::PostgresComponent& component, const std::string& database,
                     const ServerFacts& facts, ActionContext& context, Problems& problems,
                     v1::ActionResult& result) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Connection> session,
                   OpenSession(component.connection(), database, context));
  RETURN_IF_ERROR(CheckReadable(*session, database, facts, problems));
  ASSIGN_OR_RETURN(const std::vector<std::string> warnings, DumpWarnings(*session));
  for (const std::string& warning : warnings) {
    result.add_warnings(fmt::format("database {}: {}", AsUtf8(database), warning));
  }
  return OkStatus();
}

// A problem of one database is no reason to keep none of the others: its own step fails, and the backup names it. There
// is nothing to begin when none can be kept.
Status Judge(const ServerFacts& facts, const Problems& of_all, v1::ActionResult& result) {
  const bool some_can_be_kept = std::any_of(facts.problems.begin(), facts.problems.end(),
                                            [](const auto& database) { return database.second.Empty(); });
  Problems problems = of_all;
  for (const auto& database : facts.problems) {
    const Status own = database.second.AsRefusal();
    if (own.ok()) continue;
    if (!some_can_be_kept) {
      problems.Add(database.second);
    } else {
      result.add_warnings(fmt::format("database {} can hardly be kept: {}{}{}", AsUtf8(database.first),
                                      MessageOf(own), HintOf(own).empty() ? "" : ". ", HintOf(own)));
    }
  }
  return problems.AsRefusal();
}

}  // namespace

StatusOr<v1::ActionResult> RunPostgresPreflight(const v1::PostgresPreflight& action, ActionContext& context) {
  const v1::PostgresComponent& component = action.component();
  v1::ActionResult result;
  Problems problems;
  ServerFacts facts;
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> session, OpenSession(component.connection(), "", context));
  CheckTools(context, session->ServerVersion(), problems, result);
  RETURN_IF_ERROR(LookAtServer(*session, facts, result));
  RETURN_IF_ERROR(CheckDatabases(*session, component, facts, result));
  for (const std::string& database : facts.reachable) {
    Problems& own = facts.problems[database];
    own.Add(CheckDatabase(component, database, facts, context, own, result));
  }
  CheckDumpDirectory(component, facts, problems);
  RETURN_IF_ERROR(Judge(facts, problems, result));
  const auto kept = std::count_if(facts.problems.begin(), facts.problems.end(),
                                  [](const auto& database) { return database.second.Empty(); });
  result.set_note(fmt::format("{} of PostgreSQL {}, {}",
                              kept == 1 ? "1 database" : fmt::format("{} databases", kept),
                              session->ServerVersion() / 10000, HumanBytes(facts.chosen_bytes)));
  return result;
}

}  // namespace salvor::agent
