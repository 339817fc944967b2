// The inventory of a database is all of it but its rows: captured in the snapshot that is dumped, and once more from
// the restored copy.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/engines/postgres/catalog_queries.h"
#include "agent/engines/postgres/connection.h"
#include "base/status.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::agent {

// A table whose rows a dump carries.
struct DumpedTable {
  std::string schema;
  std::string name;
  std::string condition;  // "WHERE …" for configuration tables of extensions, of which only a part is dumped
  int64_t bytes = 0;
  bool of_extension =
      false;  // one of those configuration tables: dumped only while pg_dump dumps the extension
};

struct Inventory {
  v1::DatabaseDetails details;      // all but tables' rows and content, and large objects' content
  std::vector<DumpedTable> tables;  // smallest first
  int64_t table_bytes = 0;
  std::vector<std::string> warnings;  // what a dump leaves out or restores differently, a sentence each
};

// Reads in the caller's transaction, which decides what is seen; the session must be pinned.
StatusOr<Inventory> CaptureInventory(Connection& connection);

// Names what a dump of the connected database leaves out, or brings back otherwise than it was.
StatusOr<std::vector<std::string>> DumpWarnings(Connection& connection);

// Only the tables with rows to dump, smallest first.
StatusOr<std::vector<DumpedTable>> ListDumpedTables(Connection& connection);

// The name of the section that lists every role the database's objects refer to.
inline constexpr char kReferencedRoles[] = "referenced roles";

// One difference between a database at backup time and its restored copy.
struct Difference {
  std::string check;       // kind of Check: schema migrations grants extensions
  std::string subject;     // "columns", "public.flyway_schema_history"
  std::string text;        // "expected public.orders.id integer …, found nothing"
  bool uncertain = false;  // it is no fault of the copy, or cannot be known to be one; the text says why

  // Only where a statement of one object differs: the same tree may print differently after a restore, so
  // this is a fault only once SameOnceRead (statement_reading.h) has said so.
  Reading reading = Reading::kNone;
  std::string name = "";      // as in CatalogStatement
  std::string expected = "";  // the statement; of an extension (reading kNone) its version
  std::string found = "";
};

// Facts that `then` does not hold, as an earlier version of Salvor or of the server did not know them, are
// uncertain, by name.
// `is_known`, where it is set, is asked for each line (of a kind of Check) that one side has and the other has not:
// true for one that is accounted for elsewhere, and makes no difference here.
using KnownLine = std::function<bool(const std::string& check, const std::string& line)>;
std::vector<Difference> CompareInventories(const v1::DatabaseDetails& then, const v1::DatabaseDetails& now,
                                           const KnownLine& is_known = {});

// `statement` with the quoted database name for every %DB% outside of quotes.
std::string ForDatabase(const std::string& statement, const std::string& quoted_database);

// Settings whose stored value is a list of quoted names ("search_path"): each has to become a literal of its
// own. Everything else is one literal. "SET name TO value" without the SET.
std::string SettingAssignment(const Connection& connection, const std::string& name_and_value);

}  // namespace salvor::agent
