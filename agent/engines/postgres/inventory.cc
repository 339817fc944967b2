#include "agent/engines/postgres/inventory.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "agent/engines/postgres/catalog_queries.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr int kMigrationRowsAtMost = 10000;
constexpr int64_t kMigrationBytesAtMost = 16 << 20;

std::string Fingerprint(std::string_view body) {
  const XXH128_hash_t hash = XXH3_128bits(body.data(), body.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

// The columns are those that CatalogQuery describes; those at the end may be missing.
void AddSection(const char* kind, const Rows& rows, v1::DatabaseDetails& details) {
  const auto has = [&rows](int row, int column) {
    return column < rows.Columns() && !rows.IsNull(row, column);
  };
  std::vector<std::string> lines;
  std::vector<v1::CatalogStatement> statements;
  for (int row = 0; row < rows.Count(); ++row) {
    std::string line = AsUtf8(rows.View(row, 0));
    if (has(row, 3)) line += " text=" + Fingerprint(rows.View(row, 3));
    if (!has(row, 1)) {
      lines.push_back(std::move(line));
      continue;
    }
    v1::CatalogStatement& statement = statements.emplace_back();
    statement.set_object(std::move(line));
    statement.set_sql(AsUtf8(rows.View(row, 1)));
    if (has(row, 2)) statement.set_name(AsUtf8(rows.View(row, 2)));
  }
  std::sort(lines.begin(), lines.end());
  std::sort(statements.begin(), statements.end(), [](const auto& a, const auto& b) {
    return std::tie(a.object(), a.sql()) < std::tie(b.object(), b.sql());
  });
  v1::CatalogSection* section = details.add_catalog();
  section->set_kind(kind);
  for (std::string& line : lines) section->add_lines(std::move(line));
  for (v1::CatalogStatement& statement : statements) *section->add_statements() = std::move(statement);
}

Status CaptureCatalog(Connection& connection, v1::DatabaseDetails& details) {
  const int version = connection.ServerVersion();
  for (const CatalogQuery& query : CatalogQueries()) {
    if (version < query.since || version > query.until) continue;
    ASSIGN_OR_RETURN_IN(Rows rows, connection.Query(query.sql), fmt::format("reading {}", query.kind));
    AddSection(query.kind, rows, details);
  }
  return OkStatus();
}

// A name that all databases share is kept as the bytes of the database in which it was given, and read as text
// of the one that is connected: its bytes say what it is, unless they are no UTF-8. `bytes` is the column with
// convert_to(name, getdatabaseencoding()).
std::string SharedName(const Rows& rows, int row, int text, int bytes) {
  const std::string_view hex = rows.View(row, bytes);
  const auto name = FromHex(hex.substr(std::min<size_t>(hex.size(), 2)));
  return name.has_value() && AsUtf8(*name) == *name ? *name : AsUtf8(rows.View(row, text));
}

Status CaptureReferencedRoles(Connection& connection, v1::DatabaseDetails& details) {
  ASSIGN_OR_RETURN(Rows rows, connection.Query(
                                  R"sql(
SELECT DISTINCT pg_get_userbyid(r), convert_to(pg_get_userbyid(r)::text, getdatabaseencoding())
FROM (
  SELECT refobjid AS r FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND objid >= 16384
    AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  UNION SELECT relowner FROM pg_class WHERE oid >= 16384
  UNION SELECT proowner FROM pg_proc WHERE oid >= 16384
  UNION SELECT nspowner FROM pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_'
  UNION SELECT lomowner FROM pg_largeobject_metadata
  UNION SELECT datdba FROM pg_database WHERE datname = current_database()
  UNION SELECT a.grantee FROM pg_database d, LATERAL aclexplode(d.datacl) a
    WHERE d.datname = current_database() AND a.grantee <> 0
  UNION SELECT s.setrole FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
    WHERE d.datname = current_database() AND s.setrole <> 0
) u
)sql"));
  v1::CatalogSection* section = details.add_catalog();
  section->set_kind(kReferencedRoles);
  for (int i = 0; i < rows.Count(); ++i) section->add_lines(SharedName(rows, i, 0, 1));
  std::sort(section->mutable_lines()->begin(), section->mutable_lines()->end());
  return OkStatus();
}

// GRANT and REVOKE that turn a fresh database's privileges into these. Nothing when they are the default.
Status AddDatabaseGrants(Connection& connection, const std::string& owner,
                         v1::DatabaseProperties& properties) {
  ASSIGN_OR_RETURN(Rows rows, connection.Query(
                                  R"sql(
SELECT a.grantee = 0, CASE WHEN a.grantee = 0 THEN '' ELSE pg_get_userbyid(a.grantee) END,
    a.privilege_type, a.is_grantable
FROM pg_database d,
  LATERAL aclexplode(d.datacl) a
WHERE d.datname = current_database()
ORDER BY a.grantee = 0, pg_get_userbyid(a.grantee), a.privilege_type COLLATE "C"
)sql"));
  ASSIGN_OR_RETURN(
      Rows defaults,
      connection.Query(R"sql(SELECT datacl IS NULL FROM pg_database WHERE datname = current_database())sql"));
  if (defaults.Count() == 1 && defaults.Bool(0, 0)) return OkStatus();
  properties.add_statements("REVOKE ALL ON DATABASE %DB% FROM PUBLIC");
  properties.add_statements(AsUtf8("REVOKE ALL ON DATABASE %DB% FROM " + connection.Identifier(owner)));
  for (int i = 0; i < rows.Count(); ++i) {
    const std::string who = rows.Bool(i, 0) ? "PUBLIC" : connection.Identifier(rows.View(i, 1));
    properties.add_statements(AsUtf8(fmt::format("GRANT {} ON DATABASE %DB% TO {}{}", rows.View(i, 2), who,
                                                 rows.Bool(i, 3) ? " WITH GRANT OPTION" : "")));
  }
  return OkStatus();
}

Status CaptureProperties(Connection& connection, v1::DatabaseDetails& details) {
  ASSIGN_OR_RETURN(Rows rows, connection.Query(
                                  R"sql(
SELECT datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype,
    COALESCE(to_jsonb(d)->>'datlocprovider', 'c'), COALESCE(to_jsonb(d)->>'datlocale',
    to_jsonb(d)->>'daticulocale', ''), datconnlimit, COALESCE(shobj_description(d.oid, 'pg_database'), ''),
    convert_to(pg_get_userbyid(datdba)::text, getdatabaseencoding()), datistemplate
FROM pg_database d
WHERE datname = current_database()
)sql"));
  if (rows.Count() != 1) return Internal("the database does not find itself in pg_database");
  v1::DatabaseProperties& properties = *details.mutable_properties();
  details.set_database(AsUtf8(rows.View(0, 0)));
  properties.set_owner(SharedName(rows, 0, 1, 9));
  properties.set_encoding(rows.Text(0, 2));
  details.set_encoding(rows.Text(0, 2));
  properties.set_collate(rows.Text(0, 3));
  properties.set_ctype(rows.Text(0, 4));
  properties.set_locale_provider(rows.Text(0, 5));
  properties.set_icu_locale(rows.Text(0, 6));
  properties.set_connection_limit(static_cast<int32_t>(rows.Int(0, 7)));
  properties.set_comment(AsUtf8(rows.View(0, 8)));

  ASSIGN_OR_RETURN(Rows settings, connection.Query(
                                      R"sql(
SELECT s.setrole <> 0, CASE WHEN s.setrole = 0 THEN '' ELSE pg_get_userbyid(s.setrole) END, c
FROM pg_db_role_setting s
  JOIN pg_database d ON d.oid = s.setdatabase,
  LATERAL unnest(s.setconfig) c
WHERE d.datname = current_database()
ORDER BY 1, pg_get_userbyid(s.setrole), c COLLATE "C"
)sql"));
  for (int i = 0; i < settings.Count(); ++i) {
    const std::string assignment = SettingAssignment(connection, settings.Text(i, 2));
    properties.add_statements(AsUtf8(settings.Bool(i, 0)
                                         ? fmt::format("ALTER ROLE {} IN DATABASE %DB% SET {}",
                                                       connection.Identifier(settings.View(i, 1)), assignment)
                                         : fmt::format("ALTER DATABASE %DB% SET {}", assignment)));
  }
  RETURN_IF_ERROR(AddDatabaseGrants(connection, rows.Text(0, 1), properties));
  if (rows.Bool(0, 10)) properties.add_statements("ALTER DATABASE %DB% IS_TEMPLATE true");
  return OkStatus();
}

Status CaptureSequences(Connection& connection, v1::DatabaseDetails& details) {
  ASSIGN_OR_RETURN(Rows list, connection.Query(
                                  R"sql(
SELECT n.nspname, c.relname, COALESCE(d.refobjid::regclass::text, ''), COALESCE(a.attname, '')
FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
    AND d.deptype IN ('a', 'i') AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
  LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE c.relkind = 'S'
  AND c.relpersistence <> 't'
  AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())  -- not there on a standby
  AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
      AND x.deptype = 'e')
ORDER BY 1, 2
)sql"));
  constexpr int kAtOnce = 200;
  for (int begin = 0; begin < list.Count(); begin += kAtOnce) {
    const int end = std::min(begin + kAtOnce, list.Count());
    std::string sql;
    for (int i = begin; i < end; ++i) {
      sql += fmt::format("{}SELECT {}, last_value, is_called FROM {}", i == begin ? "" : " UNION ALL ", i,
                         connection.Table(list.View(i, 0), list.View(i, 1)));
    }
    ASSIGN_OR_RETURN(Rows values, connection.Query(sql));
    for (int row = 0; row < values.Count(); ++row) {
      const int i = static_cast<int>(values.Int(row, 0));
      v1::SequenceExpectation* sequence = details.add_sequences();
      sequence->set_schema(AsUtf8(list.View(i, 0)));
      sequence->set_name(AsUtf8(list.View(i, 1)));
      sequence->set_at_least(values.Int(row, 1));
      sequence->set_is_called(values.Bool(row, 2));
      sequence->set_owned_by_table(AsUtf8(list.View(i, 2)));
      sequence->set_owned_by_column(AsUtf8(list.View(i, 3)));
    }
  }
  return OkStatus();
}

Status CaptureMigrations(Connection& connection, v1::DatabaseDetails& details) {
  ASSIGN_OR_RETURN(Rows tables, connection.Query(R"sql(
SELECT c.oid::regclass
FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
  AND n.nspname !~ '^pg_'
  AND c.relname::text = ANY (string_to_array($1, ','))
ORDER BY c.oid::regclass::text COLLATE "C"
)sql",
                                                 {Join(MigrationTableNames(), ",")}));
  for (int i = 0; i < tables.Count(); ++i) {
    const std::string table = tables.Text(i, 0);
    ASSIGN_OR_RETURN_IN(
        const int64_t bytes,
        connection.Number(fmt::format(
            "SELECT COALESCE(sum(octet_length(t::text)), 0) FROM (SELECT * FROM ONLY {} LIMIT {}) t", table,
            kMigrationRowsAtMost + 1)),
        fmt::format("reading {}", table));
    if (bytes > kMigrationBytesAtMost) continue;  // no list of migrations either, and more than is to be held
    ASSIGN_OR_RETURN_IN(Rows rows,
                        connection.Query(fmt::format("SELECT t::text FROM ONLY {} t LIMIT {}", table,
                                                     kMigrationRowsAtMost + 1)),
                        fmt::format("reading {}", table));
    if (rows.Count() > kMigrationRowsAtMost) continue;  // a table of that name, but no list of migrations
    std::vector<std::string> lines;
    for (int row = 0; row < rows.Count(); ++row) lines.push_back(AsUtf8(rows.View(row, 0)));
    std::sort(lines.begin(), lines.end());
    v1::MigrationTable* migration = details.add_migrations();
    migration->set_table(AsUtf8(table));
    for (std::string& line : lines) migration->add_rows(std::move(line));
  }
  return OkStatus();
}

Status CaptureExtensions(Connection& connection, v1::DatabaseDetails& details) {
  ASSIGN_OR_RETURN(
      Rows rows, connection.Query(R"sql(SELECT extname, extversion FROM pg_extension ORDER BY extname)sql"));
  for (int i = 0; i < rows.Count(); ++i) {
    v1::ExtensionExpectation* extension = details.add_extensions();
    extension->set_name(AsUtf8(rows.View(i, 0)));
    extension->set_version(AsUtf8(rows.View(i, 1)));
  }
  return OkStatus();
}

// A dump takes for granted what a schema was granted when the cluster was made, whatever it is called now.
Status CaptureFirstGrants(Connection& connection, v1::DatabaseDetails& details) {
  ASSIGN_OR_RETURN(Rows rows, connection.Query(R"sql(
SELECT DISTINCT n.nspname, a.privilege_type, CASE WHEN a.grantee = 0 THEN '' ELSE pg_get_userbyid(a.grantee) END,
    a.is_grantable
FROM pg_namespace n
  JOIN pg_init_privs i ON i.classoid = 'pg_namespace'::regclass AND i.objoid = n.oid AND i.privtype = 'i',
  LATERAL aclexplode(n.nspacl) a,
  LATERAL aclexplode(i.initprivs) f
WHERE n.nspname !~ '^pg_'
  AND n.nspname NOT IN ('information_schema', 'public')
  AND a.grantee <> n.nspowner
  AND (a.grantee, a.grantor, a.privilege_type, a.is_grantable) = (f.grantee, f.grantor, f.privilege_type,
    f.is_grantable)
ORDER BY 1, 2, 3
)sql"));
  v1::SchemaGrants& grants = *details.mutable_schema_grants();
  for (int i = 0; i < rows.Count(); ++i) {
    const std::string who = rows.View(i, 2).empty() ? "PUBLIC" : connection.Identifier(rows.View(i, 2));
    grants.add_statements(AsUtf8(fmt::format("GRANT {} ON SCHEMA {} TO {}{}", rows.View(i, 1),
                                             connection.Identifier(rows.View(i, 0)), who,
                                             rows.Bool(i, 3) ? " WITH GRANT OPTION" : "")));
  }
  return OkStatus();
}

// One sentence with the names that the query gives, if it gives any.
Status AddWarning(Connection& connection, const char* sql, const char* text,
                  std::vector<std::string>& warnings) {
  ASSIGN_OR_RETURN(Rows rows, connection.Query(std::string(sql) + " ORDER BY 1 LIMIT 21"));
  if (rows.Count() == 0) return OkStatus();
  std::vector<std::string> names;
  for (int i = 0; i < std::min(rows.Count(), 20); ++i) names.push_back(AsUtf8(rows.View(i, 0)));
  if (rows.Count() > 20) names.push_back("…");
  warnings.push_back(fmt::format(fmt::runtime(text), Join(names, ", ")));
  return OkStatus();
}

}  // namespace

StatusOr<std::vector<std::string>> DumpWarnings(Connection& connection) {
  std::vector<std::string> warnings;
  struct Item {
    const char* sql;
    const char* text;
  };
  static const Item kItems[] = {
      {R"sql(SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind = 'f' AND c.oid >= 16384)sql",
       "rows of foreign tables live elsewhere and are not in the dump: {}"},
      {R"sql(
SELECT i.indexrelid::regclass::text
FROM pg_index i
  JOIN pg_class c ON c.oid = i.indrelid
WHERE NOT i.indisvalid
  AND c.relkind <> 'p'
  AND c.oid >= 16384
)sql",
       "invalid indexes are left out of the dump: {}"},
      {R"sql(
SELECT format('%s on %s', k.conname, k.conrelid::regclass)
FROM pg_constraint k
WHERE NOT k.convalidated
)sql",
       "constraints that were never validated are restored as such: {}"},
      {R"sql(
SELECT c.oid::regclass::text
FROM pg_class c
WHERE c.relkind = 'm'
  AND NOT c.relispopulated
)sql",
       "materialized views without data stay without data: {}"},
      {R"sql(
SELECT s.subname
FROM pg_subscription s
  JOIN pg_database d ON d.oid = s.subdbid
WHERE d.datname = current_database()
)sql",
       "subscriptions come back disabled: {}"},
      {R"sql(
SELECT n.nspname || '.' || c.collname
FROM pg_collation c
  JOIN pg_namespace n ON n.oid = c.collnamespace
WHERE c.collversion <> pg_collation_actual_version(c.oid)
)sql",
       "collations changed under their indexes, which should be rebuilt: {}"},
      {R"sql(
SELECT c.oid::regclass::text
FROM pg_class c
WHERE c.relkind = 'm'
  AND c.relispopulated
)sql",
       "materialized views are filled anew by a restore and may then show newer rows than now: {}"},
      {R"sql(
SELECT format('%s of %I', c.oid::regclass, e.extname)
FROM pg_class c
  JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
  JOIN pg_extension e ON e.oid = d.refobjid
WHERE c.relkind = 'r'
  AND c.relpersistence <> 't'
  AND NOT c.oid = ANY (COALESCE(e.extconfig, '{}'))
  AND pg_relation_size(c.oid) > 0
)sql",
       "rows in tables of extensions are not in the dump: {}"},
      {R"sql(
SELECT format('%s on %I', CASE WHEN u.umuser = 0 THEN 'PUBLIC' ELSE quote_ident(u.usename) END, u.srvname)
FROM pg_user_mappings u
WHERE u.umoptions IS NULL
  AND NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user)
)sql",
       "options of user mappings are not readable for this user and not in the dump: {}"},
      {R"sql(
SELECT format('%I %s, by default %s', e.extname, e.extversion, a.default_version)
FROM pg_extension e
  JOIN pg_available_extensions a ON a.name = e.extname
WHERE e.extversion <> a.default_version
  AND NOT EXISTS (SELECT FROM pg_available_extension_versions v WHERE v.name = e.extname
    AND v.version = e.extversion)
)sql",
       "extensions of a version that this server cannot install any more, a restore gets its default: {}"},
  };
  for (const Item& item : kItems) RETURN_IF_ERROR(AddWarning(connection, item.sql, item.text, warnings));
  for (const CatalogQuery& query : CatalogQueries()) {
    const int version = connection.ServerVersion();
    if (!query.left_out || query.set_again || version < query.since || version > query.until) continue;
    const std::string text =
        fmt::format("a dump does not carry, and a restore does not set, {}: {{}}", query.kind);
    RETURN_IF_ERROR(AddWarning(connection, query.sql, text.c_str(), warnings));
  }
  return warnings;
}

StatusOr<std::vector<DumpedTable>> ListDumpedTables(Connection& connection) {
  ASSIGN_OR_RETURN(Rows rows, connection.Query(
                                  R"sql(
SELECT n.nspname, c.relname, COALESCE(x.condition, ''), pg_table_size(c.oid), x.condition IS NOT NULL
FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN LATERAL (SELECT e.extcondition[i] AS condition
    FROM pg_extension e, generate_subscripts(e.extconfig, 1) i
    WHERE e.extconfig[i] = c.oid LIMIT 1) x ON true
WHERE c.relkind = 'r'
  AND c.relpersistence <> 't'
  AND (x.condition IS NOT NULL OR (n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
      AND d.objid = c.oid AND d.deptype = 'e')))
ORDER BY 4, 1, 2
)sql"));
  std::vector<DumpedTable> tables;
  for (int i = 0; i < rows.Count(); ++i) {
    tables.push_back({rows.Text(i, 0), rows.Text(i, 1), rows.Text(i, 2), rows.Int(i, 3), rows.Bool(i, 4)});
  }
  return tables;
}

StatusOr<Inventory> CaptureInventory(Connection& connection) {
  Inventory inventory;
  v1::DatabaseDetails& details = inventory.details;
  details.set_server_version_num(connection.ServerVersion());
  details.set_format(kDetailsFormat);
  RETURN_IF_ERROR(CaptureProperties(connection, details));
  ASSIGN_OR_RETURN(inventory.tables, ListDumpedTables(connection));
  for (const DumpedTable& table : inventory.tables) inventory.table_bytes += table.bytes;
  RETURN_IF_ERROR(CaptureCatalog(connection, details));
  RETURN_IF_ERROR(CaptureReferencedRoles(connection, details));
  RETURN_IF_ERROR(CaptureSequences(connection, details));
  RETURN_IF_ERROR(CaptureExtensions(connection, details));
  RETURN_IF_ERROR(CaptureFirstGrants(connection, details));
  RETURN_IF_ERROR(CaptureMigrations(connection, details));
  ASSIGN_OR_RETURN(const int64_t objects,
                   connection.Number(R"sql(SELECT count(*) FROM pg_largeobject_metadata)sql"));
  details.mutable_large_objects()->set_count(objects);
  ASSIGN_OR_RETURN(inventory.warnings, DumpWarnings(connection));
  return inventory;
}

}  // namespace salvor::agent
