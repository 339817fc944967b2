// Whether a database stood still while a dump of it began.
//
// A dump sees rows as of its snapshot, but TRUNCATE and a rewriting ALTER TABLE are not undone by a snapshot: a
// table whose file was replaced before the dump could lock it is empty in the dump, and whoever counts its rows
// in the same snapshot counts none as well. What a table, a function or a view looks like is read as it is by
// then, too. So the catalogue is read twice: in the snapshot, and once more when the dump holds its locks.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/engines/postgres/connection.h"
#include "base/status.h"

namespace salvor::agent {

// An object that a dump depends on.
struct CatalogObject {
  std::string kind;  // "table", "function", "view" …; kTableContent: the file that holds a table's rows
  std::string schema, name;  // as the session's texts are; the schema is empty where there is none
  std::string mark;          // differs when the object was changed
};

inline constexpr char kTableContent[] = "content of table";

using CatalogState = std::map<std::string, CatalogObject>;  // by catalogue and oid

// All that the session's transaction sees but temporary objects and the system's own. Takes no lock but those
// on system catalogues, which the transaction keeps.
StatusOr<CatalogState> CaptureCatalogState(Connection& connection);

// Objects that were there `then` and are gone, or are not the same `now`. One that came since is in no dump and does
// not matter.
std::vector<CatalogObject> Moved(const CatalogState& then, const CatalogState& now);

// "content of table public.orders", as UTF-8.
std::string Describe(const CatalogObject& object);

}  // namespace salvor::agent
