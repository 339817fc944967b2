#include "agent/engines/postgres/catalog_queries.h"

#include <algorithm>

namespace salvor::agent {

const std::vector<CatalogQuery>& CatalogQueries() {
  static const std::vector<CatalogQuery> all = [] {
    std::vector<CatalogQuery> queries = RelationQueries();
    for (const auto& more : {RoutineAndTypeQueries(), OtherObjectQueries(), GrantQueries()}) {
      queries.insert(queries.end(), more.begin(), more.end());
    }
    return queries;
  }();
  return all;
}

const CatalogQuery* FindCatalogQuery(std::string_view kind, int server_version_num) {
  const CatalogQuery* any = nullptr;
  for (const CatalogQuery& query : CatalogQueries()) {
    if (kind != query.kind) continue;
    if (server_version_num >= query.since && server_version_num <= query.until) return &query;
    if (any == nullptr) any = &query;
  }
  return any;
}

bool IsDeparsed(const std::string& kind) {
  static const std::vector<std::string> kinds = {"views",
                                                 "materialized views",
                                                 "functions",
                                                 "constraints",
                                                 "indexes",
                                                 "triggers",
                                                 "rules",
                                                 "policies",
                                                 "columns",
                                                 "types",
                                                 "statistics",
                                                 "tables",
                                                 "domain constraints",
                                                 "published tables"};
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

const std::vector<std::string>& MigrationTableNames() {
  static const std::vector<std::string> names = {"schema_migrations",
                                                 "ar_internal_metadata",
                                                 "flyway_schema_history",
                                                 "schema_version",
                                                 "alembic_version",
                                                 "django_migrations",
                                                 "__EFMigrationsHistory",
                                                 "knex_migrations",
                                                 "databasechangelog",
                                                 "SequelizeMeta",
                                                 "goose_db_version",
                                                 "_prisma_migrations",
                                                 "typeorm_migrations",
                                                 "doctrine_migration_versions",
                                                 "migration_versions",
                                                 "migrations",
                                                 "pgmigrations",
                                                 "_sqlx_migrations",
                                                 "__diesel_schema_migrations",
                                                 "refinery_schema_history",
                                                 "atlas_schema_revisions",
                                                 "gorp_migrations",
                                                 "phinxlog",
                                                 "schema_migration",
                                                 "sqitch.changes"};
  return names;
}

}  // namespace salvor::agent
