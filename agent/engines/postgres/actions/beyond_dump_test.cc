// A restored database has things that its dump does not say: versions of extensions, a schema "public" that was dropped
// or renamed.
#include "agent/engines/postgres/actions/actions_testing.h"
#include "base/names.h"

namespace salvor::agent {
namespace {

class PostgresBeyondDumpTest : public PostgresActionsTest {
 protected:
  static std::string Versions(const std::string& database) {
    return Server().Value(database,
                          "SELECT string_agg(format('%s %s in %s', extname, extversion,"
                          " extnamespace::regnamespace), ', ' ORDER BY extname) FROM pg_extension"
                          " WHERE extname <> 'plpgsql'");
  }

  static std::string LeftBehind(const std::string& database) {
    return Server().Value(database,
                          "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname ~ 'salvor')"
                          " + (SELECT count(*) FROM pg_event_trigger WHERE evtname ~ 'salvor')");
  }

  void ExpectEqual(const v1::PostgresTarget& target, const Kept& kept, const std::string& database) {
    const auto verified = Verify(target, kept, database);
    ASSERT_TRUE(verified.ok()) << MessageOf(verified.status());
    EXPECT_TRUE(KindsNotPassed(*verified).empty()) << Render(*verified);
  }
};

std::string WarningsOf(const StatusOr<v1::ActionResult>& result) {
  EXPECT_TRUE(result.ok()) << MessageOf(result.status());
  std::string text;
  if (!result.ok()) return text;
  for (const std::string& warning : result->warnings()) text += warning + "\n";
  return text;
}

// Older ones, in schemas that only the dump makes, of which one is needed by one that is not; below an application
// that permits no DDL.
constexpr char kOldExtensions[] = R"sql(
CREATE SCHEMA odd AUTHORIZATION app; CREATE SCHEMA "x y";
CREATE EXTENSION hstore SCHEMA odd VERSION '1.4'; CREATE EXTENSION cube SCHEMA "x y" VERSION '1.2';
CREATE EXTENSION earthdistance; CREATE EXTENSION pg_trgm SCHEMA pg_catalog VERSION '1.3';
CREATE TABLE t (h odd.hstore, c "x y".cube); INSERT INTO t VALUES ('a=>1', '(1,2)');
CREATE FUNCTION no_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no DDL here''; END';
CREATE EVENT TRIGGER no_ddl ON ddl_command_start EXECUTE FUNCTION no_ddl();
)sql";

TEST_F(PostgresBeyondDumpTest, ExtensionsComeBackAtTheirVersionsInTheirSchemas) {
  Server().Execute("postgres", "CREATE ROLE app");
  Server().Execute("postgres", "CREATE DATABASE old");
  Server().Execute("old", kOldExtensions);
  const auto dumped = Dump(Component({"old"}), "old");
  ASSERT_TRUE(dumped.ok()) << MessageOf(dumped.status());
  EXPECT_EQ(WarningsOf(dumped).find("extension"), std::string::npos) << WarningsOf(dumped);
  const Kept kept{dumped->artifacts(0), dumped->artifacts(1), SaveGlobals()->artifacts(0)};
  EXPECT_EQ(WarningsOf(CheckTarget(Here(), kept, "copy")).find("extension"), std::string::npos);
  EXPECT_EQ(WarningsOf(Restore(Here(), kept, "copy")), "");
  EXPECT_EQ(Versions("copy"), Versions("old"));
  EXPECT_NE(Versions("copy").find("hstore 1.4 in odd"), std::string::npos) << Versions("copy");
  EXPECT_EQ(LeftBehind("copy"), "0");
  EXPECT_EQ(Server().Value("copy", "SELECT evtname || evtenabled::text FROM pg_event_trigger"), "no_ddlO");
  ExpectEqual(Here(), kept, "copy");
  const v1::PostgresTarget drill = Scratch("beyond-1");
  ASSERT_TRUE(RestoreRoles(drill, kept).ok());
  EXPECT_EQ(WarningsOf(Restore(drill, kept, "old")), "");
  ExpectEqual(drill, kept, "old");
  EXPECT_TRUE(Server().Servers().Remove("beyond-1").ok());
}

TEST_F(PostgresBeyondDumpTest, AVersionThatTheTargetCannotInstallIsNamedBeforehand) {
  Server().Execute("postgres", "CREATE DATABASE gone");
  Server().Execute("gone",
                   "CREATE EXTENSION hstore; CREATE EXTENSION cube VERSION '1.2';"
                   "UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'hstore'");
  const auto dumped = Dump(Component({"gone"}), "gone");
  EXPECT_NE(WarningsOf(dumped).find("cannot install any more, a restore gets its default: hstore 0.9"),
            std::string::npos)
      << WarningsOf(dumped);
  const Kept kept{dumped->artifacts(0), dumped->artifacts(1), SaveGlobals()->artifacts(0)};
  const std::string checked = WarningsOf(CheckTarget(Here(), kept, "copy"));
  EXPECT_NE(
      checked.find("extension hstore of database gone was 0.9, and will be 1.8 on the target, which cannot"
                   " install the older one"),
      std::string::npos)
      << checked;
  EXPECT_EQ(checked.find("cube"), std::string::npos) << checked;
  ASSERT_TRUE(Restore(Here(), kept, "copy").ok());
  EXPECT_EQ(Versions("copy"), "cube 1.2 in public, hstore 1.8 in public");
  const auto verified = Verify(Here(), kept, "copy");
  EXPECT_EQ(KindsNotPassed(*verified), std::vector<std::string>{"extensions"}) << Render(*verified);
  for (const v1::Check& check : verified->checks()) EXPECT_NE(check.verdict(), v1::Check::VERDICT_FAILED);
}

TEST_F(PostgresBeyondDumpTest, WhoMayNotHaveEventTriggersIsToldWhichVersionItWillBe) {
  Server().Execute("postgres", "CREATE ROLE maker LOGIN CREATEDB");
  Server().Execute("postgres", "CREATE DATABASE plain OWNER maker");
  Server().Execute("plain",
                   "SET ROLE maker; CREATE EXTENSION hstore VERSION '1.4'; CREATE TABLE t (h hstore);"
                   "INSERT INTO t VALUES ('a=>1')");
  const Kept kept = Backup("plain");
  v1::PostgresTarget target;
  *target.mutable_connection() = Server().Where("maker");
  const std::string checked = WarningsOf(CheckTarget(target, kept, "copy"));
  EXPECT_NE(
      checked.find("extension hstore of database plain was 1.4, and will be 1.8 on the target, unless its"
                   " user may create event triggers"),
      std::string::npos)
      << checked;
  const auto restored = Restore(target, kept, "copy");
  ASSERT_TRUE(restored.ok()) << MessageOf(restored.status());
  EXPECT_EQ(Versions("copy"), "hstore 1.8 in public");
  EXPECT_EQ(LeftBehind("copy"), "0");
  EXPECT_EQ(Server().Value("copy", "SELECT count(*) FROM public.t"), "1");
}

TEST_F(PostgresBeyondDumpTest, ADroppedOrRenamedPublicComesBackAsItWas) {
  struct Case {
    const char* name;
    const char* sql;
    const char* what;  // true of the original, and of the copy
  };
  const Case kCases[] = {
      {"dropped", "DROP SCHEMA public", "to_regnamespace('public') IS NULL"},
      {"renamed", "ALTER SCHEMA public RENAME TO \"Main\"",
       "to_regnamespace('public') IS NULL AND has_schema_privilege('reader', 'Main', 'USAGE')"},
      {"closed",
       "ALTER SCHEMA public RENAME TO main; REVOKE ALL ON SCHEMA main FROM PUBLIC; GRANT USAGE ON SCHEMA main TO"
       " reader",
       "has_schema_privilege('reader', 'main', 'USAGE') AND NOT has_schema_privilege('writer', 'main', 'USAGE')"},
      {"opened", "ALTER SCHEMA public RENAME TO main; GRANT CREATE ON SCHEMA main TO reader",
       "has_schema_privilege('writer', 'main', 'USAGE') AND has_schema_privilege('reader', 'main', 'CREATE')"},
      {"given_away", "ALTER SCHEMA public OWNER TO writer; ALTER SCHEMA public RENAME TO main",
       "has_schema_privilege('reader', 'main', 'USAGE') AND has_schema_privilege('writer', 'main', 'CREATE')"},
      {"two_publics",
       "ALTER SCHEMA public RENAME TO main; CREATE SCHEMA public; GRANT CREATE ON SCHEMA public TO reader",
       "has_schema_privilege('writer', 'main', 'USAGE') AND NOT has_schema_privilege('writer', 'public', 'USAGE')"},
      {"guarded",
       "ALTER SCHEMA public RENAME TO main; CREATE FUNCTION main.no_ddl() RETURNS event_trigger LANGUAGE plpgsql AS"
       " 'BEGIN RAISE EXCEPTION ''no DDL here''; END';"
       "CREATE EVENT TRIGGER no_ddl ON ddl_command_start EXECUTE FUNCTION main.no_ddl()",
       "has_schema_privilege('writer', 'main', 'USAGE')"},
  };
  Server().Execute("postgres", "CREATE ROLE reader; CREATE ROLE writer");
  const v1::PostgresTarget drill = Scratch("beyond-2");
  for (const Case& each : kCases) {
    SCOPED_TRACE(each.name);
    Server().Execute("postgres", fmt::format("CREATE DATABASE {}", each.name));
    Server().Execute(each.name, each.sql);
    const std::string what = fmt::format("SELECT {}", each.what);
    ASSERT_EQ(Server().Value(each.name, what), "t");
    const Kept kept = Backup(each.name, "run-" + Slug(each.name));
    const std::string copy = std::string(each.name) + "_copy";
    const auto restored = Restore(Here(), kept, copy);
    ASSERT_TRUE(restored.ok()) << MessageOf(restored.status());
    EXPECT_EQ(Server().Value(copy, what), "t");
    ExpectEqual(Here(), kept, copy);
    const auto roles = RestoreRoles(drill, kept);
    ASSERT_TRUE(roles.ok()) << MessageOf(roles.status());
    ASSERT_TRUE(Restore(drill, kept, each.name).ok());
    ExpectEqual(drill, kept, each.name);
  }
  EXPECT_TRUE(Server().Servers().Remove("beyond-2").ok());
}

}  // namespace
}  // namespace salvor::agent
