#include "agent/engines/postgres/actions/beyond_dump.h"

#include <algorithm>

#include "agent/engines/postgres/catalog_queries.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

// The schema and the event trigger that are there while a dump is loaded.
constexpr char kOurs[] = "salvor_while_restoring";

// Runs before each CREATE EXTENSION, its own one included. What it cannot make the statement itself then makes.
constexpr char kMakeExtension[] = R"sql(
DECLARE
  asked text := rtrim(current_query(), E' \t\r\n;');
  wanted record;
BEGIN
  IF current_setting('salvor.making_extension', true) = 'on' THEN RETURN; END IF;
  FOR wanted IN SELECT v.version, format('CREATE EXTENSION IF NOT EXISTS %I WITH SCHEMA ', v.name) AS beginning
      FROM (VALUES {}) v(name, version) LOOP
    CONTINUE WHEN left(asked, length(wanted.beginning)) <> wanted.beginning;
    BEGIN
      PERFORM set_config('salvor.making_extension', 'on', true);
      EXECUTE asked || format(' VERSION %L', wanted.version);
    EXCEPTION WHEN OTHERS THEN
      RAISE WARNING '%', SQLERRM;
    END;
    PERFORM set_config('salvor.making_extension', 'off', true);
  END LOOP;
END)sql";

// The text as the session's texts are: those of a database without an encoding were kept with their bytes written out.
std::string AsSaid(const Connection& session, const std::string& kept) {
  return session.TextEncoding() == "UTF8" ? kept : BytesOf(kept);
}

// OK where the server said no: it is the session that must not be lost.
Status UnlessLost(Connection& session, const Status& done) {
  return done.ok() || (!session.LastSqlState().empty() && session.Alive()) ? OkStatus() : done;
}

bool HadNoPublic(const v1::DatabaseDetails& details) {
  if (details.format() < 2) return false;  // version 0.1 may not say
  for (const v1::CatalogSection& section : details.catalog()) {
    if (section.kind() != "schemas") continue;
    return std::none_of(section.lines().begin(), section.lines().end(), [](const std::string& line) {
      return line == "public" || line == kUnusedPublicSchema;
    });
  }
  return false;
}

}  // namespace

StatusOr<std::vector<ExtensionThere>> ExtensionsThatDiffer(Connection& session,
                                                           const v1::DatabaseDetails& details) {
  std::vector<ExtensionThere> differ;
  for (const v1::ExtensionExpectation& extension : details.extensions()) {
    ASSIGN_OR_RETURN(
        Rows rows, session.Query(R"(
SELECT a.default_version,
       EXISTS (SELECT FROM pg_available_extension_versions v WHERE v.name = a.name AND v.version = $2)
  FROM pg_available_extensions a
 WHERE a.name = $1)",
                                 {AsSaid(session, extension.name()), AsSaid(session, extension.version())}));
    ExtensionThere there;
    there.name = extension.name();
    there.version = extension.version();
    if (rows.Count() > 0) {
      there.default_version = AsUtf8(rows.View(0, 0));
      there.has_version = rows.Bool(0, 1);
    }
    if (there.default_version != there.version) differ.push_back(std::move(there));
  }
  return differ;
}

Status BeyondDump::BeforeLoad(Connection& inside) {
  RETURN_IF_ERROR_IN(DropPublic(inside), "dropping the new database's schema public");
  return WithContext(WatchExtensions(inside), "preparing the versions of extensions");
}

Status BeyondDump::DropPublic(Connection& inside) {
  if (!HadNoPublic(details_)) return OkStatus();
  return UnlessLost(inside, inside.Execute("DROP SCHEMA IF EXISTS public"));
}

Status BeyondDump::WatchExtensions(Connection& inside) {
  ASSIGN_OR_RETURN(const std::vector<ExtensionThere> differ, ExtensionsThatDiffer(inside, details_));
  std::map<std::string, std::string> wanted;
  std::vector<std::string> values;
  for (const ExtensionThere& extension : differ) {
    if (!extension.has_version) continue;
    wanted[extension.name] = extension.version;
    values.push_back(fmt::format("({}, {})", inside.Literal(AsSaid(inside, extension.name)),
                                 inside.Literal(AsSaid(inside, extension.version))));
  }
  if (wanted.empty()) return OkStatus();
  const std::string body = fmt::format(kMakeExtension, Join(values, ", "));
  const Status made = inside.Execute(
      fmt::format("CREATE SCHEMA {0};"
                  "CREATE FUNCTION {0}.make_extension() RETURNS event_trigger LANGUAGE plpgsql"
                  " SET search_path = pg_catalog, pg_temp AS {1};"
                  "CREATE EVENT TRIGGER {0} ON ddl_command_start WHEN TAG IN ('CREATE EXTENSION')"
                  " EXECUTE PROCEDURE {0}.make_extension()",
                  kOurs, inside.Literal(body)));
  if (made.ok()) watched_ = std::move(wanted);
  return UnlessLost(inside, made);
}

StatusOr<std::vector<std::string>> BeyondDump::AfterLoad(Connection& inside) {
  std::vector<std::string> warnings;
  if (watched_.empty() && details_.schema_grants().statements().empty()) return warnings;
  ASSIGN_OR_RETURN(Rows triggers, inside.Query(R"sql(
SELECT evtname, CASE evtenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE' END
FROM pg_event_trigger
WHERE evtenabled <> 'D'
  AND evtname <> $1
  AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
)sql",
                                               {kOurs}));
  // Statements on event triggers fire none.
  std::string before, after;
  for (int i = 0; i < triggers.Count(); ++i) {
    const std::string name = inside.Identifier(triggers.View(i, 0));
    before += fmt::format("ALTER EVENT TRIGGER {} DISABLE;", name);
    after += fmt::format("ALTER EVENT TRIGGER {} {};", name, triggers.View(i, 1));
  }
  std::string sql;
  if (!watched_.empty()) {
    sql += fmt::format("DROP EVENT TRIGGER {0}; DROP FUNCTION {0}.make_extension(); DROP SCHEMA {0};", kOurs);
  }
  for (const std::string& grant : details_.schema_grants().statements()) sql += AsSaid(inside, grant) + ";";
  RETURN_IF_ERROR(inside.Execute(before + sql + after));
  for (const auto& [name, version] : watched_) {
    ASSIGN_OR_RETURN(Rows rows, inside.Query("SELECT extversion FROM pg_extension WHERE extname = $1",
                                             {AsSaid(inside, name)}));
    if (rows.Count() == 0 || AsUtf8(rows.View(0, 0)) == version) continue;
    warnings.push_back(
        fmt::format("extension {} was {}, and is {} now: the server could not make the older one", name,
                    version, AsUtf8(rows.View(0, 0))));
  }
  return warnings;
}

}  // namespace salvor::agent
