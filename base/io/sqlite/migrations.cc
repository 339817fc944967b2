#include "base/io/sqlite/migrations.h"

#include <cstdlib>
#include <string>

namespace salvor {

Status Migrate(SqliteDatabase& database, const std::vector<SqliteMigration>& migrations) {
  ASSIGN_OR_RETURN(const std::string version, database.ReadPragma("user_version"));
  const int present = std::atoi(version.c_str());
  if (present > migrations.back().number) {
    return WithHint(FailedPrecondition("{} was written by a newer version (schema {}, this one knows {})",
                                       database.Path(), present, migrations.back().number),
                    "Run the version that wrote it, or a newer one.");
  }
  for (const SqliteMigration& migration : migrations) {
    if (migration.number <= present) continue;
    const std::string number = std::to_string(migration.number);
    const Status applied = database.Execute(std::string("BEGIN IMMEDIATE;") + migration.sql +
                                            ";PRAGMA user_version = " + number + ";COMMIT");
    if (applied.ok()) continue;
    (void)database.Execute("ROLLBACK");
    return WithContext(applied, "migration " + number);
  }
  return OkStatus();
}

}  // namespace salvor
