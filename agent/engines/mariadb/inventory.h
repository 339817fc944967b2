// The inventory of a component's databases is all of them but their rows: captured around a dump, and once more from the
// restored copy.
#pragma once

#include <string>
#include <vector>

#include "agent/engines/mariadb/session.h"
#include "base/status.h"
#include "salvor/v1/mariadb_details.pb.h"

namespace salvor::agent {

// A table whose rows a dump has.
struct MariadbDumpedTable {
  std::string database, name, engine;
  bool versioned = false;
  bool transactional = false;
  int64_t bytes = 0;
  std::string updated;  // when the server says that it was written to last; empty where it does not say
};

struct MariadbInventory {
  v1::MariadbDetails
      details;  // databases, definitions, events, sequences, accounts; tables without rows and hashes
  std::vector<MariadbDumpedTable> tables;  // in the order of details.tables
  int64_t bytes = 0;
};

// Reads it. Databases that are not there are not in it. Accounts are read only where the session may.
StatusOr<MariadbInventory> CaptureMariadbInventory(MariadbSession& session,
                                                   const std::vector<std::string>& databases);

// All accounts of the server but its own and those that are Salvor's.
StatusOr<std::vector<v1::MariadbAccount>> CaptureMariadbAccounts(MariadbSession& session);

// "user@host" of each that something of these databases is defined as, in order, once.
std::vector<std::string> DefinersOf(const v1::MariadbDetails& details);

// One difference between databases at backup time and their restored copy.
struct MariadbDifference {
  std::string
      check;  // kind of Check: databases tables views triggers routines sequences events definers accounts
  std::string subject;  // "shop.orders"
  std::string text;     // "expected …, found nothing"
};

// Definitions, events (but for their state), databases and sequences. Pure.
std::vector<MariadbDifference> CompareMariadbInventories(const v1::MariadbDetails& then,
                                                         const v1::MariadbDetails& now);

// Accounts that `then` has. Grants on tables and routines of databases that `then` does not have are left out. Pure.
std::vector<MariadbDifference> CompareMariadbAccounts(const v1::MariadbDetails& then,
                                                      const v1::MariadbDetails& now);

// The text of a definition without what the server counts on by itself (AUTO_INCREMENT=…). Pure.
std::string WithoutCounters(const std::string& create);

// CREATE EVENT with DISABLE in the place of its state, which is put into `state`. Empty when it is none. Pure.
std::string DisabledEvent(const std::string& create, std::string* state);

// The same with that state: "ENABLE". Pure.
std::string EventWithState(const std::string& create, const std::string& state);

}  // namespace salvor::agent
