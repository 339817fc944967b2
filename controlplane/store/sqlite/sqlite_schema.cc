#include "controlplane/store/sqlite/sqlite_schema.h"

namespace salvor::controlplane {
namespace {

// IF NOT EXISTS, since 0.1 made its tables without a number in its first builds.
constexpr char kFirstSchema[] = R"sql(
CREATE TABLE IF NOT EXISTS run(
  number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, application TEXT NOT NULL, header BLOB NOT NULL,
  flow BLOB NOT NULL, summary BLOB, active INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS run_active ON run(number) WHERE active = 1;
CREATE TABLE IF NOT EXISTS journal(
  run INTEGER NOT NULL, first INTEGER NOT NULL, events BLOB NOT NULL, PRIMARY KEY(run, first)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS backup(number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS object(
  kind TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY(kind, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agent(name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log(number INTEGER PRIMARY KEY, run TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS log_run ON log(run, number);
CREATE TABLE IF NOT EXISTS obligation(
  run TEXT NOT NULL, name TEXT NOT NULL, agent TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY(run, name)) WITHOUT ROWID;
)sql";

// A row of 0.1 has none, and is taken as it is.
constexpr char kChecksums[] = R"sql(
ALTER TABLE run ADD COLUMN checksum INTEGER;
ALTER TABLE run ADD COLUMN summary_checksum INTEGER;
ALTER TABLE journal ADD COLUMN checksum INTEGER;
ALTER TABLE backup ADD COLUMN checksum INTEGER;
ALTER TABLE object ADD COLUMN checksum INTEGER;
ALTER TABLE agent ADD COLUMN checksum INTEGER;
ALTER TABLE log ADD COLUMN checksum INTEGER;
ALTER TABLE obligation ADD COLUMN checksum INTEGER;
)sql";

constexpr char kTokens[] = R"sql(
CREATE TABLE token(name TEXT PRIMARY KEY, body BLOB NOT NULL, checksum INTEGER) WITHOUT ROWID;
)sql";

// A run that 0.1 ended has no view, and is replayed.
constexpr char kViewsAndVerifications[] = R"sql(
ALTER TABLE run ADD COLUMN view BLOB;
ALTER TABLE run ADD COLUMN view_checksum INTEGER;
CREATE TABLE verification(
  number INTEGER PRIMARY KEY, backup TEXT NOT NULL, run TEXT NOT NULL, body BLOB NOT NULL, checksum INTEGER,
  UNIQUE(backup, run));
)sql";

// Lists of one application are read from the newest run back.
constexpr char kRunsOfApplications[] = R"sql(
CREATE INDEX run_application ON run(application, number);
)sql";

// Runs that only look are few, and looked for at each start. Nothing before had any.
constexpr char kKindsOfRuns[] = R"sql(
ALTER TABLE run ADD COLUMN kind INTEGER;
CREATE INDEX run_looks ON run(number) WHERE kind = 6;
)sql";

// A list of runs shows headers, and need not read and hash the flow of each. A row of before has none: its flow is read.
constexpr char kHeaderChecksums[] = R"sql(
ALTER TABLE run ADD COLUMN header_checksum INTEGER;
)sql";

}  // namespace

const std::vector<SqliteMigration>& StoreMigrations() {
  static const std::vector<SqliteMigration> migrations = {
      {1, kFirstSchema},        {2, kChecksums},   {3, kTokens},         {4, kViewsAndVerifications},
      {5, kRunsOfApplications}, {6, kKindsOfRuns}, {7, kHeaderChecksums}};
  return migrations;
}

}  // namespace salvor::controlplane
