#include "agent/engines/postgres/catalog_state.h"

#include <fmt/format.h>

namespace salvor::agent {
namespace {

// Kind, key, schema, name, mark. REFRESH and REINDEX replace files, too, but neither a materialized view's rows
// nor an index's are in a dump; nor is a sequence's value as of a snapshot.
constexpr char kRelations[] = R"sql(
  SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
                        WHEN 'f' THEN 'foreign table' ELSE 'table' END,
         'pg_class ' || c.oid, n.nspname::text, c.relname::text,
         concat_ws(' ', n.nspname, c.relname, c.relkind, c.relowner, c.relacl, c.reloptions, c.relrowsecurity,
                   c.relforcerowsecurity, c.relreplident, c.relispartition, c.relpersistence, c.relispopulated,
                   (SELECT md5(string_agg(a.attnum || ':' || a.xmin, ',' ORDER BY a.attnum))
                      FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND c.relkind <> 'S'))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
     AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  UNION ALL
  SELECT 'content of table', 'file ' || c.oid, n.nspname::text, c.relname::text, c.relfilenode::text
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  UNION ALL
  SELECT 'index', 'pg_index ' || i.indexrelid, n.nspname::text, c.relname::text,
         concat_ws(' ', n.nspname, c.relname, i.indrelid, i.indkey, i.indisunique, i.indisreplident)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  UNION ALL
  SELECT 'type', 'pg_type ' || t.oid, n.nspname::text, t.typname::text,
         concat_ws(' ', t.xmin, (SELECT md5(string_agg(e.oid || ':' || e.xmin, ',' ORDER BY e.oid))
                                   FROM pg_enum e WHERE e.enumtypid = t.oid))
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
   WHERE t.typelem = 0 AND t.oid >= 16384 AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
     AND (t.typrelid = 0 OR (SELECT c.relkind FROM pg_class c WHERE c.oid = t.typrelid) = 'c')
  UNION ALL
  SELECT 'comment', concat_ws(' ', 'pg_description', d.classoid, d.objoid, d.objsubid), '',
         left(d.description, 40), d.xmin::text
    FROM pg_description d
   WHERE d.objoid >= 16384
)sql";

// A catalogue with one row for each object, of which any change is a change of the object.
struct SimpleCatalog {
  const char* kind;
  const char* catalog;
  const char* name;
  const char* relation;   // the column that says which relation the object is a part of; empty: of none
  const char* schema_id;  // the column that says its schema; empty: it has none
};

constexpr SimpleCatalog kSimpleCatalogs[] = {
    {"schema", "pg_namespace", "nspname", "", "oid"},
    {"function", "pg_proc", "proname", "", "pronamespace"},
    {"constraint", "pg_constraint", "conname", "conrelid", "connamespace"},
    {"trigger", "pg_trigger", "tgname", "tgrelid", ""},
    {"policy", "pg_policy", "polname", "polrelid", ""},
    {"rule", "pg_rewrite", "rulename", "ev_class", ""},
    {"default value", "pg_attrdef", "adrelid::regclass", "adrelid", ""},
    {"statistics object", "pg_statistic_ext", "stxname", "stxrelid", "stxnamespace"},
    {"operator", "pg_operator", "oprname", "", "oprnamespace"},
    {"operator class", "pg_opclass", "opcname", "", "opcnamespace"},
    {"collation", "pg_collation", "collname", "", "collnamespace"},
    {"text search configuration", "pg_ts_config", "cfgname", "", "cfgnamespace"},
    {"cast", "pg_cast", "castsource::regtype", "", ""},
    {"language", "pg_language", "lanname", "", ""},
    {"extension", "pg_extension", "extname", "", ""},
    {"event trigger", "pg_event_trigger", "evtname", "", ""},
    {"publication", "pg_publication", "pubname", "", ""},
    {"foreign server", "pg_foreign_server", "srvname", "", ""},
    {"default grant", "pg_default_acl", "defaclobjtype", "", ""},
};

std::string QueryOf(const SimpleCatalog& simple) {
  std::string sql =
      fmt::format("SELECT '{}', '{} ' || x.oid, '', x.{}::text, x.xmin::text FROM {} x WHERE x.oid >= 16384",
                  simple.kind, simple.catalog, simple.name, simple.catalog);
  if (*simple.relation != '\0') {
    sql +=
        fmt::format(" AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = x.{} AND c.relpersistence = 't')",
                    simple.relation);
  }
  if (*simple.schema_id != '\0') {
    sql +=
        fmt::format(" AND NOT EXISTS (SELECT FROM pg_namespace n WHERE n.oid = x.{} AND n.nspname ~ '^pg_')",
                    simple.schema_id);
  }
  return sql;
}

}  // namespace

StatusOr<CatalogState> CaptureCatalogState(Connection& connection) {
  std::string sql = kRelations;
  for (const SimpleCatalog& simple : kSimpleCatalogs) sql += " UNION ALL " + QueryOf(simple);
  ASSIGN_OR_RETURN_IN(Rows rows, connection.Query(sql), "reading the catalogue");
  CatalogState state;
  for (int i = 0; i < rows.Count(); ++i) {
    state[rows.Text(i, 1)] = {rows.Text(i, 0), rows.Text(i, 2), rows.Text(i, 3), rows.Text(i, 4)};
  }
  return state;
}

std::vector<CatalogObject> Moved(const CatalogState& then, const CatalogState& now) {
  std::vector<CatalogObject> moved;
  for (const auto& object : then) {
    const auto at = now.find(object.first);
    if (at == now.end() || at->second.mark != object.second.mark) moved.push_back(object.second);
  }
  return moved;
}

std::string Describe(const CatalogObject& object) {
  return object.kind + " " + AsUtf8(object.schema.empty() ? object.name : object.schema + "." + object.name);
}

}  // namespace salvor::agent
